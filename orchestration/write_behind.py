"""Writing behind: who has something to keep goes on at once; it is written in order, however long the store is away.

Several items are written at once. What waits is bounded: the oldest go when the store is away for too long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from voice.cancellation import cancelled_here

T = TypeVar("T")

MAX_WAITING = 10_000
"""Most items that wait to be written: then the oldest go."""

MAX_TOGETHER = 256
"""Most items that are written at once."""

EVERY = 0.05
"""Seconds between two writes: each is one on the disk, and a burst's items share it."""

RETRY = 1.0
"""Seconds until something that could not be written is written again."""


class WriteBehind(Generic[T]):
    """Calls `write` with what was put, in order, from `open` on. What it raises is logged, and all of it written again.

    So `write` must leave alone what it has written before. `what` names the items in the log; `between` is called
    after each burst. Used from one event loop, except that it may be made and be given items before there is one.
    """

    def __init__(
        self,
        what: str,
        write: Callable[[Sequence[T]], Awaitable[None]],
        *,
        between: Callable[[], Awaitable[None]] | None = None,
        log: logging.Logger,
    ) -> None:
        self._what = what
        self._write = write
        self._between = between
        self._log = log
        self._waiting: dict[int, T] = {}
        self._put = 0
        self._some = asyncio.Event()
        self._fewer = asyncio.Event()
        self._lost = 0
        self._failed = False
        self._task: asyncio.Task[None] | None = None

    @property
    def unwritten(self) -> list[T]:
        """What is not written yet, or was not when it was last heard of."""
        return list(self._waiting.values())

    @property
    def running(self) -> bool:
        """Whether it writes: it is open."""
        return self._task is not None and not self._task.done()

    def open(self) -> None:
        """Write from now on, in the running loop."""
        if not self.running:
            self._some, self._fewer = asyncio.Event(), asyncio.Event()
            self._wake()
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"writer of {self._what}")

    def put(self, items: Iterable[T]) -> None:
        """Have these written soon."""
        for item in items:
            self._put += 1
            self._waiting[self._put] = item
        if len(self._waiting) > MAX_WAITING:
            self._drop(len(self._waiting) - MAX_WAITING)
        self._wake()

    async def settled(self) -> None:
        """Returns when all that was put so far is written, or lost. It must be open."""
        last = self._put
        while next(iter(self._waiting), last + 1) <= last:
            await self._fewer.wait()

    async def aclose(self, seconds: float) -> None:
        """Write what waits, if that can be done within `seconds`; the rest is lost, and the log says so."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        try:
            async with asyncio.timeout(seconds):
                while self._waiting:
                    await self._write_some()
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_here():
                raise
            self._log.warning("%d %s could not be written: %s", len(self._waiting), self._what, told(error))
        self._waiting.clear()
        self._tell()
        self._task, self._failed, self._lost = None, False, 0

    def stop(self) -> None:
        """Write nothing more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            try:
                while self._waiting:
                    await self._write_some()
                if self._between is not None:
                    await self._between()
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
        batch = dict(islice(self._waiting.items(), MAX_TOGETHER))
        await self._write(list(batch.values()))
        for number in batch:
            self._waiting.pop(number, None)
        self._tell()

    def _drop(self, number: int) -> None:
        """Lose the oldest."""
        if not self._lost:
            self._log.warning("more than %d %s wait to be written: the oldest are lost", MAX_WAITING, self._what)
        for oldest in list(islice(self._waiting, number)):
            del self._waiting[oldest]
        self._lost += number
        self._tell()

    def _wake(self) -> None:
        if self._waiting:
            self._some.set()

    def _tell(self) -> None:
        """Have those who wait in `settled` look again."""
        self._fewer.set()
        self._fewer = asyncio.Event()

    def _complain(self, error: BaseException) -> None:
        if not self._failed:
            self._log.warning("%s cannot be written, trying again: %s", self._what, told(error))
        self._failed = True

    def _works_again(self) -> None:
        if self._lost:
            self._log.warning("%d %s were lost, as they could not be written for so long", self._lost, self._what)
        elif self._failed:
            self._log.info("%s are written again", self._what)
        self._failed, self._lost = False, 0


def told(error: BaseException) -> str:
    """What an error says; those that say nothing by their names."""
    return str(error) or type(error).__name__
