"""Status entries in a PostgreSQL database: other processes are told of them at once, by its notifications."""
# ruff: noqa: S608 (only names and constants of ours are written into SQL; every value is bound)

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from delivery.hints import EVERYWHERE
from delivery.postgres.connections import Connection
from delivery.postgres.database import PostgresDatabase, Transaction
from orchestration.status.backend import StatusBackend, Tell
from orchestration.status.entry import StatusEntry
from orchestration.status.filter import StatusFilter
from orchestration.status.follower import AT_ONCE, Follower
from orchestration.status.row import COLUMNS, MAX_KEPT, kept, read, written

POLL = 5.0
"""Seconds between two looks for other processes' entries without a hint: one may be lost."""

NOTICE = "\x1fstatus"
"""What is told on the ledger's channel, in place of a room. No room has such a name, so no desk looks up."""

_VERSIONS = [
    """
    CREATE TABLE sottovoce.statuses (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL UNIQUE,
        origin text NOT NULL,
        at double precision NOT NULL,
        room text NOT NULL,
        agent_id text NOT NULL,
        action text NOT NULL,
        status text NOT NULL,
        detail text NOT NULL,
        metadata text NOT NULL
    );
    CREATE INDEX statuses_by_room ON sottovoce.statuses (room, seq);
    """,
]

_IN_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('sottovoce statuses', 0))"
"""Places are given out before the commit: without it one that is lower could become visible after a higher one."""

_INSERT = (
    f"INSERT INTO sottovoce.statuses (origin, {', '.join(COLUMNS)}) "
    f"VALUES (%(origin)s, {', '.join(f'%({column})s' for column in COLUMNS)}) ON CONFLICT (id) DO NOTHING"
)
_FORGET = "DELETE FROM sottovoce.statuses WHERE seq <= (SELECT max(seq) FROM sottovoce.statuses) - %s"
_NEWEST = "SELECT coalesce(max(seq), 0) AS newest FROM sottovoce.statuses"
_NEWS = """
    SELECT * FROM sottovoce.statuses WHERE seq > %s AND seq <= %s AND origin <> %s ORDER BY seq LIMIT %s
"""
_TIME = "SELECT extract(epoch FROM clock_timestamp())::float8 AS time"


class PostgresStatusBackend(StatusBackend):
    """Entries in a PostgreSQL database, usually the ledger's: `PostgresStatusBackend(ledger.database)`.

    Keeps the last `max_entries` of all rooms together; `poll` is in seconds. Errors of the database are LedgerErrors.
    """

    def __init__(self, database: PostgresDatabase, *, max_entries: int = MAX_KEPT, poll: float = POLL) -> None:
        """Raises ValueError naming the field that is wrong."""
        self.max_entries = kept(max_entries)
        self._database = database
        self._poll = poll
        self._origin = secrets.token_hex(8)

    async def open(self) -> None:
        """Connect and bring the tables up to date. Raises LedgerError naming the database and the fix."""
        await self._database.open_with("status", _VERSIONS)

    async def aclose(self) -> None:
        """Let go of the database."""
        await self._database.aclose()

    async def append(self, entries: Sequence[StatusEntry]) -> None:
        """Keep them; returns when they are durable."""
        rows = [{"origin": self._origin, **written(entry)} for entry in entries]

        async def insert(transaction: Transaction) -> None:
            await transaction.execute(_IN_TURN)
            for row in rows:
                await transaction.execute(_INSERT, row)
            await transaction.execute(_FORGET, (self.max_entries,))

        await self._database.run(self._database.write(insert, notify=NOTICE))

    async def recent(self, n: int, wanted: StatusFilter) -> list[StatusEntry]:
        """The last `n` that match, oldest first."""
        terms = wanted.terms()
        where = " AND ".join(f"{column} = %({column})s" for column in terms) or "true"
        sql = f"SELECT * FROM sottovoce.statuses WHERE {where} ORDER BY seq DESC LIMIT %(n)s"

        async def look(connection: Connection) -> list[StatusEntry]:
            return [read(row) async for row in await connection.execute(sql.encode(), {**terms, "n": n})]

        return (await self._database.run(self._database.read(look)))[::-1]

    async def watch(self, tell: Tell) -> Callable[[], None]:
        """Tell of other processes' entries from now on."""
        newest = await self._database.run(self._database.read(_newest))
        follower = Follower(newest, self._news, tell, self._poll)

        def hint(where: str) -> None:
            if where in (NOTICE, EVERYWHERE):
                follower.hint()

        forget = self._database.hints.subscribe(hint, moves=False)
        follower.hint()  # of what came between the two

        def stop() -> None:
            forget()
            follower.stop()

        return stop

    async def clock(self) -> float:
        """The database's time."""

        async def ask(connection: Connection) -> float:
            row = await (await connection.execute(_TIME.encode())).fetchone()
            assert row is not None
            time: float = row["time"]
            return time

        return await self._database.run(self._database.read(ask))

    async def _news(self, after: int) -> tuple[int, list[StatusEntry]]:
        async def look(connection: Connection) -> tuple[int, list[StatusEntry]]:
            newest = await _newest(connection)
            asked = await connection.execute(_NEWS.encode(), (after, newest, self._origin, AT_ONCE))
            rows = await asked.fetchall()
            place = rows[-1]["seq"] if len(rows) == AT_ONCE else newest
            return place, [read(row) for row in rows]

        return await self._database.run(self._database.read(look))


async def _newest(connection: Connection) -> int:
    row = await (await connection.execute(_NEWEST.encode())).fetchone()
    assert row is not None
    newest: int = row["newest"]
    return newest
