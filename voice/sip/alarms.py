"""Many deadlines as one: the next is known at once, and setting one costs little, however many there are."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

SLACK = 64
"""Entries that no longer count are swept out when there are more of them than of those that do, and than this."""


class Alarms(Generic[Name]):
    """Deadlines by name, in loop seconds."""

    def __init__(self) -> None:
        self._at: dict[Name, float] = {}
        self._heap: list[tuple[float, int, Name]] = []
        self._count = 0

    def __len__(self) -> int:
        """How many are set."""
        return len(self._at)

    def set(self, name: Name, at: float | None) -> None:
        """It is due then, whatever was set before; None: never."""
        if at == self._at.get(name):
            return
        if at is None:
            del self._at[name]
        else:
            self._at[name] = at
            self._count += 1
            heapq.heappush(self._heap, (at, self._count, name))
        self._sweep()

    def next(self) -> float | None:
        """When the first is due."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[Name]:
        """Those whose time has come, in order; they are set no longer."""
        names = []
        while self._heap and self._heap[0][0] <= now:
            name = heapq.heappop(self._heap)[2]
            del self._at[name]
            names.append(name)
            self._sweep()
        return names

    def _sweep(self) -> None:
        """So that the first entry is one that counts, and the others do not pile up."""
        if len(self._heap) > 2 * len(self._at) + SLACK:
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapq.heapify(self._heap)
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)

    def _counts(self, entry: tuple[float, int, Name]) -> bool:
        return self._at.get(entry[2]) == entry[0]
