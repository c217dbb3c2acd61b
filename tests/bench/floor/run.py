"""Runs: every policy through the same calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from delivery.ledger import Status
from delivery.strategies import Immediate, Queued, WaitForIdle
from tests.bench.floor.eyes import Judge, NoJudge
from tests.bench.floor.metrics import Fate, Tally, collided, count_giving_way, count_recovery
from tests.bench.floor.ours import Ours
from tests.bench.floor.policies import AtOnce, Silence, SleepOnIdle
from tests.bench.floor.replay import Recorded, RecordedRoom
from tests.bench.floor.room import GiveWay, Policy, Room
from tests.bench.floor.talk import Call

USUAL = Judge(miss=0.08, false=0.05)
"""A good turn model: 4.5 % false alarms are the best that was published at 0.6 s."""
EYES: tuple[Judge | NoJudge, ...] = (Judge(0.03, 0.02), USUAL, Judge(0.15, 0.15), Judge(0.3, 0.3), NoJudge())

Make = Callable[[], Policy]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A policy in the table. `group`: ours, timer or rival; `line`: points of one line of the frontier."""

    name: str
    make: Make
    group: str


def ours(buffer: float = 1.0, max_wait: float | None = 30.0) -> Make:
    return lambda: Ours(WaitForIdle(buffer, max_wait))


def timer(seconds: float) -> Make:
    return lambda: Silence(seconds)


AT_ONCE = Entrant("  max_wait=0", ours(max_wait=0.0), "ours")
"""The agent asks for the floor at the first end of a caller's turn."""
OURS = (
    Entrant("WaitForIdle(1.0)", ours(), "ours"),
    Entrant("  read out verbatim", lambda: Ours(WaitForIdle(), agent=False), "ours"),
    Entrant("  max_wait=None", ours(max_wait=None), "ours"),
    AT_ONCE,
    Entrant("Queued(1.0)", lambda: Ours(Queued(buffer=1.0)), "ours"),
    Entrant("Immediate", lambda: Ours(Immediate(), agent=False), "ours"),
)
TIMERS = tuple(Entrant(f"silence {s:g} s", timer(s), "timer") for s in (0.0, 0.5, 1.0, 1.5, 3.0))
POLITE = Entrant("silence 1 s, after reply", lambda: Silence(1.0, queues=True), "rival")
"""A timer that lets a reply that is being made go first."""
RIVALS = (
    POLITE,
    Entrant("RoomKit WaitForIdle", lambda: SleepOnIdle(), "rival"),
    Entrant("RoomKit Queued", lambda: SleepOnIdle(merges=True), "rival"),
    Entrant(
        "LiveKit", lambda: Silence(0.8, keeps=False, give_way=GiveWay(after=0.5, resume=2.0), queues=True), "rival"
    ),
    Entrant("Pipecat", lambda: AtOnce(GiveWay(after=0.2)), "rival"),
    Entrant("qwen", lambda: Silence(0.47, keeps=False, give_way=GiveWay(after=0.08), queues=True), "rival"),
    Entrant("vellum", lambda: Silence(1.5, keeps=False, give_way=GiveWay(after=0.08), queues=True), "rival"),
)
BUFFERS = (0.4, 0.7, 1.0, 1.5, 2.0)
MAX_WAITS = (0.0, 10.0, 30.0, 60.0)


def play(call: Call, policy: Policy, judge: Judge | NoJudge, tally: Tally) -> Room:
    """One call under one policy, counted."""
    room = RecordedRoom(call, policy, judge) if isinstance(call, Recorded) else Room(call, policy, judge)
    room.run()
    starts = [v.starts for v in room.caller.voices]
    for onset in room.onsets:
        tally.onsets += 1
        hit = collided(onset.at, onset.speaking, starts)
        tally.collisions += hit
        tally.intrusions += hit or onset.paused
        tally.false_idle += onset.paused
        tally.raced += onset.owed
        utterance = onset.utterance
        if utterance.allowed is not None:
            tally.overheads.append(utterance.said_at - utterance.allowed)
    if not isinstance(call, Recorded):  # a recorded caller does not know that they are being interrupted
        count_giving_way(tally, room.caller.voices, room.said)
    count_recovery(tally, fates(call, policy, tally), room.said)
    return room


def fates(call: Call, policy: Policy, tally: Tally) -> dict[str, Fate]:
    newer: dict[str, float] = {}
    made: dict[str, Fate] = {}
    for result in reversed(call.results):
        ended = False
        if isinstance(policy, Ours):
            status = policy.ended.get(result.id)
            ended = status in (Status.SUPERSEDED, Status.EXPIRED)
            tally.dead += status is Status.DEAD
        fate = Fate(result.arrives, result.words, result.ttl, newer.get(result.topic or ""), ended)
        fate.waiting = policy.waiting(result.id)  # what is set aside can be asked for
        if result.topic:
            newer[result.topic] = result.arrives
        made[result.id] = fate
    return made


def compare(calls: Sequence[Call], entrants: Sequence[Entrant], judge: Judge | NoJudge) -> list[Tally]:
    tallies = [Tally() for _ in entrants]
    for call in calls:
        for entrant, tally in zip(entrants, tallies, strict=True):
            play(call, entrant.make(), judge, tally)
    return tallies
