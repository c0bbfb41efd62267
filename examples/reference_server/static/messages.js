// What is said aside: good news and undo for a while, failures until they are read.

import { button, byId, element } from "./elements.js";
import { explain } from "./failures.js";
import { words } from "./words.js";

const NEWS_MS = 8000;
const MOST = 4;

const region = byId("messages");

// An open dialog makes everything outside of it unreachable: messages go where they can be read and dismissed.
function settle() {
  const dialogs = document.querySelectorAll("dialog[open]");
  const home = dialogs.length ? dialogs[dialogs.length - 1] : document.body;
  if (region.parentElement !== home) home.append(region);
}

document.addEventListener("close", settle, { capture: true });

// `action` is {name, act}; `lasts` in milliseconds, null for until somebody dismisses it. Returns what takes it away.
export function tell(sentence, { action = null, lasts = NEWS_MS, role = "status" } = {}) {
  const toast = element("div", { className: `toast ${role}`, role });
  const close = () => {
    clearTimeout(timer);
    if (toast.contains(document.activeElement)) byId("content").focus({ preventScroll: true });
    toast.remove();
  };
  const timer = lasts === null ? null : setTimeout(close, lasts);
  settle();
  region.append(toast);
  toast.append(element("p", { text: sentence, dir: "auto" }));
  if (action) toast.append(button(action.name, () => { close(); action.act(); }, { className: "small" }));
  toast.append(button(words.messages.dismiss, close, { className: "small plain" }));
  makeRoom();
  return close;
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

function makeRoom() {
  const news = region.querySelectorAll(".toast");
  if (news.length > MOST) news[0].remove();
}
