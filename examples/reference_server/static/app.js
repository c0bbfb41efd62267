// The page put together. All state that matters is the server's: a reload, or another browser, finds everything again.

import { views } from "./browser.js";
import { byId, onPress } from "./elements.js";
import { History } from "./history.js";
import { Jobs } from "./jobs.js";
import { complain, complainOf, tell, watchForDefects } from "./messages.js";
import { Player } from "./player.js";
import { session } from "./server.js";
import { SpeakForm } from "./speak.js";
import { Voices, catalog } from "./voices.js";
import { words } from "./words.js";

watchForDefects();

const announcer = byId("announcer");
const player = new Player();
const jobs = new Jobs({ onOpen: openDesign });
const form = new SpeakForm((id) => jobs.begin(id));
const history = new History({ player, onAgain: (fields) => form.fill(fields) });
const voices = new Voices({ player, onSpeakWith: (voice) => form.speakWith(voice) });
// Read when somebody wants them first.
let clone = null;
let design = null;

jobs.addEventListener("begin", () => history.refresh());
jobs.addEventListener("end", ({ detail }) => ended(detail));
session.addEventListener("signed-in", ({ detail }) => {
  byId("sign-out").hidden = false;
  if (detail.before === null) return;
  // Perhaps somebody else.
  jobs.forget();
  load();
});
byId("sign-out").addEventListener("click", () => session.end());
onPress(byId("clone-open"), openClone);
onPress(byId("design-open"), () => openDesign());
catalog.addEventListener("change", () => {
  byId("clone-open").hidden = !catalog.can.supports_clone;
  byId("design-open").hidden = !catalog.can.supports_design;
  const making = byId("voices-making");
  making.hidden = Boolean(catalog.can.supports_clone || catalog.can.supports_design);
  making.textContent = words.voices.noMaking(catalog.provider);
});

async function openClone() {
  try {
    const { CloneDialog } = await import("./clone.js");
    clone ??= new CloneDialog();
  } catch {
    complain(words.messages.notLoaded);
    return;
  }
  clone.open();
}

async function openDesign(task) {
  try {
    const { DesignDialog } = await import("./design.js");
    design ??= new DesignDialog(jobs);
  } catch {
    complain(words.messages.notLoaded);
    return;
  }
  design.open(task);
}

async function ended({ task, title, mine }) {
  await history.refresh();
  if (task === null) {
    announcer.textContent = words.jobs.gone(title);
  } else if (task.status === "cancelled") {
    tell(words.jobs.cancelled(title));
  } else if (task.status === "failed") {
    failed(task, title);
  } else if (task.type === "clone") {
    await catalog.refresh();
  } else if (task.type === "design_preview") {
    if (!design?.isOpen) tell(words.jobs.readyPreview, { lasts: null, action: { name: words.jobs.listen, act: () => openDesign(task) } });
  } else {
    await ready(task, title, mine);
  }
}

function failed(task, title) {
  // Whoever is in a dialog reads it there.
  if (task.type === "design_preview" ? design?.isOpen : task.type === "clone" && clone?.making) return;
  const why = task.error || words.jobs.noReason;
  complain(task.type === "generate" ? `${words.jobs.failed(title, why)} ${words.jobs.kept}` : words.jobs.failedOther(title, why));
}

// Begun here, it is played here, unless something else is; another tab's is only announced.
async function ready(task, title, mine) {
  announcer.textContent = words.jobs.ready(title);
  views.tellReady();
  if (!mine || player.playing) {
    tell(words.jobs.ready(title), { action: { name: words.jobs.listen, act: () => player.playGeneration(asGeneration(task)) } });
    return;
  }
  await player.playGeneration(asGeneration(task), { play: document.hasFocus() });
}

const asGeneration = (task) => ({ id: task.generation_id, audio_path: task.result.audio_url, text: task.text_preview ?? "", duration_seconds: null });

// Where the contract's redirect_url leads (R10).
function prefill() {
  const asked = new URLSearchParams(location.search);
  if (!asked.has("text")) return;
  window.history.replaceState(null, "", "/#speak");
  form.fill({ voice_id: asked.get("voice"), text: asked.get("text"), language: asked.get("language") });
}

async function load() {
  try {
    await Promise.all([catalog.load(), jobs.look(), history.refresh()]);
  } catch (error) {
    complainOf(error, load);
    return;
  }
  prefill();
}

byId("sign-out").hidden = session.token() === null;
views.start();
load();
