// One voice of the list.

import { catalog } from "./catalog.js";
import { button, element, onPress } from "./elements.js";
import { words } from "./words.js";

// `acts`: speak, preview, remove.
export function voiceEntry(voice, acts) {
  const usable = catalog.usable(voice);
  const own = voice.source !== "builtin";
  const buttons = element("div", { className: "buttons" });
  const add = (name, label, act, lead = false) => {
    const made = button(name, () => {}, { className: lead ? "small plain lead" : "small plain", "aria-label": label });
    onPress(made, async () => act());
    buttons.append(made);
    return made;
  };
  if (usable) add(words.voices.speak, words.voices.speakWith(voice.name), acts.speak, true);
  if (own) add(words.voices.previewShort, words.voices.preview(voice.name), acts.preview);
  if (own) add(words.voices.deleteShort, words.voices.delete(voice.name), acts.remove);
  return element("li", {}, element("article", { className: `entry voice${usable ? "" : " foreign"}`, "aria-label": voice.name },
    element("p", { className: "excerpt name" }, element("bdi", { text: voice.name })),
    facts(voice, usable),
    buttons,
  ));
}

function facts(voice, usable) {
  const made = element("p", { className: "facts-line quiet" });
  const shown = [
    voice.language,
    words.voices.kind[voice.source] ?? voice.source,
    voice.description ? element("bdi", { text: voice.description }) : null,
    usable ? null : words.picker.foreign(voice.tts_provider, catalog.provider),
  ].filter(Boolean);
  shown.forEach((fact, index) => made.append(index ? " · " : "", fact));
  return made;
}
