// One text field that is both the choice and the search over it (the ARIA combobox pattern).

const SHOWN = 200;

export class VoicePicker {
  constructor(input, list) {
    this.input = input;
    this.list = list;
    this.voices = [];
    this.found = [];
    this.chosen = null;
    this.marked = 0;
    input.addEventListener("focus", () => { input.select(); this.open(""); });
    input.addEventListener("click", () => { if (list.hidden) this.open(""); });
    input.addEventListener("input", () => this.open(input.value));
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
    // On mousedown the field would lose its focus, and the list would close before the click.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => this.pick(event.target.closest("[role=option]")?.dataset.id));
  }

  fill(voices, id) {
    this.voices = voices;
    this.input.placeholder = voices.length ? "Search voices" : "No voices";
    this.choose(voices.find((voice) => voice.id === id) ?? voices[0] ?? null);
  }

  choose(voice) {
    this.chosen = voice;
    this.input.value = voice?.name ?? "";
    this.input.title = voice ? `${voice.name}, ${voice.language}` : "";
  }

  pick(id) {
    const voice = this.voices.find((each) => each.id === id);
    if (!voice) return;
    this.choose(voice);
    this.close();
    this.input.dispatchEvent(new Event("change"));
  }

  open(search) {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    this.found = this.voices
      .filter((voice) => words.every((word) => `${voice.name} ${voice.language}`.toLowerCase().includes(word)))
      .slice(0, SHOWN);
    const current = this.found.indexOf(this.chosen);
    this.marked = search || current < 0 ? 0 : current;
    this.list.replaceChildren(...this.found.map((voice) => option(voice)));
    if (!this.found.length) this.list.append(nothing());
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark(this.marked);
    this.center(this.list.children[this.marked]);
  }

  // By hand: scrollIntoView would move the whole page too.
  center(item) {
    this.list.scrollTop = item.offsetTop - (this.list.clientHeight - item.offsetHeight) / 2;
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.input.value = this.chosen?.name ?? "";
  }

  mark(index) {
    if (!this.found.length) return;
    this.marked = (index + this.found.length) % this.found.length;
    const options = this.list.children;
    for (const each of options) each.setAttribute("aria-selected", "false");
    const current = options[this.marked];
    current.setAttribute("aria-selected", "true");
    current.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", current.id);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey) return;
    const closed = this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (closed) this.open("");
      else this.mark(this.marked + (event.key === "ArrowDown" ? 1 : -1));
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
  const item = document.createElement("li");
  item.id = `voice-${voice.id}`;
  item.dataset.id = voice.id;
  item.setAttribute("role", "option");
  const name = document.createElement("span");
  name.textContent = voice.name;
  const language = document.createElement("span");
  language.className = "quiet";
  // Many an engine names its voices after their languages; once is enough.
  language.textContent = voice.name.toLowerCase().startsWith(voice.language.toLowerCase()) ? "" : voice.language;
  item.append(name, language);
  return item;
}

function nothing() {
  const item = document.createElement("li");
  item.className = "none";
  item.textContent = "No voice has such a name.";
  return item;
}
