"""What the floor promises whatever happens: any events at any times, in any order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voice.events import (
    Deafened,
    Deafness,
    DigitPressed,
    Dropped,
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
from voice.floor import (
    Blocker,
    CallerGone,
    Floor,
    FloorAction,
    FloorChanged,
    FloorState,
    FloorTimes,
    ReplyOverdue,
)

A, B = "anna", "bert"
TIMES = FloorTimes()
CALLERS = st.sampled_from([A, B])
UTTERANCES = st.sampled_from(["u", "v"])
TURNS = st.sampled_from(["t1", "t2"])
BY_STATE = {
    FloorState.EMPTY: {Blocker.NOBODY, Blocker.RINGING, Blocker.ON_HOLD, Blocker.RECONNECTING},
    FloorState.USER_HOLDS: {Blocker.CALLER_SPEAKING, Blocker.CALLER_PAUSED, Blocker.DIGITS, Blocker.QUESTION},
    FloorState.AGENT_AUDIBLE: {Blocker.AGENT_SPEAKING},
    FloorState.AGENT_OWES: {Blocker.REPLY, Blocker.SPEECH},
    FloorState.OPEN: {None},
}


@dataclass
class Person:
    """What one caller does, as anybody in the room could tell."""

    hearing: bool = False
    alive_at: float | None = None
    silent_at: float | None = None
    pressed_at: float = -math.inf

    def shut_up(self) -> None:
        self.alive_at = self.silent_at = None

    def why(self, now: float) -> Blocker | None:
        if self.alive_at is not None and now < self.alive_at + TIMES.stuck:
            return Blocker.CALLER_SPEAKING
        if self.silent_at is not None and now < self.silent_at + TIMES.turn:
            return Blocker.CALLER_PAUSED
        return Blocker.DIGITS if now < self.pressed_at + TIMES.digits else None


@dataclass
class Room:
    """The same facts in another form: who does what, and since when. The floor must come to the same reason."""

    own: bool
    people: dict[str, Person] = field(default_factory=lambda: {A: Person(), B: Person()})
    sounds: dict[str, float] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    owed: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By turn or utterance: to whom we owe it, and since when we have been silent on it."""
    asked_at: float = -math.inf

    def pass_time(self, now: float) -> None:
        for id, until in sorted(self.sounds.items(), key=lambda each: each[1]):
            if now >= until + TIMES.unconfirmed:
                del self.sounds[id]
                self.fall_silent(until + TIMES.unconfirmed)
        for id, (who, at) in list(self.owed.items()):
            wait = TIMES.own_reply if self.own and who else TIMES.reply
            if now >= at + wait and (self.own or not self.sounds):
                del self.owed[id]
                if who and not self.own and now < at + 2 * wait:
                    self.owed[id] = "", at + wait  # an apology is owed instead

    def fall_silent(self, at: float) -> None:
        if not self.own:
            self.owed = {id: (who, max(since, at)) for id, (who, since) in self.owed.items()}

    def reason(self, now: float) -> tuple[FloorState, Blocker | None]:
        self.pass_time(now)
        reasons = {p.why(now) for p in self.people.values() if p.hearing}
        if not reasons:
            return FloorState.EMPTY, Blocker.NOBODY
        for blocker in (Blocker.CALLER_SPEAKING, Blocker.CALLER_PAUSED, Blocker.DIGITS):
            if blocker in reasons:
                return FloorState.USER_HOLDS, blocker
        if self.sounds:
            return FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING
        if now < self.asked_at + TIMES.question:
            return FloorState.USER_HOLDS, Blocker.QUESTION
        if self.owed:
            return FloorState.AGENT_OWES, Blocker.SPEECH if self.owed.keys() <= {"u", "v"} else Blocker.REPLY
        return FloorState.OPEN, None


class Anything(RuleBasedStateMachine):
    """Any events at any times, in any order. One floor's timers go off in time, the other's only with the events."""

    @initialize(own=st.booleans(), there=st.sampled_from([(A,), (A, B)]))
    def begin(self, own: bool, there: tuple[str, ...]) -> None:
        self.floor, self.late = Floor(owns_turns=own), Floor(owns_turns=own)
        self.room = Room(own)
        self.now = 0.0
        self.last = self.floor.view
        self.untold: list[FloorAction] = []
        for caller in there:
            self.join(caller)

    def take(self, event: Event) -> None:
        self.check(self.floor.expire(self.now))
        before = self.floor.view
        self.check(self.floor.handle(event, self.now))
        after = self.floor.view
        assert after.since == (before.since if after.state is before.state else self.now)
        if after.quiet_since is not None:
            assert after.quiet_since == (self.now if before.quiet_since is None else before.quiet_since)
        assert self.late.handle(event, self.now) == self.untold, "a late timer changed what came of it"
        assert self.late.view == after
        self.untold = []

    def check(self, actions: list[FloorAction]) -> None:
        self.untold += actions
        views = [a.view for a in actions if isinstance(a, FloorChanged)]
        for before, after in pairwise([self.last, *views]):
            assert before != after, "told of nothing"
            assert before.since <= after.since <= self.now
        if views:
            assert self.floor.view == views[-1]
        self.last = self.floor.view
        for action in actions:
            if isinstance(action, CallerGone):
                self.forget(action.caller)
            assert not (self.room.own and isinstance(action, ReplyOverdue)), "excused what a model did not want to say"

    def forget(self, caller: str) -> None:
        self.room.people[caller] = Person()
        self.room.owed = {id: owed for id, owed in self.room.owed.items() if owed[0] != caller}

    # -- time

    @rule(seconds=st.floats(0.0, 8.0, allow_nan=False))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.check(self.floor.expire(self.now))

    @rule()
    @precondition(lambda self: self.floor.deadline() is not None)
    def wait_for_the_deadline(self) -> None:
        due = self.floor.deadline()
        assert due is not None
        self.now = (self.now + 3 * due) / 4
        self.the_state_is_the_first_that_holds()  # nothing was to be done before
        self.now = due
        self.check(self.floor.expire(due))
        after = self.floor.deadline()
        assert after is None or after > due, "the deadline does not get on"

    # -- callers

    @rule(caller=CALLERS)
    @precondition(lambda self: not all(person.hearing for person in self.room.people.values()))
    def join(self, caller: str) -> None:
        self.room.people[caller].hearing = True
        self.take(Joined(caller))

    @rule(caller=CALLERS, why=st.sampled_from([None, *Deafness]))
    def go(self, caller: str, why: Deafness | None) -> None:
        self.take(Left(caller) if why is None else Deafened(caller, why))
        self.room.people[caller] = Person()
        if why is None:
            self.forget(caller)

    @rule(caller=CALLERS)
    def speak(self, caller: str) -> None:
        if (person := self.room.people[caller]).hearing:
            person.alive_at, person.silent_at = self.now, None
        self.take(SpeechStarted(caller))

    @rule(caller=CALLERS, level=st.booleans())
    def go_on(self, caller: str, level: bool) -> None:
        person = self.room.people[caller]
        if person.alive_at is not None:
            person.alive_at = self.now
        self.take(LevelMoved(caller) if level else WordsHeard(caller, "so"))

    @rule(caller=CALLERS)
    def pause(self, caller: str) -> None:
        person = self.room.people[caller]
        if person.alive_at is not None:
            person.alive_at, person.silent_at = None, self.now
            self.take(SpeechStopped(caller))

    @rule(caller=CALLERS, turn=TURNS)
    def end_turn(self, caller: str, turn: str) -> None:
        self.room.pass_time(self.now)
        self.room.people[caller].shut_up()
        self.room.owed[turn] = caller, self.now
        self.room.asked_at = -math.inf
        self.take(TurnEnded(Turn(turn, caller, "x", 0.0, 0.0)))

    @rule(caller=CALLERS)
    def drop_turn(self, caller: str) -> None:
        self.room.people[caller].shut_up()
        self.take(TurnDropped(caller, Dropped.NO_WORDS))

    @rule(caller=CALLERS)
    def press(self, caller: str) -> None:
        if self.room.people[caller].hearing:
            self.room.people[caller].pressed_at = self.now
        self.take(DigitPressed(caller, "1"))

    # -- ourselves

    @rule(utterance=UTTERANCES)
    def plan(self, utterance: str) -> None:
        self.room.pass_time(self.now)
        self.room.owed[utterance] = "", self.now
        self.take(SpeakingPlanned(utterance))

    @rule(utterance=UTTERANCES, seconds=st.floats(0, 5))
    def schedule(self, utterance: str, seconds: float) -> None:
        self.room.pass_time(self.now)
        self.room.ends[utterance] = self.now + seconds
        if utterance in self.room.sounds:
            self.room.sounds[utterance] = self.now + seconds
        self.take(SpeakingScheduled(utterance, self.now + seconds))

    @rule(utterance=UTTERANCES)
    def sound(self, utterance: str) -> None:
        self.room.pass_time(self.now)
        self.room.sounds[utterance] = max(self.now, self.room.ends.get(utterance, self.now))
        self.room.asked_at = -math.inf
        self.room.owed.pop(utterance, None)
        if self.room.own:
            self.room.owed.clear()
        self.take(SpeakingStarted(utterance))

    @rule(utterance=UTTERANCES)
    def pause_ourselves(self, utterance: str) -> None:
        self.room.pass_time(self.now)
        self.room.sounds.pop(utterance, None)
        self.room.fall_silent(self.now)
        self.room.owed[utterance] = "", self.now
        self.take(SpeakingPaused(utterance))

    @rule(utterance=UTTERANCES, question=st.booleans())
    def end_ourselves(self, utterance: str, question: bool) -> None:
        self.room.pass_time(self.now)
        self.room.sounds.pop(utterance, None)
        self.room.ends.pop(utterance, None)
        self.room.owed.pop(utterance, None)
        self.room.fall_silent(self.now)
        if question:
            self.room.asked_at = self.now
        self.take(SpeakingEnded(utterance, question))

    @rule(turn=TURNS)
    def settle(self, turn: str) -> None:
        self.room.owed.pop(turn, None)
        self.take(ReplySettled(turn))

    # -- promises

    @invariant()
    def the_state_is_the_first_that_holds(self) -> None:
        view = self.floor.view
        state, blocker = self.room.reason(self.now)
        assert view.state is state
        assert view.blocker in BY_STATE[state]
        assert state is FloorState.EMPTY or view.blocker is blocker
        if view.caller is not None:
            assert self.room.people[view.caller].why(self.now) is blocker
        else:
            assert state is not FloorState.USER_HOLDS or blocker is Blocker.QUESTION

    @invariant()
    def it_is_quiet_when_nothing_but_a_question_is_pending(self) -> None:
        view = self.floor.view
        assert view.open or view.blocker is Blocker.QUESTION or view.quiet_since is None
        assert not view.open or (view.quiet_since is not None and view.quiet_since <= view.since)

    @invariant()
    def the_deadline_lies_ahead(self) -> None:
        due = self.floor.deadline()
        assert due is None or due > self.now

    def teardown(self) -> None:
        """Left alone with callers who hear, every floor opens."""
        if not hasattr(self, "floor"):
            return
        for _ in range(100):
            due = self.floor.deadline()
            if due is None:
                break
            self.now = due
            self.check(self.floor.expire(due))
        assert self.floor.deadline() is None
        assert math.isfinite(self.now)
        assert self.floor.view.state in (FloorState.OPEN, FloorState.EMPTY)
        assert self.late.expire(self.now) == self.untold
        assert self.late.view == self.floor.view


Anything.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestAnything = Anything.TestCase
