// What is shown of one job while it runs. Its height never changes: nothing on the page moves while it is polled.

import { busy, button, element } from "./elements.js";
import * as formats from "./formats.js";
import { words } from "./words.js";

export class JobCard {
  // `acts`: cancel, and open for the preview of a voice.
  constructor(task, acts) {
    this.title = titleOf(task);
    this.began = Date.parse(task.created_at);
    this.expected = task.estimated_duration_minutes * 60;
    this.nextTry = undefined;
    this.phase = element("span", { className: "phase" });
    this.times = element("span", { className: "times quiet" });
    this.bar = element("progress", { max: 1, "aria-label": words.page.progress });
    this.cancel = button(words.jobs.cancel, acts.cancel, { className: "small plain", "aria-label": words.history.about(words.jobs.cancel, this.title) });
    const buttons = element("div", { className: "buttons" }, this.cancel);
    if (task.type === "design_preview") buttons.prepend(button(words.jobs.open, acts.open, { className: "small plain", "aria-label": words.history.about(words.jobs.open, this.title) }));
    this.element = element("li", {}, element("article", { className: "job card", "aria-label": this.title },
      element("p", { className: "excerpt", dir: "auto", text: task.text_preview || this.title }),
      element("p", { className: "state" }, this.phase, this.times),
      buttons,
      this.bar,
    ));
    this.show(task);
  }

  show(task) {
    this.nextTry = undefined;
    this.word = words.phases[task.provider_status] ?? words.phases.other;
    this.cancel.hidden = task.supports_cancel === false;
    if (task.progress === null) this.bar.removeAttribute("value");
    else this.bar.value = task.progress;
    this.tick();
  }

  // `at`: when the server is asked again; null while it is.
  silent(at) {
    this.nextTry = at;
    this.tick();
  }

  cancelling(is) {
    busy(this.cancel, is);
    this.cancel.textContent = is ? words.jobs.cancelling : words.jobs.cancel;
  }

  tick() {
    set(this.phase, this.sentence());
    set(this.times, this.nextTry === undefined ? this.elapsed() : "");
  }

  elapsed() {
    const elapsed = Math.max(0, (Date.now() - this.began) / 1000);
    const shown = formats.span(Math.max(1, Math.floor(elapsed)));
    return elapsed > this.expected ? words.jobs.longer(shown) : words.jobs.times(shown, formats.span(this.expected));
  }

  sentence() {
    if (this.nextTry === undefined) return this.word;
    if (this.nextTry === null) return words.jobs.asking;
    return words.jobs.silent(Math.max(1, Math.ceil((this.nextTry - Date.now()) / 1000)));
  }
}

export function titleOf(task) {
  if (task.text_preview) return formats.excerpt(task.text_preview);
  if (task.type === "generate") return words.history.untitled;
  return task.voice_name || (task.type === "clone" ? words.jobs.clone : words.jobs.design);
}

function set(place, text) {
  if (place.textContent !== text) place.textContent = text;
}
