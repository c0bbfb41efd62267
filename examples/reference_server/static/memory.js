// What this browser remembers. It may refuse to (blocked site data, a full store): then the page remembers by
// itself, for as long as it is open.

const OURS = "ttsorch.";

class Memory {
  constructor(storage) {
    this.storage = storage;
    this.kept = new Map();
  }

  recall(name) {
    try {
      return this.kept.get(name) ?? this.storage().getItem(name);
    } catch {
      return null;
    }
  }

  keep(name, value) {
    try {
      this.storage().setItem(name, value);
      this.kept.delete(name);
    } catch {
      this.kept.set(name, value);
    }
  }

  // All that this page has kept; other pages of this host have names of their own.
  forget() {
    this.kept.clear();
    try {
      const storage = this.storage();
      for (const name of Object.keys(storage)) if (name.startsWith(OURS)) storage.removeItem(name);
    } catch {
      // What can't be looked at holds nothing of ours.
    }
  }
}

// Functions, because only looking at a storage that is blocked already throws.
export const memory = new Memory(() => localStorage);
export const memoryOfThisTab = new Memory(() => sessionStorage);
