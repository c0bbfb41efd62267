// All jobs in progress, whoever began them and wherever: the server's list says which there are.

import { brief, excerpt, presence, span, tabs, views } from "./browser.js";
import { busy, button, byId, element } from "./elements.js";
import { complainOf } from "./messages.js";
import * as api from "./server.js";
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
    for (const task of (await api.begun(api.activeTasks)).toReversed()) this.follow(task);
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
    const title = last ? titleOf(last, brief) : words.history.untitled;
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

// One task, asked for when the server says it is worth while, until it ends.

const LONGEST_WAIT_MS = 30_000;

// `onNews(task)`, `onSilence(at)` with the time of the next try, or null while it is being made, and `onGone()`.
class Poller {
  constructor(task, { onNews, onSilence, onGone }) {
    Object.assign(this, { id: task.id, onNews, onSilence, onGone });
    this.failures = 0;
    this.asking = false;
    this.stopped = false;
    this.paused = false;
    this.wait(task.poll_after_ms);
  }

  wait(delay) {
    clearTimeout(this.timer);
    if (!this.stopped && !this.paused) this.timer = setTimeout(() => this.ask(), delay);
  }

  pause() {
    this.paused = true;
    clearTimeout(this.timer);
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  // At once; also after a pause.
  async ask() {
    this.paused = false;
    if (this.asking || this.stopped) return;
    clearTimeout(this.timer);
    this.asking = true;
    if (this.failures) this.onSilence(null);
    try {
      const task = await api.task(this.id);
      this.failures = 0;
      if (!this.stopped) this.heard(task);
    } catch (error) {
      if (!this.stopped) this.missed(error);
    }
    this.asking = false;
  }

  heard(task) {
    if (task.poll_after_ms === null) this.stop();
    else this.wait(task.poll_after_ms);
    this.onNews(task);
  }

  missed(error) {
    if (error.status === 404) {
      this.stop();
      this.onGone();
      return;
    }
    this.failures += 1;
    const delay = error.retryAfter ? error.retryAfter * 1000 : Math.min(1000 * 2 ** (this.failures - 1), LONGEST_WAIT_MS);
    this.onSilence(Date.now() + delay);
    this.wait(delay);
  }
}

// What is shown of one job while it runs. Its height never changes: nothing on the page moves while it is polled.
class JobCard {
  // `acts`: cancel, and open for the preview of a voice.
  constructor(task, acts) {
    this.title = titleOf(task);
    this.began = Date.parse(task.created_at);
    this.expected = task.estimated_duration_minutes * 60;
    this.nextTry = undefined;
    this.phase = element("span", { className: "phase" });
    this.times = element("span", { className: "times quiet" });
    this.bar = element("progress", { max: 1, "aria-label": words.page.progress });
    this.cancel = button(words.jobs.cancel, acts.cancel, { className: "small plain", "aria-label": words.history.about(words.jobs.cancel, this.title) });
    const buttons = element("div", { className: "buttons" }, this.cancel);
    if (task.type === "design_preview") buttons.prepend(button(words.jobs.open, acts.open, { className: "small plain", "aria-label": words.history.about(words.jobs.open, this.title) }));
    this.element = element("li", {}, element("article", { className: "job card", "aria-label": this.title },
      element("p", { className: "excerpt", dir: "auto", text: task.text_preview || this.title }),
      element("p", { className: "state" }, this.phase, this.times),
      buttons,
      this.bar,
    ));
    this.show(task);
  }

  show(task) {
    this.nextTry = undefined;
    this.word = words.phases[task.provider_status] ?? words.phases.other;
    this.cancel.hidden = task.supports_cancel === false;
    if (task.progress === null) this.bar.removeAttribute("value");
    else this.bar.value = task.progress;
    this.tick();
  }

  // `at`: when the server is asked again; null while it is.
  silent(at) {
    this.nextTry = at;
    this.tick();
  }

  cancelling(is) {
    busy(this.cancel, is);
    this.cancel.textContent = is ? words.jobs.cancelling : words.jobs.cancel;
  }

  tick() {
    set(this.phase, this.sentence());
    set(this.times, this.nextTry === undefined ? this.elapsed() : "");
  }

  elapsed() {
    const elapsed = Math.max(0, (Date.now() - this.began) / 1000);
    const shown = span(Math.max(1, Math.floor(elapsed)));
    return elapsed > this.expected ? words.jobs.longer(shown) : words.jobs.times(shown, span(this.expected));
  }

  sentence() {
    if (this.nextTry === undefined) return this.word;
    if (this.nextTry === null) return words.jobs.asking;
    return words.jobs.silent(Math.max(1, Math.ceil((this.nextTry - Date.now()) / 1000)));
  }
}

function titleOf(task, shorten = excerpt) {
  if (task.text_preview) return shorten(task.text_preview);
  if (task.type === "generate") return words.history.untitled;
  return task.voice_name || (task.type === "clone" ? words.jobs.clone : words.jobs.design);
}

function set(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

