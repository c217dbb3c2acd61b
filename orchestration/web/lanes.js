// Which lanes the timeline has: those who speak, work or wait in the stretch of time that is in sight.

import { deliveryOver, parts, taskOver } from "./room.js";

const MAX_LANES = 6; // of agents, of tasks, and of deliveries
const NOBODY = "Agent"; // as long as none has spoken
export const PERSON = "A person";

export class Lanes {
  constructor(room) {
    this.room = room;
    this.agents = []; // in the order in which they came into the call
  }

  /** What is in sight since `from`, from top to bottom: {kind, row, label}. `me` is the caller who looks on. */
  inSight(from, me) {
    const { room } = this;
    const seen = (row, over) => !over(row) || row.at > from;
    const callers = [...room.callers.values()].filter((c) => c.state !== "gone" || (c.spans.at(-1)?.[1] ?? 0) > from);
    const tasks = byWorker([...room.tasks.values()]).filter((t) => seen(t, taskOver)).slice(-MAX_LANES);
    const deliveries = [...room.deliveries.values()].filter((d) => seen(d, deliveryOver)).slice(-MAX_LANES);
    return [
      ...callers.map((row) => ({ kind: "caller", row, label: row.id === me ? "You" : row.name })),
      ...this.#agents(from).map((label) => ({ kind: "agent", row: { id: label }, label })),
      ...tasks.map((row) => ({ kind: "task", row, label: row.label })),
      ...deliveries.map((row) => ({ kind: "delivery", row, label: row.label })),
    ];
  }

  /** Those who were heard, or handed something over, and who has the conversation. */
  #agents(from) {
    const { room } = this;
    const seen = new Set();
    for (const { from: giver, to, at } of room.handoffs) {
      if (at > from) for (const name of [giver, to]) seen.add(name ?? PERSON);
    }
    for (const utterance of room.utterances.values()) {
      for (const part of heardOf(utterance)) {
        if (part.from !== null && (part.until ?? Infinity) > from) seen.add(part.name);
      }
    }
    if (room.holder) seen.add(room.holder.agent ?? PERSON);
    if (!seen.size) seen.add(this.agents.at(-1) ?? NOBODY);
    for (const name of seen) if (name !== NOBODY && !this.agents.includes(name)) this.agents.push(name);
    if (this.agents.length > 10 * MAX_LANES) this.agents.shift();
    return [...this.agents, NOBODY].filter((name) => seen.has(name)).slice(0, MAX_LANES);
  }
}

/** An utterance's parts with when they were heard: {name, text, from, until}; null: not yet. */
export function heardOf(utterance) {
  const all = parts(utterance);
  const end = utterance.spans.at(-1)?.[1] ?? null;
  return all.map(({ name, start, end: stop, at }, i) => ({
    name,
    text: utterance.text.slice(start, stop).trim(),
    from: i === 0 ? (utterance.spans[0]?.[0] ?? null) : at,
    until: all[i + 1]?.at ?? end,
  }));
}

/** Tasks, with the parts of a review loop that one worker does round by round put together: the newest, and `parts`. */
export function byWorker(tasks) {
  const rows = new Map();
  for (const task of tasks) {
    const id = task.round ? `${task.parent}|${task.label}` : task.id;
    rows.set(id, task.round ? { ...task, id, parts: [...(rows.get(id)?.parts ?? []), task] } : task);
  }
  return [...rows.values()];
}
