"""A Timeline: what happens at which second of a call, in order. No clock and no loop: time jumps."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Timer:
    """Something that will happen; `cancel` it, or look `when` (seconds of the call)."""

    __slots__ = ("act", "when")

    def __init__(self, when: float, act: Callable[[], None]) -> None:
        self.when = when
        self.act: Callable[[], None] | None = act

    def cancel(self) -> None:
        self.act = None

    @property
    def waits(self) -> bool:
        return self.act is not None


class Timeline:
    """Timers of the same time fire in the order in which they were set."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Timer]] = []
        self._ids = count()

    def at(self, when: float, act: Callable[[], None]) -> Timer:
        timer = Timer(max(when, self.now), act)
        heapq.heappush(self._heap, (timer.when, next(self._ids), timer))
        return timer

    def after(self, seconds: float, act: Callable[[], None]) -> Timer:
        return self.at(self.now + seconds, act)

    def run(self, until: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until:
            when, _, timer = heapq.heappop(heap)
            if (act := timer.act) is not None:
                self.now = when
                timer.act = None
                act()
        self.now = until


class Alarm:
    """Calls `ring` when a state machine's deadline has come, however often that changes."""

    __slots__ = ("_deadline", "_ring", "_time", "_timer")

    def __init__(self, time: Timeline, deadline: Callable[[], float | None], ring: Callable[[float], None]) -> None:
        self._time, self._deadline, self._ring = time, deadline, ring
        self._timer: Timer | None = None

    def set(self) -> None:
        """The deadline may have changed."""
        due, timer = self._deadline(), self._timer
        if due is None or (timer is not None and timer.waits and timer.when <= due):
            return
        self._timer = self._time.at(due, self._come)

    def _come(self) -> None:
        due = self._deadline()
        if due is not None and due <= self._time.now:
            self._ring(due)
        self.set()
