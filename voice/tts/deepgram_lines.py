"""The lines to Deepgram that one event loop has: a warm one for the next text, so many at once and no more.

Idle lines are plain open sockets that nobody reads. What goes on in the background (a spare one is opened, one that is
not wanted any more is closed, and somebody sees that all are gone when the loop is) is owned here and over after
`aclose`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from voice.provider_error import ProviderError
from voice.tts.deepgram_line import Line

log = logging.getLogger("sottovoce.deepgram")

IDLE = 60.0
"""Seconds after which an idle line is closed; one is kept as long as it lives."""


class Lines:
    """At most `most` lines. `connect` opens one, and raises ProviderError."""

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, Line]], most: int) -> None:
        self._connect, self._most = connect, most
        self._loop = asyncio.get_running_loop()
        self.places = asyncio.Semaphore(most)
        """To be held by whoever takes a line, as long as it has it."""
        self._all: set[Line] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._taken = 0
        self._idle: list[Line] = []
        """The last used one last."""
        self._spare: asyncio.Task[Line] | None = None
        self._closings: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.TimerHandle | None = None
        self._closed = False

    async def warm(self) -> None:
        """See that a line is open. Raises ProviderError."""
        async with self.places:
            await self.give(await self.take(spare=False))

    async def take(self, *, spare: bool = True) -> Line:
        """A line for one text; give it back. Opens another one ahead, when this was the last and it may (`spare`).

        Raises ProviderError when there is none and none can be opened.
        """
        self._taken += 1
        try:
            while (line := self._best()) is not None:
                if await self._settled(line):
                    break
            else:
                line = await self._new()
        except BaseException:
            self._taken -= 1
            raise
        if spare:
            self._open_ahead()
        return line

    async def give(self, line: Line) -> None:
        """Back from a text, whether that came to its end or not. Never waits long."""
        try:
            await line.clear()
        finally:
            self._taken -= 1
            if line.alive and not self._closed:
                self._keep(line)
            else:
                self._drop(line)

    async def aclose(self) -> None:
        """Close what is idle, now; what is in use is closed when it is given back."""
        self._closed = True
        if self._tidying:
            self._tidying.cancel()
        if self._spare:
            spare, self._spare = self._spare, None
            spare.cancel()
            await asyncio.wait([spare])
        for line in self._idle:
            self._drop(line)
        self._idle.clear()
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper, *self._closings])

    @property
    def open(self) -> int:
        """How many lines there are, counting those that are being opened."""
        return self._taken + len(self._idle) + (self._spare is not None)

    def _best(self) -> Line | None:
        """The one used last of those that can take a text at once, or else need only be cleared."""
        now = self._loop.time()
        for line in [line for line in self._idle if not line.alive or line.old(now)]:
            self._idle.remove(line)
            self._drop(line)
        ready = [line for line in self._idle if line.ready(now)]
        best = next((line for line in reversed(ready) if not line.clearing), None) or next(reversed(ready), None)
        if best:
            self._idle.remove(best)
        return best

    async def _settled(self, line: Line) -> bool:
        settled = False
        try:
            settled = await line.settle()
        finally:
            if not settled:
                self._drop(line)
        return settled

    async def _new(self) -> Line:
        if self._spare:  # its task is ours from now on, and is cancelled with us
            spare, self._spare = self._spare, None
            spare.remove_done_callback(self._spare_opened)
            try:
                return await spare
            except asyncio.CancelledError:
                spare.add_done_callback(self._spare_opened)  # it may just have been opened
                raise
        if self._idle and self.open > self._most:  # those that have no texts left for a while
            self._drop(self._idle.pop(0))
        return await self._open()

    async def _open(self) -> Line:
        if not self._keeper:
            self._keeper = self._loop.create_task(self._until_the_end(), name="deepgram-lines")
        line = await self._connect()
        self._all.add(line)
        return line

    async def _until_the_end(self) -> None:
        """A loop that ends without `aclose` cancels its tasks: then the sockets go at once. Their own tasks would wait
        ten seconds for a goodbye that nobody sends any more.
        """
        try:
            await self._loop.create_future()
        finally:
            if not self._closed:
                for line in self._all:
                    line.abort()

    def _open_ahead(self) -> None:
        now = self._loop.time()
        if self._spare or self._closed or self.open >= self._most or any(line.ready(now) for line in self._idle):
            return
        self._spare = self._loop.create_task(self._open(), name="deepgram-spare")
        self._spare.add_done_callback(self._spare_opened)

    def _spare_opened(self, spare: asyncio.Task[Line]) -> None:
        if self._spare is spare:
            self._spare = None
        if spare.cancelled():
            return
        error = spare.exception()
        if error:
            log.warning("no connection could be opened ahead: %s", _named(error))
        elif self._closed:
            self._drop(spare.result())
        else:
            self._keep(spare.result())

    def _keep(self, line: Line) -> None:
        line.idle_since, line.waited = self._loop.time(), True
        self._idle.append(line)
        if not self._tidying:
            self._tidying = self._loop.call_later(IDLE, self._tidy)

    def _tidy(self) -> None:
        """Close what has been idle for long, but for the last one."""
        self._tidying = None
        until = self._loop.time() + 0.01  # a timer may come early, by what a float cannot tell
        for line in [line for line in self._idle[:-1] if line.idle_since + IDLE <= until]:
            self._idle.remove(line)
            self._drop(line)
        if len(self._idle) > 1:
            self._tidying = self._loop.call_at(self._idle[0].idle_since + IDLE, self._tidy)

    def _drop(self, line: Line) -> None:
        self._all.discard(line)
        closing = self._loop.create_task(line.close(abort=not line.alive), name="deepgram-goodbye")
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)


def _named(error: BaseException) -> str:
    return str(error) if isinstance(error, ProviderError) else type(error).__name__
