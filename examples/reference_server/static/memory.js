// What this browser remembers. It may refuse to (blocked site data, a full store): then the page remembers by
// itself, for as long as it is open.

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
}

// Functions, because only looking at a storage that is blocked already throws.
export const memory = new Memory(() => localStorage);
export const memoryOfThisTab = new Memory(() => sessionStorage);
