// What was spoken before, newest first.

import * as api from "./api.js";
import * as words from "./words.js";

export class History {
  constructor({ list, empty, more, onPlay, onAgain, onDeleted, onError }) {
    Object.assign(this, { list, empty, more, onPlay, onAgain, onDeleted, onError });
    this.pages = 1;
    more.addEventListener("click", () => { this.pages += 1; this.refresh(); });
  }

  // Everything shown is read again: rows move from page to page while new ones arrive.
  async refresh() {
    try {
      const shown = new Map();
      let last;
      for (let page = 1; page <= this.pages; page += 1) {
        last = await api.generations(page);
        for (const generation of last.generations) shown.set(generation.id, generation);
      }
      this.list.replaceChildren(...[...shown.values()].map((generation) => this.entry(generation)));
      this.empty.hidden = shown.size > 0;
      this.more.hidden = this.pages >= last.pagination.pages;
      return [...shown.values()];
    } catch (error) {
      this.onError(error);
      return [];
    }
  }

  entry(generation) {
    const item = document.createElement("li");
    item.className = "entry";
    item.append(excerpt(generation), about(generation), this.controls(generation, item));
    return item;
  }

  controls(generation, item) {
    const row = document.createElement("div");
    row.className = "controls";
    const excerptOf = generation.text.slice(0, 40);
    if (generation.status === "completed") row.append(button("Play", excerptOf, () => this.onPlay(generation)));
    row.append(button("Use again", excerptOf, () => this.onAgain(generation)));
    row.append(deleteButton(excerptOf, () => this.remove(generation, item)));
    return row;
  }

  async remove(generation, item) {
    item.inert = true;
    try {
      await api.deleteGeneration(generation.id);
    } catch (error) {
      // Deleted from another window already: that is what was wanted.
      if (error.status !== 404) {
        item.inert = false;
        this.onError(error);
        return;
      }
    }
    this.onDeleted(generation);
    await this.refresh();
  }
}

function excerpt(generation) {
  const made = document.createElement("p");
  made.className = "excerpt";
  made.dir = "auto";
  made.textContent = generation.text;
  return made;
}

function about(generation) {
  const made = document.createElement("p");
  made.className = "about quiet";
  const facts = [generation.voice_name, words.duration(generation.duration_seconds), words.moment(generation.created_at)];
  made.textContent = facts.filter(Boolean).join(" · ");
  const outcome = words.outcome[generation.status];
  if (outcome) {
    const state = document.createElement("span");
    state.className = generation.status === "failed" ? "wrong" : "";
    const why = generation.status === "failed" && generation.error_message ? `: ${generation.error_message}` : "";
    state.textContent = ` · ${outcome}${why}`;
    made.append(state);
  }
  return made;
}

// Nothing brings a deleted one back, so it takes two clicks.
function deleteButton(excerptOf, act) {
  const made = button("Delete", excerptOf, () => {
    if (made.classList.contains("sure")) return act();
    made.classList.add("sure");
    made.textContent = "Really?";
    made.setAttribute("aria-label", `Really delete: ${excerptOf}`);
  });
  made.addEventListener("blur", () => {
    made.classList.remove("sure");
    made.textContent = "Delete";
    made.setAttribute("aria-label", `Delete: ${excerptOf}`);
  });
  return made;
}

function button(name, excerptOf, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "plain";
  made.textContent = name;
  made.setAttribute("aria-label", `${name}: ${excerptOf}`);
  made.addEventListener("click", act);
  return made;
}
