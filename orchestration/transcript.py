"""A Transcript: what was said in a call and what went on underneath, in the order in which it began, line by line.

Pure: no I/O, no clock. Told what the ear hears and what the panel shows (`orchestration.panel` names the messages), it
keeps the lines that may still change apart from those that will not (`take`), and what stands now for a status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Literal

from orchestration.panel_rows import ENDED
from voice.simulated import Line

Kind = Literal["you", "agent", "result", "task", "delivery", "floor", "note"]
"""you: the caller's words; agent, result: the agent's, its own and those of a delivery; the rest happened beside."""

_PRESENCE = {
    "here": "in the room",
    "on_hold": "on hold: you neither hear nor are heard",
    "reconnecting": "the connection is broken; the room waits a while",
    "gone": "hung up",
}
_DROPPED = {"no_words": "a sound without words", "backchannel": "a sign of listening"}


@dataclass(slots=True, eq=False)
class Entry:
    """One line, from `at` (loop seconds) on. `open`: it may still change. `cut`: the rest of it was not heard."""

    at: float
    kind: Kind
    text: str
    open: bool = False
    cut: bool = False


@dataclass(slots=True)
class Underneath:
    """A task or a delivery that is not over."""

    label: str
    status: str
    why: str = ""
    """What it is at, or what it waits for."""
    parent: str | None = None
    """The task that it is a part of."""
    entry: Entry | None = None
    """The line that tells of its status; open until it is known what a delivery waits for."""

    def __str__(self) -> str:
        return f"{self.label}: {with_reason(self.status, self.why)}"


@dataclass(slots=True)
class Transcript:
    """`floor` and `blocker` are as in `voice.floor`; `presence` says where the caller is; rows are by id."""

    floor: str = "empty"
    blocker: str = "nobody"
    presence: str = "gone"
    tasks: dict[str, Underneath] = field(default_factory=dict)
    deliveries: dict[str, Underneath] = field(default_factory=dict)
    _entries: list[Entry] = field(default_factory=list)
    _lines: dict[Line, Entry] = field(default_factory=dict)
    """What the ear is having now."""
    _known: set[Line] = field(default_factory=set)
    _roles: dict[str, str] = field(default_factory=dict)

    @property
    def recent(self) -> Sequence[Entry]:
        """The lines that were not taken, oldest first."""
        return self._entries

    @property
    def owed(self) -> Sequence[str]:
        """What the caller has not heard yet: the tasks (but not the parts of one) and deliveries that are not over."""
        return [each.label for each in (*self.tasks.values(), *self.deliveries.values()) if not each.parent]

    @property
    def audible(self) -> bool:
        """A line of the agent's is not over."""
        return bool(self._lines)

    @property
    def settled(self) -> bool:
        """There is something to take."""
        return bool(self._entries) and not self._entries[0].open

    def take(self) -> list[Entry]:
        """The lines from the oldest on that will not change any more; each is given once."""
        end = next((n for n, entry in enumerate(self._entries) if entry.open), len(self._entries))
        taken, self._entries[:end] = self._entries[:end], []
        return taken

    def add(self, at: float, kind: Kind, text: str, *, open: bool = False) -> Entry:
        """A line begins; who calls closes it."""
        entry = Entry(at, kind, printable(text), open)
        self._entries.append(entry)
        return entry

    def heard(self, lines: Sequence[Line]) -> None:
        """What the ear has had so far, all of it."""
        for line in reversed([*takewhile(lambda line: line not in self._known, reversed(lines))]):
            self._known.add(line)
            self._lines[line] = self.add(line.started, "agent", "", open=True)
        for line, entry in list(self._lines.items()):
            if not line.spans:  # it was silenced before any of it was heard
                self._entries.remove(entry)
                del self._lines[line]
                continue
            entry.text = printable(line.heard.strip())
            entry.kind = "result" if self._roles.get(line.utterance.id) == "delivery" else "agent"
            if line.over:
                entry.open, entry.cut = False, line.interrupted
                del self._lines[line]

    def waits(self, delivery: str, why: str) -> None:
        """What a delivery waits for now."""
        row = self.deliveries[delivery]
        row.why = why
        if row.entry is not None and row.entry.open:
            row.entry.text, row.entry.open = str(row), False

    def told(self, kind: str, payload: Mapping[str, Any]) -> None:
        """A message for the panel."""
        match kind:
            case "floor":
                self._floor(payload)
            case "caller":
                self.presence = payload["state"]
                self.add(payload["at"], "note", f"({_PRESENCE[self.presence]})")
            case "utterance":
                self._roles[payload["id"]] = payload["role"]
            case "dropped":
                why = "broken off" if payload["why"] == "no_words" and payload["text"] else _DROPPED[payload["why"]]
                self.add(payload["at"], "note", f"({why}: no turn)")
            case "handoff":
                self.add(payload["at"], "note", f"({_handoff(payload)})")
            case "digit":
                self.add(payload["at"], "note", f"(key {payload['digit']})")
            case "task":
                self._task(payload)
            case "delivery":
                self._delivery(payload)

    def _floor(self, change: Mapping[str, Any]) -> None:
        moved = change["state"] != self.floor
        self.floor, self.blocker = change["state"], change["blocker"] or ""
        if moved:
            self.add(change["at"], "floor", with_reason(self.floor, self.blocker))

    def _task(self, row: Mapping[str, Any]) -> None:
        status, progress = row["status"], row["progress"]
        if status in ENDED:
            self.tasks = {id: t for id, t in self.tasks.items() if row["id"] not in (id, t.parent)}
        else:
            self.tasks[row["id"]] = Underneath(printable(row["label"]), status, printable(progress), row["parent"])
        if row["parent"] and status == "running" and not progress:
            return  # a part of a task that was told of just now; what it does follows
        label = f"{row['label']}, round {row['round']}" if row["round"] else row["label"]
        self.add(row["at"], "task", f"{label}: {progress if progress and status == 'running' else status}")

    def _delivery(self, row: Mapping[str, Any]) -> None:
        now = Underneath(printable(row["label"]) or "a message", row["status"], printable(row["reason"]))
        before = self.deliveries.pop(row["id"], None)
        if before is not None and before.status == now.status:
            now.entry = before.entry
        else:
            unknown = now.status == "queued" and not now.why
            cut = before is not None and before.status == "speaking" and now.status == "queued"
            text = f"{now.label}: cut ({now.why}); the rest is owed" if cut else str(now)
            now.entry = self.add(row["at"], "delivery", text, open=unknown)
            if before is not None and before.entry is not None:
                before.entry.open = False
        if now.status not in ENDED:
            self.deliveries[row["id"]] = now


def _handoff(row: Mapping[str, Any]) -> str:
    giver, taker = row["from"] or "a person", row["to"] or "a person"
    return f"{giver} did not answer: back to {taker}" if row["back"] else f"{giver} handed over to {taker}"


def with_reason(status: str, why: str) -> str:
    """A status and what it is due to."""
    return f"{status} ({why})" if why else status


def printable(text: str) -> str:
    """A model's words may hold what steers a terminal: blanks stand for that."""
    return "".join(c if c.isprintable() else " " for c in text)
