// What can be spoken with, and by whom: read once for a visit, and again after a change.

import * as api from "./api.js";
import { isDeleted } from "./deferred.js";

class Catalog extends EventTarget {
  about = null;
  all = [];

  // What the server can do, then the voices.
  async load() {
    this.about = await api.languages();
    await this.refresh();
  }

  async refresh() {
    this.all = await api.allVoices();
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  get provider() { return this.about.provider; }
  get can() { return this.about.capabilities; }
  get voices() { return this.all.filter((voice) => !isDeleted(voice.id)); }

  // Each voice can only speak with the provider that it was made for.
  usable(voice) { return voice.tts_provider === this.provider; }
  find(id) { return this.voices.find((voice) => voice.id === id); }
}

export const catalog = new Catalog();

// A test of voices: every word of the search is in the name, the language or the description, accents aside.
export function matching(search) {
  const wanted = fold(search).split(/\s+/).filter(Boolean);
  return (voice) => {
    const facts = factsOf(voice);
    return wanted.every((word) => facts.includes(word));
  };
}

const known = new WeakMap();

function factsOf(voice) {
  if (!known.has(voice)) known.set(voice, fold(`${voice.name} ${voice.language} ${voice.description ?? ""}`));
  return known.get(voice);
}

const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
