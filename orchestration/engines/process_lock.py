"""A file belongs to one living process: the kernel takes the lock back however the process ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from orchestration.engines.engine import EngineError


class ProcessLock:
    """The right to use the file at `path`, held by at most one process. The lock is in a file beside it (`.lock`)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Take the lock. Raises EngineError when another process has it, or its file cannot be made.

        A POSIX record lock, not flock: a forked child does not inherit it, so it dies with this process.
        """
        import fcntl  # not on Windows, where only this fails

        beside = self._path.with_name(self._path.name + ".lock")
        try:
            file = beside.open("a+")
        except OSError as error:
            raise EngineError(f"{beside}: {error.strerror}; create its directory and make it writable") from error
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read(32).strip()
            file.close()
            raise EngineError(
                f"another sottovoce uses this directory: {self._path.parent} (process {owner or 'unknown'}); "
                "stop that one, or give each its own"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give it back; without it this does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None
