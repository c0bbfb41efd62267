// What is in progress: one card for each task, polled when the server says it is worth while.

import * as api from "./api.js";
import * as words from "./words.js";

const LONGEST_WAIT_MS = 10_000;

export class Jobs {
  constructor({ section, list, announcer, onEnd }) {
    this.section = section;
    this.list = list;
    this.announcer = announcer;
    this.onEnd = onEnd;
    this.cards = new Map();
    setInterval(() => this.tick(), 1000);
    // A hidden page's timers are slowed down; whoever comes back wants to see how things are now.
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) for (const id of this.cards.keys()) this.poll(id);
    });
  }

  follow(task) {
    if (this.cards.has(task.id)) return;
    const card = new Card(task, () => this.cancel(task.id));
    this.cards.set(task.id, card);
    this.list.prepend(card.element);
    this.section.hidden = false;
    this.show(task);
    this.pollIn(task.id, task.poll_after_ms);
  }

  pollIn(id, delay) {
    const card = this.cards.get(id);
    clearTimeout(card.timer);
    card.timer = setTimeout(() => this.poll(id), delay);
  }

  async poll(id) {
    const card = this.cards.get(id);
    if (!card || card.polling) return;
    clearTimeout(card.timer);
    card.polling = true;
    try {
      this.show(await api.task(id));
      card.failures = 0;
    } catch (error) {
      this.missed(id, error);
    }
    card.polling = false;
  }

  missed(id, error) {
    const card = this.cards.get(id);
    if (!card) return;
    if (!error.passing) {
      // Deleted from another window: there is nothing left to follow.
      this.end(id, null);
      return;
    }
    card.failures += 1;
    card.say("The server doesn't answer; still trying");
    this.pollIn(id, error.retryAfter ? error.retryAfter * 1000 : Math.min(1000 * 2 ** card.failures, LONGEST_WAIT_MS));
  }

  show(task) {
    const card = this.cards.get(task.id);
    if (!card) return;
    if (task.poll_after_ms === null) {
      this.end(task.id, task);
      return;
    }
    const phase = words.phase(task.provider_status);
    if (card.say(phase)) this.announcer.textContent = phase;
    card.progress(task.progress);
    if (card.polling) this.pollIn(task.id, task.poll_after_ms);
  }

  async cancel(id) {
    const card = this.cards.get(id);
    card.button.disabled = true;
    try {
      await api.cancelTask(id);
    } catch (error) {
      // Refused because it ended a moment ago: the poll shows how.
      if (error.passing) card.say(error.message);
      card.button.disabled = false;
    }
    await this.poll(id);
  }

  end(id, task) {
    const card = this.cards.get(id);
    clearTimeout(card.timer);
    card.element.remove();
    this.cards.delete(id);
    this.section.hidden = this.cards.size === 0;
    this.onEnd(task);
  }

  tick() {
    for (const card of this.cards.values()) card.tick();
  }
}

class Card {
  constructor(task, cancel) {
    this.began = Date.parse(task.created_at);
    this.failures = 0;
    this.polling = false;
    this.element = document.createElement("li");
    this.element.className = "job card";
    this.phase = element("span", "phase");
    this.elapsed = element("span", "elapsed quiet");
    this.bar = document.createElement("progress");
    this.bar.setAttribute("aria-label", "Progress");
    this.button = element("button", "plain", "Cancel");
    this.button.type = "button";
    this.button.addEventListener("click", cancel);
    const state = element("p");
    state.append(this.phase, " ", this.elapsed);
    const excerpt = element("p", "excerpt", task.text_preview ?? "");
    excerpt.dir = "auto";
    this.element.append(excerpt, state, this.button, this.bar);
    this.tick();
  }

  say(phase) {
    if (this.phase.textContent === phase) return false;
    this.phase.textContent = phase;
    return true;
  }

  progress(value) {
    if (value === null) this.bar.removeAttribute("value");
    else this.bar.value = value;
  }

  tick() {
    const seconds = Math.max(0, Math.round((Date.now() - this.began) / 1000));
    this.elapsed.textContent = `${seconds} s`;
  }
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}
