"""What the scheduler promises whatever happens: anything in any order, checked at every step by the stage.

Never over somebody unless meant to; one message at a time; nothing vanishes, nothing comes back after its end; every
end is written before it is told; a deadline lies ahead and gets on. And once all is well again, all comes to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from delivery.ledger import Delivery, OnInterrupt, SpeakAs
from delivery.strategies import Immediate, Queued, Strategy, WaitForIdle
from tests.delivery.stage import ANNA, BERT, Stage
from voice.events import (
    Deafened,
    Deafness,
    Dropped,
    Left,
    ReplySettled,
    SpeakingEnded,
    SpeakingScheduled,
    SpeakingStarted,
    SpeechStarted,
    SpeechStopped,
    TurnDropped,
    WordsHeard,
)
from voice.floor import FloorState, FloorView


@dataclass(frozen=True)
class Shy(Strategy):
    """Waits two seconds more if somebody hears, and answers at times with a time that is past."""

    name: ClassVar[str] = "test-shy"

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return floor.since + 2.0 if floor.state is FloorState.OPEN else None


@dataclass(frozen=True)
class Loud(Strategy):
    """Talks over and merges: nobody ships such a thing, somebody writes it."""

    name: ClassVar[str] = "test-loud"
    talks_over: ClassVar[bool] = True
    merges: ClassVar[bool] = True

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return None if floor.state is FloorState.EMPTY else floor.since + 1.0


STRATEGIES: list[Strategy] = [
    Immediate(),
    WaitForIdle(0.0),
    WaitForIdle(1.0),
    Queued(1.0),
    Queued(3.0, separator="; "),
    Shy(),
    Loud(),
]
CALLERS = st.sampled_from([ANNA, BERT])
CUTS = ["hang_up", "stopped", "failed", "voiceless", "unconfirmed", ANNA]
COMMON = st.sampled_from([None, None, None, "x"])


class Promises(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(prepared=False, prompt=False).join()
        self.names = (f"d{n}" for n in range(1000))
        self.owed: list[str] = []
        self.replying: str | None = None

    # -- results, and what becomes of them

    @rule(
        strategy=st.sampled_from(STRATEGIES),
        priority=st.integers(0, 2),
        ttl=st.sampled_from([None, None, 0.0, 2.0, 9.0]),
        supersedes=COMMON,
        to=st.sampled_from([None, None, ANNA, BERT]),
        max_wait=st.sampled_from([None, 0.0, 3.0]),
        on_interrupt=st.sampled_from(OnInterrupt),
        speak_as=st.sampled_from(SpeakAs),
        words=st.integers(1, 6),
        age=st.sampled_from([0.0, 0.0, 1.5]),
        before=st.sampled_from([{}, {}, {"heard_chars": 2, "attempts": 1}, {"attempts": 2}]),
    )
    def submit(self, before: dict[str, int], **fields: Any) -> None:
        self.stage.submit(next(self.names), **fields, **before)

    def some(self, data: st.DataObject, ids: Any) -> str:
        return data.draw(st.sampled_from(sorted(ids)))

    @precondition(lambda self: self.stage.preparing)
    @rule(data=st.data(), wording=st.sampled_from([None, "in other words"]))
    def ready(self, data: st.DataObject, wording: str | None) -> None:
        id = self.some(data, self.stage.preparing)
        fixed = self.stage.entries[id].heard_chars or self.stage.preparing[id].wording
        self.stage.make_ready(id, None if fixed else wording)

    @precondition(lambda self: self.stage.preparing)
    @rule()
    def all_ready(self) -> None:
        for id in list(self.stage.preparing):
            self.stage.make_ready(id)

    @precondition(lambda self: self.stage.preparing)
    @rule(data=st.data(), how=st.sampled_from(["ledger", "fault", "refused"]))
    def not_ready(self, data: st.DataObject, how: str) -> None:
        id = self.some(data, self.stage.preparing)
        if how == "refused":
            self.stage.refuse(id)
        else:
            self.stage.fail(id, "broken" if how == "fault" else "")

    @precondition(lambda self: self.stage.entries)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        self.stage.withdraw(self.some(data, self.stage.entries))

    @precondition(lambda self: self.stage.entries)
    @rule(data=st.data(), heard=st.sampled_from([None, None, True, False]))
    def carry(self, data: st.DataObject, heard: bool | None) -> None:
        self.stage.carry(self.some(data, self.stage.entries), heard)

    @rule(heard=st.sampled_from([None, True, False]))
    def carry_what_comes_next(self, heard: bool | None) -> None:
        self.stage.carry(f"d{len(self.stage.entries)}", heard)

    @precondition(lambda self: self.stage.entries)
    @rule(data=st.data())
    def read_again(self, data: st.DataObject) -> None:
        self.stage.hand(None)
        if open_ones := [id for id in self.stage.entries if self.stage.scheduler.known(id)]:
            self.stage.submit_again(self.some(data, open_ones))

    @rule(folds=st.booleans())
    def mood(self, folds: bool) -> None:
        self.stage.folds = folds

    # -- the voice

    @precondition(lambda self: self.stage.playing)
    @rule(data=st.data(), by=st.sampled_from(CUTS))
    def cut(self, data: st.DataObject, by: str) -> None:
        message = self.some(data, self.stage.playing)
        self.stage.cut(message, self.stage.playing[message].stopped or by)

    @rule(mute=st.booleans())
    def voice_dawdles(self, mute: bool) -> None:
        self.stage.mute = mute

    @precondition(lambda self: any(p.silent for p in self.stage.playing.values()))
    @rule()
    def voice_begins(self) -> None:
        for message in [id for id, p in self.stage.playing.items() if p.silent]:
            if message in self.stage.playing:
                self.stage.begin(message)

    @precondition(lambda self: any(p.stopped for p in self.stage.playing.values()))
    @rule(whole=st.booleans())
    def let_go(self, whole: bool) -> None:
        for message, playing in list(self.stage.playing.items()):
            if not playing.stopped:
                continue
            if whole:
                self.stage.finish(message)
            else:
                self.stage.cut(message, playing.stopped)

    @rule(seconds=st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.5, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.stage.until(self.stage.now + seconds)

    @rule(seconds=st.sampled_from([0.1, 3.0]))
    def timers_are_late(self, seconds: float) -> None:
        self.stage.now += seconds

    # -- the callers

    @rule(caller=CALLERS)
    def join(self, caller: str) -> None:
        self.stage.join(caller)

    @rule(caller=CALLERS, why=st.sampled_from([None, *Deafness]))
    def leave(self, caller: str, why: Deafness | None) -> None:
        self.stage.tell(Left(caller) if why is None else Deafened(caller, why))
        for id, playing in list(self.stage.playing.items()):
            if not self.stage.hearing or playing.message.to == caller:
                self.stage.cut(id, playing.stopped or "hang_up")

    @rule(caller=CALLERS, words=st.booleans())
    def speech(self, caller: str, words: bool) -> None:
        self.stage.tell(SpeechStarted(caller))
        if words:
            self.stage.tell(WordsHeard(caller, "well"))

    @rule(caller=CALLERS)
    def silence(self, caller: str) -> None:
        self.stage.tell(SpeechStopped(caller))

    @rule(caller=CALLERS)
    def turn(self, caller: str) -> None:
        self.owed.append(self.stage.turn(caller).id)

    @rule(caller=CALLERS)
    def noise(self, caller: str) -> None:
        self.stage.tell(TurnDropped(caller, Dropped.NO_WORDS))

    @precondition(lambda self: self.owed and not self.replying)
    @rule()
    def reply_begins(self) -> None:
        self.replying = self.owed.pop(0)
        self.stage.tell(SpeakingScheduled(self.replying, self.stage.now + 5.0))
        self.stage.tell(SpeakingStarted(self.replying))

    @precondition(lambda self: self.replying)
    @rule(question=st.booleans())
    def reply_ends(self, question: bool) -> None:
        assert self.replying is not None
        self.stage.tell(ReplySettled(self.replying))
        self.stage.tell(SpeakingEnded(self.replying, question))
        self.replying = None

    @invariant()
    def time_is_not_wasted(self) -> None:
        deadline = self.stage.scheduler.deadline()
        assert deadline is None or deadline > self.stage.now or deadline > self.stage.told_at

    def teardown(self) -> None:
        """All is well again: both hear, nobody speaks, everything gets ready, and all that is owed comes to its end."""
        stage = self.stage
        stage.prepared = stage.prompt = True
        stage.mute = False
        for message, playing in list(stage.playing.items()):
            if playing.stopped:
                stage.cut(message, playing.stopped)
        for id in list(stage.preparing):
            stage.make_ready(id)
        for message in [id for id, p in stage.playing.items() if p.silent]:
            if message in stage.playing:
                stage.begin(message)
        for id in stage.entries:
            stage.carry(id, False)
        for caller in (ANNA, BERT):
            stage.join(caller)
            stage.tell(TurnDropped(caller, Dropped.NO_WORDS))
        stage.until(stage.now + 60 + 30 * len(stage.entries))
        assert set(stage.settled) == set(stage.entries), "something is owed for ever"
        assert stage.scheduler.deadline() is None


TestPromises = Promises.TestCase
TestPromises.settings = settings(stateful_step_count=50)
