// A waveform behind a slider, drawn by wavesurfer.js: an ornament, and so everything that fails here leaves the plain
// slider as it is.

import { peaksOf } from "./peaks.js";

// The server's policy names the hash of the library's style sheet, which has this height in it.
const HEIGHT = 40;

export class Waveform {
  constructor(place, audio) {
    Object.assign(this, { place, audio });
    this.drawn = null;
    this.work = new AbortController();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawn?.setOptions(this.colours()));
  }

  async draw(source) {
    this.clear();
    const { signal } = this.work;
    try {
      const [{ default: WaveSurfer }, sound] = await Promise.all([import("/wavesurfer.js"), peaksOf(source, signal)]);
      if (WaveSurfer && sound && !signal.aborted) this.show(WaveSurfer, sound);
    } catch {
      // Aborted, unreadable, or too old a browser.
    }
  }

  show(WaveSurfer, { peaks, length }) {
    this.drawn = WaveSurfer.create({
      container: this.place,
      media: this.audio,
      peaks: [peaks],
      duration: length,
      height: HEIGHT,
      barWidth: 2,
      barGap: 1,
      barRadius: 1,
      normalize: true,
      interact: false,
      hideScrollbar: true,
      cursorWidth: 0,
      ...this.colours(),
    });
    this.place.parentElement.classList.add("drawn");
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    return { waveColor: style.getPropertyValue("--wave"), progressColor: style.getPropertyValue("--accent") };
  }

  clear() {
    this.work.abort();
    this.work = new AbortController();
    this.place.parentElement.classList.remove("drawn");
    this.drawn?.destroy();
    this.drawn = null;
  }
}
