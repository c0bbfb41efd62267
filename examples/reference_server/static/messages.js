// What is said aside: good news and undo for a while, failures in words until they are read.

import { button, byId, element } from "./elements.js";
import { session } from "./server.js";
import { words } from "./words.js";

const NEWS_MS = 8000;

const [dock, region] = ["dock", "messages"].map(byId);

// An open dialog makes everything outside of it unreachable: messages go where they can be read and dismissed.
function settle() {
  const dialogs = document.querySelectorAll("dialog[open]");
  const [home, before] = dialogs.length ? [dialogs[dialogs.length - 1], null] : [dock, dock.firstChild];
  if (region.parentElement !== home) home.insertBefore(region, before);
}

document.addEventListener("close", settle, { capture: true });

// What is docked at the foot of the page covers nothing for good: the page ends above it, and what has the focus is
// moved out of its way.
let docked = 0;
new ResizeObserver(() => {
  const height = dock.offsetHeight;
  document.documentElement.style.setProperty("--docked", `${height}px`);
  if (height > docked && !dock.contains(document.activeElement)) document.activeElement?.scrollIntoView({ block: "nearest" });
  docked = height;
}).observe(dock);

// `action` is {name, act}, `hurries` that there is no other time for it; `lasts` in milliseconds, null for until somebody
// dismisses it. Returns what takes it away.
export function tell(sentence, { action = null, hurries = false, lasts = NEWS_MS, role = "status" } = {}) {
  const toast = element("div", { className: `toast ${role}${hurries ? " hurries" : ""}`, role });
  const close = () => {
    clearTimeout(timer);
    const focused = toast.contains(document.activeElement);
    toast.remove();
    fold(role);
    if (focused) (region.querySelector(".toast:not([hidden]) button") ?? byId("content")).focus({ preventScroll: true });
  };
  const timer = lasts === null ? null : setTimeout(close, lasts);
  settle();
  region.append(toast);
  toast.append(element("p", { text: sentence, dir: "auto" }), element("span", { className: "more" }));
  if (action) toast.append(button(action.name, () => { close(); action.act(); }, { className: "small" }));
  toast.append(button(words.messages.dismiss, close, { className: "small plain" }));
  fold(role);
  if (region.parentElement !== dock) toast.scrollIntoView({ block: "nearest" });
  return close;
}

// Of each kind one is shown, the newest of those that hurry or of all, and how many wait behind it.
function fold(role) {
  const toasts = [...region.querySelectorAll(`.${role}`)];
  const shown = toasts.findLast((each) => each.classList.contains("hurries")) ?? toasts.at(-1);
  for (const each of toasts) each.hidden = each !== shown;
  if (shown) shown.querySelector(".more").textContent = toasts.length > 1 ? words.messages.more(toasts.length - 1) : "";
}

export function complain(sentence, options = {}) {
  const same = [...region.querySelectorAll(".alert > p")].some((each) => each.textContent === sentence);
  return same ? () => {} : tell(sentence, { lasts: null, role: "alert", ...options });
}

// A failure that has no better place on the page; `retry` does the same again.
export function complainOf(error, retry = null) {
  if (error.kind === "aborted") return () => {};
  const action = retry && error.passing ? { name: words.messages.tryAgain, act: retry } : null;
  return complain(explain(error), { action });
}

// In one of the page's own places for it; null takes it away.
export function note(place, sentence, retry = null) {
  place.hidden = !sentence;
  place.textContent = sentence ?? "";
  if (sentence && retry) place.append(" ", button(words.messages.tryAgain, retry, { className: "small" }));
}

// A failure, in its place, with a way to try again where that may help.
export function noteOf(place, error, retry = null) {
  note(place, explain(error), error.passing ? retry : null);
}

// Nothing fails silently, not even a defect of ours.
export function watchForDefects() {
  window.addEventListener("error", (event) => {
    // A layout that settles in the next frame is none.
    if (!event.message?.startsWith("ResizeObserver")) complain(words.messages.unexpected);
  });
  window.addEventListener("unhandledrejection", (event) => {
    if (event.reason?.kind) complainOf(event.reason);
    else complain(words.messages.unexpected);
  });
}

// From what went wrong to what a person is told: what happened, and what to do about it. One table, here.

const said = words.failures;

// Of a failure that has no sentence of its own, by its kind or status.
const TABLE = [
  { is: (error) => error.kind === "unreachable" && navigator.onLine === false, what: said.unreachable, advice: said.offline },
  { is: (error) => error.kind === "unreachable", what: said.unreachable, advice: said.checkConnection },
  { is: (error) => error.kind === "late", what: said.late, advice: said.tryLater },
  { is: (error) => error.kind === "unreadable", what: said.unreadable, advice: said.unreadableAdvice },
  { is: (error) => error.kind === "aborted", what: said.aborted, advice: "" },
  { is: (error) => error.status === 401, what: said.signIn, advice: "" },
  { is: (error) => error.status === 404, what: said.missing, advice: "" },
  { is: (error) => error.status === 409, what: said.conflict, advice: said.tryLater },
  { is: (error) => error.status === 413, what: said.tooLarge, advice: said.shorten },
  { is: (error) => error.status === 429, what: said.tooMany, advice: "" },
  { is: (error) => error.status >= 500, what: said.trouble, advice: said.tryLater },
  { is: () => true, what: said.refused, advice: "" },
];

// One or more sentences. The server's own come first: they are written for people.
// `wait`: whether to say when it is worth trying again, where the server knows.
export function explain(error, { wait = true } = {}) {
  if (!("kind" in error)) return words.messages.unexpected;
  const known = TABLE.find((row) => row.is(error));
  const what = sentence(error.detail) || known.what;
  const later = wait && error.retryAfter ? words.messages.again(error.retryAfter) : null;
  const advice = later ?? said.advice[error.code] ?? known.advice;
  const quoted = error.status >= 500 && error.requestId ? said.quote(error.requestId) : "";
  return [what, repeats(what, advice) ? "" : advice, quoted].filter(Boolean).join(" ");
}

// Some of the contract's sentences have no full stop.
function sentence(detail) {
  const trimmed = detail?.trim() ?? "";
  return trimmed && !/[.!?…。]$/.test(trimmed) ? `${trimmed}.` : trimmed;
}

const repeats = (what, advice) => advice === said.tryLater && /try again/i.test(what);

// Seconds that pass, told to somebody: `tick(left)` now and with every second, `end()` after the last.
export function countDown(seconds, tick, end) {
  const until = Date.now() + seconds * 1000;
  const timer = setInterval(step, 250);
  let shown = null;
  function step() {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left <= 0) {
      clearInterval(timer);
      end();
    } else if (left !== shown) {
      shown = left;
      tick(left);
    }
  }
  step();
  return () => clearInterval(timer);
}

// Deleting that can be undone: the entry goes at once, the request leaves when the time for second thoughts is over.

const SECONDS = 8;
const waiting = new Map();
const hidden = new Set();

export const isDeleted = (id) => hidden.has(id);

// `send(keepalive)` asks the server, `changed()` shows the lists again, without or with what was deleted.
export function deleteLater({ id, name, send, changed }) {
  hidden.add(id);
  const commit = (keepalive) => finish({ id, name, send, changed }, keepalive);
  const dismiss = tell(words.messages.deleted, {
    lasts: SECONDS * 1000,
    hurries: true,
    action: { name: words.messages.undo, act: () => undo(id, changed) },
  });
  const timer = setTimeout(() => { dismiss(); commit(false); }, SECONDS * 1000);
  waiting.set(id, { timer, commit });
  changed();
}

function undo(id, changed) {
  clearTimeout(waiting.get(id)?.timer);
  waiting.delete(id);
  hidden.delete(id);
  changed();
}

async function finish({ id, name, send, changed }, keepalive) {
  waiting.delete(id);
  try {
    await send(keepalive);
  } catch (error) {
    // Deleted in another window already: that is what was wanted.
    if (error.status !== 404) {
      hidden.delete(id);
      complain(words.messages.notDeleted(name, explain(error)));
    }
  }
  changed(true);
}

// Whoever leaves the page meant what they said.
window.addEventListener("pagehide", commitAll);
session.addEventListener("ending", commitAll);

function commitAll() {
  for (const { timer, commit } of [...waiting.values()]) {
    clearTimeout(timer);
    commit(true);
  }
}

