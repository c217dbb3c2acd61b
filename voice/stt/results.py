"""Results: what a recogniser has heard, for one reader, who is woken by the next of it, by a failure and by the end."""

from __future__ import annotations

import asyncio

from voice.stt.recognizer import Hearing


class Results:
    """An iterator of what is `put`. `end` drops what was not read; an error is raised once, after what came before."""

    def __init__(self) -> None:
        self.over = False
        """Nothing more is taken."""
        self._queue: asyncio.Queue[Hearing | BaseException | None] = asyncio.Queue()

    def put(self, hearing: Hearing) -> None:
        """The next result."""
        if not self.over:
            self._queue.put_nowait(hearing)

    def end(self, error: BaseException | None = None) -> None:
        """There is no more, because of `error` if that is given. Ending twice does nothing."""
        if self.over:
            return
        self.over = True
        while error is None and not self._queue.empty():
            self._queue.get_nowait()
        if error is not None:
            self._queue.put_nowait(error)
        self._queue.put_nowait(None)

    def __aiter__(self) -> Results:
        return self

    async def __anext__(self) -> Hearing:
        result = await self._queue.get()
        if isinstance(result, BaseException):
            raise result
        if result is None:
            self._queue.put_nowait(None)
            raise StopAsyncIteration
        return result
