// Making elements without a template language, and filling the ones of index.html with words.

import { words } from "./words.js";

export const byId = (id) => document.getElementById(id);

// `on` holds listeners, `text` the content; what the element has as a property is set as one.
export function element(name, { on = {}, text, data = {}, ...properties } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key in made && !key.startsWith("aria")) made[key] = value;
    else made.setAttribute(key, value);
  }
  Object.assign(made.dataset, data);
  for (const [event, listener] of Object.entries(on)) made.addEventListener(event, listener);
  if (text !== undefined) made.textContent = text;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function button(text, act, properties = {}) {
  return element("button", { type: "button", text, on: { click: act }, ...properties });
}

// Whether somebody waits for this button: it says so, keeps its focus, and does nothing meanwhile.
export function busy(control, is) {
  control.setAttribute("aria-disabled", String(is));
  control.classList.toggle("busy", is);
}

export const isBusy = (control) => control.getAttribute("aria-disabled") === "true";

// Runs `act` when pressed, once at a time.
export function onPress(control, act) {
  control.addEventListener("click", async () => {
    if (isBusy(control)) return;
    busy(control, true);
    try {
      await act();
    } finally {
      busy(control, false);
    }
  });
}

const PLACES = { say: "textContent", sayPlaceholder: "placeholder", sayTitle: "title" };

export function fillWords(root = document) {
  for (const each of root.querySelectorAll("[data-say], [data-say-label], [data-say-placeholder], [data-say-title]")) {
    for (const [key, property] of Object.entries(PLACES)) {
      if (each.dataset[key]) each[property] = words.page[each.dataset[key]];
    }
    if (each.dataset.sayLabel) each.setAttribute("aria-label", words.page[each.dataset.sayLabel]);
  }
}

// What `act` removes from the list may have had the focus: it goes to the same place of the entry beside.
export function removingFrom(list, act) {
  const item = document.activeElement?.closest("li");
  const near = item?.parentElement === list ? item.nextElementSibling ?? item.previousElementSibling : null;
  act();
  (near?.querySelector(".buttons button:last-child") ?? byId("content")).focus({ preventScroll: true });
}

// Makes the list's children those of `items`, keeping the nodes that stay the same where they are: nothing flickers,
// and nobody's focus is lost.
export function showList(list, items, make) {
  const before = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const nodes = items.map((item) => {
    const [key, print] = [String(item.id), JSON.stringify(item)];
    const kept = before.get(key);
    if (kept?.print === print) return kept;
    const made = make(item);
    made.dataset.key = key;
    made.print = print;
    return made;
  });
  const wanted = new Set(nodes);
  for (const node of [...list.children]) if (!wanted.has(node)) node.remove();
  nodes.forEach((node, index) => {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
}

// From page to page of a list.
export class Pager {
  // `onPage(number)` shows another page.
  constructor(place, onPage) {
    Object.assign(this, { place, page: 1, pages: 1 });
    this.previous = button(words.page.previous, () => this.turn(-1, onPage), { className: "small" });
    this.next = button(words.page.next, () => this.turn(1, onPage), { className: "small" });
    this.label = element("span", { className: "quiet", role: "status" });
    place.append(this.previous, this.label, this.next);
  }

  turn(by, onPage) {
    const to = this.page + by;
    if (to >= 1 && to <= this.pages) onPage(to);
  }

  show(page, pages) {
    Object.assign(this, { page, pages });
    this.place.hidden = pages < 2;
    this.label.textContent = words.pager.of(page, pages);
    // Not disabled: the focus would be lost on the last page.
    this.previous.setAttribute("aria-disabled", String(page <= 1));
    this.next.setAttribute("aria-disabled", String(page >= pages));
  }
}

// Before everything else is there: on a slow line the page can be read, and written into, while the rest arrives.
fillWords();
