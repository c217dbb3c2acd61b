"""Scenes for tests of the simulated channel: Anna in the room, and all that the channel tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from voice import clock
from voice.floor import FloorChanged
from voice.simulated import SimulatedCaller, SimulatedChannel

TINY = 1e-6
LONG = "Here is a long answer that goes on for a good while and then some."
Told = list[tuple[float, Any]]
Scene = Callable[[SimulatedChannel, SimulatedCaller, Told], Coroutine[Any, Any, None]]


def play(scene: Scene, **options: Any) -> None:
    """Play a scene with Anna in the room; all that the channel tells is in the third argument."""

    async def main() -> None:
        async with SimulatedChannel(**options) as channel:
            told: Told = []
            channel.listen(lambda event, at: told.append((at, event)))
            anna = channel.join("anna")
            async with asyncio.timeout(4000):
                await scene(channel, anna, told)

    clock.run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


async def until(at: float) -> None:
    await asyncio.sleep(at - now())


def times(told: Told, kind: type) -> list[float]:
    return [at for at, event in told if isinstance(event, kind)]


def states(told: Told) -> list[tuple[float, str, str | None]]:
    return [(round(at, 6), e.view.state.value, e.view.blocker) for at, e in told if isinstance(e, FloorChanged)]


async def pieces(*script: str | float | Exception) -> AsyncIterator[str]:
    """A text as a model makes it: pieces, and seconds between them."""
    for piece in script:
        if isinstance(piece, str):
            yield piece
        elif isinstance(piece, Exception):
            raise piece
        else:
            await asyncio.sleep(piece)
