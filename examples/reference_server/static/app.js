// The page put together. All state that matters is the server's: a reload finds everything again.

import * as api from "./api.js";
import { History } from "./history.js";
import { Jobs } from "./jobs.js";
import { memory } from "./memory.js";
import { Player } from "./player.js";
import { VoicePicker } from "./voice-picker.js";
import * as words from "./words.js";

const $ = (id) => document.getElementById(id);
const REMEMBERED = { voice: "ttsorch.voice", language: "ttsorch.language", draft: "ttsorch.draft" };

const NO_VOICES = "There is no voice to speak with yet: this provider has none of its own. docs/voices.md says how to make one.";

// The value that only the dialog's own button closes it with.
const GIVEN = "given";

const text = $("text");
const language = $("language");
const picker = new VoicePicker($("voice"), $("voice-list"));
let limit = Infinity;
let attempt = null;

const player = new Player({
  section: $("player"),
  text: $("player-text"),
  about: $("player-about"),
  audio: $("audio"),
  download: $("download"),
  notice: $("player-notice"),
});

const history = new History({
  list: $("history-list"),
  empty: $("history-empty"),
  more: $("more"),
  onPlay: (generation) => player.load(generation, { play: true }),
  onAgain: useAgain,
  onDeleted: (generation) => player.forget(generation),
  onError: complain,
});

const jobs = new Jobs({
  section: $("active"),
  list: $("active-list"),
  announcer: $("announcer"),
  onEnd: ended,
});

// --- speaking

async function speak() {
  complain(null);
  if (!isReady()) return;
  const request = { voice_id: picker.chosen.id, text: text.value, language: language.value };
  const sent = JSON.stringify(request);
  // The same words sent again because no answer came are the same request; another click is another one.
  if (attempt?.sent !== sent) attempt = { sent, key: newKey() };
  $("speak").disabled = true;
  try {
    const { task_id: id } = await api.generate(request, attempt.key);
    attempt = null;
    jobs.follow(await api.task(id));
  } catch (error) {
    if (error.status) attempt = null;
    complain(error);
  }
  $("speak").disabled = false;
  await history.refresh();
}

function isReady() {
  if (!text.value.trim()) return refuse("There is nothing to say yet. Write something first.", text);
  if (text.value.length > limit) {
    const most = words.count(limit);
    return refuse(`At most ${most} characters can be spoken at once. Shorten the text, or speak it in parts.`, text);
  }
  if (!picker.voices.length) return refuse(NO_VOICES, picker.input);
  if (!picker.chosen) return refuse("Choose a voice first.", picker.input);
  return true;
}

function refuse(sentence, field) {
  complain(new Error(sentence));
  field.focus();
  return false;
}

function newKey() {
  // randomUUID only exists on https and localhost.
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function ended(task) {
  const shown = await history.refresh();
  if (task === null) return;
  const generation = shown.find((each) => each.id === task.generation_id);
  if (task.status === "completed") {
    $("announcer").textContent = "Ready to play";
    if (generation) await player.load(generation, { play: document.hasFocus() && $("audio").paused });
  } else if (task.status === "failed") {
    complain(new Error(`${task.error} Your text is still here.`));
  } else {
    $("announcer").textContent = "Cancelled";
  }
}

async function useAgain(generation) {
  try {
    fill(await api.again(generation.id));
  } catch (error) {
    complain(error);
  }
}

function fill({ voice_id: voiceId, text: words_, language: name }) {
  text.value = words_;
  const spoken = [...language.options].find((option) => option.value.toLowerCase() === name?.toLowerCase());
  if (spoken) language.value = spoken.value;
  const voice = picker.voices.find((each) => each.id === voiceId);
  if (voice) picker.choose(voice);
  changed();
  complain(missing(voiceId && !voice, name && !spoken));
  text.focus();
  text.scrollIntoView({ block: "center" });
}

// What was asked for and isn't there: saying it with another voice must be somebody's choice.
function missing(voice, name) {
  const what = [voice && "voice", name && "language"].filter(Boolean).join(" and the ");
  return what ? new Error(`The ${what} that this text was meant for can't be found here. Look at what is chosen instead before you speak.`) : null;
}

// --- the form

function changed() {
  const used = text.value.length;
  $("counter").textContent = Number.isFinite(limit) ? `${words.count(used)} / ${words.count(limit)}` : words.count(used);
  $("counter").classList.toggle("over", used > limit);
  memory.keep(REMEMBERED.draft, text.value);
}

function complain(error) {
  $("notice").hidden = !error;
  if (error) $("notice").textContent = error.message;
}

function askForToken(refused) {
  if (refused) $("sign-in-why").textContent = "This token isn't valid here, or not any more. Try another one.";
  $("token").value = "";
  const dialog = $("sign-in");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", function closed() {
      // Browsers close a dialog at the second Escape, whatever its cancel event was told.
      if (dialog.returnValue !== GIVEN) {
        dialog.showModal();
        return;
      }
      dialog.removeEventListener("close", closed);
      resolve($("token").value.trim());
    });
  });
}

function offerLanguages({ languages, default: fallback }) {
  language.replaceChildren(...languages.map((name) => new Option(name, name)));
  const before = memory.recall(REMEMBERED.language);
  language.value = languages.includes(before) ? before : fallback;
}

// The contract lists all of somebody's voices; each can only speak with the provider that it was made for.
function offerVoices(all, provider) {
  const voices = all.filter((voice) => voice.tts_provider === provider);
  const english = voices.find((voice) => /^en(glish)?\b/i.test(voice.language));
  const before = memory.recall(REMEMBERED.voice);
  picker.fill(voices, voices.some((voice) => voice.id === before) ? before : english?.id);
}

function prefill() {
  const asked = new URLSearchParams(location.search);
  if (!asked.has("text")) return;
  fill({ voice_id: asked.get("voice"), text: asked.get("text"), language: asked.get("language") });
  window.history.replaceState(null, "", "/");
}

$("compose").addEventListener("submit", (event) => { event.preventDefault(); speak(); });
$("compose").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("compose").requestSubmit();
});
// A token has to be given; there is nothing behind the dialog without one.
$("sign-in").addEventListener("cancel", (event) => event.preventDefault());
$("compose").addEventListener("input", () => complain(null));
text.addEventListener("input", changed);
picker.input.addEventListener("change", () => memory.keep(REMEMBERED.voice, picker.chosen.id));
language.addEventListener("change", () => memory.keep(REMEMBERED.language, language.value));

// --- the start

async function start() {
  text.value = memory.recall(REMEMBERED.draft) ?? "";
  changed();
  try {
    const about = await api.languages();
    limit = about.capabilities.max_text_chars;
    offerLanguages(about);
    changed();
    offerVoices(await api.allVoices(), about.provider);
    prefill();
    for (const task of (await api.activeTasks()).tasks.toReversed()) jobs.follow(task);
    await history.refresh();
  } catch (error) {
    complain(new Error(`${error.message} Reload the page to try again.`));
  }
}

api.onTokenNeeded(askForToken);
start();
