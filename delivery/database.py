"""One SQLite file behind one thread: a write that returned is durable, several share a commit, errors name the fix."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from delivery.ledger import LedgerError

T = TypeVar("T")

NOW = "((julianday('now') - 2440587.5) * 86400.0)"
"""The database's clock in SQL: seconds since 1970, to the millisecond.

2440587.5 is the Julian day of 1970-01-01. `unixepoch('subsec')` would do, but SQLite knows it only since 3.42 and
Debian 12 has 3.40.
"""

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another program's lock."""

MAX_WAITING = 10_000
"""Most calls that may wait for the file; a disk this far behind will not catch up within a call."""

MAX_TOGETHER = 256
"""Most calls in one commit: keeps a burst's first answer from waiting for its last."""

_TRIES = 50
"""Attempts to switch to WAL: each fails only if another process was in the way just then."""

_FIXES = {
    "SQLITE_BUSY": "another program holds its lock; close that program, or give each its own file",
    "SQLITE_LOCKED": "another program holds its lock; close that program, or give each its own file",
    "SQLITE_FULL": "the disk (or its quota) is full; free some space",
    "SQLITE_READONLY": "it is read-only; make the file and its directory writable",
    "SQLITE_CANTOPEN": "create its directory and make it writable",
    "SQLITE_CORRUPT": "it is damaged; move it away or restore a copy",
    "SQLITE_NOTADB": "it is not an SQLite database; move it away or name another file",
    "SQLITE_IOERR": "the disk does not work as it should; look at the system's log",
}


def explained(error: sqlite3.Error) -> str:
    """What SQLite says and what to do about it."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    fix = next((fix for code, fix in _FIXES.items() if name.startswith(code)), f"SQLite says {name}")
    return f"{error}; {fix}"


def write_ahead(connection: sqlite3.Connection) -> str:
    """Switch to WAL; returns the mode that the file is in then.

    SQLite lets nobody wait for that: while another process does it, or recovers the file after a crash, it is tried
    again.
    """
    for left in reversed(range(_TRIES)):
        try:
            mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not left:
                raise
            connection.executescript("BEGIN EXCLUSIVE; ROLLBACK")  # for this it does let one wait
        else:
            return mode
    raise AssertionError("the last try returns or raises")


@dataclass(eq=False, slots=True)
class _Call(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    answer: asyncio.Future[T]
    writes: bool
    then: Callable[[T], None] | None = None

    def settle(self, value: T, error: Exception | None) -> None:
        """Answer whoever waits, if they still do."""
        if error is None and self.then is not None:
            self.then(value)
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(value)
        else:
            self.answer.set_exception(error)


_Outcome = tuple[Any, Exception | None]


class Database:
    """An SQLite file in WAL mode, used from one event loop.

    Its parts (deliveries, identities) share it: `open` and `aclose` count, the last `aclose` closes the file.
    `busy_timeout` is in seconds.
    """

    def __init__(self, path: str | Path, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = Path(path)
        self._busy_timeout = busy_timeout
        self._users = 0
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._waiting: deque[_Call[Any]] = deque()
        self._draining: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Open the file, making it if there is none. Raises LedgerError naming path and fix."""
        async with self._opening:
            if self._thread is None:
                thread = ThreadPoolExecutor(1, f"sqlite {self.path.name}")
                try:
                    await asyncio.get_running_loop().run_in_executor(thread, self._connect)
                except BaseException:
                    thread.submit(self._disconnect)
                    thread.shutdown(wait=False)
                    raise
                self._thread = thread
            self._users += 1

    async def aclose(self) -> None:
        """Finish what waits, then close the file once nobody uses it any more."""
        async with self._opening:
            self._users = max(0, self._users - 1)
            if self._users or self._thread is None:
                return
            thread, self._thread = self._thread, None
            try:
                if self._draining is not None:
                    await asyncio.wait([self._draining])
            finally:
                closed = asyncio.get_running_loop().run_in_executor(thread, self._disconnect)
                thread.shutdown(wait=False)
            await closed

    async def write(self, work: Callable[[sqlite3.Connection], T], *, then: Callable[[T], None] | None = None) -> T:
        """Run `work` in the file's thread inside a transaction; return once it is durable.

        What `work` raises undoes it and is raised here; SQLite's own errors come out as LedgerError. Cancelled before
        its turn, it is not run; later, it is finished all the same. `then(result)` is called in the loop once it is
        durable, also if nobody waits for it any more.
        """
        return await self._call(_Call(work, asyncio.get_running_loop().create_future(), True, then))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which changes nothing, in the file's thread."""
        return await self._call(_Call(work, asyncio.get_running_loop().create_future(), False))

    async def open_with(self, part: str, versions: Sequence[str]) -> None:
        """Open it for who keeps `part` in it, with tables that are up to date; it is let go again when they cannot be.

        Raises what `open` and `migrate` raise.
        """
        await self.open()
        try:
            await self.migrate(part, versions)
        except BaseException:
            await self.aclose()
            raise

    async def migrate(self, part: str, versions: Sequence[str]) -> None:
        """Bring `part`'s tables up to date: run each of `versions` (SQL) that was not run yet.

        Raises LedgerError, changing nothing, when a newer release wrote the file.
        """

        def apply(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE IF NOT EXISTS schema (part TEXT PRIMARY KEY, version INTEGER NOT NULL)")
            row = connection.execute("SELECT version FROM schema WHERE part = ?", (part,)).fetchone()
            version = row["version"] if row else 0
            if version > len(versions):
                raise LedgerError(
                    f"{self.path}: its {part} are in format {version}, this release knows {len(versions)}; "
                    "a newer sottovoce wrote it: upgrade, or name another file"
                )
            if version == len(versions):
                return
            for script in versions[version:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            connection.execute("INSERT OR REPLACE INTO schema VALUES (?, ?)", (part, len(versions)))

        await self.write(apply)

    async def _call(self, call: _Call[T]) -> T:
        if self._thread is None:
            raise LedgerError(f"{self.path}: closed; await open() first")
        if len(self._waiting) >= MAX_WAITING:
            raise LedgerError(f"{self.path}: {MAX_WAITING} calls wait for the disk; ask for less or use a faster one")
        self._waiting.append(call)
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain(self._thread))
        return await call.answer

    async def _drain(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        calls: list[_Call[Any]] = []
        try:
            while self._waiting:
                calls = [self._waiting.popleft() for _ in range(min(MAX_TOGETHER, len(self._waiting)))]
                calls = [call for call in calls if not call.answer.done()]
                outcomes = await loop.run_in_executor(thread, self._run, calls)
                for call, outcome in zip(calls, outcomes, strict=True):
                    call.settle(*outcome)
        finally:
            self._draining = None
            # Only when the loop is being torn down is anything left here.
            for call in [*calls, *self._waiting]:
                call.answer.cancel()
            self._waiting.clear()

    # What follows runs in the file's thread.

    def _connect(self) -> None:
        try:
            connection = sqlite3.connect(self.path, timeout=self._busy_timeout, isolation_level=None)
            self._connection = connection
            connection.row_factory = sqlite3.Row
            mode = write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            raise self._explained(error) from error
        if mode != "wal":
            raise LedgerError(f"{self.path}: its file system cannot do WAL ({mode}); put it on a local disk")

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _run(self, calls: Sequence[_Call[Any]]) -> list[_Outcome]:
        assert self._connection is not None
        connection = self._connection
        writes = [call for call in calls if call.writes]
        written = dict(zip(writes, self._commit(connection, writes), strict=True)) if writes else {}
        return [written[call] if call.writes else self._look(connection, call) for call in calls]

    def _look(self, connection: sqlite3.Connection, call: _Call[Any]) -> _Outcome:
        try:
            return call.work(connection), None
        except sqlite3.Error as error:
            return None, self._explained(error)
        except Exception as error:
            return None, error

    def _commit(self, connection: sqlite3.Connection, calls: Sequence[_Call[Any]]) -> list[_Outcome]:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return [(None, self._explained(error)) for _ in calls]
        try:
            outcomes = [self._apart(connection, call) for call in calls]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # SQLite has rolled back by itself after the graver errors; should this fail, the next BEGIN says so.
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            # One bad call must not fail its neighbours, which the rollback undid too.
            if len(calls) > 1:
                return [self._commit(connection, [call])[0] for call in calls]
            return [(None, self._explained(error))]
        return outcomes

    def _apart(self, connection: sqlite3.Connection, call: _Call[Any]) -> _Outcome:
        connection.execute("SAVEPOINT one")
        try:
            outcome: _Outcome = (call.work(connection), None)
        except sqlite3.Error:
            raise
        except Exception as error:
            connection.execute("ROLLBACK TO one")
            outcome = (None, error)
        connection.execute("RELEASE one")
        return outcome

    def _explained(self, error: sqlite3.Error) -> LedgerError:
        return LedgerError(f"{self.path}: {explained(error)}")
