"""Hints: who wants to know, in the event loop, that something about a room's deliveries has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

EVERYWHERE = "*"
"""In place of a room: look everywhere, as it is not known where."""


class Hints:
    """Tells its subscribers soon, never at once: whoever changes something is not called back in the middle of it."""

    def __init__(self) -> None:
        self._subscribers: dict[object, tuple[Callable[[str], None], bool]] = {}

    def __len__(self) -> int:
        return len(self._subscribers)

    def subscribe(self, on_change: Callable[[str], None], moves: bool) -> Callable[[], None]:
        """Call `on_change(room)` from now on; without `moves` not for our own. Returns what stops it."""
        key = object()
        self._subscribers[key] = (on_change, moves)

        def stop() -> None:
            self._subscribers.pop(key, None)

        return stop

    def tell(self, room: str, *, moved: bool = False) -> None:
        """Something in the room has changed; `moved`: it was we who moved deliveries, nothing else."""
        loop = asyncio.get_running_loop()
        for on_change, moves in self._subscribers.values():
            if moves or not moved:
                loop.call_soon(on_change, room)

    def clear(self) -> None:
        """Nobody wants to know any more."""
        self._subscribers.clear()
