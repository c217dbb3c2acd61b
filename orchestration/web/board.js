// What goes on underneath, as lists: the floor with its reason, the tasks, and the deliveries with why they wait.

import { byWorker } from "./lanes.js";
import { Rows, element } from "./rows.js";
import { deliveryOver, taskOver } from "./room.js";
import { FLOOR, because, duration, standing, withWhom } from "./words.js";

const STEADY = 1200; // ms the floor must rest before it is read out
const SIGNS = { queued: "·", running: "", done: "✓", failed: "✕", cancelled: "–" };

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export class Board {
  /** `who(id)` is how a caller is spoken of ("you"); `say(text)` is read out by screen readers. */
  constructor(page, room, who, say) {
    this.page = page;
    this.room = room;
    this.who = who;
    this.say = say;
    this.said = "";
    this.timer = 0;
    this.tasks = new Rows(page.tasks, (t) => JSON.stringify([t.label, t.status, t.progress, t.parent, t.round]), (node, t) => this.#task(node, t));
    this.deliveries = new Rows(
      page.deliveries,
      (d) => JSON.stringify([d.label, d.status, d.heard_chars, d.length, this.#standing(d)]),
      (node, d) => this.#delivery(node, d),
    );
  }

  show(now, connected) {
    if (connected) this.#floor(now);
    else this.#cut();
    const tasks = new Map(byWorker([...this.room.tasks.values()]).map((task) => [task.id, task]));
    this.tasks.show(underParents(newestFirst(tasks, taskOver)));
    this.deliveries.show(newestFirst(this.room.deliveries, deliveryOver));
    this.page.tasks.parentElement.dataset.empty = String(!this.room.tasks.size);
    this.page.deliveries.parentElement.dataset.empty = String(!this.room.deliveries.size);
  }

  #standing(delivery) {
    return standing(delivery, this.room.floor, this.who(this.room.floor.caller));
  }

  #cut() {
    const { page } = this;
    page.floor.dataset.floor = "empty";
    set(page.floorName, "The line is cut");
    set(page.floorWhy, "Trying to reach the room again. It keeps your place for a while, and what you are owed for longer.");
    set(page.floorSince, "");
    set(page.floorWait, "");
    set(page.floorWith, "");
    this.#tell("The line is cut. Trying to reach the room again.");
  }

  #floor(now) {
    const { floor, waiting } = this.room;
    const { page } = this;
    const who = this.who(floor.caller);
    const name = floor.state === "user_holds" ? (who === "you" ? "The floor is yours" : `The floor is ${who}’s`) : FLOOR[floor.state];
    const why = floor.state === "open" ? "Nobody speaks and nothing is owed." : `${capital(because(floor.blocker, who))}.`;
    const held = waiting.length === 1 ? "1 result waits" : `${waiting.length} results wait`;
    page.floor.dataset.floor = floor.state;
    set(page.floorName, name);
    set(page.floorWhy, why);
    set(page.floorSince, now === null ? "" : `for ${duration(now - floor.since)}`);
    set(page.floorWait, waiting.length ? `${held}${floor.state === "open" ? ": the silence is being measured" : " for the floor"}` : "");
    set(page.floorWith, this.room.holder ? withWhom(this.room.holder.agent) : "");
    this.#tell(`${name}. ${why} ${waiting.length ? held : ""}`.trim());
  }

  /** Read the floor out only when it has come to rest: it changes with every word. */
  #tell(text) {
    if (text === this.said) return;
    this.said = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.say(text), STEADY);
  }

  #task(node, task) {
    node.className = `row task ${task.status}${task.parent ? " child" : ""}`;
    const head = element("p", "row-head");
    head.append(element("span", "sign", SIGNS[task.status] ?? ""), element("span", "row-label", task.label));
    node.append(head);
    if (task.round) head.append(element("span", "round", `round ${task.round}: ${task.progress || task.status}`));
    else node.append(element("p", "row-note", task.progress || task.status));
  }

  #delivery(node, delivery) {
    node.className = `row delivery ${delivery.status}`;
    const head = element("p", "row-head");
    const sign = delivery.status === "heard" ? "✓" : deliveryOver(delivery) ? "✕" : "";
    head.append(element("span", "sign", sign), element("span", "row-label", delivery.label));
    node.append(head, element("p", "row-note", capital(this.#standing(delivery))));
    const partly = delivery.length && delivery.heard_chars && delivery.heard_chars < delivery.length;
    if (delivery.status === "speaking" || (partly && !deliveryOver(delivery))) {
      const bar = element("progress", "heard-bar");
      bar.max = delivery.length || 1;
      bar.value = delivery.heard_chars;
      bar.ariaLabel = "heard so far";
      node.append(bar);
    }
  }
}

function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** What goes on before what is over, each with the newest first. */
function newestFirst(rows, over) {
  const all = [...rows.entries()].reverse();
  return [...all.filter(([, row]) => !over(row)), ...all.filter(([, row]) => over(row))];
}

/** Tasks that another one started come right after it. */
function underParents(rows) {
  const known = new Set(rows.map(([id]) => id));
  const below = (id) => rows.filter(([, row]) => row.parent === id).flatMap((entry) => [entry, ...below(entry[0])]);
  return rows.filter(([, row]) => !known.has(row.parent)).flatMap((entry) => [entry, ...below(entry[0])]);
}
