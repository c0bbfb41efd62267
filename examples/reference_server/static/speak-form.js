// What is to be said, by whom, in which language; and sending it exactly once.

import * as api from "./api.js";
import { catalog } from "./catalog.js";
import { countDown } from "./countdown.js";
import { busy, byId, isBusy } from "./elements.js";
import { explain } from "./failures.js";
import * as formats from "./formats.js";
import { memory, memoryOfThisTab } from "./memory.js";
import { note } from "./messages.js";
import { views } from "./views.js";
import { VoicePicker } from "./voice-picker.js";
import { words } from "./words.js";

const REMEMBERED = { voice: "ttsorch.voice", language: "ttsorch.language", draft: "ttsorch.draft", attempt: "ttsorch.attempt" };
const CHARACTERS_PER_MINUTE = 375;

const [form, text, language, submit] = ["compose", "text", "language", "speak"].map(byId);
const [notice, wait, tryAgain, announcer] = ["notice", "speak-wait", "try-again", "announcer"].map(byId);
const picker = new VoicePicker(byId("voice"), byId("voice-list"));

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
    tryAgain.addEventListener("click", () => this.speak());
    picker.input.addEventListener("change", () => memory.keep(REMEMBERED.voice, picker.chosen?.id ?? ""));
    language.addEventListener("change", () => memory.keep(REMEMBERED.language, language.value));
    catalog.addEventListener("change", () => this.offer());
  }

  get limit() {
    return catalog.about?.capabilities.max_text_chars ?? null;
  }

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
    counter.textContent = words.speak.counter(formats.count(used), limit && formats.count(limit));
    const minutes = Math.max(0.1, Math.floor((used / CHARACTERS_PER_MINUTE) * 10 + 0.5) / 10);
    byId("estimate").textContent = used ? words.speak.estimate(formats.span(minutes * 60)) : "";
    const over = limit !== null && used > limit;
    if (over && !counter.classList.contains("over")) announcer.textContent = words.speak.overBy(formats.count(used - limit));
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
    if (text.value.length > this.limit) return this.refuse(words.speak.tooLong(formats.count(this.limit)), text);
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

export function offerLanguages(select, wanted) {
  const { languages, default: fallback } = catalog.about;
  const before = select.value || wanted;
  select.replaceChildren(...languages.map((name) => new Option(name, name)));
  select.value = languages.includes(before) ? before : fallback;
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
