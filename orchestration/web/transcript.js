// The transcript of what was heard: callers' turns, and the agents' words up to the last one that reached the ear, with
// who hands the conversation over to whom.

import { parts } from "./room.js";
import { Rows, element } from "./rows.js";
import { handedOver } from "./words.js";

const ROLES = { delivery: "result", apology: "apology" };
const UNSURE = 0.5;

/** The entries of the transcript, oldest first: [key, row]. */
export function entries(room) {
  const turns = room.turns.map((turn) => [`t:${turn.id}`, { kind: "turn", at: turn.started, who: turn.caller, ...turn }]);
  const handoffs = room.handoffs.map((h) => [`h:${h.at}:${h.to}`, { ...h, kind: "handoff", over: true }]);
  const shown = [...room.utterances.values()].filter((u) => u.text && (u.spans.length || !u.done));
  const said = shown.flatMap((u) => partsOf(u, handoffs.filter(([, h]) => h.utterance === u.id)));
  const within = new Set(shown.map((u) => u.id));
  const beside = handoffs.filter(([, h]) => !within.has(h.utterance) && (room.utterances.get(h.utterance)?.done ?? true));
  const words = [...room.callers.values()]
    .filter((c) => c.words)
    .map((c) => [`w:${c.id}`, { kind: "words", who: c.id, text: c.words, at: Infinity }]);
  return [...turns, ...said, ...beside, ...words].sort(([, a], [, b]) => a.at - b.at);
}

/** An utterance as entries, one for each agent, with the handoffs within it where they happened. */
function partsOf(u, handoffs) {
  const at = u.spans[0]?.[0] ?? u.at;
  const entries = parts(u).map(({ start, end, name }) => {
    const text = u.text.slice(start, end).trimStart();
    const heard = Math.max(0, u.heard - (end - text.length));
    const row = { kind: "said", role: u.role, agent: name, text, heard, over: u.done || (end < u.text.length && u.heard >= end), at };
    return [start, [`u:${u.id}:${start}`, row]];
  });
  for (const [key, handoff] of handoffs) {
    const before = entries.findIndex(([start]) => start >= handoff.chars);
    const place = before < 0 ? entries.length : before;
    const over = place === 0 || entries[place - 1][1][1].over;
    entries.splice(place, 0, [handoff.chars - 0.5, [key, { ...handoff, over, at }]]);
  }
  return entries.map(([, entry]) => entry);
}

/** Where an agent's text is split: what was heard, and the rest. */
export function heard(row) {
  return [row.text.slice(0, row.heard), row.text.slice(row.heard)];
}

export class Transcript {
  /** Shows `room` in `list`; `name(id)` says what a caller is called; `say(text)` is read out by screen readers. */
  constructor(list, room, name, say) {
    this.list = list;
    this.room = room;
    this.name = name;
    this.say = say;
    this.told = new Set();
    this.atEnd = true;
    list.addEventListener("scroll", () => {
      this.atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 48;
    });
    new ResizeObserver(() => this.#follow()).observe(list);
    this.rows = new Rows(
      list,
      (row) => JSON.stringify([row.kind, row.text, row.heard, row.over, row.agent, row.who && name(row.who)]),
      (node, row) => {
        if (row.kind === "said") this.#agent(node, row);
        else if (row.kind === "handoff") this.#handoff(node, row);
        else this.#caller(node, row);
      },
    );
  }

  show() {
    const shown = entries(this.room);
    const fresh = this.rows.show(shown);
    this.list.parentElement.dataset.empty = String(!shown.length);
    this.#follow();
    if (fresh.length || shown.some(([key, row]) => row.over && !this.told.has(key))) this.#tell(shown);
  }

  /** Stay at the newest line, unless the reader went back to an older one. */
  #follow() {
    if (this.atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  #caller(node, row) {
    node.className = `entry ${row.kind === "words" ? "partial" : "turn"}`;
    node.append(element("span", "who", this.name(row.who)));
    const text = element("p", "", row.text);
    if (row.confidence < UNSURE) {
      text.className = "unsure";
      text.title = "The recogniser was not sure of this";
    }
    node.append(text);
  }

  #agent(node, row) {
    const [before, after] = heard(row);
    const cut = row.over && after.trim();
    node.className = `entry said ${row.role}`;
    const who = element("span", "who", row.agent);
    if (ROLES[row.role]) who.append(" ", element("span", "role", ROLES[row.role]));
    const text = element("p");
    text.append(element("span", "heard", before));
    if (after) text.append(element(cut ? "del" : "span", cut ? "unheard" : "ahead", after));
    node.append(who, text);
    if (cut) node.append(element("span", "note", before ? "interrupted: the rest was not heard" : "not heard"));
  }

  #handoff(node, row) {
    node.className = "entry handoff";
    node.append(element("p", "", handedOver(row)));
  }

  /** Whole turns, the agents' words once they are over, and handoffs after those before them, for those who listen. */
  #tell(shown) {
    for (const [key, row] of shown) {
      if (this.told.has(key) || row.kind === "words" || (row.kind !== "turn" && !row.over)) continue;
      this.told.add(key);
      if (row.kind === "turn") this.say(`${this.name(row.who)}: ${row.text}`);
      else if (row.kind === "handoff") this.say(`${handedOver(row)}.`);
      else if (row.heard) this.say(`${row.agent}: ${heard(row)[0]}${heard(row)[1].trim() ? ", interrupted" : ""}`);
    }
  }
}
