// All voices: to speak with, to hear, to make and to delete.

import * as api from "./api.js";
import { catalog, matching } from "./catalog.js";
import { deleteLater } from "./deferred.js";
import { byId, removingFrom, showList } from "./elements.js";
import { complainOf, note } from "./messages.js";
import { Pager } from "./pager.js";
import { tabs } from "./tabs.js";
import { voiceEntry } from "./voice-entry.js";
import { words } from "./words.js";

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
