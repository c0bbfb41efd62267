// Play, pause and seek for one audio element: the same in the player and in the dialogs.

import { button, element } from "./elements.js";
import * as formats from "./formats.js";
import { Waveform } from "./waveform.js";
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
    this.waveform = new Waveform(wave, this.audio);
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

  // `known`: its length in seconds, if somebody knows before the audio is there.
  load(source, known = null) {
    this.known = known;
    this.audio.src = source;
    this.show();
    this.waveform.draw(source);
  }

  clear() {
    this.waveform.clear();
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    this.known = null;
    this.show();
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
    const [now, total] = [formats.clock(at), formats.clock(Math.round(length))];
    this.slider.setAttribute("aria-valuetext", words.player.position(now, total));
    this.time.textContent = words.player.times(now, total);
  }

  showPlaying() {
    const playing = !this.audio.paused;
    this.play.textContent = playing ? words.player.pause : words.player.play;
    this.play.classList.toggle("playing", playing);
  }
}
