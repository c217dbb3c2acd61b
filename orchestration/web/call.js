// A call from Join to Leave: the audio, the connection, who we are, and what the room's clock says.

import { Sound } from "./audio.js";
import { clock } from "./wire.js";

const LATENCY_EVERY = 2000; // ms
const memory = new Map();

/** What the browser remembers for us, or this page does where it may not. */
export const store = {
  get(key) {
    try {
      return localStorage.getItem(`sottovoce:${key}`) ?? memory.get(key) ?? null;
    } catch {
      return memory.get(key) ?? null;
    }
  },
  set(key, value) {
    memory.set(key, value);
    try {
      localStorage.setItem(`sottovoce:${key}`, value);
    } catch {
      // Private windows may refuse; the page's own memory serves until it is closed.
    }
  },
};

function tokenKey(room, name) {
  return `token:${new URL(".", location.href).pathname}:${room}:${name}`;
}

/**
 * States: idle, joining, live, reconnecting. Events: state, panel, error, level, devices, audio; `over` says why a call
 * that was not left ended.
 */
export class Call extends EventTarget {
  state = "idle";
  room = "";
  name = "";
  caller = null;
  stats = { rtt: null, prebuffer: 0.04, underruns: 0, sent: 0, unsent: 0, received: 0 };
  #audio;
  #link = null;
  #offset = null; // the room's clock minus ours, seconds
  #offsetRtt = Infinity;
  #timer = 0;
  #stoodStill = null; // the room's clock when the line was cut

  constructor(player) {
    super();
    this.#audio = new Sound(player);
    for (const type of ["level", "devices"]) {
      this.#audio.addEventListener(type, ({ detail }) => this.#told(type, detail));
    }
    this.#audio.addEventListener("unplugged", () => this.#unplugged());
    addEventListener("online", () => this.#link?.postMessage({ order: "now" }));
    // The browser may put the sound to sleep behind our back; any sign of the caller wakes it.
    for (const sign of ["visibilitychange", "pointerdown", "keydown"]) {
      document.addEventListener(sign, () => this.state === "live" && this.#audio.wake());
    }
  }

  #told(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #become(state, detail = {}) {
    this.state = state;
    this.#told("state", { state, ...detail });
  }

  get audio() {
    return this.#audio;
  }

  /** The room's clock now, in its seconds; while the line is cut, when it was. Null before a first welcome. */
  get now() {
    if (this.#stoodStill !== null) return this.#stoodStill;
    return this.#offset === null ? null : clock() + this.#offset;
  }

  async join({ room, name, microphone, speaker }) {
    this.room = room;
    this.name = name;
    this.#become("joining");
    try {
      const ports = await this.#audio.open({ microphone, speaker });
      this.#link = new Worker(new URL("link.js", import.meta.url), { type: "module" });
      this.#link.onmessage = ({ data }) => this.#hear(data);
      this.#link.onerror = () => this.#over({ code: 1006, reason: "", error: null, reached: false });
      this.#link.postMessage({ order: "ports", ...ports }, [ports.capture, ports.player]);
    } catch (problem) {
      await this.#stop();
      throw problem;
    }
    const url = new URL("ws", location.href.split(/[?#]/)[0]);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const { latency } = this.#audio;
    const token = store.get(tokenKey(room, name));
    this.#link.postMessage({ order: "join", url: url.href, room, name, token, prebuffer: 0.04, latency });
    this.#timer = setInterval(() => this.#link?.postMessage({ order: "latency", latency: this.#audio.latency }), LATENCY_EVERY);
  }

  leave() {
    this.#link?.postMessage({ order: "leave" });
  }

  set muted(muted) {
    this.#audio.muted = muted;
  }

  get muted() {
    return this.#audio.muted;
  }

  #hear(message) {
    switch (message.is) {
      case "live":
        return this.#live(message);
      case "panel":
        return this.#told("panel", message);
      case "pong":
        Object.assign(this.stats, message.counts, { rtt: message.at - message.sent });
        this.#align(message.now, message.sent, message.at);
        return this.#told("audio");
      case "audio":
        Object.assign(this.stats, { prebuffer: message.prebuffer, underruns: message.underruns });
        return this.#told("audio");
      case "error":
        return this.#told("error", message);
      case "waiting":
        this.#stoodStill ??= this.now;
        return this.#become(message.reached ? "reconnecting" : "joining", { attempt: message.attempt });
      case "over":
        return this.#over(message);
    }
  }

  #live({ welcome, at }) {
    this.caller = welcome.caller;
    this.#stoodStill = null;
    this.#offset = welcome.now - at;
    this.#offsetRtt = Infinity;
    store.set(tokenKey(this.room, this.name), welcome.token);
    this.#told("panel", { kind: "snapshot", payload: welcome.snapshot });
    this.#become("live", { help: welcome.help });
  }

  /** The quickest answer tells the most about the clock; older ones count for less and less. */
  #align(now, sent, at) {
    this.#offsetRtt *= 1.1;
    if (at - sent > this.#offsetRtt) return;
    this.#offsetRtt = at - sent;
    this.#offset = now - (sent + at) / 2;
  }

  async #over(detail) {
    await this.#stop();
    this.#told("over", detail);
  }

  async #stop() {
    clearInterval(this.#timer);
    this.#stoodStill = null;
    this.#link?.terminate();
    this.#link = null;
    await this.#audio.close();
    this.#become("idle");
  }

  async #unplugged() {
    try {
      await this.#audio.useMicrophone(null);
    } catch (problem) {
      this.#told("error", { code: problem.code, title: problem.title, message: problem.message });
    }
  }
}
