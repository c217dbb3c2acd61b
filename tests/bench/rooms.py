"""What a busy room costs the others, and an idle one the house: `python -m tests.bench.rooms` prints it.

A thousand rooms are opened, asked something each, and closed: what each takes of memory, tasks and time (a voice takes
its time to answer; what it makes the loop do meanwhile is counted). Then a hundred rooms with a call each live for two
minutes of virtual time, alone and beside a room with hundreds of results of all kinds and a caller who chatters and
cuts in. Their lines must begin at the very same times. What the loop spends on an event of theirs is measured in both
runs, and what the busy room's own events take of the loop at once: that is the most that it can hold up another.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from delivery.desk import Desk
from orchestration import Agent, InboundMessage, Runtime, TextChannel, TextContent
from orchestration.models.prepared import Prepared
from tests.orchestration.crowd import BUSY, Heard, lived
from tests.orchestration.post import Talks
from voice.clock import run as virtually
from voice.clock import wall_seconds
from voice.simulated import SimulatedChannel

QUIET, DELIVERIES, SECONDS = 100, 400, 120.0
IDLE = 1_000


async def idle(written: bool) -> str:
    """What an idle room takes, in a row: memory, tasks, and the time to open it, have a message answered, close it."""
    agent = Agent("host", model=Prepared(["hello there"]))
    channels = lambda room: SimulatedChannel()  # noqa: E731
    async with Runtime(orchestration=Talks(agent), state=None, channels=channels) as runtime:

        async def begin(number: int) -> None:
            name = f"room {number}"
            await runtime.create_room(name)
            await runtime.attach_channel(name, TextChannel("ws", send=lambda event: asyncio.sleep(0)))
            if not written:
                session = await runtime.enter(name)
                assert isinstance(session.channel, SimulatedChannel)
                session.channel.join("ann")

        async def ask(number: int) -> None:
            message = InboundMessage("ws", "bob", TextContent("hello"))
            await runtime.process_inbound(message, room_id=f"room {number}")

        async def close(number: int) -> None:
            await runtime.close_room(f"room {number}")

        gc.collect()
        tracemalloc.start()
        tasks = len(asyncio.all_tasks())
        for number in range(IDLE):
            await begin(number)
        await asyncio.sleep(1)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        tasks = len(asyncio.all_tasks()) - tasks
        took = [wall_seconds()]
        for act, rooms in ((begin, IDLE), (ask, 0), (close, 0)):
            for number in range(IDLE):
                await act(rooms + number)
            took.append(wall_seconds())
        each = "".join(f"{(b - a) / IDLE * 1000:>9.2f}" for a, b in pairwise(took))
        return f"{'written' if written else 'simulated voice':<34}{size / IDLE / 1000:>9.1f}{tasks / IDLE:>9.1f}{each}"


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
    print(f"{IDLE} idle rooms, each:{'KB':>20}{'tasks':>9}{'ms open':>9}{'ms ask':>9}{'ms close':>9}")
    for written in (True, False):
        print(virtually(idle(written)))
    print()
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
