// Who is asking. The token is kept for this tab only: whoever uses the machine next has to know it.

import { byId } from "./elements.js";
import { memory, memoryOfThisTab } from "./memory.js";
import { words } from "./words.js";

const TOKEN = "ttsorch.token";
const GIVEN = "given";

class Session extends EventTarget {
  asking = null;

  // What no header can carry is none.
  token() {
    const kept = memoryOfThisTab.recall(TOKEN) ?? "";
    return /^[!-~]+$/.test(kept) ? kept : null;
  }

  // Returns when there is another token than `refused`, the one that a request was refused with. Requests that are
  // refused at once wait for the same dialog.
  async renew(refused) {
    if (this.token() !== refused) return;
    this.asking ??= ask(refused !== null).finally(() => { this.asking = null; });
    const given = await this.asking;
    if (this.token() === given) return;
    memoryOfThisTab.keep(TOKEN, given);
    this.dispatchEvent(new CustomEvent("signed-in", { detail: { before: refused } }));
  }

  // Nothing of one person is left to the next.
  end() {
    this.dispatchEvent(new Event("ending"));
    memoryOfThisTab.forget();
    memory.forget();
    location.replace("/");
  }
}

export const session = new Session();

function ask(refused) {
  const dialog = byId("sign-in");
  byId("sign-in-why").textContent = refused ? words.messages.tokenRefused : words.page.signInWhy;
  byId("token").value = "";
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
      resolve(byId("token").value.trim());
    });
  });
}

// A token has to be given; there is nothing behind the dialog without one.
byId("sign-in").addEventListener("cancel", (event) => event.preventDefault());
