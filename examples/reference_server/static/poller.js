// One task, asked for when the server says it is worth while, until it ends.

import * as api from "./api.js";

const LONGEST_WAIT_MS = 30_000;

// `onNews(task)`, `onSilence(at)` with the time of the next try, or null while it is being made, and `onGone()`.
export class Poller {
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
