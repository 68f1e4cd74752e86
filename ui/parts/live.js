// The live socket of one conversation: comes back by itself and asks for what it missed.
class Live {
  constructor(place, hear) {
    this.place = place;
    this.hear = hear;
    this.last = null;
    this.tries = 0;
    this.open();
  }

  open() {
    const url = new URL(`talk/${this.place}/live`, document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (this.last !== null) url.searchParams.set("after", this.last);
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onmessage = (event) => socket === this.socket && this.take(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.lost(event.code);
  }

  take(message) {
    this.heardAt = Date.now();
    if (message.type === "hello") {
      // Another run of the UI answers than the one that drew this page.
      this.boot ??= message.boot;
      if (this.boot !== message.boot) this.hear({ type: "reborn" });
      this.boot = message.boot;
      return;
    }
    if (message.type === "ready") {
      this.tries = 0;
      this.last ??= message.last_event_id;
    }
    if (message.event_id) this.last = Math.max(this.last ?? 0, message.event_id);
    this.hear(message);
  }

  lost(code) {
    this.socket = null;
    if (code === 4401 || code === 4403 || code === 4404) {
      this.hear({ type: "over" });
      return;
    }
    this.hear({ type: "lost" });
    const pause = Math.min(300 * 2 ** this.tries++, 4000) * (0.75 + Math.random() / 2);
    this.timer = setTimeout(() => this.open(), pause);
  }

  // A phone that slept, or a network that changed, leaves a socket that looks open and is dead.
  check() {
    if (this.socket && this.heardAt && Date.now() - this.heardAt > 60000) {
      const dead = this.socket;
      this.lost(1006);
      dead.close();
    }
  }

  typing() {
    if (this.socket?.readyState !== WebSocket.OPEN || Date.now() - (this.typedAt || 0) < 2000) return;
    this.typedAt = Date.now();
    this.socket.send("typing");
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
