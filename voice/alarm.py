"""An alarm: one timer of the event loop, set anew whenever a state machine's deadline moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls `ring` once when the time it was last set to has come."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    @property
    def on(self) -> bool:
        """It is going to ring."""
        return self._timer is not None

    def set(self, when: float | None) -> None:
        """Ring at `when` (loop seconds) and not at the time set before; None: not at all."""
        if self._timer is not None:
            if when == self._timer.when():
                return
            self._timer.cancel()
        self._timer = None if when is None else self._loop.call_at(when, self._go_off)

    def _go_off(self) -> None:
        self._timer = None
        self._ring()
