"""The writer: hands what was posted to the backend in order, several entries at once, however long it is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from orchestration.cancellation import cancelled_here
from orchestration.status.backend import StatusBackend
from orchestration.status.entry import StatusEntry

log = logging.getLogger("sottovoce.status")

MAX_WAITING = 10_000
"""Most entries that wait to be told, and to be written: then the oldest go."""

MAX_TOGETHER = 256
"""Most entries that are written at once."""

EVERY = 0.05
"""Seconds between two writes: each is one on the disk, and a burst's entries share it."""

RETRY = 1.0
"""Seconds until something that could not be written is written again."""

CLOCK_EVERY = 60.0
"""Seconds after which the backend is asked again what time it is."""


class Writer:
    """Writes to `backend` from now on; `set_clock` is called now and then."""

    def __init__(self, backend: StatusBackend, set_clock: Callable[[], Awaitable[None]]) -> None:
        self._backend = backend
        self._set_clock = set_clock
        self._waiting: dict[str, StatusEntry] = {}
        self._some = asyncio.Event()
        self._lost = 0
        self._failed = False
        loop = asyncio.get_running_loop()
        self._asked = loop.time()
        self._task = loop.create_task(self._run(), name="status writer")

    @property
    def unwritten(self) -> list[StatusEntry]:
        """What is not written yet, or was not when it was last heard of."""
        return list(self._waiting.values())

    def put(self, entries: Sequence[StatusEntry]) -> None:
        """Have these written soon."""
        for entry in entries:
            self._waiting[entry.id] = entry
        while len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
            self._lost += 1
        if self._waiting:
            self._some.set()

    async def aclose(self, seconds: float) -> None:
        """Write what waits, if that can be done within `seconds`."""
        self._task.cancel()
        await asyncio.wait([self._task])
        try:
            async with asyncio.timeout(seconds):
                while self._waiting:
                    await self._write_some()
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_here():
                raise
            log.warning("%d status entries could not be written: %s", len(self._waiting), told(error))

    def stop(self) -> None:
        """Write nothing more."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            try:
                while self._waiting:
                    await self._write_some()
                if asyncio.get_running_loop().time() >= self._asked + CLOCK_EVERY:
                    self._asked = asyncio.get_running_loop().time()
                    await self._set_clock()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and cancelled_here():
                    raise
                self._complain(error)
                self._some.set()
                await asyncio.sleep(RETRY)
            else:
                self._works_again()
                await asyncio.sleep(EVERY)

    async def _write_some(self) -> None:
        batch = list(islice(self._waiting.values(), MAX_TOGETHER))
        await self._backend.append(batch)
        for entry in batch:
            self._waiting.pop(entry.id, None)

    def _complain(self, error: BaseException) -> None:
        if not self._failed:
            log.warning("status entries cannot be written, trying again: %s", told(error))
        self._failed = True

    def _works_again(self) -> None:
        if self._lost:
            log.warning("%d status entries were lost, as they could not be written for so long", self._lost)
        elif self._failed:
            log.info("status entries are written again")
        self._failed, self._lost = False, 0


def told(error: BaseException) -> str:
    """What an error says; those that say nothing by their names."""
    return str(error) or type(error).__name__
