"""The floor among people who write and read. Nobody holds it: it is open when nothing is owed and nothing on its way.

To whoever looks it is the floor of `voice.floor` without voices, at a cost that does not grow with how many read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voice.events import (
    Event,
    Joined,
    Left,
    ReplySettled,
    SpeakingEnded,
    SpeakingPlanned,
    SpeakingStarted,
    Turn,
    TurnEnded,
)
from voice.floor_view import Blocker, FloorAction, FloorChanged, FloorState, FloorView, ReplyOverdue

REPLY = 330.0
"""Seconds until a reply is given up. A reader waits longer than a listener: as long as work that is done inline may
take, and a little more. They count from the turn, or from what was last written after it."""


@dataclass(slots=True)
class WrittenFloor:
    """The state machine, used like `voice.floor.Floor`; times are seconds of the caller's clock."""

    reply: float = REPLY
    _readers: set[str] = field(default_factory=set)
    _owed: dict[str, tuple[Turn, float]] = field(default_factory=dict)
    """Turns and since when their replies are owed, oldest first."""
    _planned: set[str] = field(default_factory=set)
    _leaving: set[str] = field(default_factory=set)
    """Utterances on their way to the readers."""
    _ended_at: float = float("-inf")
    """When the last utterance was over."""
    _view: FloorView = field(default_factory=lambda: FloorView(FloorState.EMPTY, Blocker.NOBODY, 0.0))

    @property
    def view(self) -> FloorView:
        """The floor after the last event."""
        return self._view

    def deadline(self) -> float | None:
        """When `expire` must be called next, if nothing happens before."""
        if not self._owed or self._leaving:
            return None
        _, since = next(iter(self._owed.values()))
        return max(since, self._ended_at) + self.reply

    def handle(self, event: Event, now: float) -> list[FloorAction]:
        """Take in what happened at `now`; returns what follows from it, oldest first."""
        actions = self.expire(now)
        self._apply(event, now)
        self._derive(now, actions)
        return actions

    def expire(self, now: float) -> list[FloorAction]:
        """Carry out the timers due up to `now`, each at its own time."""
        actions: list[FloorAction] = []
        while (due := self.deadline()) is not None and due <= now:
            turn, _ = self._owed.pop(next(iter(self._owed)))
            actions.append(ReplyOverdue(turn))
            self._derive(due, actions)
        return actions

    def _apply(self, event: Event, now: float) -> None:
        match event:
            case SpeakingPlanned(id):
                self._planned.add(id)
            case SpeakingStarted(id):
                self._planned.discard(id)
                self._leaving.add(id)
            case SpeakingEnded(id):
                self._planned.discard(id)
                self._leaving.discard(id)
                self._ended_at = now
            case TurnEnded(turn):
                self._owed[turn.id] = (turn, now)
            case ReplySettled(turn_id):
                self._owed.pop(turn_id, None)
            case Joined(id):
                self._readers.add(id)
            case Left(id):
                self._readers.discard(id)
                self._owed = {key: owed for key, owed in self._owed.items() if owed[0].caller != id}
            case _:
                pass

    def _derive(self, now: float, actions: list[FloorAction]) -> None:
        """Work out the state; the only place where it is decided."""
        state, blocker = self._raw()
        old = self._view
        if state is old.state and blocker is old.blocker:
            return
        since = old.since if state is old.state else now
        self._view = FloorView(state, blocker, since, now if state is FloorState.OPEN else None)
        actions.append(FloorChanged(self._view))

    def _raw(self) -> tuple[FloorState, Blocker | None]:
        if not self._readers:
            return FloorState.EMPTY, Blocker.NOBODY
        if self._leaving:
            return FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING
        if self._owed:
            return FloorState.AGENT_OWES, Blocker.REPLY
        if self._planned:
            return FloorState.AGENT_OWES, Blocker.SPEECH
        return FloorState.OPEN, None
