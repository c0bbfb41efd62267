// The microphone: from the first press to a WAV, with words for everything that can be in the way.

import { toWav } from "./wav.js";
import { words } from "./words.js";

const REFUSALS = {
  NotAllowedError: words.clone.microphoneRefused,
  SecurityError: words.clone.microphoneRefused,
  NotFoundError: words.clone.noMicrophone,
  OverconstrainedError: words.clone.noMicrophone,
};
const SHORTEST_BYTES = 44 + 4800;

// Why nothing can be recorded; its message is for the person who tried.
export class CannotRecord extends Error {}

export class Recorder {
  recording = null;

  async start() {
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) throw new CannotRecord(words.clone.insecure);
    const stream = await this.microphone();
    const recording = new MediaRecorder(stream);
    const parts = [];
    this.recording = recording;
    recording.addEventListener("dataavailable", (event) => parts.push(event.data));
    this.done = new Promise((resolve) => {
      recording.addEventListener("stop", () => {
        for (const track of stream.getTracks()) track.stop();
        resolve(new Blob(parts, { type: recording.mimeType }));
      });
    });
    recording.start();
  }

  async microphone() {
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      throw new CannotRecord(REFUSALS[error.name] ?? words.clone.microphoneBusy);
    }
  }

  get running() { return this.recording !== null; }

  // The recording as a WAV.
  async stop() {
    const recorded = await this.discard();
    let wav;
    try {
      wav = await toWav(recorded);
    } catch {
      throw new CannotRecord(words.clone.tooShort);
    }
    if (wav.size < SHORTEST_BYTES) throw new CannotRecord(words.clone.tooShort);
    return wav;
  }

  // Ends it, and lets go of the microphone.
  async discard() {
    if (!this.recording) return null;
    if (this.recording.state !== "inactive") this.recording.stop();
    const recorded = await this.done;
    this.recording = null;
    return recorded;
  }
}
