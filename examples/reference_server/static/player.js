// One player for everything that can be heard.

import * as api from "./api.js";
import * as words from "./words.js";

export class Player {
  constructor({ section, text, about, audio, download, notice }) {
    Object.assign(this, { section, text, about, audio, notice });
    this.path = null;
    this.renewed = false;
    download.addEventListener("click", () => this.save());
    audio.addEventListener("error", () => this.renew());
    audio.addEventListener("playing", () => { this.renewed = false; });
  }

  async load(generation, { play }) {
    this.path = generation.audio_path;
    this.section.hidden = false;
    this.text.textContent = generation.text;
    this.about.textContent = [generation.voice_name, words.duration(generation.duration_seconds)].filter(Boolean).join(" · ");
    this.section.scrollIntoView({ block: "nearest" });
    await this.open();
    // Browsers may refuse to play before the user has touched the page; the controls are there.
    if (play) await this.audio.play().catch(() => {});
  }

  async open() {
    this.notice.hidden = true;
    try {
      this.audio.src = await api.signedUrl(this.path);
    } catch (error) {
      this.complain(error.message);
    }
  }

  // A signed URL lives for an hour; a page may stay open for longer.
  async renew() {
    if (this.renewed) {
      this.complain("This audio can't be played here. Download it and try another player.");
      return;
    }
    this.renewed = true;
    const at = this.audio.currentTime;
    await this.open();
    this.audio.currentTime = at;
  }

  async save() {
    try {
      const link = document.createElement("a");
      link.href = await api.signedUrl(this.path, { download: true });
      link.download = "";
      link.click();
    } catch (error) {
      this.complain(error.message);
    }
  }

  // The generation was deleted: its audio is gone.
  forget(generation) {
    if (generation.audio_path !== this.path) return;
    this.path = null;
    this.section.hidden = true;
    this.audio.pause();
    this.audio.removeAttribute("src");
  }

  complain(message) {
    this.notice.textContent = message;
    this.notice.hidden = false;
  }
}
