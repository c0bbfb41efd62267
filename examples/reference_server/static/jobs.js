// All jobs in progress, whoever began them and wherever: the server's list says which there are.

import * as api from "./api.js";
import { byId } from "./elements.js";
import { JobCard, titleOf } from "./job-card.js";
import { complainOf } from "./messages.js";
import { Poller } from "./poller.js";
import { presence } from "./presence.js";
import { tabs } from "./tabs.js";
import { views } from "./views.js";
import { words } from "./words.js";

const LOOK_MS = 20_000;

const [section, list, announcer] = ["active", "active-list", "announcer"].map(byId);

// Events: `begin`, `news` and `end`, each with {task, mine} as its detail; `task` is null at the end of one that was deleted.
export class Jobs extends EventTarget {
  constructor({ onOpen }) {
    super();
    this.onOpen = onOpen;
    this.running = new Map();
    this.mine = new Set();
    this.ended = new Set();
    this.looking = null;
    setInterval(() => this.tick(), 1000);
    setInterval(() => { if (!presence.away) this.look().catch(() => {}); }, LOOK_MS);
    presence.addEventListener("back", () => this.resume());
    presence.addEventListener("away", () => { for (const { poller } of this.running.values()) poller.pause(); });
    tabs.addEventListener("jobs", () => this.look().catch(() => {}));
  }

  // Takes up what the server has in progress and isn't shown yet. Several calls at once share one request.
  look() {
    this.looking ??= this.read().finally(() => { this.looking = null; });
    return this.looking;
  }

  async read() {
    for (const task of (await api.activeTasks()).toReversed()) this.follow(task);
  }

  resume() {
    for (const { poller } of this.running.values()) poller.ask();
    this.look().catch(() => {});
  }

  // A job that this tab began.
  async begin(id) {
    this.mine.add(id);
    tabs.tell("jobs");
    try {
      this.follow(await api.task(id));
    } catch {
      // It runs all the same; the list finds it.
      this.look().catch(() => {});
    }
  }

  follow(task) {
    if (this.running.has(task.id) || this.ended.has(task.id)) return;
    if (task.poll_after_ms === null) {
      this.end(task.id, task);
      return;
    }
    const card = new JobCard(task, { cancel: () => this.cancel(task.id), open: () => this.onOpen(task) });
    const poller = new Poller(task, {
      onNews: (news) => this.heard(news),
      onSilence: (at) => card.silent(at),
      onGone: () => this.end(task.id, null),
    });
    this.running.set(task.id, { task, card, poller });
    list.prepend(card.element);
    this.counted();
    this.tell("begin", task);
    this.tell("news", task);
  }

  heard(task) {
    const job = this.running.get(task.id);
    if (!job) return;
    if (task.poll_after_ms === null) {
      this.end(task.id, task);
      return;
    }
    const before = job.card.word;
    job.task = task;
    job.card.show(task);
    if (job.card.word !== before) announcer.textContent = job.card.word;
    this.tell("news", task);
  }

  async cancel(id) {
    const job = this.running.get(id);
    if (!job || job.cancelling) return;
    job.cancelling = true;
    job.card.cancelling(true);
    try {
      await api.cancelTask(id);
    } catch (error) {
      // Refused because it ended a moment ago: the poll shows how.
      if (![400, 404, 409].includes(error.status)) complainOf(error, () => this.cancel(id));
    }
    job.cancelling = false;
    job.card.cancelling(false);
    await job.poller.ask();
  }

  end(id, task) {
    const job = this.running.get(id);
    this.ended.add(id);
    if (job) {
      job.poller.stop();
      if (job.card.element.contains(document.activeElement)) byId("content").focus({ preventScroll: true });
      job.card.element.remove();
      this.running.delete(id);
      this.counted();
    }
    tabs.tell("history");
    this.tell("end", task, job?.task);
  }

  // Somebody else is signed in: nothing here is theirs.
  forget() {
    for (const { poller, card } of this.running.values()) {
      poller.stop();
      card.element.remove();
    }
    this.running.clear();
    this.counted();
  }

  tell(event, task, last = task) {
    const title = last ? titleOf(last) : words.history.untitled;
    this.dispatchEvent(new CustomEvent(event, { detail: { task, id: last?.id, title, mine: this.mine.has(last?.id) } }));
  }

  counted() {
    section.hidden = this.running.size === 0;
    views.countJobs(this.running.size);
  }

  tick() {
    if (!document.hidden) for (const { card } of this.running.values()) card.tick();
  }
}
