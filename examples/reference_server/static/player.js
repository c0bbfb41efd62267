// Everything that can be heard: play, pause and seek for one audio element, and the player at the bottom of every view.

import { clock } from "./browser.js";
import { button, byId, element, onPress } from "./elements.js";
import { note, noteOf } from "./messages.js";
import * as api from "./server.js";
import { words } from "./words.js";

const [section, title, notice, download] = ["player", "player-text", "player-notice", "player-download"].map(byId);

export class Player {
  constructor() {
    this.controls = new AudioControls(byId("player-controls"));
    this.sound = null;
    this.renewed = false;
    onPress(download, () => this.save(this.sound.path));
    byId("player-close").addEventListener("click", () => this.close());
    this.controls.audio.addEventListener("error", () => this.renew());
    this.controls.audio.addEventListener("playing", () => { this.renewed = false; });
  }

  get playing() { return this.sound !== null && !this.controls.audio.paused; }

  playGeneration(generation, { play = true } = {}) {
    return this.load({ id: generation.id, path: generation.audio_path, title: generation.text, length: generation.duration_seconds, saved: true }, play);
  }

  playVoice(voice) {
    return this.load({ id: voice.id, path: api.voicePreviewPath(voice.id), title: words.player.voice(voice.name), length: null, saved: false }, true);
  }

  async load(sound, play) {
    this.sound = sound;
    this.renewed = false;
    section.hidden = false;
    title.textContent = sound.title;
    title.title = sound.title.slice(0, 500);
    download.hidden = !sound.saved;
    this.controls.clear();
    await this.open();
    if (play && this.sound === sound && notice.hidden) await this.controls.start();
  }

  async open() {
    const sound = this.sound;
    note(notice, null);
    try {
      const link = await api.audioLink(sound.path);
      if (this.sound === sound) this.controls.load(link, sound.length);
    } catch (error) {
      if (this.sound === sound) noteOf(notice, error, () => this.load(sound, true));
    }
  }

  // A signed URL lives for an hour; a page may stay open for longer.
  async renew() {
    if (!this.sound || !this.controls.audio.getAttribute("src")) return;
    if (this.renewed) {
      note(notice, words.player.broken);
      return;
    }
    this.renewed = true;
    const [at, was] = [this.controls.audio.currentTime, !this.controls.audio.paused];
    await this.open();
    if (at) this.controls.seek(at);
    if (was) await this.controls.start();
  }

  // With a name that the server makes from the text.
  async save(path) {
    note(notice, null);
    try {
      await saveFile(path);
    } catch (error) {
      noteOf(notice, error, () => this.save(path));
    }
  }

  // What was deleted can't be heard any more.
  forget(id) {
    if (this.sound?.id === id) this.close();
  }

  close() {
    const focused = section.contains(document.activeElement);
    this.sound = null;
    this.controls.clear();
    section.hidden = true;
    if (focused) byId("content").focus({ preventScroll: true });
  }
}

export async function saveFile(audioPath) {
  const link = document.createElement("a");
  link.href = await api.audioLink(api.downloadPath(audioPath));
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}

// Play, pause and seek for one audio element: the same in the player and in the dialogs.

const STEP_SECONDS = 5;

// Keys of a slider, as seconds from where it is. The rest is the browser's.
const KEYS = { ArrowLeft: -STEP_SECONDS, ArrowDown: -STEP_SECONDS, ArrowRight: STEP_SECONDS, ArrowUp: STEP_SECONDS, PageDown: -30, PageUp: 30 };

export class AudioControls {
  constructor(place) {
    this.audio = element("audio", { preload: "metadata" });
    this.play = button(words.player.play, () => this.toggle(), { className: "play" });
    const wave = element("div", { className: "wave", "aria-hidden": "true" });
    this.slider = element("input", { type: "range", min: 0, max: 1, step: "any", value: 0, "aria-label": words.page.position });
    this.time = element("span", { className: "time" });
    place.append(this.audio, this.play, element("div", { className: "seek" }, wave, this.slider), this.time);
    this.wave = wave;
    this.waveform = null;
    this.listen();
    this.show();
  }

  listen() {
    for (const event of ["timeupdate", "durationchange", "loadedmetadata", "seeked", "emptied"]) this.audio.addEventListener(event, () => this.show());
    for (const event of ["play", "pause", "ended", "emptied"]) this.audio.addEventListener(event, () => this.showPlaying());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    this.slider.addEventListener("keydown", (event) => this.key(event));
  }

  get length() {
    return Number.isFinite(this.audio.duration) ? this.audio.duration : this.known ?? 0;
  }

  // A URL, or a blob that was made in this page. `known`: its length in seconds, if somebody knows it before.
  load(source, known = null) {
    this.known = known;
    this.release();
    if (source instanceof Blob) this.url = URL.createObjectURL(source);
    this.audio.src = this.url ?? source;
    this.show();
    this.draw(source);
  }

  clear() {
    this.drawing = null;
    this.waveform?.clear();
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    this.release();
    this.known = null;
    this.show();
  }

  // An ornament, read when there is something to draw; without it the slider is plain.
  async draw(source) {
    this.drawing = source;
    try {
      const { Waveform } = await import("./waveform.js");
      this.waveform ??= new Waveform(this.wave, this.audio);
    } catch {
      return;
    }
    if (this.drawing === source) await this.waveform.draw(source);
  }

  release() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
  }

  // Browsers may refuse to play before the user has touched the page; the button is there.
  async start() {
    try {
      await this.audio.play();
    } catch (error) {
      if (!["NotAllowedError", "AbortError"].includes(error.name) && !this.audio.error) throw error;
    }
  }

  toggle() {
    if (this.audio.paused) return this.start();
    return this.audio.pause();
  }

  seek(seconds) {
    this.audio.currentTime = Math.min(Math.max(0, seconds), this.length);
    this.show();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.audio.currentTime;
    const to = { Home: 0, End: this.length }[event.key] ?? (event.key in KEYS ? at + KEYS[event.key] : null);
    if (to === null) return;
    event.preventDefault();
    this.seek(to);
  }

  show() {
    const [at, length] = [this.audio.currentTime, this.length];
    this.slider.max = length || 1;
    this.slider.value = at;
    this.slider.style.setProperty("--done", `${length ? (at / length) * 100 : 0}%`);
    // What lasts for less than a second lasts, too.
    const total = clock(length ? Math.max(1, Math.round(length)) : 0);
    const now = at >= length ? total : clock(at);
    this.slider.setAttribute("aria-valuetext", words.player.position(now, total));
    this.time.textContent = words.player.times(now, total);
  }

  showPlaying() {
    const playing = !this.audio.paused;
    this.play.textContent = playing ? words.player.pause : words.player.play;
    this.play.classList.toggle("playing", playing);
  }
}

