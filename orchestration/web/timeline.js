// The live timeline: a score of the call. One lane for each caller, agent, task and delivery, and one for each who works
// in a review loop, round by round; above them the floor, with the reason why what waits has to wait. Arrows from agent
// to agent are handoffs. Drawn on a canvas; the lists of the page say the same in text.

import { Lanes, PERSON, heardOf } from "./lanes.js";
import { fit, measure } from "./letters.js";
import { deliveryOver, taskOver } from "./room.js";
import { because, briefly, duration, withWhom } from "./words.js";

const LANE = 27;
const BAR = 18;
const BAND = 24;
const TOP = 8;
const GAP = 8;
const AXIS = 22;
const TICKS = [1, 2, 5, 10, 15, 30, 60];
const TINT = 0.07;
const SHORTER = { "caller speaks": "caller", "agent speaks": "agent", "reply owed": "reply", "waits for silence": "waits" };
const HOLDER = { user_holds: "caller", agent_audible: "agent", agent_owes: "owed" };

export class Timeline {
  /** Draws `room` on `canvas`; `now()` is the room's clock in seconds, or null; `span` seconds are in sight. */
  constructor(canvas, room, now) {
    this.canvas = canvas;
    this.room = room;
    this.now = now;
    this.span = 60;
    this.origin = null;
    this.me = null;
    this.lanes = new Lanes(room);
    this.draw = canvas.getContext("2d");
    this.width = 0;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.drawn = 0;
    this.running = false;
    this.colours = {};
    new ResizeObserver(() => this.#measure()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#palette());
    this.#palette();
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.#measure();
    requestAnimationFrame((t) => this.#frame(t));
  }

  stop() {
    this.running = false;
  }

  #frame(time) {
    if (!this.running) return;
    // A new picture when it has moved by a pixel; two a second for those who asked for little motion.
    const pixel = (1000 * this.span) / ((this.width - this.gutter) * (devicePixelRatio || 1));
    if (time - this.drawn >= (this.calm.matches ? 500 : Math.max(33, Math.min(150, pixel))) - 4) {
      this.drawn = time;
      this.paint();
    }
    requestAnimationFrame((t) => this.#frame(t));
  }

  #palette() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "ink-2", "ink-3", "line", "surface", "caller", "agent", "result", "task", "open", "empty", "owes", "bad", "on-colour"]) {
      this.colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
    this.sans = style.getPropertyValue("--sans").trim();
  }

  #measure() {
    this.width = this.canvas.parentElement.clientWidth;
    this.gutter = this.width < 560 ? 92 : 140;
    this.paint();
  }

  paint() {
    const now = this.now();
    if (now === null || this.width < 50) return;
    this.origin ??= this.room.changes[0]?.at ?? now;
    const lanes = this.lanes.inSight(now - this.span, this.me);
    const height = TOP + BAND + GAP + lanes.length * LANE + AXIS;
    const scale = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(this.width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(this.width * scale);
      this.canvas.height = Math.round(height * scale);
      this.canvas.style.height = `${height}px`;
    }
    const g = this.draw;
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, this.width, height);
    g.textBaseline = "middle";
    this.right = this.width - 14;
    this.x = (at) => this.right - ((now - at) / this.span) * (this.right - this.gutter);
    this.rows = new Map(lanes.map((lane, i) => [`${lane.kind}:${lane.row?.id ?? ""}`, TOP + BAND + GAP + i * LANE + LANE / 2]));
    const bottom = height - AXIS;
    g.save();
    g.beginPath();
    g.rect(this.gutter, 0, this.width - this.gutter, height);
    g.clip();
    this.#openings(now, bottom);
    this.#ticks(now, bottom);
    this.#staves(lanes);
    this.#floor(now);
    for (const lane of lanes) this.#lane(lane, now);
    this.#links(now);
    this.#handoffs();
    this.#present(bottom);
    g.restore();
    this.#labels(lanes);
  }

  #floorSpans(now) {
    const changes = this.room.changes;
    const from = now - this.span;
    const spans = [];
    for (let i = changes.length - 1; i >= 0; i -= 1) {
      const until = changes[i + 1]?.at ?? now;
      if (until < from) break;
      spans.unshift({ ...changes[i], from: changes[i].at, until });
    }
    return spans;
  }

  #openings(now, bottom) {
    this.draw.fillStyle = this.colours.open;
    this.draw.globalAlpha = TINT;
    for (const { state, from, until } of this.#floorSpans(now)) {
      if (state === "open") this.draw.fillRect(this.x(from), TOP + BAND, this.x(until) - this.x(from), bottom - TOP - BAND);
    }
    this.draw.globalAlpha = 1;
  }

  #ticks(now, bottom) {
    const g = this.draw;
    const step = TICKS.find((t) => (t / this.span) * (this.right - this.gutter) >= 56) ?? 60;
    g.font = `11px ${this.sans}`;
    g.textAlign = "center";
    for (let t = Math.ceil((now - this.origin - this.span) / step) * step; t <= now - this.origin; t += step) {
      const x = this.x(this.origin + t);
      g.fillStyle = this.colours.line;
      g.fillRect(Math.round(x), TOP + BAND, 1, bottom - TOP - BAND);
      if (t < 0 || x > this.right - 34) continue;
      g.fillStyle = this.colours["ink-3"];
      g.fillText(`${Math.floor(t / 60)}:${String(t % 60).padStart(2, "0")}`, x, bottom + AXIS / 2);
    }
    g.fillStyle = this.colours["ink-2"];
    g.textAlign = "right";
    g.fillText("now", this.width - 4, bottom + AXIS / 2);
  }

  #staves(lanes) {
    this.draw.fillStyle = this.colours.line;
    for (const { kind, row } of lanes) {
      const y = this.rows.get(`${kind}:${row?.id ?? ""}`);
      this.draw.fillRect(this.gutter, Math.round(y), this.right - this.gutter, 1);
    }
  }

  #floorColour(state) {
    return this.colours[{ user_holds: "caller", agent_audible: "agent", agent_owes: "owes", open: "open" }[state] ?? "empty"];
  }

  #floor(now) {
    const g = this.draw;
    for (const span of this.#floorSpans(now)) {
      const [x, to] = [Math.max(this.x(span.from), this.gutter), this.x(span.until)];
      const faint = span.state === "empty" || span.blocker === "question_pending" || span.blocker === "caller_paused";
      g.globalAlpha = faint ? 0.5 : 1;
      g.fillStyle = this.#floorColour(span.state);
      g.fillRect(x, TOP, Math.max(1, to - x - 1), BAND);
      g.globalAlpha = 1;
      const colour = this.colours[faint ? "ink" : "on-colour"];
      const choices = span.state === "open" ? ["open"] : [briefly(span.blocker), HOLDER[span.state] ?? ""];
      this.#label(choices, x, to, TOP + BAND / 2, colour);
    }
  }

  #lane({ kind, row }, now) {
    if (kind === "caller") this.#voices(row, now);
    else if (kind === "agent") for (const utterance of this.room.utterances.values()) this.#utterance(utterance, row.id, now);
    else if (kind === "task") this.#task(row, now);
    else this.#delivery(row, now);
  }

  #voices(caller, now) {
    const y = this.rows.get(`caller:${caller.id}`);
    for (const [from, until] of caller.spans) this.#bar(from, until ?? now, y, this.colours.caller);
    for (const turn of this.room.turns) {
      if (turn.caller === caller.id) this.#text(turn.text, this.x(turn.started), this.x(turn.ended), y, this.colours["on-colour"]);
    }
    const open = caller.spans.at(-1);
    if (open && open[1] === null && caller.words) this.#text(caller.words, this.x(open[0]), this.x(now), y, this.colours["on-colour"], true);
  }

  /** What of an utterance is this agent's. */
  #utterance(utterance, agent, now) {
    const y = this.rows.get(`agent:${agent}`);
    const colour = this.colours[utterance.role === "delivery" ? "result" : "agent"];
    const cut = utterance.done && utterance.heard < utterance.text.trimEnd().length;
    const end = utterance.spans.at(-1)?.[1];
    for (const { name, text, from, until } of heardOf(utterance)) {
      if (name !== agent || from === null) continue;
      for (const [on, off] of utterance.spans) {
        const [begin, stop] = [Math.max(on, from), Math.min(off ?? now, until ?? now)];
        if (begin < stop) this.#bar(begin, stop, y, colour);
      }
      if (cut && end && until === end) this.#cut(this.x(end), y);
      this.#text(text, this.x(from), this.x(until ?? now), y, this.colours["on-colour"]);
    }
  }

  /** An arrow from who gave the conversation away to who got it. */
  #handoffs() {
    const g = this.draw;
    for (const { from, to, at } of this.room.handoffs) {
      const x = Math.round(this.x(at)) + 0.5;
      const [begin, end] = [from, to].map((name) => this.rows.get(`agent:${name ?? PERSON}`));
      if (x < this.gutter || begin === undefined || end === undefined || begin === end) continue;
      const down = Math.sign(end - begin);
      const tip = end - down * (BAR / 2 - 4);
      g.strokeStyle = g.fillStyle = this.colours.ink;
      g.lineWidth = 1.5;
      g.beginPath();
      g.moveTo(x, begin);
      g.lineTo(x, tip - down * 6);
      g.stroke();
      g.beginPath();
      g.arc(x, begin, 3, 0, 2 * Math.PI);
      g.moveTo(x, tip);
      g.lineTo(x - 4.5, tip - down * 8);
      g.lineTo(x + 4.5, tip - down * 8);
      g.fill();
    }
  }

  /** Where an interruption cut the agent. */
  #cut(x, y) {
    this.draw.fillStyle = this.colours.bad;
    this.draw.fillRect(x - 1, y - BAR / 2 - 3, 2, BAR + 6);
  }

  #task(task, now) {
    const all = task.parts ?? [task];
    for (const part of all) this.#work(part, this.rows.get(`task:${task.id}`), now, part === all.at(-1));
  }

  #work(task, y, now, last) {
    const begun = task.history.find(([status]) => status !== "queued");
    const from = task.history[0]?.[2] ?? task.at;
    const over = taskOver(task);
    const until = over ? task.at : now;
    if (begun) this.#waits(from, begun[2], y, this.colours.task, "");
    else return this.#waits(from, now, y, this.colours.task, "queued");
    this.#bar(begun[2], until, y, this.colours.task, over ? 1 : 0.75);
    const doing = over ? duration(until - begun[2]) : task.progress || "working";
    const [x, to] = [this.x(begun[2]), this.x(until)];
    if (task.round) this.#label([`round ${task.round}: ${doing}`, `round ${task.round}`, `${task.round}`], x, to, y, this.colours["on-colour"]);
    else this.#text(doing, x, to, y, this.colours["on-colour"]);
    if (over && (last || task.status !== "done")) this.#sign({ done: "✓", failed: "✕", cancelled: "–" }[task.status], to, y, task.status === "failed" ? "bad" : "ink-2");
  }

  #delivery(delivery, now) {
    const y = this.rows.get(`delivery:${delivery.id}`);
    const over = deliveryOver(delivery);
    delivery.history.forEach(([status, reason, at], i) => {
      const until = delivery.history[i + 1]?.[2] ?? (over ? at : now);
      if (status === "speaking") this.#bar(at, until, y, this.colours.result);
      else if (status === "queued" || status === "reserved") {
        const why = briefly(reason) || "waits for silence";
        this.#waits(at, until, y, this.colours.result, why);
      }
    });
    if (over) this.#sign(delivery.status === "heard" ? "✓" : "✕", this.x(delivery.at), y, delivery.status === "heard" ? "open" : "bad");
  }

  /** A task's end leads to its result, a result's speaking to the agent. */
  #links(now) {
    const g = this.draw;
    const speaker = new Map();
    for (const utterance of this.room.utterances.values()) {
      for (const id of utterance.deliveries ?? []) speaker.set(id, this.rows.get(`agent:${heardOf(utterance)[0]?.name}`));
    }
    g.lineWidth = 1.25;
    g.strokeStyle = this.colours.result;
    const line = (at, from, to) => {
      const x = Math.round(this.x(at)) + 0.5;
      if (x < this.gutter || from === undefined || to === undefined) return;
      g.globalAlpha = 0.55;
      g.setLineDash([2, 3]);
      g.beginPath();
      g.moveTo(x, Math.min(from, to) + BAR / 2);
      g.lineTo(x, Math.max(from, to) - BAR / 2);
      g.stroke();
      g.setLineDash([]);
      g.globalAlpha = 1;
    };
    for (const delivery of this.room.deliveries.values()) {
      const y = this.rows.get(`delivery:${delivery.id}`);
      if (delivery.task) line(delivery.history[0]?.[2] ?? now, this.rows.get(`task:${delivery.task}`), y);
      for (const [status, , at] of delivery.history) if (status === "speaking") line(at, speaker.get(delivery.id), y);
    }
  }

  #present(bottom) {
    this.draw.fillStyle = this.colours.ink;
    this.draw.fillRect(this.right, TOP - 6, 1.5, bottom - TOP + 6);
  }

  #labels(lanes) {
    const g = this.draw;
    g.textAlign = "left";
    g.font = `600 12px ${this.sans}`;
    g.fillStyle = this.colours["ink-2"];
    g.fillText("Floor", 0, TOP + BAND / 2);
    const dot = { caller: "caller", agent: "agent", task: "task", delivery: "result" };
    for (const { kind, row, label } of lanes) {
      const y = this.rows.get(`${kind}:${row?.id ?? ""}`);
      g.fillStyle = this.colours[label === PERSON ? "ink-3" : dot[kind]];
      g.beginPath();
      if (kind === "delivery") g.rect(0, y - 4, 8, 8);
      else g.arc(4, y, 4, 0, 2 * Math.PI);
      g.fill();
      g.fillStyle = this.colours.ink;
      g.font = `${kind === "caller" || kind === "agent" ? 600 : 400} 12px ${this.sans}`;
      g.fillText(fit(g, label, this.gutter - 24), 14, y);
    }
  }

  #bar(from, until, y, colour, alpha = 1) {
    const [x, to] = [this.x(from), this.x(until)];
    if (to < this.gutter) return;
    const g = this.draw;
    g.globalAlpha = alpha;
    g.fillStyle = colour;
    g.beginPath();
    g.roundRect(x, y - BAR / 2, Math.max(2, to - x), BAR, 4);
    g.fill();
    g.globalAlpha = 1;
  }

  /** An outlined, hatched bar: something is there and has to wait. */
  #waits(from, until, y, colour, why) {
    const [x, to] = [this.x(from), this.x(until)];
    if (to < this.gutter || to - x < 1) return;
    const g = this.draw;
    g.save();
    g.beginPath();
    g.roundRect(x + 0.5, y - BAR / 2 + 0.5, Math.max(1, to - x - 2), BAR - 1, 4);
    g.fillStyle = this.colours.surface;
    g.fill();
    g.strokeStyle = colour;
    g.lineWidth = 1;
    g.stroke();
    g.clip();
    g.globalAlpha = 0.22;
    g.beginPath();
    for (let i = Math.floor(Math.max(x, this.gutter) / 7) * 7 - BAR; i < to; i += 7) {
      g.moveTo(i, y + BAR / 2);
      g.lineTo(i + BAR, y - BAR / 2);
    }
    g.stroke();
    g.restore();
    this.#label([why, SHORTER[why] ?? ""], x, to, y, this.colours.ink);
  }

  #sign(sign, x, y, colour) {
    const g = this.draw;
    g.font = `700 12px ${this.sans}`;
    g.textAlign = "left";
    g.fillStyle = this.colours[colour];
    g.fillText(sign, x + 4, y);
  }

  /** `text` between two places, as much of it as is in sight and fits; nothing if that is too little to read. */
  #text(text, x, to, y, colour, italic = false) {
    const from = Math.max(x, this.gutter) + 7;
    const room = to - 6 - from;
    if (!text || room < 28) return;
    const g = this.draw;
    g.font = `${italic ? "italic " : ""}11.5px ${this.sans}`;
    g.textAlign = "left";
    g.fillStyle = colour;
    g.fillText(fit(g, text, room), from, y + 0.5);
  }

  /** The first of `choices` that fits whole between two places. */
  #label(choices, x, to, y, colour) {
    const g = this.draw;
    g.font = `11.5px ${this.sans}`;
    const room = to - Math.max(x, this.gutter) - 8;
    const text = choices.find((choice) => choice && measure(g, choice) <= room);
    if (!text) return;
    g.textAlign = "center";
    g.fillStyle = colour;
    g.fillText(text, (Math.max(x, this.gutter) + to) / 2, y + 0.5);
  }

  /** The picture in a sentence, for those who cannot see it. */
  describe() {
    const { room } = this;
    const running = [...room.tasks.values()].filter((t) => !taskOver(t)).length;
    const { waiting, floor } = room;
    const why = waiting.length ? `, because ${because(waiting[0].reason || floor.blocker) || "the silence is being measured"}` : "";
    const holder = room.holder ? ` ${withWhom(room.holder.agent)}.` : "";
    return `Timeline of the last ${this.span} seconds: ${room.callers.size} callers, ${running} tasks running, ${waiting.length} results waiting${why}.${holder}`;
  }
}
