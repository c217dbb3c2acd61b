// The page: joins what the parts show to what the caller does.

import { whyNoAudio } from "./audio.js";
import { Board } from "./board.js";
import { Call, store } from "./call.js";
import { Room } from "./room.js";
import { Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";
import { element } from "./rows.js";
import { ending, presence } from "./words.js";

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((node) => [node.id.replaceAll(/-(\w)/g, (_, c) => c.toUpperCase()), node]),
);

const room = new Room();
const call = new Call(page.player);
const nameOf = (id) => (id === call.caller?.id ? "You" : room.nameOf(id));
const whoIs = (id) => (id === null || id === undefined ? "the caller" : id === call.caller?.id ? "you" : room.nameOf(id));
const timeline = new Timeline(page.timeline, room, () => call.now);
const transcript = new Transcript(page.transcript, room, nameOf, readOut);
const board = new Board(page, room, whoIs, (text) => (page.status.textContent = text));

let stale = false;

/** For screen readers: the newest lines of the transcript. */
function readOut(text) {
  page.spoken.append(element("p", "", text));
  while (page.spoken.childElementCount > 20) page.spoken.firstElementChild.remove();
}

/** Show what changed, at most ten times a second; the timeline paints itself. */
function refresh() {
  if (stale) return;
  stale = true;
  setTimeout(() => {
    stale = false;
    show();
  }, 100);
}

function show() {
  transcript.show();
  board.show(call.now, call.state === "live");
  callers();
}

function callers() {
  const here = [...room.callers.values()].filter((c) => c.state !== "gone");
  const names = here.map((c) => `${nameOf(c.id)}${presence(c.state) ? ` (${presence(c.state)})` : ""}`);
  page.callers.textContent = names.join(", ");
}

// Problems, in words.

function problem(title, text, code = "") {
  page.problemTitle.textContent = title;
  page.problemText.textContent = text;
  page.problem.dataset.code = code;
  page.problem.hidden = false;
}

function noProblem() {
  page.problem.hidden = true;
}

page.problemClose.addEventListener("click", noProblem);

// Joining and leaving.

const CONNECTION = {
  idle: "Not connected",
  joining: "Joining",
  live: "Connected",
  reconnecting: "Reconnecting",
};

async function join() {
  const name = page.name.value.trim();
  const roomName = page.room.value.trim() || "lobby";
  store.set("name", name);
  noProblem();
  const here = new URL(location.href);
  here.searchParams.set("room", roomName);
  history.replaceState(null, "", here);
  try {
    await call.join({ room: roomName, name, microphone: store.get("microphone"), speaker: store.get("speaker") });
  } catch (error) {
    problem(error.title ?? "The call could not start", error.message, error.code);
  }
}

function leave() {
  call.leave();
}

function mute(muted) {
  call.muted = muted;
  page.mute.setAttribute("aria-pressed", String(muted));
  page.muteText.textContent = muted ? "Unmute" : "Mute";
  page.status.textContent = muted ? "Your microphone is off" : "Your microphone is on";
  document.body.dataset.muted = String(muted);
}

page.joinForm.addEventListener("submit", (event) => {
  event.preventDefault();
  if (call.state === "idle") join();
});
page.leave.addEventListener("click", leave);
page.mute.addEventListener("click", () => mute(!call.muted));

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea");
  if (call.state === "idle" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.key === "Escape" && !typing) leave();
  else if (event.key.toLowerCase() === "m" && !typing) mute(!call.muted);
  else return;
  event.preventDefault();
});

call.addEventListener("state", ({ detail }) => {
  const { state } = detail;
  document.body.dataset.state = state;
  page.connectionText.textContent = CONNECTION[state];
  const calling = state === "live" || state === "reconnecting";
  const was = !page.call.hidden;
  page.call.hidden = !calling;
  page.lobby.hidden = calling;
  page.join.disabled = state === "joining";
  page.join.textContent = state === "joining" ? "Joining…" : "Join";
  if (state === "live") {
    noProblem();
    page.where.textContent = call.room;
    timeline.me = call.caller.id;
    if (!was) begin(detail.help);
  }
  if (state === "idle" && was) {
    timeline.stop();
    page.join.focus({ preventScroll: true });
  }
  show();
});

function begin(help) {
  timeline.origin = null;
  timeline.start();
  if (help) showHelp(help);
  mute(call.muted);
  showDevices();
  page.mute.focus({ preventScroll: true });
}

call.addEventListener("over", ({ detail }) => {
  if (detail.code === 1000 && !detail.reason && !detail.error) return; // we left
  const { title, text } = ending(detail);
  problem(title, text, detail.error?.code ?? String(detail.code));
});

call.addEventListener("error", ({ detail }) => {
  problem(detail.title ?? "The room did not take something", detail.message, detail.code);
});

call.addEventListener("panel", ({ detail }) => {
  room.apply(detail.kind, detail.payload);
  refresh();
});

call.addEventListener("audio", () => {
  const { rtt, prebuffer, underruns } = call.stats;
  page.quality.textContent = rtt === null ? "" : `${Math.round(rtt * 1000)} ms`;
  page.quality.title = `Round trip ${Math.round((rtt ?? 0) * 1000)} ms; ${Math.round(prebuffer * 1000)} ms held back; ran dry ${underruns} times`;
});

call.addEventListener("level", ({ detail }) => {
  page.level.value = call.muted ? 0 : Math.min(1, Math.sqrt(detail) * 1.2);
});

// Devices.

page.devicesButton.addEventListener("click", () => {
  const open = page.devicesButton.getAttribute("aria-expanded") !== "true";
  page.devicesButton.setAttribute("aria-expanded", String(open));
});

function options(select, devices, chosen) {
  select.replaceChildren(new Option("System default", ""), ...devices.map(({ id, label }) => new Option(label, id)));
  select.value = devices.some(({ id }) => id === chosen) ? chosen : "";
}

async function showDevices() {
  const { microphones, speakers } = await call.audio.devices();
  options(page.microphone, microphones, store.get("microphone"));
  options(page.speaker, speakers, store.get("speaker"));
  page.speaker.closest("label").hidden = !call.audio.canChooseSpeaker || !speakers.length;
}

page.microphone.addEventListener("change", async ({ target }) => {
  store.set("microphone", target.value);
  try {
    await call.audio.useMicrophone(target.value);
  } catch (error) {
    problem(error.title, error.message, error.code);
  }
});
page.speaker.addEventListener("change", ({ target }) => {
  store.set("speaker", target.value);
  call.audio.useSpeaker(target.value);
});
call.addEventListener("devices", showDevices);

// How much of the past is in sight.

timeline.span = innerWidth < 800 ? 30 : 60;
for (const choice of document.querySelectorAll("[name=span]")) {
  choice.checked = Number(choice.value) === timeline.span;
  choice.addEventListener("change", () => {
    timeline.span = Number(choice.value);
    timeline.paint();
  });
}

// What the agent understands.

function showHelp(help) {
  for (const list of document.querySelectorAll(".phrases")) {
    list.replaceChildren(
      ...help.phrases.map(({ say, does }) => {
        const item = element("li");
        item.append(element("q", "", say));
        if (does) item.append(element("span", "does", does));
        return item;
      }),
    );
  }
  for (const node of document.querySelectorAll(".brain")) node.textContent = help.agents;
  for (const node of document.querySelectorAll(".brain-note")) node.textContent = help.note;
  for (const node of document.querySelectorAll(".scripted")) node.hidden = !help.scripted;
  for (const node of document.querySelectorAll(".help")) node.hidden = !help.phrases.length && !help.note;
}

async function about() {
  try {
    const { title, help } = await (await fetch(new URL("about", import.meta.url))).json();
    document.title = title;
    page.title.textContent = title;
    showHelp(help);
  } catch {
    problem("The server does not answer", "The page is here, but its server is gone. Is it still running? Then reload the page.");
  }
}

page.name.value = store.get("name") ?? "";
page.room.value = new URLSearchParams(location.search).get("room") ?? "lobby";
(page.name.value ? page.join : page.name).focus();
setInterval(() => call.state !== "idle" && board.show(call.now, call.state === "live"), 500);
setInterval(() => page.timeline.setAttribute("aria-label", timeline.describe()), 5000);
const cannot = whyNoAudio();
if (cannot) {
  problem(cannot.title, cannot.message, cannot.code);
  page.join.disabled = true;
}
about();

/** For tests and the curious: what the page knows. */
window.sottovoce = { call, room, timeline };
