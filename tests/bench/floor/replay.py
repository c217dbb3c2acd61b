"""Replay: recordings of two people as calls. One is the caller, the other sits in the agent's place; open loop.

Neither hears the deliveries that are dropped in, so what follows a collision is not in it; and people among themselves
leave less silence than a caller leaves an agent: a stress set.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tests.bench.floor.caller import Kind, Voice
from tests.bench.floor.eyes import Judge, NoJudge
from tests.bench.floor.room import Policy, Room
from tests.bench.floor.rttm import Talk
from tests.bench.floor.talk import Call, Response, draw
from voice.events import ReplySettled, SpeakingEnded, SpeakingScheduled, SpeakingStarted, Turn

EVERY = 30.0
"""Seconds from one delivery to the next, as in the replay of 673 calls."""
TAIL = 0.1
"""Share of a recording at its end in which none arrives."""
OWES = 3.0
"""The other owes a reply when they speak within so many seconds."""


@dataclass(frozen=True)
class Recorded(Call):
    """A recording with deliveries in it; of what is drawn for a call only those and the eyes' weather are used."""

    talk: Talk | None = None


def recorded(talks: Sequence[Talk], deliveries: int, seed: int) -> list[Recorded]:
    """The recordings, again and again with other deliveries, until there are enough."""
    calls: list[Recorded] = []
    left = deliveries
    while left > 0:
        for talk in talks:
            count = max(min(round(talk.length / EVERY), left), 1)
            calls.append(_call(talk, count, seed, len(calls)))
            left -= count
            if left <= 0:
                break
    return calls


def _call(talk: Talk, count: int, seed: int, number: int) -> Recorded:
    drawn = draw(seed, number, count, max(talk.length, 60.0))
    rng = np.random.default_rng([seed, number, 1])
    times = np.sort(rng.uniform(0.0, talk.length * (1 - TAIL), count))
    results = [replace(r, arrives=float(t)) for r, t in zip(drawn.results, times, strict=True)]
    fields = {name: getattr(drawn, name) for name in Call.__dataclass_fields__}
    return Recorded(**{**fields, "results": results, "length": talk.length, "talk": talk})


class RecordedCaller:
    """Speaks as recorded, whatever is said to them."""

    def __init__(self, room: RecordedRoom, talk: Talk) -> None:
        self.voices = list(voices(talk))
        self._room = room
        for voice in self.voices:
            room.time.at(voice.starts, partial(room.eyes.sound, voice))
            room.time.at(voice.ends, partial(room.eyes.hush, voice))
        self._starts = [v.starts for v in self.voices]

    def _now(self) -> Voice | None:
        """The last voice that has begun."""
        n = bisect_right(self._starts, self._room.now) - 1
        return self.voices[n] if n >= 0 else None

    @property
    def speaking(self) -> bool:
        voice = self._now()
        return voice is not None and self._room.now < voice.ends

    @property
    def paused(self) -> bool:
        voice = self._now()
        return voice is not None and self._room.now >= voice.ends and not voice.last

    def hear_start(self, response: Response, at: float, seconds: float, resumed: bool) -> None: ...
    def hear_silence(self, response: Response, ended: bool, question: bool) -> None: ...


def voices(talk: Talk) -> list[Voice]:
    """The caller's stretches; each is the last of a turn when the other begins to speak before the caller goes on."""
    others = [start for start, _ in talk.other]
    made: list[Voice] = []
    first = True
    for n, (start, end) in enumerate(talk.caller):
        following = talk.caller[n + 1][0] if n + 1 < len(talk.caller) else float("inf")
        last = following == float("inf") or bisect_right(others, following) > bisect_right(others, start)
        made.append(Voice(start, end, Kind.TURN, first=first, last=last))
        first = last
    return made


class RecordedRoom(Room):
    """A room in which the agent's own speech is the other's of a recording."""

    def __init__(self, call: Recorded, policy: Policy, judge: Judge | NoJudge) -> None:
        assert call.talk is not None
        self._talk = call.talk
        self._owed: list[str] = []
        super().__init__(call, policy, judge)
        for n, (start, end) in enumerate(self._talk.other):
            self.time.at(start, partial(self._other_starts, f"o{n}", end))
            self.time.at(end, partial(self._other_stops, f"o{n}"))

    def _seat_caller(self) -> RecordedCaller:
        return RecordedCaller(self, self._talk)

    def _other_starts(self, id: str, until: float) -> None:
        self.other_speaks = True
        self.feed(SpeakingScheduled(id, until))
        self.feed(SpeakingStarted(id))

    def _other_stops(self, id: str) -> None:
        self.other_speaks = False
        self.mouth.silent_since = self.now
        owed, self._owed = self._owed, []
        for turn in owed:
            self.feed(ReplySettled(turn))
        self.feed(SpeakingEnded(id))

    def _answer(self, turn: Turn) -> None:
        if any(start <= self.now + OWES and end > self.now for start, end in self._talk.other):
            self._owed.append(turn.id)
        else:
            self.feed(ReplySettled(turn.id))

    def may_fold(self) -> bool:
        return False
