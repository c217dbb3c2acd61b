"""How much faster than the wall virtual time runs: `python -m tests.bench.clock` prints it.

Three hours of three kinds: with a task that sleeps 20 ms at a time (what a paced audio path does), with a bare timer
every 20 ms (what a Sans-I/O machine under `call_at` costs), and with nothing to do. Beside them plain asyncio's price
for one turn of the loop, taken in the same run: no virtual clock can be quicker than the loop under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from voice.clock import now, run, wall_seconds

HOUR = 3600.0
TICK = 0.02
TICKS = round(HOUR / TICK)


async def sleeping() -> None:
    while now() < HOUR:
        await asyncio.sleep(TICK)


async def ticking() -> None:
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def tick(number: int) -> None:
        if number == TICKS:
            over.set_result(None)
        else:
            loop.call_at((number + 1) * TICK, tick, number + 1)

    tick(0)
    await over


async def idle() -> None:
    await asyncio.sleep(HOUR)


async def turning() -> None:
    for _ in range(TICKS):
        await asyncio.sleep(0)


def taken(player: Callable[[Coroutine[Any, Any, None]], None], main: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """The best of three, wall seconds: whatever else the machine does can only make it slower."""
    best = float("inf")
    for _ in range(3):
        began = wall_seconds()
        player(main())
        best = min(best, wall_seconds() - began)
    return best


def main() -> None:
    print(f"{'an hour with':<34}{'wall':>12}{'factor':>14}{'a tick':>10}")
    for name, hour in (("a sleep every 20 ms", sleeping), ("a timer every 20 ms", ticking), ("nothing to do", idle)):
        wall = taken(run, hour)
        tick = "" if hour is idle else f"{wall / TICKS * 1e6:7.2f} us"
        print(f"{name:<34}{wall * 1000:>9.2f} ms{HOUR / wall:>13,.0f}x{tick:>10}")
    print(f"{'plain asyncio, one turn of its loop':<60}{taken(asyncio.run, turning) / TICKS * 1e6:7.2f} us")


if __name__ == "__main__":
    main()
