// One line of the history.

import { button, element, onPress } from "./elements.js";
import * as formats from "./formats.js";
import { words } from "./words.js";

// `acts`: play, download, again, remove.
export function historyEntry(generation, acts) {
  const short = formats.excerpt(generation.text) || words.history.untitled;
  const done = generation.status === "completed";
  const buttons = element("div", { className: "buttons" });
  const add = (name, act, lead = false) => {
    const made = button(name, () => {}, { className: lead ? "small plain lead" : "small plain", "aria-label": words.history.about(name, short) });
    onPress(made, async () => act());
    buttons.append(made);
  };
  if (done) add(words.history.play, acts.play, true);
  if (done) add(words.history.download, acts.download);
  add(words.history.again, acts.again);
  add(words.history.delete, acts.remove);
  return element("li", {}, element("article", { className: "entry", "aria-label": short },
    element("p", { className: "excerpt", dir: "auto", text: generation.text }),
    facts(generation),
    buttons,
  ));
}

function facts(generation) {
  const length = generation.duration_seconds;
  const made = element("p", { className: "facts-line quiet" });
  const shown = [
    element("bdi", { text: generation.voice_name }),
    generation.language,
    length === null ? "" : formats.span(length),
    element("time", { dateTime: generation.created_at, text: formats.moment(generation.created_at) }),
    outcome(generation),
  ].filter(Boolean);
  shown.forEach((fact, index) => made.append(index ? " · " : "", fact));
  return made;
}

function outcome({ status, error_message: why }) {
  const name = words.history.outcome[status];
  if (!name) return null;
  const failed = status === "failed";
  return element("span", { className: failed ? "wrong" : "", text: failed && why ? `${name}: ${why}` : name });
}
