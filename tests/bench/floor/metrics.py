"""Metrics: what M1 to M6 are, counted on what was really at the caller's ear and in the caller's mind.

M1 collision: the caller speaks at the first sample of a delivery, or begins within 300 ms of it. M2 false idle: that
sample falls into a pause within the caller's turn. M3: from the moment the policy allowed it to the command to speak
(synthesis and the line come on top, the same for all). M4: from the caller's onset to the agent's last sample; a
backchannel is talked through when we do not stop for it, or go on by ourselves within 600 ms from the same word. M6:
what was heard twice, never, or too late.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.bench.floor.caller import Kind, Voice
from tests.bench.floor.eyes import LINE
from tests.bench.floor.mouth import SYNTHESIS, Utterance

ONSET = 0.3
"""A caller who begins within so many seconds of us collided with us."""
SETTLED = 0.3
"""Speech that begins sooner after the agent's is a collision, no barge-in."""
TO_GO = 1.0
"""Seconds the agent would have gone on: otherwise it ended by itself."""
YIELDED = 2.0
"""Seconds within which an agent that yields has fallen silent."""
BLINK = 0.6
"""A pause of ours so short, from the same word, counts as none."""
NEAR = 0.15
LATE = 30.0 + 15.0
"""`max_wait` and one turn with its reply."""


@dataclass(slots=True)
class Tally:
    """Counts of one policy over many calls."""

    results: int = 0
    onsets: int = 0
    collisions: int = 0
    false_idle: int = 0
    intrusions: int = 0
    """Collisions and false idles, each onset once."""
    raced: int = 0
    never: int = 0
    owed: int = 0
    overheads: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    """Seconds from arrival to first sample of each plain result (no ttl, no topic); infinite: never begun."""
    late: int = 0
    stops: list[float] = field(default_factory=list)
    barges: int = 0
    backchannels: int = 0
    talked_through: int = 0
    repeated: int = 0
    most_repeated: int = 0
    lost: int = 0
    stale: int = 0
    dead: int = 0

    @property
    def collision(self) -> float:
        return ratio(self.collisions, self.onsets)

    @property
    def delay(self) -> float:
        return quantile(self.delays, 0.5)


def ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def quantile(values: Iterable[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * q), len(ordered) - 1)] if ordered else math.nan


def collided(at: float, speaking: bool, starts: Sequence[float]) -> bool:
    """Whether the caller spoke at `at`, or began within `ONSET` after it (`starts`: their onsets, in order)."""
    n = bisect_left(starts, at)
    return speaking or (n < len(starts) and starts[n] <= at + ONSET)


def count_giving_way(tally: Tally, voices: Sequence[Voice], said: Sequence[Utterance]) -> None:
    """M4: how fast we fall silent for a caller, and whether we do not for a listener."""
    spans = sorted((a, b, planned, u) for u in said for a, b, planned in u.spans)
    begins = [a for a, *_ in spans]
    for voice in voices:
        n = bisect_left(begins, voice.starts) - 1
        if n < 0:
            continue
        a, b, planned, utterance = spans[n]
        if not a + SETTLED <= voice.starts < b or planned - voice.starts < TO_GO:
            continue
        stopped = b < planned - 1e-6
        if voice.kind is Kind.TURN:
            tally.barges += 1
            if stopped and b - voice.starts <= YIELDED:
                tally.stops.append(b - voice.starts)
        elif voice.kind is Kind.BACKCHANNEL:
            tally.backchannels += 1
            later = spans[n + 1] if n + 1 < len(spans) else None
            for_it = stopped and b <= voice.ends + NEAR + LINE
            blink = later is not None and later[3] is utterance and later[0] - b <= BLINK
            tally.talked_through += not for_it or blink


@dataclass(slots=True)
class Fate:
    """What became of a result at the caller's ear."""

    arrives: float
    words: int
    ttl: float | None = None
    replaced_at: float | None = None
    """When a newer one of its topic arrived."""
    ended: bool = False
    """Its policy has settled it (superseded, expired), rightly or not."""
    waiting: bool = False
    """Its policy still means to tell it."""
    begun: float | None = None
    heard: set[int] = field(default_factory=set)
    repeated: int = 0

    @property
    def plain(self) -> bool:
        return self.ttl is None and self.replaced_at is None


def count_recovery(tally: Tally, fates: dict[str, Fate], said: Sequence[Utterance]) -> None:
    """M6, delays, and what was never said."""
    for utterance in said:
        if utterance.started is not None:
            _hear(tally, fates, utterance, utterance.started)
    for fate in fates.values():
        tally.results += 1
        tally.repeated += fate.repeated
        tally.most_repeated = max(tally.most_repeated, fate.repeated)
        if fate.ended:
            continue
        missing = fate.words - len(fate.heard)
        tally.never += fate.begun is None
        tally.owed += bool(missing) and fate.waiting
        tally.lost += bool(missing) and not fate.waiting
        if fate.plain:
            waited = math.inf if fate.begun is None else fate.begun - fate.arrives
            tally.delays.append(waited)
            tally.late += waited > LATE


def _hear(tally: Tally, fates: dict[str, Fate], utterance: Utterance, at: float) -> None:
    for id, number in utterance.words[: utterance.heard]:
        if id:
            fates[id].repeated += number in fates[id].heard
            fates[id].heard.add(number)
    for id in {id for id, _ in utterance.words if id}:
        fate = fates[id]
        if fate.begun is None:
            fate.begun = at
            decided = at - SYNTHESIS - LINE  # what changes after the command to speak is nobody's fault
            gone = fate.ttl is not None and decided > fate.arrives + fate.ttl
            newer = fate.replaced_at is not None and decided > fate.replaced_at
            tally.stale += gone or newer
