// What is to be said, by whom, in which language; and sending it exactly once.

import { count, memory, memoryOfThisTab, span, views } from "./browser.js";
import { busy, byId, element, isBusy } from "./elements.js";
import { countDown, explain, note } from "./messages.js";
import * as api from "./server.js";
import { catalog, offerLanguages, sought } from "./voices.js";
import { words } from "./words.js";

// One text field that is both the choice and the search over it (the ARIA combobox pattern).
class VoicePicker {
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
    this.found = sought(this.voices ?? [], search);
    const shown = this.found.map((voice) => this.option(voice));
    const none = { className: "none", role: "option", "aria-disabled": "true", "aria-selected": "false", text: words.picker.none };
    this.list.replaceChildren(...(shown.length ? shown : [element("li", none)]));
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

const REMEMBERED = { voice: "ttsorch.voice", language: "ttsorch.language", draft: "ttsorch.draft", attempt: "ttsorch.attempt" };
const CHARACTERS_PER_MINUTE = 375;

const [form, text, language, submit] = ["compose", "text", "language", "speak"].map(byId);
const [notice, wait, tryAgain, example, announcer] = ["notice", "speak-wait", "try-again", "example", "announcer"].map(byId);
const picker = new VoicePicker(byId("voice"), byId("voice-list"));

// The form.
export class SpeakForm {
  // `onBegun(taskId)` is told of every job that this form began.
  constructor(onBegun) {
    this.onBegun = onBegun;
    this.stopCounting = () => {};
    // Somebody may have written something before this was here.
    text.value ||= memory.recall(REMEMBERED.draft) ?? "";
    submit.disabled = false;
    tryAgain.textContent = words.messages.tryAgain;
    this.listen();
    this.changed();
  }

  listen() {
    form.addEventListener("submit", (event) => { event.preventDefault(); this.speak(); });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    form.addEventListener("input", () => this.complain(null));
    text.addEventListener("input", () => this.changed());
    example.addEventListener("click", () => { text.value = words.speak.example; text.focus(); this.changed(); });
    tryAgain.addEventListener("click", () => this.speak());
    picker.input.addEventListener("change", () => memory.keep(REMEMBERED.voice, picker.chosen?.id ?? ""));
    language.addEventListener("change", () => memory.keep(REMEMBERED.language, language.value));
    catalog.addEventListener("change", () => this.offer());
  }

  get limit() { return catalog.about?.capabilities.max_text_chars ?? null; }

  // The catalog was read: shows what there is, and keeps what was chosen.
  offer() {
    offerLanguages(language, memory.recall(REMEMBERED.language));
    byId("language-field").hidden = language.options.length < 2;
    picker.fill(picker.chosen?.id ?? memory.recall(REMEMBERED.voice));
    if (!catalog.can.supports_generate) this.complain(words.speak.cannot);
    this.changed();
  }

  changed() {
    const [used, limit] = [text.value.length, this.limit];
    const counter = byId("counter");
    counter.textContent = words.speak.counter(count(used), limit && count(limit));
    const minutes = Math.max(0.1, Math.floor((used / CHARACTERS_PER_MINUTE) * 10 + 0.5) / 10);
    example.hidden = used > 0;
    byId("estimate").textContent = used ? words.speak.estimate(span(minutes * 60)) : "";
    const over = limit !== null && used > limit;
    if (over && !counter.classList.contains("over")) announcer.textContent = words.speak.overBy(count(used - limit));
    counter.classList.toggle("over", over);
    text.setAttribute("aria-invalid", String(over));
    memory.keep(REMEMBERED.draft, text.value);
  }

  complain(sentence, { retry = false } = {}) {
    note(notice, sentence);
    tryAgain.hidden = !retry;
    if (sentence) notice.scrollIntoView({ block: "nearest" });
  }

  refuse(sentence, field) {
    this.complain(sentence);
    field.focus();
    return false;
  }

  isReady() {
    if (!catalog.about) return false;
    if (!catalog.can.supports_generate) return this.refuse(words.speak.cannot, text);
    if (!text.value.trim()) return this.refuse(words.speak.nothing, text);
    if (text.value.length > this.limit) return this.refuse(words.speak.tooLong(count(this.limit)), text);
    if (!catalog.voices.some((voice) => catalog.usable(voice))) {
      const making = catalog.can.supports_clone || catalog.can.supports_design;
      return this.refuse(making ? words.speak.noVoices : words.speak.noVoicesPossible, picker.input);
    }
    return picker.chosen ? true : this.refuse(words.speak.noVoice, picker.input);
  }

  async speak() {
    if (isBusy(submit)) return;
    this.complain(null);
    if (!this.isReady()) return;
    busy(submit, true);
    wait.textContent = words.speak.sending;
    const request = { voice_id: picker.chosen.id, text: text.value, language: language.value || "Auto" };
    let pause = null;
    try {
      const { task_id: id } = await api.generate(request, keyOf(request));
      memoryOfThisTab.keep(REMEMBERED.attempt, "");
      announcer.textContent = words.speak.begun;
      await this.onBegun(id);
    } catch (error) {
      pause = this.failed(error);
    }
    wait.textContent = "";
    if (pause) this.pause(pause);
    else busy(submit, false);
  }

  // How many seconds the button has to rest, null for none.
  failed(error) {
    // What may have been taken keeps its key: sent again, it is the same job.
    if (!error.open) memoryOfThisTab.keep(REMEMBERED.attempt, "");
    // Beside the button the seconds are counted down.
    this.complain(explain(error, { wait: false }), { retry: error.passing && !error.retryAfter });
    return error.retryAfter;
  }

  pause(seconds) {
    this.stopCounting();
    this.stopCounting = countDown(seconds, (left) => { wait.textContent = words.messages.again(left); }, () => {
      wait.textContent = "";
      this.complain(null);
      busy(submit, false);
    });
  }

  // Puts an earlier text back; starts nothing.
  fill({ voice_id: voiceId, text: said, language: name }) {
    text.value = said ?? "";
    const spoken = [...language.options].find((option) => option.value.toLowerCase() === name?.toLowerCase());
    if (spoken) language.value = spoken.value;
    const voice = catalog.find(voiceId);
    const usable = voice && catalog.usable(voice);
    if (usable) picker.choose(voice);
    this.changed();
    views.go("speak");
    // Saying it with another voice must be somebody's choice.
    const missing = { voice: voiceId && !usable, language: name && !spoken };
    const what = missing.voice && missing.language ? "both" : Object.keys(missing).find((key) => missing[key]);
    this.complain(what ? words.speak.missing[what] : null);
    text.focus();
  }

  speakWith(voice) {
    picker.choose(voice);
    memory.keep(REMEMBERED.voice, voice.id);
    views.go("speak");
    text.focus();
  }
}

// The same words sent again because no answer came are the same request, after a reload too.
function keyOf(request) {
  const sent = JSON.stringify(request);
  const before = JSON.parse(memoryOfThisTab.recall(REMEMBERED.attempt) || "null");
  if (before?.sent === sent) return before.key;
  const key = api.newKey();
  memoryOfThisTab.keep(REMEMBERED.attempt, JSON.stringify({ sent, key }));
  return key;
}
