"""Patience: bounds how long what comes piece by piece may keep still. One timer for all pieces: setting one for each
would cost more than the pieces do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Self, TypeVar

T = TypeVar("T")


class Patience:
    """Use as `async with Patience() as patience:` around the whole of what is waited for, in one task."""

    def __init__(self) -> None:
        self.over = False
        """It was waited for too long: the TimeoutError is this one's, and nobody else's."""
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self._waiting: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def wait(self, coming: Awaitable[T], seconds: float) -> T:
        """The next piece. Raises TimeoutError, and is then `over`, when it does not come within `seconds`."""
        self._until = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._until:
            self._set()
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await coming
        finally:
            self._waiting = None

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._until, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._until:
            self._set()
        else:
            self.over = True
            self._waiting.reschedule(self._loop.time())
