// The player at the bottom of every view: one for everything that can be heard.

import * as api from "./api.js";
import { AudioControls } from "./audio-controls.js";
import { byId, onPress } from "./elements.js";
import { note, noteOf } from "./messages.js";
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
    new ResizeObserver(() => this.makeRoom()).observe(section);
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

  // The end of the page stays above the player.
  makeRoom() {
    document.documentElement.style.setProperty("--docked", `${section.offsetHeight}px`);
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
