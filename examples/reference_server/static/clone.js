// A voice from a recording: a file or the microphone, a transcript, a name.

import { clock, size, span, tabs } from "./browser.js";
import { busy, byId, isBusy, onPress } from "./elements.js";
import { complain, countDown, explain, note, tell } from "./messages.js";
import { AudioControls } from "./player.js";
import { BYTES_PER_SECOND, CannotRecord, Recorder, UnusableClip, clipOf, mostBytes, recordedClip } from "./recording.js";
import * as api from "./server.js";
import { catalog, offerLanguages } from "./voices.js";
import { words } from "./words.js";

const [dialog, form, name, language, file, transcript] = ["clone", "clone-form", "clone-name", "clone-language", "clone-file", "clone-transcript"].map(byId);
const [record, facts, notice, state, bar, create] = ["clone-record", "clone-facts", "clone-notice", "clone-state", "clone-progress", "clone-create"].map(byId);

// A minute is more than any provider wants.
const mostSeconds = () => Math.min(60, Math.floor(mostBytes() / BYTES_PER_SECOND));

export class CloneDialog {
  constructor() {
    this.controls = new AudioControls(byId("clone-audio"));
    this.recorder = new Recorder();
    this.clip = null;
    this.stopCounting = () => {};
    this.controls.audio.addEventListener("loadedmetadata", () => this.showFacts());
    file.addEventListener("change", () => this.choose());
    onPress(record, () => (this.recorder.running ? this.stop() : this.record()));
    form.addEventListener("submit", (event) => { event.preventDefault(); this.create(); });
    form.addEventListener("input", () => note(notice, null));
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => this.closed());
  }

  // Whether what becomes of a clone is told here.
  get making() { return isBusy(create); }

  open() {
    offerLanguages(language);
    byId("clone-limit").textContent = words.clone.limit(size(mostBytes()));
    dialog.showModal();
    name.focus();
  }

  // What was written stays for the next time; the microphone is let go of.
  closed() {
    this.stopCounting();
    this.controls.audio.pause();
    if (this.recorder.running) this.recorder.discard();
    record.textContent = words.clone.record;
    this.showFacts();
  }

  async choose() {
    const chosen = file.files[0];
    if (!chosen) return;
    state.textContent = words.clone.preparing;
    await this.take(() => clipOf(chosen));
    state.textContent = "";
  }

  async record() {
    note(notice, null);
    try {
      await this.recorder.start();
    } catch (error) {
      if (!(error instanceof CannotRecord)) throw error;
      note(notice, error.message);
      return;
    }
    this.controls.audio.pause();
    record.textContent = words.clone.stop;
    const most = mostSeconds();
    this.stopCounting = countDown(most, (left) => { facts.textContent = words.clone.listening(clock(most - left), clock(most)); }, () => this.stop());
  }

  async stop() {
    this.stopCounting();
    record.textContent = words.clone.record;
    if (!this.recorder.running) return;
    file.value = "";
    await this.take(async () => recordedClip(await this.recorder.stop()));
  }

  async take(make) {
    note(notice, null);
    this.clip = null;
    this.controls.clear();
    try {
      this.clip = await make();
      this.cloning = new Cloning(this.clip.blob);
      this.controls.load(this.clip.blob);
    } catch (error) {
      if (!(error instanceof UnusableClip || error instanceof CannotRecord)) throw error;
      note(notice, error.message);
    }
    this.showFacts();
  }

  showFacts() {
    byId("clone-audio").hidden = this.clip === null;
    const length = this.clip && this.controls.length ? span(this.controls.length) : "";
    facts.textContent = this.clip ? words.clone.facts([...this.clip.facts, length]) : "";
  }

  isReady() {
    const missing = [
      [name.value.trim(), words.clone.nameMissing, name],
      [this.clip, words.clone.recordingMissing, file],
      [transcript.value.trim(), words.clone.transcriptMissing, transcript],
    ].find(([there]) => !there);
    if (!missing) return true;
    note(notice, missing[1]);
    missing[2].focus();
    return false;
  }

  async create() {
    if (isBusy(create)) return;
    if (this.recorder.running) await this.stop();
    note(notice, null);
    if (!this.isReady()) return;
    busy(create, true);
    const fields = { name: name.value.trim(), language: language.value, transcript: transcript.value.trim() };
    try {
      await this.cloning.run(fields, this.progress());
      await this.made(fields.name);
    } catch (error) {
      // It goes on when the dialog is closed.
      if (dialog.open) note(notice, explain(error));
      else complain(words.jobs.failedOther(words.jobs.clone, explain(error)));
    }
    state.textContent = "";
    bar.hidden = true;
    busy(create, false);
  }

  progress() {
    const say = (sentence, part) => {
      state.textContent = sentence;
      bar.hidden = false;
      if (part === null) bar.removeAttribute("value");
      else bar.value = part;
    };
    return {
      uploading: (part) => say(words.clone.uploading, part),
      making: () => say(words.clone.making, null),
      waiting: (seconds) => new Promise((resolve) => { countDown(seconds, (left) => say(words.clone.waiting(left), null), resolve); }),
    };
  }

  async made(named) {
    form.reset();
    this.clip = null;
    this.controls.clear();
    dialog.close();
    tell(words.clone.done(named));
    tabs.tell("voices");
    await catalog.refresh();
  }
}

// The three requests that make a voice of a recording (R14, the upload, R15). What was done is not done again when a
// later one fails and somebody tries once more.
const WAITS = 10;
const SHORTEST_WAIT_S = 2;

class Cloning {
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

