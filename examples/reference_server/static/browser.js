// The browser around the page: its address and title, what it remembers, its other tabs, whether anybody looks, and its
// language for numbers, lengths, times and sizes.

import { byId } from "./elements.js";
import { words } from "./words.js";

// What this browser remembers. It may refuse to (blocked site data, a full store): then the page remembers by itself,
// for as long as it is open.

const OURS = "ttsorch.";

class Memory {
  constructor(storage) {
    this.storage = storage;
    this.kept = new Map();
  }

  recall(name) {
    try {
      return this.kept.get(name) ?? this.storage().getItem(name);
    } catch {
      return null;
    }
  }

  keep(name, value) {
    try {
      this.storage().setItem(name, value);
      this.kept.delete(name);
    } catch {
      this.kept.set(name, value);
    }
  }

  // All that this page has kept; other pages of this host have names of their own.
  forget() {
    this.kept.clear();
    try {
      const storage = this.storage();
      for (const name of Object.keys(storage)) if (name.startsWith(OURS)) storage.removeItem(name);
    } catch {
      // What can't be looked at holds nothing of ours.
    }
  }
}

// Functions, because only looking at a storage that is blocked already throws.
export const memory = new Memory(() => localStorage);
export const memoryOfThisTab = new Memory(() => sessionStorage);

// Which of the three views is shown: the hash of the address says so, so that back and forward work.

const VIEWS = ["speak", "history", "voices"];
const links = [...byId("nav").querySelectorAll("a")];

class Views extends EventTarget {
  current = null;
  jobs = 0;
  // Whether something can be heard that nobody has seen yet.
  ready = false;

  start() {
    window.addEventListener("hashchange", () => this.show());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.ready = false;
      this.title();
    });
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("content").focus();
    });
    this.show();
  }

  go(view) {
    if (this.current === view) return;
    location.hash = view;
    this.show();
  }

  show() {
    const asked = location.hash.slice(1);
    const view = VIEWS.includes(asked) ? asked : VIEWS[0];
    if (view === this.current) return;
    const first = this.current === null;
    this.current = view;
    for (const section of document.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== view;
    for (const link of links) {
      if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.title();
    if (!first) window.scrollTo(0, 0);
    this.dispatchEvent(new Event(view));
  }

  countJobs(count) {
    this.jobs = count;
    this.title();
  }

  // Told to who looks at another tab; whoever looks at this one sees it.
  tellReady() {
    this.ready = document.hidden;
    this.title();
  }

  title() {
    document.title = words.title.view(words.page[this.current ?? VIEWS[0]], this.jobs, this.ready);
  }
}

export const views = new Views();

// The other tabs of this browser: each says when it changed something on the server, and the others look.
class Tabs extends EventTarget {
  constructor() {
    super();
    this.channel = "BroadcastChannel" in window ? new BroadcastChannel("ttsorch") : null;
    if (this.channel) this.channel.onmessage = ({ data }) => this.dispatchEvent(new Event(String(data)));
  }

  // `what`: jobs, history or voices.
  tell(what) {
    this.channel?.postMessage(what);
  }
}

export const tabs = new Tabs();

// Whether anybody is looking. A tab that was hidden for long asks nothing; whoever comes back sees how things are now.

const PATIENCE_MS = 60_000;

class Presence extends EventTarget {
  away = false;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.look());
    window.addEventListener("focus", () => this.back());
    window.addEventListener("online", () => this.back());
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.back(); });
    this.look();
  }

  look() {
    clearTimeout(this.timer);
    if (!document.hidden) {
      this.back();
      return;
    }
    this.timer = setTimeout(() => {
      this.away = true;
      this.dispatchEvent(new Event("away"));
    }, PATIENCE_MS);
  }

  back() {
    if (document.hidden) return;
    this.away = false;
    this.dispatchEvent(new Event("back"));
  }
}

export const presence = new Presence();

// Numbers, lengths, times and sizes, in the browser's own language.

const number = new Intl.NumberFormat("en");
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const dayOfThisYear = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const EXCERPT = 40;

export const count = (value) => number.format(value);

// 0:03, 12:40, 1:02:03
export function clock(seconds) {
  const whole = Number.isFinite(seconds) ? Math.max(0, Math.floor(seconds)) : 0;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${hours ? String(minutes).padStart(2, "0") : minutes}:${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${tail}` : tail;
}

// 0.8 s, 6 s, 1 min 20 s, 14 min
export function span(seconds) {
  if (seconds < 1) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), Math.round(seconds % 60)];
  if (rest === 60) return `${minutes + 1} min`;
  return minutes < 10 && rest ? `${minutes} min ${rest} s` : `${minutes} min`;
}

export function moment(iso) {
  const [then, now] = [new Date(iso), new Date()];
  if (then.toDateString() === now.toDateString()) return hour.format(then);
  return (then.getFullYear() === now.getFullYear() ? dayOfThisYear : day).format(then);
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} KB`;
  return `${Number((bytes / 1024 / 1024).toFixed(1))} MB`;
}

// The first words of a text on one line, for names of buttons; never half of a character.
export function excerpt(text) {
  return [...text.replace(/\s+/g, " ").trim()].slice(0, EXCERPT).join("");
}

// The same for sentences: it says that there is more, and ends with a word.
export function brief(text) {
  const all = text.replace(/\s+/g, " ").trim();
  const short = excerpt(all);
  return short === all ? all : `${short.replace(/ \S*$/, "")}…`;
}
