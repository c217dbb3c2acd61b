"""A Printer: a call as plain lines, without colours, for pipes and files; what is typed comes from a pipe, too.

Lines are printed when they are over, in the order in which they began, each with the time at which it did.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import threading
from collections.abc import AsyncIterator, Callable
from typing import TextIO

from orchestration.transcript import Entry, Transcript

Post = Callable[[str | None], None]

CHUNK = 4096
"""Bytes that are read at once."""


def clock(seconds: float) -> str:
    """A time since the call began, as minutes and seconds."""
    minutes, rest = divmod(round(max(seconds, 0.0), 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def words_of(entry: Entry) -> str:
    """A line's text; one that was cut shows it."""
    return f"{entry.text} — (cut)".lstrip() if entry.cut else entry.text


class Printer:
    """Prints to `output`, reads lines from the file descriptor `source`. `patient`: nobody sits there and types."""

    def __init__(
        self, output: TextIO, source: int, *, patient: bool, gone: Callable[[], object] = lambda: None
    ) -> None:
        """`gone` is called when nobody reads the output any more (`| head`)."""
        self.patient = patient
        self._gone = gone
        self._output = output
        self._source = source
        self._began: float | None = None

    def tell(self, text: str) -> None:
        """Something that is no part of the call."""
        self._print(text)

    def show(self, transcript: Transcript) -> None:
        """Print what will not change any more."""
        for entry in transcript.take():
            self._began = entry.at if self._began is None else self._began
            label = "" if entry.kind == "note" else entry.kind
            self._print(f"{clock(entry.at - self._began):>7}  {label:<8}  {words_of(entry)}")

    async def typed(self) -> AsyncIterator[str]:
        """The lines of the source, until it ends.

        A thread of our own reads them: a regular file cannot be watched by the loop, and the loop's threads would be
        waited for at the end, when nobody types any more.
        """
        loop, lines = asyncio.get_running_loop(), asyncio.Queue[str | None]()

        def post(line: str | None) -> None:
            try:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            except RuntimeError:
                if not loop.is_closed():  # the call is over, nobody waits for lines
                    raise

        threading.Thread(target=read, args=(self._source, post), name="chat input", daemon=True).start()
        while (line := await lines.get()) is not None:
            yield line

    def _print(self, text: str) -> None:
        encoding = self._output.encoding or "utf-8"
        try:
            self._output.write(text.encode(encoding, "replace").decode(encoding) + "\n")
            self._output.flush()
        except BrokenPipeError:
            # What is still buffered would fail again at exit (the way out that Python's signal module documents).
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._output.fileno())
            self._gone()


def read(source: int, post: Post) -> None:
    """Post the lines of a file descriptor, then None. Bytes that are no UTF-8 become question marks."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    try:
        while chunk := os.read(source, CHUNK):
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            for line in lines:
                post(line)
    except OSError:
        pass  # a terminal that is gone has nothing more to say
    if rest := rest + decoder.decode(b"", final=True):
        post(rest)
    post(None)
