// From page to page of a list.

import { button, element } from "./elements.js";
import { words } from "./words.js";

export class Pager {
  // `onPage(number)` shows another page.
  constructor(place, onPage) {
    Object.assign(this, { place, page: 1, pages: 1 });
    this.previous = button(words.page.previous, () => this.turn(-1, onPage), { className: "small" });
    this.next = button(words.page.next, () => this.turn(1, onPage), { className: "small" });
    this.label = element("span", { className: "quiet", role: "status" });
    place.append(this.previous, this.label, this.next);
  }

  turn(by, onPage) {
    const to = this.page + by;
    if (to >= 1 && to <= this.pages) onPage(to);
  }

  show(page, pages) {
    Object.assign(this, { page, pages });
    this.place.hidden = pages < 2;
    this.label.textContent = words.pager.of(page, pages);
    // Not disabled: the focus would be lost on the last page.
    this.previous.setAttribute("aria-disabled", String(page <= 1));
    this.next.setAttribute("aria-disabled", String(page >= pages));
  }
}
