// One text field that is both the choice and the search over it (the ARIA combobox pattern).

import { catalog, matching } from "./catalog.js";
import { element } from "./elements.js";
import { words } from "./words.js";

export class VoicePicker {
  constructor(input, list) {
    Object.assign(this, { input, list });
    this.options = new Map();
    this.found = [];
    this.chosen = null;
    this.marked = -1;
    input.addEventListener("focus", () => { input.select(); this.open(""); });
    input.addEventListener("click", () => { if (list.hidden) this.open(""); });
    input.addEventListener("input", () => this.open(input.value));
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
    // On mousedown the field would lose its focus, and the list would close before the click.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => this.pick(event.target.closest("[role=option]")?.dataset.id));
  }

  // Shows the catalog's voices; those that can't speak here come last.
  fill(id) {
    const usable = catalog.voices.filter((voice) => catalog.usable(voice));
    this.voices = [...usable, ...catalog.voices.filter((voice) => !catalog.usable(voice))];
    this.options.clear();
    this.input.placeholder = usable.length ? words.picker.search : words.picker.empty;
    const english = usable.find((voice) => /^en(glish)?\b/i.test(voice.language));
    this.choose(usable.find((voice) => voice.id === id) ?? english ?? usable[0] ?? null);
    if (!this.list.hidden) this.open(this.input.value);
  }

  choose(voice) {
    this.chosen = voice;
    if (this.list.hidden || document.activeElement !== this.input) this.input.value = voice?.name ?? "";
    this.input.title = voice ? `${voice.name}, ${voice.language}` : "";
  }

  pick(id) {
    const voice = catalog.find(id);
    if (!voice || !catalog.usable(voice)) return;
    this.close();
    this.choose(voice);
    this.input.value = voice.name;
    this.input.dispatchEvent(new Event("change"));
  }

  open(search) {
    const fits = matching(search);
    this.found = (this.voices ?? []).filter(fits);
    const shown = this.found.map((voice) => this.option(voice));
    this.list.replaceChildren(...(shown.length ? shown : [nothing()]));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    const current = this.found.indexOf(this.chosen);
    this.mark(search || current < 0 ? this.found.findIndex((voice) => catalog.usable(voice)) : current);
    this.center();
  }

  // Made once: the list is shown again with every key.
  option(voice) {
    if (!this.options.has(voice.id)) this.options.set(voice.id, option(voice));
    return this.options.get(voice.id);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.input.value = this.chosen?.name ?? "";
  }

  // By hand: scrollIntoView would move the whole page too.
  center() {
    const item = this.list.children[Math.max(0, this.marked)];
    this.list.scrollTop = item.offsetTop - (this.list.clientHeight - item.offsetHeight) / 2;
  }

  mark(index) {
    const before = this.list.querySelector("[aria-selected=true]");
    before?.setAttribute("aria-selected", "false");
    this.marked = index;
    const current = this.found.length ? this.list.children[index] : undefined;
    if (!current) {
      this.input.removeAttribute("aria-activedescendant");
      return;
    }
    current.setAttribute("aria-selected", "true");
    this.input.setAttribute("aria-activedescendant", current.id);
  }

  // To the next one, in a circle, with those that can't be chosen: their reason can be read.
  step(by) {
    if (!this.found.length) return;
    this.mark((this.marked + by + this.found.length) % this.found.length);
    const item = this.list.children[this.marked];
    if (item.offsetTop < this.list.scrollTop) this.list.scrollTop = item.offsetTop;
    const below = item.offsetTop + item.offsetHeight - this.list.clientHeight;
    if (below > this.list.scrollTop) this.list.scrollTop = below;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.isComposing) return;
    const closed = this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (closed) this.open("");
      else this.step(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && !closed) {
      event.preventDefault();
      this.pick(this.found[this.marked]?.id);
    } else if (event.key === "Escape" && !closed) {
      event.preventDefault();
      this.close();
    }
  }
}

function option(voice) {
  const usable = catalog.usable(voice);
  const item = element("li", { id: `voice-${voice.id}`, role: "option", "aria-selected": "false", data: { id: voice.id } });
  // Many an engine names its voices after their languages; to see it once is enough.
  const twice = voice.name.toLowerCase().startsWith(voice.language.toLowerCase());
  item.append(
    element("span", { className: "name", text: voice.name, dir: "auto" }),
    element("span", { className: "visually-hidden", text: ", " }),
    element("span", { className: twice ? "visually-hidden" : "quiet", text: voice.language }),
  );
  if (!usable) {
    item.setAttribute("aria-disabled", "true");
    const why = words.picker.foreign(voice.tts_provider, catalog.provider);
    item.append(element("span", { className: "why quiet", text: ` (${why})` }));
  }
  return item;
}

function nothing() {
  return element("li", { className: "none", role: "option", "aria-disabled": "true", "aria-selected": "false", text: words.picker.none });
}
