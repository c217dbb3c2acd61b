// What the page knows of the room: the panel's messages (orchestration/panel.py describes them) folded into rows.

const KEPT = 200;
const FINAL_TASK = new Set(["done", "failed", "cancelled"]);
const FINAL_DELIVERY = new Set(["heard", "superseded", "expired", "refused", "cancelled", "dropped", "dead"]);

export function taskOver(task) {
  return FINAL_TASK.has(task.status);
}

export function deliveryOver(delivery) {
  return FINAL_DELIVERY.has(delivery.status);
}

function keyed(rows) {
  return new Map((rows ?? []).map((row) => [row.id, row]));
}

function mark(spans, on, at) {
  const last = spans.at(-1);
  if (on && (!last || last[1] !== null)) spans.push([at, null]);
  else if (!on && last && last[1] === null) last[1] = at;
  if (spans.length > KEPT) spans.shift();
}

function forget(rows) {
  while (rows.size > KEPT) rows.delete(rows.keys().next().value);
}

export class Room {
  constructor() {
    this.apply("snapshot", {});
  }

  /** Take in one message. Unknown kinds are left alone: the server may be newer than the page. */
  apply(kind, payload) {
    this.#kinds[kind]?.(payload);
  }

  get floor() {
    return this.changes.at(-1) ?? { state: "empty", blocker: "nobody", caller: null, since: 0, at: 0 };
  }

  /** Deliveries that wait to be spoken. */
  get waiting() {
    return [...this.deliveries.values()].filter((d) => d.status === "queued" || d.status === "reserved");
  }

  nameOf(caller) {
    return this.callers.get(caller)?.name ?? caller;
  }

  #caller(id) {
    if (!this.callers.has(id)) this.callers.set(id, { id, name: id, state: "here", words: "", spans: [] });
    return this.callers.get(id);
  }

  #row(rows, payload, step) {
    const history = rows.get(payload.id)?.history ?? [];
    const last = history.at(-1);
    if (!last || last[0] !== payload.status || last[1] !== step) history.push([payload.status, step, payload.at]);
    rows.set(payload.id, { ...payload, history });
    forget(rows);
  }

  #kinds = {
    snapshot: (p) => {
      this.callers = keyed(p.callers);
      this.changes = p.floor ?? [];
      this.turns = p.turns ?? [];
      this.utterances = keyed(p.utterances);
      this.tasks = keyed(p.tasks);
      this.deliveries = keyed(p.deliveries);
    },
    caller: (p) => {
      const row = this.#caller(p.id);
      Object.assign(row, p);
      if (p.state !== "here") {
        mark(row.spans, false, p.at);
        row.words = "";
      }
    },
    speech: (p) => mark(this.#caller(p.caller).spans, p.on, p.at),
    words: (p) => {
      this.#caller(p.caller).words = p.text;
    },
    turn: (p) => {
      this.#caller(p.caller).words = "";
      this.turns.push(p);
      if (this.turns.length > KEPT) this.turns.shift();
    },
    dropped: (p) => {
      this.#caller(p.caller).words = "";
    },
    floor: (p) => {
      this.changes.push(p);
      if (this.changes.length > 2 * KEPT) this.changes.shift();
    },
    utterance: (p) => {
      const row = this.utterances.get(p.id) ?? { id: p.id, text: "", heard: 0, done: false, question: false, spans: [], at: p.at };
      Object.assign(row, { role: p.role, deliveries: p.deliveries, text: row.text.slice(0, p.from) + p.text });
      this.utterances.set(p.id, row);
      forget(this.utterances);
    },
    speaking: (p) => {
      const row = this.utterances.get(p.utterance);
      if (!row) return;
      if (p.state === "scheduled") row.until = p.until;
      else mark(row.spans, p.state === "started", p.at);
      row.done ||= p.state === "ended";
      row.question ||= p.question;
    },
    heard: (p) => {
      const row = this.utterances.get(p.utterance);
      if (row) row.heard = Math.max(row.heard, p.chars);
    },
    task: (p) => this.#row(this.tasks, p, p.progress),
    delivery: (p) => this.#row(this.deliveries, p, p.reason),
  };
}
