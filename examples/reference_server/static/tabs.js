// The other tabs of this browser: each says when it changed something on the server, and the others look.

class Tabs extends EventTarget {
  constructor() {
    super();
    this.channel = "BroadcastChannel" in window ? new BroadcastChannel("ttsorch") : null;
    if (this.channel) this.channel.onmessage = ({ data }) => this.dispatchEvent(new Event(String(data)));
  }

  // `what`: jobs, history or voices.
  tell(what) {
    this.channel?.postMessage(what);
  }
}

export const tabs = new Tabs();
