"""What the ear foresees, in any order of voice, words, announced ends and judgements, against an account of its own.

The account is kept of what goes in and comes out alone: when a turn stands foreseen, and what an endpointer is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from voice.ear import Ear
from voice.ear_signals import (
    Conclude,
    EarAction,
    EarInput,
    Hushed,
    Judged,
    Listen,
    RecognizerLost,
    Restart,
    VoiceOff,
    VoiceOn,
)
from voice.endpointing import SoFar
from voice.events import SpeechStarted, SpeechStopped, TurnDropped, TurnEnded, TurnForeseen, TurnResumed
from voice.stt.recognizer import EagerEnd, Final, Partial, Resumed

EAGER = 0.2
"""Seconds of silence after which an answer may be begun ahead, in any case."""
WORDS = st.sampled_from(["", "compare", "compare them", "compare them all", "mm-hm", "..."])


class Witness:
    """An endpointer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[SoFar] = []

    def wait(self, turn: SoFar) -> float:
        self.told.append(turn)
        return 0.6

    def foresee(self, turn: SoFar) -> float | None:
        self.told.append(turn)
        if turn.backchannel:
            return None
        return 0.0 if turn.eager else EAGER


class AnyForesight(RuleBasedStateMachine):
    """Whatever happens, a turn that is most likely over is told of, once, and taken back when it goes on."""

    @initialize(answering=st.booleans())
    def begin(self, answering: bool) -> None:
        ids = itertools.count(1)
        self.witness = Witness()
        self.ear = Ear("anna", lambda: f"t{next(ids)}", self.witness, foresees=True)
        self.answering = answering
        self.now = 0.0
        self.voice = self.open = False
        self.silent_since = float("-inf")
        self.foreseen: str | None = None
        self.id: str | None = None
        self.eager = False
        self.judged: float | None = None
        self.asked = 0
        self.last: EarInput | None = None

    def feed(self, event: EarInput) -> None:
        self.expire(self.now)
        self.witness.told.clear()
        standing = self.foreseen is not None
        before = self.eager, self.judged
        match event:
            case VoiceOn():
                self.voice = True
            case VoiceOff() if self.voice:
                self.voice, self.silent_since = False, self.now
            case Hushed():
                self.voice = False
            case Judged(over) if not self.voice and self.open:
                self.judged = over
            case EagerEnd():
                self.eager = True
            case Partial() | Resumed() | Final():
                self.eager = False
            case _:
                pass
        actions = self.ear.handle(event, self.now)
        self.take(actions)
        if isinstance(event, Resumed) and standing and not self.asked:
            assert any(isinstance(a, TurnResumed | TurnEnded | TurnDropped) for a in actions), "nothing is taken back"
        self.check_told(before)

    def expire(self, until: float) -> None:
        while (due := self.ear.deadline()) is not None and due <= until:
            self.witness.told.clear()
            before = self.eager, self.judged
            self.take(self.ear.expire(due))
            self.check_told(before)

    def take(self, actions: Sequence[EarAction]) -> None:
        for number, action in enumerate(actions):
            match action:
                case SpeechStarted():
                    self.ear.answering = self.answering
                    self.eager, self.judged, self.open = False, None, True
                    if self.foreseen is not None:
                        assert isinstance(actions[number + 1], TurnResumed), f"spoken again, not taken back: {actions}"
                case TurnForeseen(turn):
                    assert self.open
                    assert turn.text.strip()
                    assert turn.text != self.foreseen, "told twice"
                    assert self.id in (None, turn.id), "a turn has two names"
                    assert self.eager or not self.voice, "in the middle of voice, and the recogniser did not say so"
                    self.id, self.foreseen = turn.id, turn.text
                case TurnResumed():
                    assert self.foreseen is not None, "taken back what was not told"
                    self.foreseen = None
                case TurnEnded(turn):
                    assert self.id in (None, turn.id), "a turn has two names"
                    self.over()
                case TurnDropped():
                    self.over()
                case Conclude():
                    self.asked += 1
                case Listen() | Restart() | SpeechStopped():
                    pass

    def over(self) -> None:
        self.open = self.eager = False
        self.foreseen = self.id = self.judged = None

    def check_told(self, before: tuple[bool, float | None]) -> None:
        """An endpointer was told what was so before the event, or after it."""
        for told in self.witness.told:
            assert not told.eager or self.eager or before[0], f"eager, though nobody says so: {told}"
            assert told.over in (None, self.judged, before[1]), f"judged {self.judged}, told {told}"

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.1, 0.15, 0.25, 0.4, 0.7, 2.5]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.expire(self.now)

    @rule(words=WORDS.filter(lambda text: text not in ("", "...", "mm-hm")), pause=st.sampled_from([0.25, 0.4, 0.55]))
    def speak_and_pause(self, words: str, pause: float) -> None:
        """Speech, its words, and a pause: it is foreseen to be over after EAGER of it."""
        if self.voice or self.asked:
            return
        self.feed(VoiceOn())
        self.now += 0.3
        self.feed(Partial(words))
        self.feed(VoiceOff())
        self.now += pause
        self.expire(self.now)
        if self.open and self.ear.in_turn and self.ear.deadline() is not None:
            assert self.foreseen is not None, "nobody was told"
            assert self.foreseen.endswith(words), f"told of {self.foreseen!r}, said {words!r}"

    @rule(event=st.sampled_from([VoiceOn(), VoiceOff(), VoiceOn(), VoiceOff(), Resumed(), Hushed()]))
    def hear(self, event: EarInput) -> None:
        self.feed(event)

    @rule(text=WORDS, complete=st.booleans())
    def understand(self, text: str, complete: bool) -> None:
        self.feed(Partial(text, complete))

    @rule(text=WORDS)
    def announce(self, text: str) -> None:
        self.feed(EagerEnd(text))

    @rule(over=st.sampled_from([0.0, 0.3, 1.0]))
    def judge(self, over: float) -> None:
        self.feed(Judged(over))

    @rule(text=WORDS)
    def conclude(self, text: str) -> None:
        self.asked = max(self.asked - 1, 0)
        self.feed(Final(text))

    @rule()
    def lose(self) -> None:
        self.asked = 0
        self.feed(RecognizerLost())


AnyForesight.TestCase.settings = settings(stateful_step_count=40)
TestAnyForesight = AnyForesight.TestCase
