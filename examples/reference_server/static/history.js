// What was spoken before, newest first: the server's list, searched, filtered and paged by the server.

import * as api from "./api.js";
import { deleteLater, isDeleted } from "./deferred.js";
import { byId, removingFrom, showList } from "./elements.js";
import { excerpt } from "./formats.js";
import { historyEntry } from "./history-entry.js";
import { complainOf, note, noteOf } from "./messages.js";
import { Pager } from "./pager.js";
import { saveFile } from "./player.js";
import { tabs } from "./tabs.js";
import { views } from "./views.js";
import { words } from "./words.js";

const TYPING_MS = 250;

const [search, status, list, empty, notice] = ["history-search", "history-status", "history-list", "history-empty", "history-notice"].map(byId);

export class History {
  // `player` plays, `onAgain(fields)` puts a text back into the form.
  constructor({ player, onAgain }) {
    Object.assign(this, { player, onAgain });
    this.wanted = 1;
    this.request = null;
    this.shown = null;
    this.pager = new Pager(byId("history-pages"), (page) => this.turnTo(page));
    status.append(...Object.entries(words.history.statuses).map(([value, name]) => new Option(name, value)));
    search.addEventListener("input", () => this.soon());
    status.addEventListener("change", () => this.turnTo(1));
    views.addEventListener("history", () => this.refresh());
    tabs.addEventListener("history", () => this.refresh());
  }

  soon() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.turnTo(1), TYPING_MS);
  }

  async turnTo(page) {
    this.wanted = page;
    await this.refresh();
    if (page > 1) list.scrollIntoView({ block: "nearest" });
  }

  // The newest request wins. Nothing is asked while nobody looks.
  async refresh() {
    if (views.current !== "history") return;
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    if (!this.shown) note(empty, words.history.loading);
    try {
      const answer = await api.generations({ page: this.wanted, search: search.value, status: status.value }, request.signal);
      if (this.request !== request) return;
      const last = answer.pagination.pages;
      if (this.wanted > last) {
        await this.turnTo(last);
        return;
      }
      this.shown = answer;
      note(notice, null);
      this.show();
    } catch (error) {
      if (error.kind === "aborted") return;
      if (!this.shown) note(empty, null);
      noteOf(notice, error, () => this.refresh());
    }
  }

  show() {
    const { generations, pagination } = this.shown;
    const entries = generations.filter((each) => !isDeleted(each.id));
    showList(list, entries, (generation) => historyEntry(generation, this.acts(generation)));
    list.hidden = entries.length === 0;
    const filtered = search.value || status.value !== "all";
    note(empty, entries.length ? null : filtered ? words.history.none : words.history.empty);
    this.pager.show(pagination.page, pagination.pages);
  }

  acts(generation) {
    return {
      play: () => this.player.playGeneration(generation),
      download: () => saveFile(generation.audio_path).catch((error) => complainOf(error)),
      again: async () => {
        try {
          this.onAgain(await api.again(generation.id));
        } catch (error) {
          complainOf(error);
        }
      },
      remove: () => this.remove(generation),
    };
  }

  remove(generation) {
    this.player.forget(generation.id);
    removingFrom(list, () => deleteLater({
      id: generation.id,
      name: excerpt(generation.text),
      send: (keepalive) => api.deleteGeneration(generation.id, keepalive),
      changed: (sent) => {
        if (sent) tabs.tell("history");
        if (sent || !this.shown) this.refresh();
        else this.show();
      },
    }));
  }
}
