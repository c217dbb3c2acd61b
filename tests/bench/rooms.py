"""What a busy room costs the others: `python -m tests.bench.rooms` prints it.

A hundred rooms with a call each live for two minutes of virtual time, alone and beside a room with hundreds of results
of all kinds and a caller who chatters and cuts in. Their lines must begin at the very same times. What the loop spends
on an event of theirs is measured in both runs, and what the busy room's own events take of the loop at once: that is
the most that it can hold up another.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from delivery.desk import Desk
from tests.orchestration.crowd import BUSY, Heard, lived
from voice.clock import wall_seconds

QUIET, DELIVERIES, SECONDS = 100, 400, 120.0


class Meter:
    """Times every event that a desk handles, by kind of room."""

    def __init__(self) -> None:
        self.quiet: list[float] = []
        self.busy: list[float] = []

    def around(self, handle: Callable[..., None]) -> Callable[..., None]:
        """A desk's `_handle` that is timed, unless it was called from within another."""

        def timed(desk: Desk, event: Any, at: float) -> None:
            if desk._handling:
                return handle(desk, event, at)
            began = wall_seconds()
            handle(desk, event, at)
            (self.busy if desk.room == BUSY else self.quiet).append(wall_seconds() - began)
            return None

        return timed


def run(busy: int) -> tuple[Heard, Meter, float]:
    """What was heard, how long events took, and seconds for it all."""
    meter, handle = Meter(), Desk._handle
    Desk._handle = meter.around(handle)  # type: ignore[method-assign]
    gc.collect()
    began = wall_seconds()
    try:
        return lived(QUIET, busy, SECONDS), meter, wall_seconds() - began
    finally:
        Desk._handle = handle  # type: ignore[method-assign]


def row(name: str, seconds: list[float]) -> str:
    us = sorted(s * 1e6 for s in seconds)
    return f"{name:<34}{len(us):>9}{us[len(us) // 2]:>9.1f}{us[int(len(us) * 0.99)]:>9.1f}{us[-1]:>9.0f}"


def main() -> None:
    run(DELIVERIES)  # warms everything up
    alone, before, took_alone = run(0)
    beside, after, took_beside = run(DELIVERIES)
    lines = beside.pop(BUSY)
    late = [b[0] - a[0] for room in alone for a, b in zip(alone[room], beside[room], strict=True)]
    print(f"{QUIET} rooms with {len(late)} lines of ours in {SECONDS:g} s, and {len(lines)} lines in the busy one")
    print(
        f"later than without the busy room: {max(map(abs, late)) * 1000:g} ms at most; all the same: {alone == beside}"
    )
    print(f"\n{'microseconds an event of a desk':<34}{'events':>9}{'p50':>9}{'p99':>9}{'most':>9}")
    print(row("quiet rooms, alone", before.quiet))
    print(row("quiet rooms, beside the busy one", after.quiet))
    print(row("the busy room", after.busy))
    medians = [sorted(m.quiet)[len(m.quiet) // 2] for m in (before, after)]
    print(f"an event of a quiet room beside the busy one: {medians[1] / medians[0]:.2f} times as long")
    print(f"{took_alone:.1f} s and {took_beside:.1f} s of a core for {SECONDS:g} s of {QUIET} calls")
    if alone != beside:
        raise SystemExit("a room is no island")


if __name__ == "__main__":
    main()
