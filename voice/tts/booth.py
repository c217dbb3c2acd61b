"""A booth: the one thread in which a blocking speech engine works, and texts from all rooms take turns in it.

Engines here make a second of speech in about ten milliseconds, so one thread serves dozens of callers, and an engine
that may not be entered twice never is. Turns are a sentence long: a long text does not hold up a short one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from voice.tts.synthesizer import SpeechChunk

T = TypeVar("T")
R = TypeVar("R")

Emit = Callable[[SpeechChunk], bool]
"""What an engine calls with each chunk, in the booth's thread; False tells it to stop."""

LONGEST = 5_000
"""Characters that can be spoken at once: five minutes. More is a mistake of the caller."""


def short_enough(text: str) -> str:
    """`text` itself. Raises ValueError when it is longer than `LONGEST`."""
    if len(text) > LONGEST:
        raise ValueError(f"text has {len(text)} characters, and {LONGEST} can be spoken at once: give it in parts")
    return text


class Booth:
    """One engine's thread; it is made when it is first needed and ends with the booth."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def do(self, work: Callable[[], R]) -> R:
        """Run `work` in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def speak(self, pieces: Iterable[T], work: Callable[[T, Emit], None]) -> AsyncGenerator[SpeechChunk]:
        """Do `work` on each piece in turn, and pass on what it emits. Closing the generator stops it.

        The next piece is begun as soon as the last is done, whether or not its audio has been fetched.
        """
        speech = _Speech(self._thread, iter(pieces), work)
        speech.go_on()
        try:
            while (chunk := await speech.chunks.get()) is not None:
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk
        finally:
            speech.stop()


class _Speech(Generic[T]):
    """One text on its way through the booth."""

    def __init__(self, thread: ThreadPoolExecutor, pieces: Iterator[T], work: Callable[[T, Emit], None]) -> None:
        self.chunks: asyncio.Queue[SpeechChunk | BaseException | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._thread, self._pieces, self._work = thread, pieces, work
        self._stopped = threading.Event()
        self._job: asyncio.Future[None] | None = None

    def go_on(self) -> None:
        """Begin the next piece, or say that there is none."""
        for piece in self._pieces:
            self._job = self._loop.run_in_executor(self._thread, self._work, piece, self._emit)
            self._job.add_done_callback(self._done)
            return
        self.chunks.put_nowait(None)

    def stop(self) -> None:
        """Let the engine stop at its next chunk, and what has not begun never begin."""
        self._stopped.set()
        if self._job:
            self._job.cancel()

    def _done(self, job: asyncio.Future[None]) -> None:
        if job.cancelled():
            return
        error = job.exception()
        if self._stopped.is_set():
            return
        if error:
            self.chunks.put_nowait(error)
        else:
            self.go_on()

    def _emit(self, chunk: SpeechChunk) -> bool:
        """In the booth's thread."""
        if self._stopped.is_set():
            return False
        try:
            self._loop.call_soon_threadsafe(self.chunks.put_nowait, chunk)
        except RuntimeError:
            if self._loop.is_closed():  # nobody is left to hear it
                return False
            raise
        return True
