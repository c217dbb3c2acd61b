"""Rooms, tasks and deliveries as messages for the page: told facts, it sends what changed and keeps a bounded snapshot.

Pure: no I/O, no clock. Every time is in loop seconds; `welcome`, `pong` and `snapshot` carry the loop's `now`, so that
a page can align them with its own clock. Messages, by kind (what the page, and anybody else's page, relies on):

    snapshot   {now, callers, floor, turns, utterances, tasks, deliveries, handoffs, holder}: all that is known, oldest
               first; the page starts anew from it. `holder` is null where nobody needs to be told. The rows are those
               of the messages below, with in addition
               callers[].spans, utterances[].spans: [[from, until or null], ...] when they were audible
               callers[].words: what they are saying, as far as it is understood
               utterances[].heard, .done, .question and the whole text
               tasks[].history, deliveries[].history: [[status, reason or progress, at], ...]
    caller     {id, name, state, at}  state: here, ringing, on_hold, reconnecting, gone
    speech     {caller, on, at}       their voice begins or stops
    words      {caller, text, at}     what they are saying, so far ("" when the turn is over)
    turn       {id, caller, text, started, ended, confidence, at}
    dropped    {caller, why, text, at} speech that made no turn: no_words, backchannel
    digit      {caller, digit, at}
    floor      {state, blocker, caller, since, at}  as in voice/floor.py
    utterance  {id, role, deliveries, from, text, agents, at}  an agent's words: `text` replaces everything from
               character `from` on. role: reply, delivery, apology. agents: [{start, name, heard}, ...], whose words
               begin at which character; more than one when the conversation was handed over within it. `heard` is
               when the first of them reached the ear, or null
    speaking   {utterance, state, question, until, at}  state: scheduled (audible until `until`), started, paused, ended
    heard      {utterance, chars, at} this many characters of its text have reached the ear
    handoff    {from, to, back, utterance, chars, at}  an agent gave the conversation to another one (null: a person),
               or (back) got it and did not answer, so that the other has it again; within an utterance after so many
               characters (null and 0: beside what is said). Names only: what agents tell each other about a caller
               is not for the page
    holder     {agent, at}  who has the conversation, told where it may change; null: a person
    task       {id, label, status, parent, round, progress, at}  round: of a review loop, from 1 on; else 0
    delivery   {id, label, status, reason, heard_chars, length, task, at}  heard_chars and length: characters

Text is cut at MAX_TEXT characters, labels, reasons and progress at MAX_LABEL; older rows make room for newer ones,
those that are over first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from orchestration.panel_rows import (
    MAX_ROWS,
    CallerRow,
    DeliveryRow,
    Part,
    TaskRow,
    UtteranceRow,
    add,
    make_room,
    mark,
    without_history,
)
from voice.events import (
    Deafened,
    DigitPressed,
    Event,
    Joined,
    Left,
    SpeakingEnded,
    SpeakingHeard,
    SpeakingPaused,
    SpeakingScheduled,
    SpeakingStarted,
    SpeechStarted,
    SpeechStopped,
    Turn,
    TurnDropped,
    TurnEnded,
    WordsHeard,
)
from voice.floor import FloorChanged

Send = Callable[[str, Mapping[str, Any]], None]
"""Shows a message (kind, payload) to everybody in the room; must not raise."""
UtteranceRole = Literal["reply", "delivery", "apology"]

MAX_TEXT = 2000
MAX_LABEL = 200
MAX_FLOOR = 240
"""Changes of the floor remembered."""
MAX_PARTS = 20
"""Agents' parts of one utterance that are told."""


class Panel:
    """One room's panel. Tell it what happens; it calls `send` with what a page needs to know."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._callers: dict[str, CallerRow] = {}
        self._floor: list[dict[str, Any]] = []
        self._turns: list[dict[str, Any]] = []
        self._utterances: dict[str, UtteranceRow] = {}
        self._tasks: dict[str, TaskRow] = {}
        self._deliveries: dict[str, DeliveryRow] = {}
        self._handoffs: list[dict[str, Any]] = []
        self._holder: dict[str, Any] | None = None

    def snapshot(self, now: float) -> dict[str, Any]:
        """All that is known at `now` (loop seconds), JSON-ready, for a page that comes late or comes back."""
        return {
            "now": now,
            "callers": [asdict(caller) for caller in self._callers.values()],
            "floor": [dict(change) for change in self._floor],
            "turns": [dict(turn) for turn in self._turns],
            "utterances": [asdict(utterance) for utterance in self._utterances.values()],
            "tasks": [asdict(task) for task in self._tasks.values()],
            "deliveries": [asdict(delivery) for delivery in self._deliveries.values()],
            "handoffs": [dict(handoff) for handoff in self._handoffs],
            "holder": self._holder and dict(self._holder),
        }

    def caller(self, id: str, name: str) -> None:
        """Say what a caller is called; before their `Joined` if possible. Without it they go by their id."""
        row, name = self._caller(id), _cut(name, MAX_LABEL)
        if row.name != name:
            row.name = name
            if not row.over:
                self._send("caller", {"id": id, "name": name, "state": row.state, "at": row.at})

    def event(self, event: Event | FloorChanged, at: float) -> None:
        """Take in what the channel says happened at `at`."""
        match event:
            case Joined(id):
                self._presence(id, "here", at)
            case Left(id):
                self._presence(id, "gone", at)
            case Deafened(id, why):
                self._presence(id, why.value, at)
            case SpeechStarted(id) | SpeechStopped(id):
                on = isinstance(event, SpeechStarted)
                mark(self._caller(id).spans, on, at)
                self._send("speech", {"caller": id, "on": on, "at": at})
            case WordsHeard(id, text):
                self._words(id, text, at)
            case TurnEnded(turn):
                self._turn(turn, at)
            case TurnDropped(id, why, text):
                self._words(id, "", at)
                self._send("dropped", {"caller": id, "why": why.value, "text": _cut(text, MAX_TEXT), "at": at})
            case DigitPressed(id, digit):
                self._send("digit", {"caller": id, "digit": digit, "at": at})
            case FloorChanged(view):
                change = {"state": view.state.value, "blocker": view.blocker and view.blocker.value}
                self._floor_is({**change, "caller": view.caller, "since": view.since, "at": at})
            case SpeakingHeard(id, chars):
                self._heard(id, chars, at)
            case SpeakingScheduled() | SpeakingStarted() | SpeakingPaused() | SpeakingEnded():
                self._speaking(event, at)
            case _:
                pass

    def utterance(
        self,
        id: str,
        text: str,
        kind: UtteranceRole = "reply",
        deliveries: Sequence[str] = (),
        agents: Sequence[tuple[int, str]] = (),
        *,
        at: float,
    ) -> None:
        """An agent says, or is about to say, `text`; call again with the whole text as it grows.

        `deliveries` are the ids of those it carries, `agents` the names of those whose words it has, each with the
        character at which theirs begin.
        """
        text = _cut(text, MAX_TEXT)
        parts = [Part(start, _cut(name, MAX_LABEL)) for start, name in agents if not start or start < len(text)]
        parts = parts[:MAX_PARTS]
        row = self._utterances.get(id)
        if row is None:
            make_room(self._utterances)
            row = self._utterances[id] = UtteranceRow(id, kind, list(deliveries), "", at)
        elif (row.text, row.role, row.deliveries) == (text, kind, list(deliveries)) and len(row.agents) == len(parts):
            return
        start = len(row.text) if text.startswith(row.text) else 0
        row.text, row.role, row.deliveries = text, kind, list(deliveries)
        row.agents += parts[len(row.agents) :]
        row.hear(row.heard, at)
        message = {"id": id, "role": kind, "deliveries": list(deliveries), "from": start, "text": text[start:]}
        self._send("utterance", {**message, "agents": [asdict(part) for part in row.agents], "at": at})

    def handoff(
        self,
        giver: str | None,
        taker: str | None,
        utterance: str | None = None,
        chars: int = 0,
        *,
        back: bool = False,
        at: float,
    ) -> None:
        """The agent called `giver` gave the conversation to `taker`; None: a person.

        `utterance`: within that one, after so many characters of its text. `back`: `giver` got it and did not answer.
        """
        names = {name: who and _cut(who, MAX_LABEL) for name, who in (("from", giver), ("to", taker))}
        row = {**names, "back": back, "utterance": utterance, "chars": chars, "at": at}
        self._handoffs.append(row)
        del self._handoffs[:-MAX_ROWS]
        self._send("handoff", dict(row))

    def holder(self, agent: str | None, *, at: float) -> None:
        """The agent of this name has the conversation (None: a person)."""
        agent = agent if agent is None else _cut(agent, MAX_LABEL)
        if self._holder is None or self._holder["agent"] != agent:
            self._holder = {"agent": agent, "at": at}
            self._send("holder", dict(self._holder))

    def task(
        self,
        id: str,
        label: str,
        status: str,
        parent: str | None = None,
        progress: str = "",
        round: int = 0,
        *,
        at: float,
    ) -> None:
        """A background task is `status` (queued, running, done, failed, cancelled) at `at`; `progress` in words.

        `round`: in which round of a review loop it is done (0: in none).
        """
        label, progress = _cut(label, MAX_LABEL), _cut(progress, MAX_LABEL)
        row = self._tasks.get(id)
        told = (label, status, parent, round, progress)
        if row and (row.label, row.status, row.parent, row.round, row.progress) == told:
            return
        if row is None:
            make_room(self._tasks)
        history = row.history if row else []
        self._tasks[id] = TaskRow(id, *told, at, history)
        add(history, [status, progress, at])
        self._send("task", without_history(self._tasks[id]))

    def delivery(
        self,
        id: str,
        label: str,
        status: str,
        reason: str = "",
        heard_chars: int = 0,
        length: int = 0,
        task: str | None = None,
        *,
        at: float,
    ) -> None:
        """A delivery is `status` (as in delivery/ledger.py) at `at`.

        `reason`: why it waits (a floor blocker, or any words) or why it ended. `heard_chars` of `length` characters of
        its wording were heard. `task` is the id of the one whose result it is.
        """
        label, reason = _cut(label, MAX_LABEL), _cut(reason, MAX_LABEL)
        old = self._deliveries.get(id)
        row = DeliveryRow(id, label, status, reason, heard_chars, length, task, at, old.history if old else [])
        if old and asdict(old) == asdict(row) | {"at": old.at}:
            return
        if old is None:
            make_room(self._deliveries)
        if old is None or (old.status, old.reason) != (status, reason):
            add(row.history, [status, reason, at])
        self._deliveries[id] = row
        self._send("delivery", without_history(row))

    def _caller(self, id: str) -> CallerRow:
        row = self._callers.get(id)
        if row is None:
            make_room(self._callers)
            row = self._callers[id] = CallerRow(id, _cut(id, MAX_LABEL))
        return row

    def _presence(self, id: str, state: str, at: float) -> None:
        row = self._caller(id)
        row.state, row.at = state, at
        if state != "here":
            mark(row.spans, False, at)
            row.words = ""
        self._send("caller", {"id": id, "name": row.name, "state": state, "at": at})

    def _words(self, id: str, text: str, at: float) -> None:
        row, text = self._caller(id), _cut(text, MAX_TEXT)
        if row.words != text:
            row.words = text
            self._send("words", {"caller": id, "text": text, "at": at})

    def _turn(self, turn: Turn, at: float) -> None:
        self._words(turn.caller, "", at)
        row = {**asdict(turn), "text": _cut(turn.text, MAX_TEXT), "at": at}
        self._turns.append(row)
        del self._turns[:-MAX_ROWS]
        self._send("turn", dict(row))

    def _floor_is(self, change: dict[str, Any]) -> None:
        self._floor.append(change)
        del self._floor[:-MAX_FLOOR]
        self._send("floor", dict(change))

    def _heard(self, id: str, chars: int, at: float) -> None:
        row = self._utterances.get(id)
        if row is not None and chars > row.heard:
            row.hear(chars, at)
            self._send("heard", {"utterance": id, "chars": chars, "at": at})

    def _speaking(self, event: SpeakingScheduled | SpeakingStarted | SpeakingPaused | SpeakingEnded, at: float) -> None:
        state = _SPEAKING[type(event)]
        question = isinstance(event, SpeakingEnded) and event.question
        until = event.until if isinstance(event, SpeakingScheduled) else None
        if row := self._utterances.get(event.utterance):
            if state != "scheduled":
                mark(row.spans, state == "started", at)
            row.done |= state == "ended"
            row.question |= question
        message = {"utterance": event.utterance, "state": state, "question": question, "until": until}
        self._send("speaking", {**message, "at": at})


_SPEAKING = {
    SpeakingScheduled: "scheduled",
    SpeakingStarted: "started",
    SpeakingPaused: "paused",
    SpeakingEnded: "ended",
}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
