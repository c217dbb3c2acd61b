"""The caller: intends what was drawn for them, hears the agent, and gives way or does not. The truth of the bench.

Nothing here knows which policy is at work; it knows only what is to be heard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from tests.bench.floor.talk import (
    GIVES_WAY_IDLE,
    GIVES_WAY_PAUSED,
    GIVES_WAY_SPEAKING,
    Call,
    Response,
    TurnPlan,
)
from tests.bench.floor.timeline import Timeline, Timer

ACKNOWLEDGEMENT = 0.45
"""Seconds of a mere "okay"."""
STOPPING = 0.2
"""Seconds it takes to break off."""


class Kind(Enum):
    """What a stretch of the caller's voice is."""

    TURN = auto()
    ACKNOWLEDGEMENT = auto()
    BACKCHANNEL = auto()


class Phase(Enum):
    IDLE = auto()
    SPEAKING = auto()
    PAUSED = auto()
    """In the middle of a turn: they will go on."""


@dataclass(slots=True)
class Voice:
    """A stretch of the caller's voice. `first`: it begins a turn."""

    starts: float
    ends: float
    kind: Kind
    first: bool = True
    urgent: bool = False
    last: bool = True
    """Nothing more of the turn follows."""
    heard_as: float = 0.0


class Caller:
    """`sound` is told of each stretch as it begins, `hush` as it ends (at `voice.ends`, which may come early)."""

    def __init__(
        self, time: Timeline, call: Call, sound: Callable[[Voice], None], hush: Callable[[Voice], None]
    ) -> None:
        self.phase = Phase.IDLE
        self.voices: list[Voice] = []
        self._time, self._call = time, call
        self._sound, self._hush = sound, hush
        self._turn = -1
        self._plan = call.turns[0]
        self._spans: tuple[float, ...] = ()
        self._left: tuple[float, ...] = ()
        """What is left of a turn they broke off."""
        self._voice: Voice | None = None
        self._murmur: Voice | None = None
        self._next: Timer | None = None
        self._stop: Timer | None = None
        self._while_agent: list[Timer] = []
        self._agent = False
        self._early = False
        time.at(call.begins, self._begin)

    @property
    def speaking(self) -> bool:
        """They make a sound now."""
        return self._voice is not None or self._murmur is not None

    @property
    def paused(self) -> bool:
        """They are silent in the middle of a turn of theirs, and mean to go on."""
        return self.phase is Phase.PAUSED

    # -- what they do

    def _begin(self) -> None:
        """Begin a turn: what was broken off, or what comes next to their mind."""
        self._turn += 1
        self._plan = self._call.turns[self._turn % len(self._call.turns)]
        self._spans, self._left = self._left or self._plan.spans, ()
        self._segment(True)

    def _segment(self, first: bool) -> None:
        seconds, self._spans = self._spans[0], self._spans[1:]
        self._speak(seconds, Kind.TURN, first)

    def _speak(self, seconds: float, kind: Kind, first: bool) -> None:
        self._drop_next()
        now = self._time.now
        self.phase = Phase.SPEAKING
        urgent = first and kind is Kind.TURN and self._plan.urgent
        voice = self._voice = Voice(now, now + seconds, kind, first, urgent, not self._spans)
        self.voices.append(voice)
        self._sound(voice)
        self._next = self._time.at(voice.ends, self._fall_silent)
        if self._agent:
            self._consider_stopping()

    def _fall_silent(self) -> None:
        voice = self._voice
        if voice is None:
            return
        self._drop_stop()
        self._voice = None
        voice.ends = self._time.now
        self._hush(voice)
        if self._spans and voice.kind is Kind.TURN:
            pause, self._spans = self._spans[0], self._spans[1:]
            self.phase = Phase.PAUSED
            self._next = self._time.after(pause, lambda: self._segment(False))
            return
        self.phase = Phase.IDLE
        if voice.kind is Kind.TURN:
            self._next = self._time.after(self._plan.patience, self._begin)
        else:
            lapse = self._call.on_reply[self._turn % len(self._call.on_reply)].lapse
            self._next = self._time.after(lapse, self._begin)

    def _break_off(self) -> None:
        """They are talked over and give way; the rest of it they will say later."""
        voice = self._voice
        if not self._agent or voice is None:
            return
        self._drop_next()
        left = voice.ends - self._time.now
        self._left = (max(left, 0.3), *self._spans) if voice.kind is Kind.TURN else ()
        self._spans = ()
        self._voice = None
        voice.ends, voice.last = self._time.now, False
        self.phase = Phase.IDLE
        self._hush(voice)

    def _murmur_now(self, seconds: float, heard_as: float) -> None:
        if self._voice is not None or self._murmur is not None or self.phase is not Phase.IDLE:
            return
        now = self._time.now
        voice = self._murmur = Voice(now, now + seconds, Kind.BACKCHANNEL, heard_as=heard_as)
        self.voices.append(voice)
        self._sound(voice)

        def end() -> None:
            self._murmur = None
            self._hush(voice)

        self._time.at(voice.ends, end)

    # -- what they hear

    def hear_start(self, response: Response, at: float, seconds: float, resumed: bool) -> None:
        """The agent becomes audible, for `seconds` if nobody stops it; `at`: seconds of this utterance heard before."""
        self._agent, now = True, self._time.now
        match self.phase:
            case Phase.SPEAKING:
                self._consider_stopping()
            case Phase.PAUSED:
                if self._may_wait(GIVES_WAY_PAUSED):
                    self._drop_next()
                    self._left, self._spans, self.phase = self._spans, (), Phase.IDLE
            case Phase.IDLE:
                if self._may_wait(GIVES_WAY_IDLE):
                    self._drop_next()
        whole = at + seconds
        wants: list[tuple[float, Callable[[], None]]] = [
            (when, partial(self._murmur_now, lasts, heard)) for when, lasts, heard in response.backchannels
        ]
        if response.barge_at is not None:
            wants.append((response.barge_at * whole, self._take_floor))
        if response.early is not None and response.responds:
            wants.append((whole - min(response.early, whole / 2), lambda: self._answer(response)))
        for when, act in wants:
            if at + 0.3 < when < whole - 0.02:
                self._while_agent.append(self._time.at(now + when - at, act))

    def hear_silence(self, response: Response, ended: bool, question: bool) -> None:
        """The agent is not audible any more; `ended`: it came to its end."""
        self._agent = False
        for timer in self._while_agent:
            timer.cancel()
        self._while_agent = []
        self._drop_stop()
        if self.phase is not Phase.IDLE or (self._next is not None and self._next.waits):
            return
        if not ended:
            self._next = self._time.after(response.patience, self._begin)
        elif self._left or question or response.responds:
            if response.acknowledges and not question and not self._left:
                self._next = self._time.after(response.gap, self._acknowledge)
            else:
                self._next = self._time.after(response.gap, self._begin)
        else:
            self._next = self._time.after(response.lapse, self._begin)

    def _take_floor(self) -> None:
        if self.phase is Phase.IDLE:
            self._begin()

    def _answer(self, response: Response) -> None:
        if self.phase is not Phase.IDLE:
            return
        if response.acknowledges and not self._left:
            self._acknowledge()
        else:
            self._begin()

    def _acknowledge(self) -> None:
        self._speak(ACKNOWLEDGEMENT, Kind.ACKNOWLEDGEMENT, True)

    # -- giving way

    def _may_wait(self, share: float) -> bool:
        """Whether they let the agent go first: they have time to, and are willing."""
        timer = self._next
        if timer is None or not timer.waits:
            return True
        way = self._way(self._plan)
        return timer.when - self._time.now >= self._plan.reaction and way < share

    def _way(self, plan: TurnPlan) -> float:
        return plan.gives_way[(len(self._spans) + len(self.voices)) % len(plan.gives_way)]

    def _consider_stopping(self) -> None:
        if self._way(self._plan) < GIVES_WAY_SPEAKING and self._stop is None:
            self._stop = self._time.after(self._plan.reaction + STOPPING, self._break_off)

    def _drop_stop(self) -> None:
        if self._stop is not None:
            self._stop.cancel()
            self._stop = None

    def _drop_next(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
