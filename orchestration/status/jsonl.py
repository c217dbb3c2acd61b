"""Status entries in a JSONL file: one a line. What is torn, foreign or huge in it is skipped when it is read."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, TypeVar

from orchestration.status.backend import StatusError
from orchestration.status.entry import StatusEntry, checked

log = logging.getLogger("sottovoce.status")

T = TypeVar("T")

MAX_BYTES = 16 * 1024 * 1024
"""Bytes at which a file is full: some 80,000 entries."""

MAX_LINE = 64 * 1024
"""Most bytes of a line; the longest entry of ours has fewer (12 for each character of a name or detail at most)."""

_FIELDS = frozenset(StatusEntry.__dataclass_fields__)


class JsonlFile:
    """The file at `path`, and `<path>.1` with what was there before. Used from one event loop; a thread does the work.

    Raises ValueError unless `max_bytes` is a whole number from MAX_LINE on.
    """

    def __init__(self, path: str | Path, max_bytes: int = MAX_BYTES) -> None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < MAX_LINE:
            raise ValueError(f"max_bytes must be a whole number from {MAX_LINE} on, not {max_bytes!r:.100}")
        self.path = Path(path)
        self.before = Path(f"{self.path}.1")
        self._max_bytes = max_bytes
        self._thread: ThreadPoolExecutor | None = None

    async def open(self, limit: int) -> list[StatusEntry]:
        """The last `limit` entries of both files, oldest first. Raises StatusError naming path and fix."""
        self._thread = self._thread or ThreadPoolExecutor(1, f"status {self.path.name}")
        try:
            return await self._run(lambda: self._read(limit))
        except BaseException:
            await self.aclose()
            raise

    async def append(self, entries: Sequence[StatusEntry]) -> None:
        """Write them at the end. Cancelled, it is done all the same. Raises StatusError naming path and fix."""
        await self._run(lambda: self._append(entries))

    async def aclose(self) -> None:
        """Finish what is begun."""
        thread, self._thread = self._thread, None
        if thread is not None:
            ended = asyncio.get_running_loop().run_in_executor(thread, _nothing)
            thread.shutdown(wait=False)
            await ended

    async def _run(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise StatusError(f"{self.path}: closed; await open() first")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # What follows runs in the file's thread.

    def _read(self, limit: int) -> list[StatusEntry]:
        found: deque[StatusEntry] = deque(maxlen=limit)
        skipped = 0
        try:
            with self.path.open("ab"):
                pass  # whether it can be written is known now, not only at the first entry
            for path in (self.before, self.path):
                if not path.exists():
                    continue
                with path.open("rb") as file:
                    for line in tail(file, self._max_bytes):
                        entry = None if line is None else entry_of(line)
                        if entry is None:
                            skipped += 1
                        else:
                            found.append(entry)
        except OSError as error:
            raise self._explained(error) from error
        if skipped:
            log.warning(
                "%s: %d lines are no status entries (torn, too long, or of another kind): skipped", self.path, skipped
            )
        return list(found)

    def _append(self, entries: Sequence[StatusEntry]) -> None:
        try:
            self._make_room()
            with self.path.open("a+b", buffering=0) as file:
                lines = b"".join(map(line_of, entries))
                if file.seek(0, os.SEEK_END) and not _ends_a_line(file):
                    lines = b"\n" + lines  # what was torn there must not swallow ours
                while lines:
                    lines = lines[file.write(lines) :]
        except OSError as error:
            raise self._explained(error) from error

    def _make_room(self) -> None:
        if self.path.exists() and self.path.stat().st_size >= self._max_bytes:
            self.path.replace(self.before)

    def _explained(self, error: OSError) -> StatusError:
        return StatusError(f"{self.path}: {error.strerror or error}; name a file in a directory that can be written to")


def line_of(entry: StatusEntry) -> bytes:
    """An entry as one line. Everything that is no ASCII is escaped, so no text can end it."""
    fields = {name: value for name, value in asdict(entry).items() if value not in ("", None, {})}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def entry_of(line: bytes) -> StatusEntry | None:
    """The entry that a line stands for; None if it is none."""
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict) or not fields.keys() <= _FIELDS:
            return None
        absent = dict.fromkeys(_FIELDS) | {"detail": ""}
        return checked(**{**absent, **fields})
    except (ValueError, RecursionError):
        return None


def tail(file: BinaryIO, most: int) -> Iterator[bytes | None]:
    """The lines in about the last `most` bytes of a file, without empty ones. None: one that is too long."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - most - MAX_LINE))
    if file.tell():
        _skip(file)
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            _skip(file)
            yield None
        elif line.strip():
            yield line


def _skip(file: BinaryIO) -> None:
    """Go to the beginning of the next line."""
    while (part := file.readline(MAX_LINE)) and not part.endswith(b"\n"):
        pass


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _nothing() -> None:
    """Comes after what was begun."""
