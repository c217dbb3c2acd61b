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

/** From a part's `start` on an utterance is another agent's words: note when the first of them were heard. */
function begin(agents, chars, at) {
  for (const part of agents) if (part.heard === null && chars > part.start) part.heard = at;
}

/** An utterance in parts, one for each agent whose words it has. `at`: when it began to be heard, or null. */
export function parts({ text, agents, spans }) {
  const all = agents?.length ? agents : [{ start: 0, name: "", heard: spans[0]?.[0] ?? null }];
  return all
    .map(({ start, name, heard }, i) => ({ start, end: all[i + 1]?.start ?? text.length, name: name || "Agent", at: heard }))
    .filter(({ start, end }) => text.slice(start, end).trim());
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
      this.handoffs = p.handoffs ?? [];
      this.holder = p.holder ?? null;
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
      Object.assign(row, { role: p.role, deliveries: p.deliveries, agents: p.agents ?? [], text: row.text.slice(0, p.from) + p.text });
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
      if (!row) return;
      row.heard = Math.max(row.heard, p.chars);
      begin(row.agents, row.heard, p.at);
    },
    handoff: (p) => {
      this.handoffs.push(p);
      if (this.handoffs.length > KEPT) this.handoffs.shift();
    },
    holder: (p) => {
      this.holder = p;
    },
    task: (p) => this.#row(this.tasks, p, p.progress),
    delivery: (p) => this.#row(this.deliveries, p, p.reason),
  };
}
