"""One PostgreSQL database: a write that returned is durable, a break is mended, errors name the fix."""
# ruff: noqa: S608 (only names of ours are written into SQL; every value is bound)

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus

from delivery.hints import Hints
from delivery.ledger import LedgerError
from delivery.postgres.address import Address
from delivery.postgres.connections import Connection, Connections
from delivery.postgres.listener import CHANNEL, Listener
from delivery.postgres.trouble import READ_ONLY, BrokenError, CollisionError, LostError

log = logging.getLogger("sottovoce.postgres")

T = TypeVar("T")

SCHEMA = "sottovoce"
"""Where our tables are."""

CONNECTIONS = 4
"""Connections to write and read with; one more listens."""

TIMEOUT = 5.0
"""Seconds a call may wait for a connection, and may take once it has one."""

MAX_CALLS = 10_000
"""Most calls at once; a server this far behind will not catch up within a call."""

OLDEST = 13
"""The oldest PostgreSQL: the first that can say whether a transaction was committed (pg_xact_status, xid8)."""

_PAUSE = 0.01
"""Seconds until a write is begun again that collided with another one, or whose connection broke."""

_FACTS = """
    SELECT current_setting('server_version_num')::integer / 10000 AS version, version() AS named,
        current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync,
        pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only
"""


Cursor = psycopg.AsyncCursor[dict[str, Any]]


@dataclass(slots=True)
class _Attempt:
    """How far a transaction came."""

    result: Any = None
    number: str | None = None
    answer: Cursor | None = None
    committing: bool = False

    @property
    def durable(self) -> bool:
        """Whether the server has said so."""
        return self.answer is not None and self.answer.statusmessage == "COMMIT"


class Transaction:
    """What a write does: it goes out in one packet, until something is read."""

    def __init__(self, connection: Connection, pipeline: psycopg.AsyncPipeline) -> None:
        self.connection = connection
        self._pipeline = pipeline

    async def execute(self, sql: str, facts: Mapping[str, Any] | Sequence[Any] | None = None) -> Cursor:
        """Ask, and do not wait for the answer."""
        return await self.connection.execute(sql.encode(), facts)

    async def answers(self, *asked: Cursor) -> list[list[dict[str, Any]]]:
        """The rows of each of `asked`.

        Fetched in another way, the server would not know that it is waited for, and would never end this transaction
        if this process were stopped now (idle_in_transaction_session_timeout).
        """
        await self._pipeline.sync()
        return [await each.fetchall() for each in asked]


class PostgresDatabase:
    """The database at `url`, used from one event loop. Raises ValueError naming what is wrong with the URL.

    Its parts (deliveries, identities) share it: `open` and `aclose` count, the last `aclose` lets go of it.
    `connections` is how many are used at once besides the listening one; `timeout` is in seconds.
    """

    def __init__(self, url: str, *, connections: int = CONNECTIONS, timeout: float = TIMEOUT) -> None:
        if not isinstance(connections, int) or not 1 <= connections <= 100:
            raise ValueError(f"connections must be 1 to 100, not {connections!r}")
        if not isinstance(timeout, int | float) or not 0.1 <= timeout <= 60.0:
            raise ValueError(f"timeout must be 0.1 to 60 seconds, not {timeout!r}")
        self.address = Address(url)
        self.timeout = timeout
        self._size = connections
        self._users = 0
        self._opening = asyncio.Lock()
        self._connections: Connections | None = None
        self._listener: Listener | None = None
        self.hints = Hints()
        self._running: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.address)!r})"

    async def open(self) -> None:
        """Connect. Raises LedgerError naming the database and the fix."""
        async with self._opening:
            if not self._users:
                connections = Connections(self.address, self._size, self.timeout)
                listener = Listener(connections, self.hints.tell)
                try:
                    await self._look_at(connections)
                    await listener.open()
                except BaseException:
                    await connections.renew()
                    raise
                self._connections, self._listener = connections, listener
            self._users += 1

    async def aclose(self) -> None:
        """Finish what is begun, then let go once nobody uses it any more."""
        async with self._opening:
            self._users = max(0, self._users - 1)
            connections, listener = self._connections, self._listener
            if self._users or connections is None or listener is None:
                return
            try:
                if self._running:
                    await asyncio.wait(self._running)
            finally:
                self._connections = self._listener = None
                self.hints.clear()
                await listener.aclose()
                await connections.renew()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin `work`, which is finished also if nobody waits for it any more. Raises LedgerError when closed."""
        try:
            if not self._users:
                raise LedgerError(f"PostgreSQL at {self.address}: closed; await open() first")
            if len(self._running) >= MAX_CALLS:
                raise LedgerError(f"PostgreSQL at {self.address}: {MAX_CALLS} calls wait for it; ask for less")
        except LedgerError:
            work.close()
            raise
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ran)
        return task

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, which `start` begins."""
        return await asyncio.shield(self.start(work))

    async def read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What `work`, which changes nothing, returns. To be used within `run`, as `write`.

        When its connection broke it is run again, for `timeout`.
        """
        connections = self._open_connections()
        loop = asyncio.get_running_loop()
        until = loop.time() + self.timeout
        while True:
            try:
                async with connections.lend() as connection:
                    return await work(connection)
            except BrokenError:
                if loop.time() > until:
                    raise
                await connections.renew()
            await asyncio.sleep(_PAUSE)

    async def write(
        self, work: Callable[[Transaction], Awaitable[T]], *, once: bool = False, notify: str | None = None
    ) -> T:
        """Run `work` in a transaction and in one pipeline; return once it is durable. To be used within `run`.

        What `work` raises undoes it and is raised here; PostgreSQL's own errors come out as LedgerError. When it
        collided with another one, or its connection broke, it is run again, for `timeout`. `once`: never if it was
        written after all; the server is asked. Other processes are told of a change in the room `notify` right after
        the commit, in the same packet but not the same transaction: commits that notify wait for each other's disk.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self.timeout
        while True:
            attempt = _Attempt()
            try:
                return await self._transact(work, attempt, once, notify)
            except CollisionError as error:
                if loop.time() > until:
                    raise
                log.info("trying again: %s", error)
            except LostError as error:
                await self._open_connections().renew()
                if attempt.number and attempt.committing and await self._committed(attempt, error):
                    await self._hint(notify)
                    return cast("T", attempt.result)
                if not isinstance(error, BrokenError) or loop.time() > until:
                    raise
                log.info("trying again: %s", error)
            await asyncio.sleep(_PAUSE)

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

        Several processes may do so at once. Raises LedgerError, changing nothing, when a newer release wrote them.
        """

        async def apply(transaction: Transaction) -> None:
            await transaction.execute("SELECT pg_advisory_xact_lock(hashtextextended('sottovoce schema', 0))")
            if not await _there(transaction.connection, "to_regnamespace", SCHEMA):
                await transaction.execute(f"CREATE SCHEMA {SCHEMA}")
            if not await _there(transaction.connection, "to_regclass", f"{SCHEMA}.schema"):
                table = f"CREATE TABLE {SCHEMA}.schema (part text PRIMARY KEY, version integer NOT NULL)"
                await transaction.execute(table)
            for script in versions[await self._version(transaction.connection, part, len(versions)) :]:
                for statement in filter(str.strip, script.split(";")):
                    await transaction.execute(statement)
            await transaction.execute(
                f"INSERT INTO {SCHEMA}.schema VALUES (%s, %s) "
                "ON CONFLICT (part) DO UPDATE SET version = excluded.version",
                (part, len(versions)),
            )

        async def migrated() -> None:
            known = len(versions)
            if await self.read(lambda connection: self._version(connection, part, known)) < known:
                await self.write(apply)

        await self.run(migrated())

    async def _transact(
        self, work: Callable[[Transaction], Awaitable[T]], attempt: _Attempt, once: bool, notify: str | None
    ) -> T:
        async with self._open_connections().lend() as connection:
            try:
                async with connection.pipeline() as pipeline:
                    await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                    number = await connection.execute("SELECT pg_current_xact_id()::text AS number") if once else None
                    result = attempt.result = await work(Transaction(connection, pipeline))
                    if number is not None and (row := await number.fetchone()):
                        attempt.number = row["number"]
                    attempt.committing = True
                    attempt.answer = await connection.execute("COMMIT")
                    if notify is not None:
                        await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, notify))
            except BaseException as error:
                if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
                    await connection.execute("ROLLBACK")
                if not attempt.durable or not isinstance(error, psycopg.Error):
                    raise
                log.warning("other processes may not have been told of a change: %s", self.address.redacted(str(error)))
        return result

    async def _committed(self, attempt: _Attempt, error: LostError) -> bool:
        """Whether a transaction whose connection broke during its commit was written. Raises LedgerError if unknown."""

        async def ask(connection: Connection) -> str | None:
            asked = await connection.execute("SELECT pg_xact_status(%s::text::xid8) AS status", (attempt.number,))
            row = await asked.fetchone()
            return row["status"] if row else None

        until = asyncio.get_running_loop().time() + self.timeout
        while True:
            try:
                status = await self.read(ask)
            except LedgerError as unknown:
                raise LostError(
                    f"{error}; it broke during a commit, and whether that was written is unknown"
                ) from unknown
            if status != "in progress":
                return status == "committed"
            if asyncio.get_running_loop().time() > until:
                raise LostError(f"{error}; it broke during a commit that hangs at the server")
            await asyncio.sleep(0.05)

    async def _hint(self, room: str | None) -> None:
        """Tell other processes of a change that was written although its connection broke then."""

        async def tell(connection: Connection) -> None:
            await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, room))

        if room is not None:
            try:
                await self.read(tell)
            except LedgerError as error:
                log.warning("other processes could not be told of a change: %s", error)

    async def _look_at(self, connections: Connections) -> None:
        """Raises LedgerError when this is no database for us."""
        async with connections.lend() as connection:
            facts = await (await connection.execute(_FACTS.encode())).fetchone()
        assert facts is not None
        where = f"PostgreSQL at {self.address}"
        if facts["version"] < OLDEST:
            raise LedgerError(f"{where}: {facts['named'].partition(' on ')[0]} is too old; use {OLDEST} or newer")
        if facts["encoding"] != "UTF8":
            raise LedgerError(
                f"{where}: its encoding is {facts['encoding']}, which has not all characters; make another: "
                f"createdb --encoding=UTF8 --template=template0 {self.address.database}"
            )
        if facts["read_only"]:
            raise LedgerError(f"{where}: {READ_ONLY}")
        if facts["fsync"] != "on":
            log.warning("%s: fsync is off, so a power cut may lose what was acknowledged; turn it on", where)

    async def _version(self, connection: Connection, part: str, known: int) -> int:
        if not await _there(connection, "to_regclass", f"{SCHEMA}.schema"):
            return 0
        sql = f"SELECT version FROM {SCHEMA}.schema WHERE part = %s"
        row = await (await connection.execute(sql.encode(), (part,))).fetchone()
        version: int = row["version"] if row else 0
        if version > known:
            raise LedgerError(
                f"PostgreSQL at {self.address}: its {part} are in format {version}, this release knows {known}; "
                "a newer sottovoce wrote it: upgrade, or name another database"
            )
        return version

    def _open_connections(self) -> Connections:
        if self._connections is None:
            raise LedgerError(f"PostgreSQL at {self.address}: closed; await open() first")
        return self._connections

    def _ran(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone; then nobody else looks at it


async def _there(connection: Connection, what: str, name: str) -> bool:
    row = await (await connection.execute(f"SELECT {what}(%s) IS NOT NULL AS there".encode(), (name,))).fetchone()
    return bool(row and row["there"])
