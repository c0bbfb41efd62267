// Play, pause and seek for one audio element: the same in the player and in the dialogs.

import { button, element } from "./elements.js";
import * as formats from "./formats.js";
import { words } from "./words.js";

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
    const total = formats.clock(length ? Math.max(1, Math.round(length)) : 0);
    const now = at >= length ? total : formats.clock(at);
    this.slider.setAttribute("aria-valuetext", words.player.position(now, total));
    this.time.textContent = words.player.times(now, total);
  }

  showPlaying() {
    const playing = !this.audio.paused;
    this.play.textContent = playing ? words.player.pause : words.player.play;
    this.play.classList.toggle("playing", playing);
  }
}
