"""How long a decision takes: `python -m tests.bench.scheduler` prints it.

A result is ready and its buffer is over: from `handle(FloorMoved)` to the `Speak` that comes back (the floor's edge),
and a word's `handle(Heard)` while it is spoken; with so many deliveries in the room's line. The collector is kept away,
as in any timing of microseconds; every edge is measured on a scheduler that has just spoken and been cut.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence

from delivery.lane import TOGETHER
from delivery.ledger import Delivery, Entry, Status
from delivery.scheduler import Scheduler
from delivery.signals import Audience, FloorMoved, Heard, Prepare, Ready, SchedulerEvent, Speak, SpeechOver, Submitted
from delivery.strategies import Queued, Strategy, WaitForIdle
from voice.clock import wall_seconds
from voice.floor import Blocker, FloorState, FloorView

EDGES = 2000
WAITING = (1, 10, 100, 1000)
TALKING = FloorView(FloorState.USER_HOLDS, Blocker.CALLER_SPEAKING, 0.0)
TARGET = 30
"""Microseconds at p50: the house's own aim for the edge."""


class Room:
    """A scheduler with deliveries in its line, and a clock of our own."""

    def __init__(self, strategies: Sequence[Strategy], waiting: int) -> None:
        self.scheduler = Scheduler()
        self.now = 0.0
        self.hand(Audience(frozenset({"anna"})))
        for n in range(waiting):
            strategy, to = strategies[n % len(strategies)], (None, "anna")[len(strategies) > 1 and n % 3 == 0]
            delivery = Delivery(f"d{n}", "room", "one two three four five", strategy.written(), to=to)
            self.hand(Submitted(Entry(delivery, Status.QUEUED, n), strategy))
        self.hand(FloorMoved(TALKING))

    def hand(self, event: SchedulerEvent) -> list[Speak]:
        actions = self.scheduler.handle(event, self.now)
        for action in actions:
            if isinstance(action, Prepare):
                self.hand(Ready(action.delivery.id, action.delivery.content))
        return [a for a in actions if isinstance(a, Speak)]

    def timed(self, event: SchedulerEvent) -> tuple[float, list[Speak]]:
        began = wall_seconds()
        actions = self.scheduler.handle(event, self.now)
        return wall_seconds() - began, [a for a in actions if isinstance(a, Speak)]

    def edge(self) -> tuple[float, float]:
        """Seconds for the edge, and for a word of what is spoken then."""
        self.now += 10.0
        self.hand(FloorMoved(FloorView(FloorState.OPEN, None, self.now, self.now)))
        self.hand(FloorMoved(TALKING))
        self.now += 10.0
        edge, spoken = self.timed(FloorMoved(FloorView(FloorState.OPEN, None, self.now - 2.0, self.now - 2.0)))
        assert spoken, "the edge brought nothing"
        id = spoken[0].message.id
        self.hand(FloorMoved(FloorView(FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING, self.now)))
        self.now += 0.1
        word, _ = self.timed(Heard(id, 1))
        self.hand(FloorMoved(TALKING))
        self.hand(SpeechOver(id, 0, False, "stopped"))
        return edge, word


def percentiles(seconds: list[float]) -> str:
    us = sorted(s * 1e6 for s in seconds)
    return f"{us[len(us) // 2]:>9.1f}{us[int(len(us) * 0.99)]:>9.1f}"


def measure(strategies: Sequence[Strategy], waiting: int) -> tuple[list[float], list[float]]:
    room = Room(strategies, waiting)
    for _ in range(20):
        room.edge()
    gc.collect()
    gc.disable()
    try:
        pairs = [room.edge() for _ in range(min(EDGES, 200_000 // waiting))]
    finally:
        gc.enable()
    return [edge for edge, _ in pairs], [word for _, word in pairs]


def main() -> None:
    print(f"{'microseconds':<26}{'waiting':>8}{'edge p50':>9}{'p99':>9}{'word p50':>9}{'p99':>9}")
    mixed = [WaitForIdle(1.0), Queued(1.0), WaitForIdle(1.0, max_wait=None), Queued(1.0, separator="; ")]
    for name, strategies in {"wait_for_idle": mixed[:1], "queued": mixed[1:2], "four, to two callers": mixed}.items():
        for waiting in WAITING:
            edges, words = measure(strategies, waiting)
            print(f"{name:<26}{waiting:>8}{percentiles(edges)}{percentiles(words)}")
    print(f"target: the edge < {TARGET} us at p50, however many wait; Queued says up to {TOGETHER} at once")


if __name__ == "__main__":
    main()
