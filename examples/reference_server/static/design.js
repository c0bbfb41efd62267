// A voice from a description: a preview to hear, as often as one likes, then the voice.

import { memory, tabs } from "./browser.js";
import { busy, byId, isBusy, onPress } from "./elements.js";
import { complain, explain, note, tell } from "./messages.js";
import { AudioControls } from "./player.js";
import * as api from "./server.js";
import { catalog, offerLanguages } from "./voices.js";
import { words } from "./words.js";

const DRAFTS = "ttsorch.designs";
const DRAFTS_KEPT = 10;
const DEFAULT_MOST = 500;

const [dialog, form, name, language] = ["design", "design-form", "design-name", "design-language"].map(byId);
const [description, text, notice, state, bar] = ["design-description", "design-text", "design-notice", "design-state", "design-progress"].map(byId);
const [preview, save] = ["design-preview", "design-save"].map(byId);

export class DesignDialog {
  // `jobs` polls the previews, as it does all jobs.
  constructor(jobs) {
    this.jobs = jobs;
    this.controls = new AudioControls(byId("design-audio"));
    this.task = null;
    this.attempt = null;
    form.addEventListener("submit", (event) => { event.preventDefault(); this.ask(); });
    form.addEventListener("input", () => note(notice, null));
    onPress(save, () => this.save());
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => this.controls.audio.pause());
    jobs.addEventListener("news", ({ detail }) => { if (detail.id === this.task) this.show(detail.task); });
    jobs.addEventListener("end", ({ detail }) => { if (detail.id === this.task) this.ended(detail.task); });
  }

  get isOpen() { return dialog.open; }

  // With a task: the preview that was asked for earlier, perhaps in another browser.
  open(task = null) {
    offerLanguages(language);
    if (!dialog.open) dialog.showModal();
    name.focus();
    if (!task || task.id === this.task) return;
    this.restore(task);
    if (task.poll_after_ms === null) this.ended(task);
    else this.show(task);
  }

  restore(task) {
    this.follow(task.id);
    const draft = drafts()[task.id] ?? { name: task.voice_name, instruct: "", text: "" };
    name.value = draft.name ?? "";
    description.value = draft.instruct ?? "";
    text.value = draft.text ?? "";
    if (draft.language) language.value = draft.language;
  }

  follow(id) {
    this.task = id;
    this.controls.clear();
    byId("design-audio").hidden = true;
    save.hidden = true;
  }

  get most() { return catalog.can.max_design_chars ?? DEFAULT_MOST; }

  isReady() {
    const fits = (field) => field.value.trim() && field.value.trim().length <= this.most;
    const missing = [
      [description, words.design.descriptionMissing(this.most)],
      [text, words.design.textMissing(this.most)],
    ].find(([field]) => !fits(field));
    return missing ? this.refuse(missing[1], missing[0]) : true;
  }

  refuse(sentence, field) {
    note(notice, sentence);
    field.focus();
    return false;
  }

  async ask() {
    if (isBusy(preview)) return;
    note(notice, null);
    if (!this.isReady()) return;
    this.follow(null);
    this.working(words.design.asking);
    const request = { text: text.value.trim(), language: language.value, instruct: description.value.trim(), ...(name.value.trim() && { name: name.value.trim() }) };
    try {
      const { task_id: id } = await api.previewDesign(request, this.keyOf(request));
      this.attempt = null;
      this.task = id;
      keepDraft(id, { ...request, name: name.value.trim() });
      await this.jobs.begin(id);
    } catch (error) {
      if (!error.open) this.attempt = null;
      this.failed(explain(error));
      if (!dialog.open) complain(words.jobs.failedOther(words.jobs.design, explain(error)));
    }
  }

  // The same words sent again because no answer came are the same request.
  keyOf(request) {
    const sent = JSON.stringify(request);
    if (this.attempt?.sent !== sent) this.attempt = { sent, key: api.newKey() };
    return this.attempt.key;
  }

  working(sentence) {
    busy(preview, true);
    state.textContent = sentence;
    bar.hidden = false;
    bar.removeAttribute("value");
  }

  show(task) {
    if (task.poll_after_ms === null) return;
    this.working(words.phases[task.provider_status] ?? words.phases.other);
    if (task.progress !== null) bar.value = task.progress;
  }

  rest(sentence) {
    busy(preview, false);
    bar.hidden = true;
    state.textContent = sentence;
  }

  failed(sentence) {
    this.rest("");
    note(notice, sentence);
  }

  ended(task) {
    if (task === null) return this.failed(words.design.gone);
    if (task.status === "cancelled") return this.rest(words.design.cancelled);
    if (task.status === "failed") return this.failed(task.error || words.jobs.noReason);
    this.rest(words.design.ready);
    byId("design-audio").hidden = false;
    save.hidden = false;
    this.controls.load(task.result.audio_url);
    return dialog.open ? this.controls.start() : undefined;
  }

  // Costs nothing more, and saving twice is saving once.
  async save() {
    const named = name.value.trim();
    if (!named) {
      this.refuse(words.design.nameMissing, name);
      return;
    }
    note(notice, null);
    state.textContent = words.design.saving;
    const kept = drafts()[this.task] ?? {};
    try {
      await api.saveDesign({
        name: named,
        text: kept.text || text.value.trim() || words.design.unknown,
        language: kept.language || language.value,
        instruct: kept.instruct || description.value.trim() || words.design.unknown,
        task_id: this.task,
      });
    } catch (error) {
      state.textContent = "";
      note(notice, explain(error));
      if (!dialog.open) complain(explain(error));
      return;
    }
    await this.made(named);
  }

  async made(named) {
    form.reset();
    this.follow(null);
    this.rest("");
    dialog.close();
    tell(words.design.done(named));
    tabs.tell("voices");
    await catalog.refresh();
  }
}

// What was asked for, by task: the server keeps the task, but doesn't tell the words again.
function drafts() {
  try {
    return JSON.parse(memory.recall(DRAFTS) ?? "{}");
  } catch {
    return {};
  }
}

function keepDraft(id, draft) {
  const all = Object.entries(drafts()).slice(1 - DRAFTS_KEPT);
  memory.keep(DRAFTS, JSON.stringify(Object.fromEntries([...all, [id, draft]])));
}

