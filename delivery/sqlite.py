"""A Ledger in an SQLite file: what it acknowledged survives kill -9, and other processes see it."""
# ruff: noqa: S608 (only names and constants of ours are written into SQL; every value is bound)

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from delivery.database import BUSY_TIMEOUT, NOW, Database
from delivery.hints import EVERYWHERE, Hints
from delivery.ledger import (
    LEASE,
    OPEN_STATUSES,
    ConflictError,
    Delivery,
    Entry,
    FencedError,
    LedgerError,
    Move,
    Process,
    QueueFullError,
    RoomHeldError,
    Status,
)
from delivery.record import after, again, keepable, orphaned, read, same, unwanted, written

log = logging.getLogger(__name__)

POLL = 0.25
"""Seconds between two looks for other processes' writes."""

_VERSIONS = [
    """
    CREATE TABLE rooms (
        room TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        taken_at REAL NOT NULL
    );
    CREATE TABLE deliveries (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        room TEXT NOT NULL,
        content TEXT NOT NULL,
        strategy TEXT NOT NULL,
        addressee TEXT,
        task TEXT,
        priority INTEGER NOT NULL,
        ttl REAL,
        supersedes TEXT,
        max_wait REAL,
        on_interrupt TEXT NOT NULL,
        speak_as TEXT NOT NULL,
        fold INTEGER NOT NULL,
        metadata TEXT NOT NULL,
        traceparent TEXT,
        status TEXT NOT NULL,
        wording TEXT,
        heard_chars INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '',
        epoch INTEGER NOT NULL DEFAULT 0,
        put_at REAL NOT NULL,
        moved_at REAL NOT NULL
    );
    CREATE INDEX deliveries_by_room ON deliveries (room, status, seq);
    """,
    """
    ALTER TABLE deliveries ADD COLUMN unwanted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rooms ADD COLUMN held INTEGER NOT NULL DEFAULT 1;
    CREATE TABLE processes (
        id TEXT PRIMARY KEY,
        address TEXT,
        beat_at REAL NOT NULL,
        gone INTEGER NOT NULL DEFAULT 0
    );
    """,
    "CREATE INDEX deliveries_by_age ON deliveries (put_at);",
]

_OPEN = ", ".join(f"'{status.value}'" for status in sorted(OPEN_STATUSES))

_SELECT = f"SELECT *, max(0.0, {NOW} - put_at) AS age FROM deliveries "


class SqliteLedger:
    """Deliveries and rooms in the file at `path`, whose directory must be there.

    `poll` is the time in seconds between two looks for what other processes wrote, while somebody subscribes.
    `busy_timeout` is how long in seconds another program's lock is waited for, `lease` how long a process counts as
    alive without a sign of life. Ages are by the database's clock.
    """

    def __init__(
        self, path: str | Path, *, poll: float = POLL, busy_timeout: float = BUSY_TIMEOUT, lease: float = LEASE
    ) -> None:
        self.database = Database(path, busy_timeout=busy_timeout)
        self._poll = poll
        self._lease = lease
        self._hints = Hints()
        self._polling: asyncio.Task[None] | None = None
        self._seen_version = 0

    async def open(self) -> None:
        """Open the file and bring its tables up to date. Raises LedgerError naming path and fix."""
        await self.database.open()
        try:
            await self.database.migrate("deliveries", _VERSIONS)
            self._seen_version = await self.database.read(_data_version)
        except BaseException:
            await self.database.aclose()
            raise

    async def aclose(self) -> None:
        """Stop looking for other processes' writes, finish our own, close the file."""
        self._hints.clear()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
            self._polling = None
        await self.database.aclose()

    # -- processes

    async def beat(self, process: Process) -> frozenset[str]:
        """This process is alive; returns those that are gone and not forgotten."""

        def note(connection: sqlite3.Connection) -> frozenset[str]:
            known = connection.execute(
                f"UPDATE processes SET address = ?, beat_at = {NOW}, gone = 0 WHERE id = ?",
                (process.address, process.id),
            ).rowcount
            if not known:
                connection.execute("UPDATE processes SET gone = 1 WHERE address = ?", (process.address,))
                connection.execute(
                    f"INSERT INTO processes (id, address, beat_at) VALUES (?, ?, {NOW})", (process.id, process.address)
                )
            gone = f"SELECT id FROM processes WHERE gone OR beat_at < {NOW} - ?"
            return frozenset(row["id"] for row in connection.execute(gone, (self._lease,)))

        return await self.database.write(note)

    async def leave(self, process: str) -> None:
        """This process goes."""
        await self._execute("UPDATE processes SET gone = 1 WHERE id = ?", [(process,)])

    async def forget(self, processes: Iterable[str]) -> None:
        """Forget processes that are gone."""
        sql = f"DELETE FROM processes WHERE id = ? AND (gone OR beat_at < {NOW} - ?)"
        await self._execute(sql, [(id, self._lease) for id in processes])

    # -- rooms

    async def take_room(self, room: str, owner: str) -> int:
        """Own `room`: its reserved and speaking deliveries are queued again, older owners are fenced."""

        def take(connection: sqlite3.Connection) -> int:
            holder = connection.execute(
                f"SELECT processes.id, address, {NOW} - beat_at AS age "
                "FROM rooms JOIN processes ON processes.id = owner "
                f"WHERE room = ? AND owner != ? AND held AND NOT gone AND beat_at >= {NOW} - ?",
                (room, owner, self._lease),
            ).fetchone()
            if holder is not None:
                raise RoomHeldError(room, Process(holder["id"], holder["address"]), holder["age"])
            row = connection.execute(
                f"INSERT INTO rooms (room, owner, epoch, taken_at) VALUES (?, ?, 1, {NOW}) "
                "ON CONFLICT (room) DO UPDATE SET owner = excluded.owner, epoch = epoch + 1, "
                "taken_at = excluded.taken_at, held = 1 RETURNING epoch",
                (room, owner),
            ).fetchone()
            epoch: int = row["epoch"]
            for entry in _entries(connection, room, [Status.RESERVED, Status.SPEAKING], -1):
                _keep(connection, orphaned(entry), epoch)
            return epoch

        return await self.database.write(take)

    async def leave_room(self, room: str, epoch: int) -> None:
        """Let the room go, if it is still ours."""
        await self._execute("UPDATE rooms SET held = 0 WHERE room = ? AND epoch = ?", [(room, epoch)])

    async def _execute(self, sql: str, rows: Sequence[tuple[str | int | float, ...]]) -> None:
        def execute(connection: sqlite3.Connection) -> None:
            connection.executemany(sql, rows)

        await self.database.write(execute)

    # -- deliveries

    async def put(self, delivery: Delivery, *, limit: int = 1000) -> bool:
        """Queue `delivery`; False when it is there already."""
        row = written(delivery)
        fields = ", ".join(row)
        marks = ", ".join(f":{field}" for field in row)
        insert = (
            f"INSERT INTO deliveries ({fields}, status, put_at, moved_at) "
            f"VALUES ({marks}, 'queued', {NOW}, {NOW}) ON CONFLICT (id) DO NOTHING"
        )

        def queue(connection: sqlite3.Connection) -> bool:
            if connection.execute(insert, row).rowcount == 0:
                known = connection.execute("SELECT * FROM deliveries WHERE id = ?", (delivery.id,)).fetchone()
                if not same(dict(known), row):
                    raise ConflictError(f"delivery id {delivery.id!r} was used before with other content")
                return False
            if _count_open(connection, delivery.room) > limit:
                raise QueueFullError(f"room {delivery.room!r} already has {limit} open deliveries")
            return True

        return await self.database.write(queue, then=lambda new: self._hints.tell(delivery.room) if new else None)

    async def move(self, room: str, epoch: int, moves: Sequence[Move]) -> frozenset[str]:
        """Make all of `moves`, or none; returns the ids of those that had ended before."""

        def step(connection: sqlite3.Connection) -> frozenset[str]:
            owned = connection.execute("SELECT epoch FROM rooms WHERE room = ?", (room,)).fetchone()
            if owned is None or owned["epoch"] != epoch:
                raise FencedError(f"room {room!r} was taken over: epoch {epoch} is old")
            over = set()
            for move in moves:
                entry = _get(connection, move.id)
                if entry is None or entry.delivery.room != room:
                    raise LedgerError(f"no delivery {move.id!r} in room {room!r}")
                if entry.status.terminal:
                    over.add(move.id)
                else:
                    _keep(connection, after(entry, move), epoch)
            return frozenset(over)

        return await self.database.write(step, then=lambda _: self._hints.tell(room, moved=True))

    async def cancel(self, id: str) -> Status | None:
        """It is not wanted any more."""
        return await self._change(id, unwanted)

    async def replay(self, id: str, *, whole: bool = False) -> Status | None:
        """Queue it again, if it ended unheard."""
        return await self._change(id, lambda entry: again(entry, whole=whole))

    async def _change(self, id: str, change: Callable[[Entry], Entry]) -> Status | None:
        """What anybody may do to a delivery, whoever has its room."""

        def alter(connection: sqlite3.Connection) -> tuple[Entry, Entry] | None:
            if (entry := _get(connection, id)) is None:
                return None
            changed = change(entry)
            if changed != entry:
                _keep(connection, changed)
            if entry.status.terminal and not changed.status.terminal:
                connection.execute(f"UPDATE deliveries SET put_at = {NOW} WHERE id = ?", (id,))
            return entry, changed

        def told(made: tuple[Entry, Entry] | None) -> None:
            if made is not None and made[0] != made[1]:
                self._hints.tell(made[0].delivery.room)

        made = await self.database.write(alter, then=told) if keepable(id) else None
        return made[1].status if made else None

    async def entries(
        self, room: str, statuses: Iterable[Status] | None = None, limit: int = 1000, *, newest: bool = False
    ) -> list[Entry]:
        """The room's deliveries in order of arrival (default: the open ones): the first `limit`, or the `newest`."""
        wanted = sorted(OPEN_STATUSES if statuses is None else set(statuses))
        if not keepable(room):
            return []
        return await self.database.read(lambda connection: _entries(connection, room, wanted, limit, newest))

    async def get(self, id: str) -> Entry | None:
        """One delivery, or None."""
        return await self.database.read(lambda connection: _get(connection, id)) if keepable(id) else None

    async def discard(self, older: float, limit: int = 500) -> int:
        """Delete deliveries that ended more than `older` seconds ago, at most `limit`; returns how many."""
        before = f"{NOW} - :older"  # what ended before then was put before then, and of that there is an index
        sql = (
            "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries "
            f"WHERE put_at < {before} AND moved_at < {before} AND status NOT IN ({_OPEN}) LIMIT :limit)"
        )
        facts = {"older": older, "limit": limit}
        return await self.database.write(lambda connection: connection.execute(sql, facts).rowcount)

    def subscribe(self, on_change: Callable[[str], None], *, moves: bool = True) -> Callable[[], None]:
        """Call `on_change(room)` in the loop after our own writes, `on_change("*")` after another process's."""
        forget = self._hints.subscribe(on_change, moves)
        if self._polling is None:
            self._polling = asyncio.get_running_loop().create_task(self._watch())

        def stop() -> None:
            forget()
            if not self._hints and self._polling is not None:
                self._polling.cancel()
                self._polling = None

        return stop

    async def _watch(self) -> None:
        """Look for other processes' commits: data_version changes with theirs, not with our own connection's."""
        failed = False
        while True:
            await asyncio.sleep(self._poll)
            try:
                version = await self.database.read(_data_version)
            except LedgerError as error:
                if not failed:
                    log.warning("cannot look for other processes' deliveries: %s", error)
                failed = True
                continue
            failed = False
            if version != self._seen_version:
                self._seen_version = version
                self._hints.tell(EVERYWHERE)


def _data_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def _count_open(connection: sqlite3.Connection, room: str) -> int:
    wanted = sorted(OPEN_STATUSES)
    marks = ", ".join("?" * len(wanted))
    sql = f"SELECT count(*) FROM deliveries WHERE room = ? AND status IN ({marks})"
    count: int = connection.execute(sql, (room, *wanted)).fetchone()[0]
    return count


def _entries(
    connection: sqlite3.Connection, room: str, statuses: Sequence[Status], limit: int, newest: bool = False
) -> list[Entry]:
    marks = ", ".join("?" * len(statuses))
    sql = _SELECT + f"WHERE room = ? AND status IN ({marks}) ORDER BY seq {'DESC' if newest else ''} LIMIT ?"
    found = [_entry(row) for row in connection.execute(sql, (room, *statuses, limit))]
    return found[::-1] if newest else found


def _get(connection: sqlite3.Connection, id: str) -> Entry | None:
    row = connection.execute(_SELECT + "WHERE id = ?", (id,)).fetchone()
    return None if row is None else _entry(row)


def _entry(row: sqlite3.Row) -> Entry:
    kept = {field: row[field] for field in ("seq", "wording", "heard_chars", "attempts", "age", "reason")}
    return Entry(delivery=read(dict(row)), status=Status(row["status"]), unwanted=bool(row["unwanted"]), **kept)


def _keep(connection: sqlite3.Connection, entry: Entry, epoch: int | None = None) -> None:
    """Write down where the delivery stands; `epoch`: of the owner who moved it (None: it was not the owner)."""
    connection.execute(
        "UPDATE deliveries SET status = ?, wording = ?, heard_chars = ?, attempts = ?, reason = ?, unwanted = ?, "
        f"epoch = coalesce(?, epoch), moved_at = {NOW} WHERE id = ?",
        (
            entry.status,
            entry.wording,
            entry.heard_chars,
            entry.attempts,
            entry.reason,
            entry.unwanted,
            epoch,
            entry.delivery.id,
        ),
    )
