// The connection to the room, in a thread of its own: a busy page or a tab in the background does not make the sound
// stutter. Sound goes straight from and to the audio thread; everything else is told to the page.

import { FINAL, MOVED, PROTOCOL, clock, number } from "./wire.js";

const PING_EVERY = 3000; // ms
const DEAD_AFTER = 8000; // ms without a word from the room
const MAX_UNSENT = 65536; // bytes: 2 s of sound; beyond that the newest frame is dropped
const BACKOFF = [250, 500, 1000, 2000, 4000]; // ms
const GOODBYE = 500; // ms for the room to take note that the caller leaves
const FIRST_TRIES = 3; // to reach a room at all
const MAX_HOPS = 3; // from server to server at once

let socket = null;
let join = null;
let home = null; // where we joined first
let playback = null;
let live = false;
let leaving = false;
let everLive = false;
let attempt = 0;
let hops = 0;
let sequence = 0;
let heardAt = 0;
let retry = 0;
let lastError = null;
const counts = { sent: 0, unsent: 0, received: 0 };

function tell(is, detail = {}) {
  postMessage({ is, ...detail });
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function connect() {
  clearTimeout(retry);
  heardAt = performance.now();
  lastError = null;
  const mine = new WebSocket(join.url);
  socket = mine;
  mine.binaryType = "arraybuffer";
  mine.onopen = () => {
    const { room, name, token, prebuffer, latency } = join;
    send({ type: "join", protocol: PROTOCOL, room, name, token, prebuffer, latency });
  };
  mine.onmessage = ({ data }) => mine === socket && take(data);
  mine.onclose = ({ code, reason }) => mine === socket && closed(code, reason);
}

function take(data) {
  heardAt = performance.now();
  if (data instanceof ArrayBuffer) {
    counts.received += 1;
    playback?.postMessage(data, [data]);
    return;
  }
  const message = JSON.parse(data);
  switch (message.type) {
    case "welcome":
      [live, everLive, attempt, sequence, hops] = [true, true, 0, 0, 0];
      join.token = message.token;
      ping();
      return tell("live", { welcome: message, at: clock() });
    case "moved":
      join.token = message.token;
      return move(message.url);
    case "clear":
      return playback?.postMessage({ clear: message.stream });
    case "finish":
      return playback?.postMessage({ finish: message.stream, samples: message.samples });
    case "panel":
      return tell("panel", { kind: message.kind, payload: message.payload });
    case "ping":
      return send({ type: "pong", t: message.t });
    case "pong":
      return tell("pong", { sent: message.t, now: message.now, at: clock(), counts });
    case "error":
      lastError = message;
      return tell("error", { code: message.code, message: message.message });
  }
}

/** The room is open at another server: join there. */
function move(url) {
  const there = new URL("ws", url.endsWith("/") ? url : `${url}/`);
  there.protocol = there.protocol === "https:" ? "wss:" : "ws:";
  join.url = there.href;
}

function closed(code, reason) {
  socket = null;
  live = false;
  playback?.postMessage({ reset: true });
  if (leaving) return left();
  if (code === MOVED && hops < MAX_HOPS) {
    hops += 1;
    return connect();
  }
  if (code === 1006) join.url = home; // whoever we were sent to may be gone
  if (FINAL.has(code) || (!everLive && attempt + 1 >= FIRST_TRIES)) {
    tell("over", { code, reason, error: lastError, reached: everLive || code !== 1006 });
    return;
  }
  const wait = BACKOFF[Math.min(attempt, BACKOFF.length - 1)] * (0.8 + 0.4 * Math.random());
  attempt += 1;
  tell("waiting", { attempt, seconds: wait / 1000, reached: everLive });
  retry = setTimeout(connect, wait);
}

function left() {
  tell("over", { code: 1000, reason: "", error: null, reached: true });
}

function ping() {
  send({ type: "ping", t: clock() });
}

setInterval(() => {
  if (!socket) return;
  if (performance.now() - heardAt > DEAD_AFTER) {
    // The network swallows what we send; do not wait for it to say so.
    const dead = socket;
    closed(1006, "");
    dead.close();
  } else if (live) ping();
}, PING_EVERY);

function voice({ data }) {
  if (!live) return;
  if (socket.bufferedAmount > MAX_UNSENT) {
    counts.unsent += 1;
    sequence += 1; // the gap tells the room
    return;
  }
  socket.send(number(data, sequence));
  sequence += 1;
  counts.sent += 1;
}

function receipt({ data }) {
  if (data.played !== undefined) {
    if (live) send({ type: "played", stream: data.played, samples: data.samples, flushed: data.flushed });
    return;
  }
  join.prebuffer = data.prebuffer;
  audio();
  tell("audio", data);
}

function audio() {
  if (live) send({ type: "audio", prebuffer: join.prebuffer, latency: join.latency });
}

const orders = {
  ports({ capture, player }) {
    capture.onmessage = voice;
    playback = player;
    playback.onmessage = (event) => join && receipt(event);
  },
  join(order) {
    join = order;
    home = join.url;
    connect();
  },
  latency({ latency }) {
    if (!join || Math.abs(latency - join.latency) < 0.005) return;
    join.latency = latency;
    audio();
  },
  now() {
    // The network is back: do not wait for the next try.
    if (join && !socket && !leaving) connect();
  },
  leave() {
    leaving = true;
    clearTimeout(retry);
    if (!socket) return left();
    send({ type: "leave" });
    setTimeout(left, GOODBYE);
  },
};

onmessage = ({ data }) => orders[data.order](data);
