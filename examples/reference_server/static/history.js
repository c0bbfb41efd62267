// What was spoken before, newest first: the server's list, searched, filtered and paged by the server.

import { brief, excerpt, moment, span, tabs, views } from "./browser.js";
import { Pager, button, byId, element, onPress, removingFrom, showList } from "./elements.js";
import { complainOf, deleteLater, isDeleted, note, noteOf } from "./messages.js";
import { saveFile } from "./player.js";
import * as api from "./server.js";
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
      name: brief(generation.text),
      send: (keepalive) => api.deleteGeneration(generation.id, keepalive),
      changed: (sent) => {
        if (sent) tabs.tell("history");
        if (sent || !this.shown) this.refresh();
        else this.show();
      },
    }));
  }
}

// One line of it. `acts`: play, download, again, remove.
function historyEntry(generation, acts) {
  const short = excerpt(generation.text) || words.history.untitled;
  const done = generation.status === "completed";
  const buttons = element("div", { className: "buttons" });
  const add = (name, act, lead = false) => {
    const made = button(name, () => {}, { className: lead ? "small plain lead" : "small plain", "aria-label": words.history.about(name, short) });
    onPress(made, async () => act());
    buttons.append(made);
  };
  if (done) add(words.history.play, acts.play, true);
  if (done) add(words.history.download, acts.download);
  add(words.history.again, acts.again);
  add(words.history.delete, acts.remove);
  return element("li", {}, element("article", { className: "entry", "aria-label": short },
    element("p", { className: "excerpt", dir: "auto", text: generation.text }),
    facts(generation),
    buttons,
  ));
}

function facts(generation) {
  const { duration_seconds: length, generation_time_seconds: took } = generation;
  const made = element("p", { className: "facts-line quiet" });
  const shown = [
    element("bdi", { className: "by", text: generation.voice_name, title: generation.voice_name }),
    generation.language,
    length === null ? "" : span(length),
    took === null || length === null ? "" : words.history.took(span(took)),
    element("time", { dateTime: generation.created_at, text: moment(generation.created_at) }),
    outcome(generation),
  ].filter(Boolean);
  shown.forEach((fact, index) => made.append(index ? " · " : "", fact));
  return made;
}

function outcome({ status, error_message: why }) {
  const name = words.history.outcome[status];
  if (!name) return null;
  const failed = status === "failed";
  return element("span", { className: failed ? "wrong" : "", text: failed && why ? `${name}: ${why}` : name });
}

