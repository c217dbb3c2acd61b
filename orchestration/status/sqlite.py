"""Status entries in an SQLite file: they survive kill -9, and other processes are told of them soon."""
# ruff: noqa: S608 (only names and constants of ours are written into SQL; every value is bound)

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence

from delivery.database import NOW, Database
from orchestration.status.backend import StatusBackend, Tell
from orchestration.status.entry import StatusEntry
from orchestration.status.filter import StatusFilter
from orchestration.status.follower import AT_ONCE, Follower
from orchestration.status.row import COLUMNS, MAX_KEPT, kept, read, written

POLL = 0.25
"""Seconds between two looks for other processes' entries, while somebody is subscribed here."""

_VERSIONS = [
    """
    CREATE TABLE statuses (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        origin TEXT NOT NULL,
        at REAL NOT NULL,
        room TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        action TEXT NOT NULL,
        status TEXT NOT NULL,
        detail TEXT NOT NULL,
        metadata TEXT NOT NULL
    );
    CREATE INDEX statuses_by_room ON statuses (room, seq);
    """,
]

_INSERT = (
    f"INSERT INTO statuses (origin, {', '.join(COLUMNS)}) "
    f"VALUES (:origin, {', '.join(f':{column}' for column in COLUMNS)}) ON CONFLICT (id) DO NOTHING"
)
_FORGET = "DELETE FROM statuses WHERE seq <= (SELECT max(seq) FROM statuses) - ?"
_NEWEST = "SELECT coalesce(max(seq), 0) AS newest FROM statuses"
_NEWS = "SELECT * FROM statuses WHERE seq > ? AND seq <= ? AND origin <> ? ORDER BY seq LIMIT ?"


class SqliteStatusBackend(StatusBackend):
    """Entries in an SQLite file, usually the ledger's: `SqliteStatusBackend(ledger.database)`.

    Keeps the last `max_entries` of all rooms together; `poll` is in seconds. Errors of the file are LedgerErrors.
    """

    def __init__(self, database: Database, *, max_entries: int = MAX_KEPT, poll: float = POLL) -> None:
        """Raises ValueError naming the field that is wrong."""
        self.max_entries = kept(max_entries)
        self._database = database
        self._poll = poll
        self._origin = secrets.token_hex(8)

    async def open(self) -> None:
        """Open the file and bring its tables up to date. Raises LedgerError naming path and fix."""
        await self._database.open_with("status", _VERSIONS)

    async def aclose(self) -> None:
        """Let go of the file."""
        await self._database.aclose()

    async def append(self, entries: Sequence[StatusEntry]) -> None:
        """Keep them; returns when they are durable."""
        rows = [{"origin": self._origin, **written(entry)} for entry in entries]

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany(_INSERT, rows)
            connection.execute(_FORGET, (self.max_entries,))

        await self._database.write(insert)

    async def recent(self, n: int, wanted: StatusFilter) -> list[StatusEntry]:
        """The last `n` that match, oldest first."""
        terms = wanted.terms()
        where = " AND ".join(f"{column} = :{column}" for column in terms) or "true"
        sql = f"SELECT * FROM statuses WHERE {where} ORDER BY seq DESC LIMIT :n"

        def look(connection: sqlite3.Connection) -> list[StatusEntry]:
            return [read(dict(row)) for row in connection.execute(sql, {**terms, "n": n})]

        return (await self._database.read(look))[::-1]

    async def watch(self, tell: Tell) -> Callable[[], None]:
        """Tell of other processes' entries from now on."""
        follower = Follower(await self._database.read(_newest), self._news, tell, self._poll)
        return follower.stop

    async def clock(self) -> float:
        """The database's time."""
        return await self._database.read(_time)

    async def _news(self, after: int) -> tuple[int, list[StatusEntry]]:
        def look(connection: sqlite3.Connection) -> tuple[int, list[StatusEntry]]:
            newest = _newest(connection)
            rows = connection.execute(_NEWS, (after, newest, self._origin, AT_ONCE)).fetchall()
            place = rows[-1]["seq"] if len(rows) == AT_ONCE else newest
            return place, [read(dict(row)) for row in rows]

        return await self._database.read(look)


def _newest(connection: sqlite3.Connection) -> int:
    newest: int = connection.execute(_NEWEST).fetchone()["newest"]
    return newest


def _time(connection: sqlite3.Connection) -> float:
    time: float = connection.execute(f"SELECT {NOW} AS time").fetchone()["time"]
    return time
