// Deleting that can be undone: the entry goes at once, the request leaves when the time for second thoughts is over.

import { explain } from "./failures.js";
import { complain, tell } from "./messages.js";
import { session } from "./session.js";
import { words } from "./words.js";

const SECONDS = 8;
const waiting = new Map();
const hidden = new Set();

export const isDeleted = (id) => hidden.has(id);

// `send(keepalive)` asks the server, `changed()` shows the lists again, without or with what was deleted.
export function deleteLater({ id, name, send, changed }) {
  hidden.add(id);
  const commit = (keepalive) => finish({ id, name, send, changed }, keepalive);
  const dismiss = tell(words.messages.deleted, {
    lasts: SECONDS * 1000,
    action: { name: words.messages.undo, act: () => undo(id, changed) },
  });
  const timer = setTimeout(() => { dismiss(); commit(false); }, SECONDS * 1000);
  waiting.set(id, { timer, commit });
  changed();
}

function undo(id, changed) {
  clearTimeout(waiting.get(id)?.timer);
  waiting.delete(id);
  hidden.delete(id);
  changed();
}

async function finish({ id, name, send, changed }, keepalive) {
  waiting.delete(id);
  try {
    await send(keepalive);
  } catch (error) {
    // Deleted in another window already: that is what was wanted.
    if (error.status !== 404) {
      hidden.delete(id);
      complain(words.messages.notDeleted(name, explain(error)));
    }
  }
  changed(true);
}

// Whoever leaves the page meant what they said.
window.addEventListener("pagehide", commitAll);
session.addEventListener("ending", commitAll);

function commitAll() {
  for (const { timer, commit } of [...waiting.values()]) {
    clearTimeout(timer);
    commit(true);
  }
}
