// The transcript of what was heard: callers' turns, and the agent's words up to the last one that reached the ear.

import { Rows, element } from "./rows.js";

const ROLES = { delivery: "result", apology: "apology" };
const UNSURE = 0.5;

/** The entries of the transcript, oldest first: [key, row]. */
export function entries(room) {
  const turns = room.turns.map((turn) => [`t:${turn.id}`, { kind: "turn", at: turn.started, who: turn.caller, ...turn }]);
  const said = [...room.utterances.values()]
    .filter((u) => u.text && (u.spans.length || !u.done))
    .map((u) => [`u:${u.id}`, { ...u, kind: "said", at: u.spans[0]?.[0] ?? u.at }]);
  const words = [...room.callers.values()]
    .filter((c) => c.words)
    .map((c) => [`w:${c.id}`, { kind: "words", who: c.id, text: c.words, at: Infinity }]);
  return [...turns, ...said, ...words].sort(([, a], [, b]) => a.at - b.at);
}

/** Where the agent's text is split: what was heard, and the rest. */
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
      (row) => JSON.stringify([row.kind, row.text, row.heard, row.done, row.who && name(row.who)]),
      (node, row) => (row.kind === "said" ? this.#agent(node, row) : this.#caller(node, row)),
    );
  }

  show() {
    const shown = entries(this.room);
    const fresh = this.rows.show(shown);
    this.list.parentElement.dataset.empty = String(!shown.length);
    this.#follow();
    if (fresh.length || shown.some(([key, row]) => row.done && !this.told.has(key))) this.#tell(shown);
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
    const cut = row.done && after.trim();
    node.className = `entry said ${row.role}`;
    const who = element("span", "who", "Agent");
    if (ROLES[row.role]) who.append(" ", element("span", "role", ROLES[row.role]));
    const text = element("p");
    text.append(element("span", "heard", before));
    if (after) text.append(element(cut ? "del" : "span", cut ? "unheard" : "ahead", after));
    node.append(who, text);
    if (cut) node.append(element("span", "note", before ? "interrupted: the rest was not heard" : "not heard"));
  }

  /** Whole turns, and the agent's words once they are over, for those who listen to the page. */
  #tell(shown) {
    for (const [key, row] of shown) {
      if (this.told.has(key) || row.kind === "words" || (row.kind === "said" && !row.done)) continue;
      this.told.add(key);
      if (row.kind === "turn") this.say(`${this.name(row.who)}: ${row.text}`);
      else if (row.heard) this.say(`Agent: ${heard(row)[0]}${heard(row)[1].trim() ? ", interrupted" : ""}`);
    }
  }
}
