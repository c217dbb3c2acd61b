"""A subscriber: whoever wants to be told of entries, at its own pace; what it cannot follow it misses, nobody else."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from orchestration.status.entry import StatusEntry
from orchestration.status.filter import StatusFilter
from voice.cancellation import cancelled_here

log = logging.getLogger("sottovoce.status")

QUEUE = 1_000
"""Most entries that wait for one subscriber; beyond that it misses the oldest."""

PATIENCE = 10.0
"""Seconds a subscriber may take over one entry; then it is broken off and told the next one."""

Callback = Callable[[StatusEntry], Any]
"""Plain or async. A plain one runs in the event loop, so it must be quick; what it returns is not looked at."""


class Subscriber:
    """Calls `callback` with each entry that matches `wanted`, one after the other."""

    def __init__(self, callback: Callback, wanted: StatusFilter) -> None:
        self.wanted = wanted
        self._callback = callback
        self._queue: deque[StatusEntry] = deque()
        self._some = asyncio.Event()
        self._leaving = False
        self._missed = 0
        self.task = asyncio.get_running_loop().create_task(self._run(), name=f"status subscriber {callback!r:.100}")

    def put(self, entry: StatusEntry) -> None:
        """Have it told of this entry, if it wants it."""
        if self._leaving or not self.wanted.matches(entry):
            return
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self._missed += 1
            if self._missed == 1:
                log.warning(
                    "status subscriber %r dawdles: %d entries wait for it, it misses some", self._callback, QUEUE
                )
        self._queue.append(entry)
        self._some.set()

    def leave(self) -> None:
        """Be told of what waits, and of nothing more; then its task ends."""
        self._leaving = True
        self._some.set()

    def stop(self) -> None:
        """Be told of nothing more. May be called from within the callback, which then goes on to its end."""
        self._queue.clear()
        self.leave()
        if self.task is not _running_task():
            self.task.cancel()

    async def _run(self) -> None:
        while self._queue or not self._leaving:
            if not self._queue:
                self._some.clear()
                await self._some.wait()
                continue
            await self._call(self._queue.popleft())
            if not self._queue and self._missed:
                log.warning("status subscriber %r has missed %d entries", self._callback, self._missed)
                self._missed = 0
            await asyncio.sleep(0)  # a burst must not hold up the talk

    async def _call(self, entry: StatusEntry) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                told = self._callback(entry)
                if inspect.isawaitable(told):
                    await told
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_here():
                raise
            log.error("status subscriber %r failed and goes on with the next entry", self._callback, exc_info=error)


def _running_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # called where no loop runs
        return None
