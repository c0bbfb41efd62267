// Whether anybody is looking. A tab that was hidden for long asks nothing; whoever comes back sees how things are now.

const PATIENCE_MS = 60_000;

class Presence extends EventTarget {
  away = false;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.look());
    window.addEventListener("focus", () => this.back());
    window.addEventListener("online", () => this.back());
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.back(); });
    this.look();
  }

  look() {
    clearTimeout(this.timer);
    if (!document.hidden) {
      this.back();
      return;
    }
    this.timer = setTimeout(() => {
      this.away = true;
      this.dispatchEvent(new Event("away"));
    }, PATIENCE_MS);
  }

  back() {
    if (document.hidden) return;
    this.away = false;
    this.dispatchEvent(new Event("back"));
  }
}

export const presence = new Presence();
