// All voices: which there are, by whom they can speak, and the view that lists them.

import { tabs } from "./browser.js";
import { Pager, button, byId, element, onPress, removingFrom, showList } from "./elements.js";
import { complainOf, deleteLater, isDeleted, note } from "./messages.js";
import * as api from "./server.js";
import { words } from "./words.js";

class Catalog extends EventTarget {
  about = null;
  all = [];

  // What the server can do, and the voices.
  async load() {
    [this.about, this.all] = await Promise.all([api.begun(api.languages), api.begun(api.allVoices)]);
    this.changed();
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

export function offerLanguages(select, wanted) {
  const { languages, default: fallback } = catalog.about;
  const before = select.value || wanted;
  select.replaceChildren(...languages.map((name) => new Option(name, name)));
  select.value = languages.includes(before) ? before : fallback;
}

// A test of voices: every word of the search is in the name, the language or the description, accents aside.
export function matching(search) {
  const wanted = fold(search).split(/\s+/).filter(Boolean);
  return (voice) => {
    const facts = factsOf(voice);
    return wanted.every((word) => facts.includes(word));
  };
}

// What is found, best first: who looks for "English" means what begins with it more than what mentions it.
export function sought(voices, search) {
  const start = fold(search.trim());
  const rank = (voice) => (catalog.usable(voice) ? 0 : 2) + (fold(voice.name).startsWith(start) ? 0 : 1);
  const ranked = voices.filter(matching(search)).map((voice) => [rank(voice), voice]);
  return ranked.sort(([one], [other]) => one - other).map(([, voice]) => voice);
}

const known = new WeakMap();

function factsOf(voice) {
  if (!known.has(voice)) known.set(voice, fold(`${voice.name} ${voice.language} ${voice.description ?? ""}`));
  return known.get(voice);
}

const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

// The view.

const PER_PAGE = 20;

const [search, source, list, empty] = ["voices-search", "voices-source", "voices-list", "voices-empty"].map(byId);

export class Voices {
  constructor({ player, onSpeakWith }) {
    Object.assign(this, { player, onSpeakWith });
    this.pager = new Pager(byId("voices-pages"), (page) => { this.show(page); list.scrollIntoView({ block: "nearest" }); });
    source.append(...Object.entries(words.voices.sources).map(([value, name]) => new Option(name, value)));
    search.addEventListener("input", () => this.show(1));
    source.addEventListener("change", () => this.show(1));
    catalog.addEventListener("change", () => this.show());
    tabs.addEventListener("voices", () => catalog.refresh().catch(() => {}));
    note(empty, words.voices.loading);
  }

  show(wanted = this.pager.page) {
    const fits = matching(search.value);
    const found = catalog.voices.filter((voice) => (source.value === "all" || voice.source === source.value) && fits(voice));
    const pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
    const page = Math.min(wanted, pages);
    const shown = found.slice((page - 1) * PER_PAGE, page * PER_PAGE);
    showList(list, shown, (voice) => voiceEntry(voice, this.acts(voice)));
    list.hidden = shown.length === 0;
    note(empty, shown.length ? null : catalog.voices.length ? words.voices.none : words.voices.empty);
    this.pager.show(page, pages);
  }

  acts(voice) {
    return {
      speak: () => this.onSpeakWith(voice),
      preview: () => this.player.playVoice(voice),
      remove: () => this.remove(voice),
    };
  }

  remove(voice) {
    this.player.forget(voice.id);
    removingFrom(list, () => deleteLater({
      id: voice.id,
      name: voice.name,
      send: (keepalive) => api.deleteVoice(voice.id, keepalive),
      changed: (sent) => {
        catalog.changed();
        if (sent) {
          tabs.tell("voices");
          catalog.refresh().catch((error) => complainOf(error));
        }
      },
    }));
  }
}

// One voice of the list. `acts`: speak, preview, remove.
function voiceEntry(voice, acts) {
  const usable = catalog.usable(voice);
  const own = voice.source !== "builtin";
  const buttons = element("div", { className: "buttons" });
  const add = (name, label, act, lead = false) => {
    const made = button(name, () => {}, { className: lead ? "small plain lead" : "small plain", "aria-label": label });
    onPress(made, async () => act());
    buttons.append(made);
    return made;
  };
  if (usable) add(words.voices.speak, words.voices.speakWith(voice.name), acts.speak, true);
  if (own) add(words.voices.previewShort, words.voices.preview(voice.name), acts.preview);
  if (own) add(words.voices.deleteShort, words.voices.delete(voice.name), acts.remove);
  return element("li", {}, element("article", { className: `entry voice${usable ? "" : " foreign"}`, "aria-label": voice.name },
    element("p", { className: "excerpt name" }, element("bdi", { text: voice.name })),
    facts(voice, usable),
    buttons,
  ));
}

function facts(voice, usable) {
  const made = element("p", { className: "facts-line quiet" });
  const shown = [
    voice.language,
    words.voices.kind[voice.source] ?? voice.source,
    voice.description ? element("bdi", { text: voice.description }) : null,
    usable ? null : words.picker.foreign(voice.tts_provider, catalog.provider),
  ].filter(Boolean);
  shown.forEach((fact, index) => made.append(index ? " · " : "", fact));
  return made;
}

