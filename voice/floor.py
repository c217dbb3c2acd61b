"""The floor: who may speak now, and if not we, the named reason why. Sans-I/O: events in, changes out, no clock.

The states, their precedence and the rulings on broken parts are the house plan's ("hold the floor, not a timer");
the lengths of the waits stand in `FloorTimes`, each with its source. Times are seconds of the caller's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from voice.events import (
    Deafened,
    Deafness,
    DigitPressed,
    Event,
    Joined,
    Left,
    LevelMoved,
    ReplySettled,
    SpeakingEnded,
    SpeakingPaused,
    SpeakingPlanned,
    SpeakingScheduled,
    SpeakingStarted,
    SpeechStarted,
    SpeechStopped,
    Turn,
    TurnDropped,
    TurnEnded,
    WordsHeard,
)
from voice.floor_view import (
    Blocker,
    CallerGone,
    FloorAction,
    FloorChanged,
    FloorState,
    FloorTimes,
    FloorView,
    PlayoutUnconfirmed,
    ReplyOverdue,
)

__all__ = [
    "Blocker",
    "CallerGone",
    "Floor",
    "FloorAction",
    "FloorChanged",
    "FloorState",
    "FloorTimes",
    "FloorView",
    "PlayoutUnconfirmed",
    "ReplyOverdue",
]

_NEW = FloorView(FloorState.EMPTY, Blocker.NOBODY, 0.0)
_DEAF = {
    Deafness.RINGING: Blocker.RINGING,
    Deafness.HELD: Blocker.ON_HOLD,
    Deafness.RECONNECTING: Blocker.RECONNECTING,
}
_BY_CALLER = (Blocker.CALLER_SPEAKING, Blocker.CALLER_PAUSED, Blocker.DIGITS)


@dataclass(slots=True)
class _Caller:
    """What the floor knows of one caller."""

    deaf: Deafness | None = None
    deaf_since: float = 0.0
    speaking: bool = False
    in_turn: bool = False
    alive_at: float = 0.0
    """Last sign that the voice is a voice: it began, brought words, or changed its level."""
    silent_since: float = 0.0
    digits_until: float = float("-inf")

    def hush(self) -> None:
        """Forget a turn in progress."""
        self.speaking = self.in_turn = False
        self.digits_until = float("-inf")

    def blocker(self, now: float, times: FloorTimes) -> Blocker | None:
        """Why this caller holds the floor, if they do."""
        if self.speaking and now < self.alive_at + times.stuck:
            return Blocker.CALLER_SPEAKING
        if self.in_turn and not self.speaking and now < self.silent_since + times.turn:
            return Blocker.CALLER_PAUSED
        if now < self.digits_until:
            return Blocker.DIGITS
        return None

    def deadlines(self, times: FloorTimes) -> Iterator[float]:
        """When waiting for this caller ends by itself."""
        if self.deaf is Deafness.RECONNECTING:
            yield self.deaf_since + times.reconnect
        if self.speaking:
            yield self.alive_at + times.stuck
        elif self.in_turn:
            yield self.silent_since + times.turn
        if self.digits_until > float("-inf"):
            yield self.digits_until


@dataclass(slots=True)
class _Owed:
    """The reply to a turn, then (None) an excuse for it; or (`speech`) an utterance that is not at the ear."""

    turn: Turn | None
    until: float
    speech: bool = False


@dataclass(slots=True)
class Floor:
    """The state machine. Feed it every event with its time; call `expire` when `deadline()` has come.

    Time must not run backwards. Timers that fell due before an event are carried out first, at their own times, so a
    late wake-up changes no outcome.

    `owns_turns`: a model decides by itself whether and when to answer (`Capabilities.owns_turns`). `TurnEnded` is then
    its end of the caller's speech; the reply is owed from there to the first sound of ours, and nobody apologises for
    one that does not come.
    """

    times: FloorTimes = field(default_factory=FloorTimes)
    owns_turns: bool = False
    _now: float = float("-inf")
    _callers: dict[str, _Caller] = field(default_factory=dict)
    _audible: dict[str, float] = field(default_factory=dict)
    _scheduled: dict[str, float] = field(default_factory=dict)
    _owed: dict[str, _Owed] = field(default_factory=dict)
    """By the id of the turn, or of the utterance."""
    _question_until: float = float("-inf")
    _view: FloorView = _NEW

    @property
    def view(self) -> FloorView:
        """The floor after the last event."""
        return self._view

    def deadline(self) -> float | None:
        """When `expire` must be called next, if nothing happens before."""
        return min((d for d in self._deadlines() if d > self._now), default=None)

    def handle(self, event: Event, now: float) -> list[FloorAction]:
        """Take in what happened at `now`; returns what follows from it, oldest first."""
        actions = self.expire(now)
        self._now = max(now, self._now)
        self._apply(event, self._now)
        self._derive(self._now, actions)
        return actions

    def expire(self, now: float) -> list[FloorAction]:
        """Carry out the timers due up to `now`, each at its own time."""
        actions: list[FloorAction] = []
        while (due := self.deadline()) is not None and due <= now:
            self._now = due
            self._give_up(due, actions)
            self._derive(due, actions)
        return actions

    def _deadlines(self) -> Iterator[float]:
        for caller in self._callers.values():
            yield from caller.deadlines(self.times)
        for until in self._audible.values():
            yield until + self.times.unconfirmed
        for owed in self._owed.values():
            yield owed.until
        yield self._question_until

    def _apply(self, event: Event, now: float) -> None:
        match event:
            case Joined() | Left() | Deafened():
                self._presence(event, now)
            case SpeechStarted() | SpeechStopped() | WordsHeard() | LevelMoved() | TurnDropped() | DigitPressed():
                self._voice(event, now)
            case TurnEnded(turn):
                self._finish_turn(turn.caller)
                self._question_until = float("-inf")
                wait = self.times.own_reply if self.owns_turns else self.times.reply
                self._owed[turn.id] = _Owed(turn, now + wait)
            case ReplySettled(turn_id):
                self._owed.pop(turn_id, None)
            case SpeakingPlanned() | SpeakingStarted() | SpeakingScheduled() | SpeakingPaused() | SpeakingEnded():
                self._playout(event, now)
            case _:
                pass

    def _presence(self, event: Joined | Left | Deafened, now: float) -> None:
        match event:
            case Joined(id):
                self._callers.setdefault(id, _Caller()).deaf = None
            case Left(id):
                self._callers.pop(id, None)
                self._forget_turns(id)
            case Deafened(id, why):
                caller = self._callers.setdefault(id, _Caller())
                caller.deaf, caller.deaf_since = why, now
                caller.hush()

    def _voice(
        self,
        event: SpeechStarted | SpeechStopped | WordsHeard | LevelMoved | TurnDropped | DigitPressed,
        now: float,
    ) -> None:
        caller = self._callers.get(event.caller)
        if caller is None or caller.deaf is not None:
            return
        match event:
            case SpeechStarted():
                caller.speaking = caller.in_turn = True
                caller.alive_at = now
            case SpeechStopped():
                caller.speaking, caller.silent_since = False, now
            case WordsHeard() | LevelMoved():
                caller.alive_at = now
            case TurnDropped():
                self._finish_turn(event.caller)
            case DigitPressed():
                caller.digits_until = now + self.times.digits

    def _finish_turn(self, id: str) -> None:
        if caller := self._callers.get(id):
            caller.in_turn = caller.speaking = False

    def _playout(
        self,
        event: SpeakingPlanned | SpeakingStarted | SpeakingScheduled | SpeakingPaused | SpeakingEnded,
        now: float,
    ) -> None:
        match event:
            case SpeakingPlanned(id):
                self._owed[id] = _Owed(None, now + self.times.reply, speech=True)
            case SpeakingStarted(id):
                self._owed.pop(id, None)
                self._audible[id] = max(now, self._scheduled.get(id, now))
                self._question_until = float("-inf")
                if self.owns_turns:
                    self._owed.clear()
            case SpeakingScheduled(id, until):
                self._scheduled[id] = until
                if id in self._audible:
                    self._audible[id] = until
            case SpeakingPaused(id):
                self._audible.pop(id, None)
                self._owed[id] = _Owed(None, now + self.times.reply, speech=True)
                self._postpone_replies(now)
            case SpeakingEnded(id, question):
                for known in (self._owed, self._audible, self._scheduled):
                    known.pop(id, None)
                self._postpone_replies(now)
                if question:
                    self._question_until = now + self.times.question

    def _postpone_replies(self, now: float) -> None:
        """While we speak a reply is coming; its time-out counts from the silence after. A model's own does not wait."""
        for owed in self._owed.values() if not self.owns_turns else ():
            owed.until = now + self.times.reply

    def _forget_turns(self, caller: str) -> None:
        """Nobody waits any more for the replies to this caller's turns."""
        self._owed = {id: o for id, o in self._owed.items() if o.turn is None or o.turn.caller != caller}

    def _give_up(self, now: float, actions: list[FloorAction]) -> None:
        """Drop what has been waited for long enough."""
        for id, until in list(self._audible.items()):
            if until + self.times.unconfirmed <= now:
                del self._audible[id]
                self._postpone_replies(now)
                actions.append(PlayoutUnconfirmed(id))
        for id, owed in list(self._owed.items()):
            if owed.until > now:
                continue
            if self._audible and not self.owns_turns:
                owed.until = now + self.times.reply
                continue
            if owed.turn is None or self.owns_turns:
                del self._owed[id]
            else:
                actions.append(ReplyOverdue(owed.turn))
                self._owed[id] = _Owed(None, now + self.times.reply)
        for id, caller in list(self._callers.items()):
            if caller.deaf is Deafness.RECONNECTING and caller.deaf_since + self.times.reconnect <= now:
                del self._callers[id]
                self._forget_turns(id)
                actions.append(CallerGone(id))

    def _derive(self, now: float, actions: list[FloorAction]) -> None:
        """Work out the state; the only place where it is decided."""
        state, blocker, caller = self._raw(now)
        quiet_since = None
        if state is FloorState.OPEN:
            quiet_since = now if self._view.quiet_since is None else self._view.quiet_since
        if state in (FloorState.AGENT_OWES, FloorState.OPEN) and now < self._question_until:
            state, blocker = FloorState.USER_HOLDS, Blocker.QUESTION
        old = self._view
        if (state, blocker, caller, quiet_since) == (old.state, old.blocker, old.caller, old.quiet_since):
            return
        since = old.since if state is old.state else now
        self._view = FloorView(state, blocker, since, quiet_since, caller)
        actions.append(FloorChanged(self._view))

    def _raw(self, now: float) -> tuple[FloorState, Blocker | None, str | None]:
        """The state as if no question were pending."""
        hearing = {id: c for id, c in self._callers.items() if c.deaf is None}
        if not hearing:
            return FloorState.EMPTY, self._absence(), None
        holds = {b: id for id, c in hearing.items() if (b := c.blocker(now, self.times))}
        for blocker in _BY_CALLER:
            if blocker in holds:
                return FloorState.USER_HOLDS, blocker, holds[blocker]
        if self._audible:
            return FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING, None
        if self._owed:
            replying = any(not owed.speech for owed in self._owed.values())
            return FloorState.AGENT_OWES, Blocker.REPLY if replying else Blocker.SPEECH, None
        return FloorState.OPEN, None, None

    def _absence(self) -> Blocker:
        """Why nobody hears: the caller most likely to hear again soon says."""
        reasons = {c.deaf for c in self._callers.values()}
        for why in (Deafness.RECONNECTING, Deafness.HELD, Deafness.RINGING):
            if why in reasons:
                return _DEAF[why]
        return Blocker.NOBODY
