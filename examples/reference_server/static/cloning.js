// The three requests that make a voice of a recording (R14, the upload, R15). What was done is not done again when a
// later one fails and somebody tries once more.

import * as api from "./api.js";

const WAITS = 10;
const SHORTEST_WAIT_S = 2;

export class Cloning {
  // One recording, and so at most one voice.
  constructor(blob) {
    this.blob = blob;
    this.link = null;
    this.uploaded = false;
  }

  // `on` hears of uploading(part) and making(), and of waiting(seconds) while the provider makes the voice.
  async run(fields, on) {
    this.link ??= await api.uploadLink(fields);
    if (!this.uploaded) await this.upload(on);
    on.making();
    return this.finish({ ...fields, voice_id: this.link.voice_id }, on);
  }

  async upload(on) {
    on.uploading(0);
    try {
      await api.upload(this.link.upload_url, this.blob, on.uploading);
    } catch (error) {
      // The answer to an earlier try was lost: it is there.
      if (error.code !== "clip_exists") {
        if (error.status === 403) this.link = null;
        throw error;
      }
    }
    this.uploaded = true;
  }

  async finish(fields, on) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await api.finishClone(fields);
      } catch (error) {
        // It is ours: nobody else was given this id.
        if (error.code === "voice_exists") return { id: fields.voice_id, name: fields.name };
        if (error.code !== "voice_in_progress" || tries >= WAITS) throw this.failed(error);
        await on.waiting(Math.max(SHORTEST_WAIT_S, error.retryAfter ?? 0));
        on.making();
      }
    }
  }

  failed(error) {
    // A refused recording is forgotten, and an unknown outcome stays one under this id.
    if (!error.passing || error.code === "submission_outcome_unknown") this.restart();
    return error;
  }

  restart() {
    this.link = null;
    this.uploaded = false;
  }
}
