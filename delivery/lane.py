"""A Lane: deliveries that are alike to their strategy, so that one answer of it is true of all of them."""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from delivery.pending import Pending

BREATH = 4000
"""Most characters that are merged into one message: nearly five minutes at 2.5 words a second. Who merges more than
that wants a caller to hang up; the rest is the next message."""
TOGETHER = 32
"""Most deliveries that are merged into one message."""


def order(item: Pending) -> tuple[int, int]:
    """Its place among the others."""
    return item.order


@dataclass(slots=True, eq=False)
class Lane:
    """In order of priority and arrival; one that is unlike all others has a lane of its own (`key`: its id)."""

    key: Hashable
    items: list[Pending] = field(default_factory=list)
    due: float | None = None
    """From when on they may be spoken, as last asked (None: not on this floor)."""

    @property
    def first(self) -> Pending:
        """The next of them; what it is answered is true of all."""
        return self.items[0]

    def put(self, item: Pending) -> None:
        """In its place; most come last."""
        if self.items and item.order < self.items[-1].order:
            insort(self.items, item, key=order)
        else:
            self.items.append(item)
        item.lane = self

    def take(self, item: Pending) -> None:
        """Out of the lane."""
        self.items.remove(item)
        item.lane = None


def breath(items: Iterable[Pending]) -> list[Pending]:
    """As many of them as are said in one breath, one at least."""
    taken: list[Pending] = []
    room = BREATH
    for item in items:
        room -= len(item.text) - item.heard
        if taken and (room < 0 or len(taken) == TOGETHER):
            break
        taken.append(item)
    return taken
