// Which of the three views is shown: the hash of the address says so, so that back and forward work.

import { byId } from "./elements.js";
import { words } from "./words.js";

const VIEWS = ["speak", "history", "voices"];
const links = [...byId("nav").querySelectorAll("a")];

class Views extends EventTarget {
  current = null;
  jobs = 0;

  start() {
    window.addEventListener("hashchange", () => this.show());
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("content").focus();
    });
    this.show();
  }

  go(view) {
    if (this.current === view) return;
    location.hash = view;
    this.show();
  }

  show() {
    const asked = location.hash.slice(1);
    const view = VIEWS.includes(asked) ? asked : VIEWS[0];
    if (view === this.current) return;
    const first = this.current === null;
    this.current = view;
    for (const section of document.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== view;
    for (const link of links) {
      if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.title();
    if (!first) window.scrollTo(0, 0);
    this.dispatchEvent(new Event(view));
  }

  countJobs(count) {
    this.jobs = count;
    this.title();
  }

  title() {
    document.title = words.title.view(words.page[this.current ?? VIEWS[0]], this.jobs);
  }
}

export const views = new Views();
