"""The Ledger in PostgreSQL: its rules are those of every ledger; rows are locked instead of the whole file."""
# ruff: noqa: S608 (only names and constants of ours are written into SQL; every value is bound)

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

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
from delivery.postgres.connections import Connection
from delivery.postgres.database import CONNECTIONS, TIMEOUT, Cursor, PostgresDatabase, Transaction
from delivery.postgres.lanes import Lanes
from delivery.postgres.listener import CHANNEL
from delivery.postgres.schema import VERSIONS
from delivery.postgres.trouble import CollisionError
from delivery.record import after, again, keepable, orphaned, read, same, unwanted, written

T = TypeVar("T")

_OPEN = ", ".join(f"'{status.value}'" for status in sorted(OPEN_STATUSES))

_CASTS = {"priority": "integer", "ttl": "float8", "max_wait": "float8", "fold": "integer::boolean"}
_FIELDS = (
    *("id", "room", "content", "strategy", "addressee", "task", "priority", "ttl", "supersedes", "max_wait"),
    *("on_interrupt", "speak_as", "fold", "metadata", "traceparent"),
)

_PUT = f"""
    WITH new AS (
        INSERT INTO sottovoce.deliveries ({", ".join(_FIELDS)}, status, put_at, moved_at)
        SELECT {", ".join(f"%({field})s::{_CASTS.get(field, 'text')}" for field in _FIELDS)},
            'queued', clock_timestamp(), clock_timestamp()
        WHERE (SELECT count(*) FROM sottovoce.deliveries WHERE room = %(room)s AND status IN ({_OPEN})) < %(limit)s
        ON CONFLICT (id) DO NOTHING
        RETURNING room
    )
    SELECT pg_notify('{CHANNEL}', room) FROM new
"""

_SELECT = """
    SELECT *, greatest(0, extract(epoch FROM clock_timestamp() - put_at))::float8 AS age FROM sottovoce.deliveries
"""

_KEEP = """
    UPDATE sottovoce.deliveries SET status = %(status)s, wording = %(wording)s, heard_chars = %(heard_chars)s,
        attempts = %(attempts)s, reason = %(reason)s, unwanted = %(unwanted)s, epoch = coalesce(%(epoch)s, epoch),
        put_at = CASE WHEN %(anew)s THEN clock_timestamp() ELSE put_at END, moved_at = clock_timestamp()
    WHERE id = %(id)s
"""

_BEFORE = "statement_timestamp() - make_interval(secs => %(older)s)"
_DISCARD = f"""
    DELETE FROM sottovoce.deliveries WHERE seq IN (
        SELECT seq FROM sottovoce.deliveries
        WHERE put_at < {_BEFORE} AND moved_at < {_BEFORE} AND status NOT IN ({_OPEN})
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ) RETURNING seq
"""

_LAPSED = "(gone OR beat_at < clock_timestamp() - make_interval(secs => %(lease)s))"


@dataclass(frozen=True, slots=True)
class _Put:
    row: Mapping[str, Any]
    limit: int


class PostgresLedger:
    """Deliveries, rooms and processes in the database at `url` (postgresql://user:password@host:5432/database).

    `lease` is how long in seconds a process counts as alive without a sign of life; `connections` how many are used at
    once besides one that listens; `timeout` how long in seconds a call waits for a connection, and how long it may use
    it: what cannot be done by then raises LedgerError. Ages are by the server's clock. Raises ValueError naming what is
    wrong with the URL.

    A connection that breaks is made anew and the call goes on. Only of a server that falls silent in the middle of a
    commit, and stays so, it cannot be known whether it wrote: LedgerError is raised. Trying again is safe (at worst an
    attempt is counted twice).
    """

    def __init__(
        self, url: str, *, lease: float = LEASE, connections: int = CONNECTIONS, timeout: float = TIMEOUT
    ) -> None:
        self.database = PostgresDatabase(url, connections=connections, timeout=timeout)
        self._lease = lease
        self._puts = Lanes[_Put, bool](self.database.start, self._put)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.database.address)!r})"

    async def open(self) -> None:
        """Connect and bring the tables up to date. Raises LedgerError naming the database and the fix."""
        await self.database.open_with("deliveries", VERSIONS)

    async def aclose(self) -> None:
        """Finish our writes, let go of the database."""
        await self.database.aclose()

    # -- processes

    async def beat(self, process: Process) -> frozenset[str]:
        """This process is alive; returns those that are gone and not forgotten."""
        facts = {"id": process.id, "address": process.address, "lease": self._lease}

        async def note(transaction: Transaction) -> frozenset[str]:
            await transaction.execute(
                "UPDATE sottovoce.processes SET gone = true WHERE address = %(address)s AND id <> %(id)s "
                "AND NOT EXISTS (SELECT FROM sottovoce.processes WHERE id = %(id)s)",
                facts,
            )
            await transaction.execute(
                "INSERT INTO sottovoce.processes (id, address, beat_at) "
                "VALUES (%(id)s, %(address)s, clock_timestamp()) ON CONFLICT (id) DO UPDATE "
                "SET address = excluded.address, beat_at = excluded.beat_at, gone = false",
                facts,
            )
            gone = await transaction.execute(f"SELECT id FROM sottovoce.processes WHERE {_LAPSED}", facts)
            (rows,) = await transaction.answers(gone)
            return frozenset(row["id"] for row in rows)

        return await self._write(note)

    async def leave(self, process: str) -> None:
        """This process goes."""
        await self._execute("UPDATE sottovoce.processes SET gone = true WHERE id = %(id)s", {"id": process})

    async def forget(self, processes: Iterable[str]) -> None:
        """Forget processes that are gone."""
        sql = f"DELETE FROM sottovoce.processes WHERE id = ANY(%(ids)s) AND {_LAPSED}"
        await self._execute(sql, {"ids": sorted(processes), "lease": self._lease})

    # -- rooms

    async def take_room(self, room: str, owner: str) -> int:
        """Own `room`: its reserved and speaking deliveries are queued again, older owners are fenced."""
        facts = {"room": room, "owner": owner, "lease": self._lease}

        async def take(transaction: Transaction) -> int:
            taken = await transaction.execute(
                "INSERT INTO sottovoce.rooms AS known (room, owner, epoch, taken_at) "
                "VALUES (%(room)s, %(owner)s, 1, clock_timestamp()) ON CONFLICT (room) DO UPDATE "
                "SET owner = excluded.owner, epoch = known.epoch + 1, held = true, taken_at = excluded.taken_at "
                "WHERE known.owner = excluded.owner OR NOT known.held OR NOT EXISTS "
                f"(SELECT FROM sottovoce.processes WHERE id = known.owner AND NOT {_LAPSED}) RETURNING epoch",
                facts,
            )
            held = await transaction.execute(
                "SELECT id, address, extract(epoch FROM clock_timestamp() - beat_at)::float8 AS age "
                "FROM sottovoce.rooms JOIN sottovoce.processes ON id = owner WHERE room = %(room)s",
                facts,
            )
            in_work = await _locked(transaction, "room = %s AND status IN ('reserved', 'speaking')", room)
            taken_by_us, holders, rows = await transaction.answers(taken, held, in_work)
            if not taken_by_us:
                if not holders:
                    raise CollisionError(f"room {room!r} changed hands just now")
                (holder,) = holders
                raise RoomHeldError(room, Process(holder["id"], holder["address"]), holder["age"])
            epoch: int = taken_by_us[0]["epoch"]
            for row in rows:
                await _keep(transaction, orphaned(_entry(row)), epoch)
            return epoch

        return await self._write(take, notify=room)

    async def leave_room(self, room: str, epoch: int) -> None:
        """Let the room go, if it is still ours."""
        sql = "UPDATE sottovoce.rooms SET held = false WHERE room = %(room)s AND epoch = %(epoch)s"
        await self._execute(sql, {"room": room, "epoch": epoch})

    # -- deliveries

    async def put(self, delivery: Delivery, *, limit: int = 1000) -> bool:
        """Queue `delivery`; False when it is there already."""
        row = written(delivery)
        return await self._puts.put(delivery.room, _Put(row, limit))

    async def move(self, room: str, epoch: int, moves: Sequence[Move]) -> frozenset[str]:
        """Make all of `moves`, or none; returns the ids of those that had ended before."""

        async def step(transaction: Transaction) -> frozenset[str]:
            owned = await transaction.execute("SELECT epoch FROM sottovoce.rooms WHERE room = %s FOR UPDATE", (room,))
            known = await _locked(transaction, "id = ANY(%s)", [move.id for move in moves])
            epochs, rows = await transaction.answers(owned, known)
            if not epochs or epochs[0]["epoch"] != epoch:
                raise FencedError(f"room {room!r} was taken over: epoch {epoch} is old")
            entries = {row["id"]: _entry(row) for row in rows if row["room"] == room}
            changed, over = dict[str, Entry](), set[str]()
            for move in moves:
                entry = changed.get(move.id) or entries.get(move.id)
                if entry is None:
                    raise LedgerError(f"no delivery {move.id!r} in room {room!r}")
                if entry.status.terminal:
                    over.add(move.id)
                else:
                    changed[move.id] = after(entry, move)
            for entry in changed.values():
                await _keep(transaction, entry, epoch)
            return frozenset(over)

        return await self._write(step, once=True, notify=room, tell=room)

    async def cancel(self, id: str) -> Status | None:
        """It is not wanted any more."""
        return await self._change(id, unwanted)

    async def replay(self, id: str, *, whole: bool = False) -> Status | None:
        """Queue it again, if it ended unheard."""
        return await self._change(id, lambda entry: again(entry, whole=whole))

    async def entries(
        self, room: str, statuses: Iterable[Status] | None = None, limit: int = 1000, *, newest: bool = False
    ) -> list[Entry]:
        """The room's deliveries in order of arrival (default: the open ones): the first `limit`, or the `newest`."""
        wanted = [Status(status).value for status in (OPEN_STATUSES if statuses is None else statuses)]
        sql = f"{_SELECT} WHERE room = %s AND status = ANY(%s) ORDER BY seq {'DESC' if newest else ''} LIMIT %s"
        if not keepable(room):
            return []
        found = await self._read(sql, (room, wanted, limit))
        return found[::-1] if newest else found

    async def get(self, id: str) -> Entry | None:
        """One delivery, or None."""
        found = await self._read(f"{_SELECT} WHERE id = %s", (id,)) if keepable(id) else []
        return found[0] if found else None

    async def discard(self, older: float, limit: int = 500) -> int:
        """Delete deliveries that ended more than `older` seconds ago, at most `limit`; returns how many."""

        async def delete(transaction: Transaction) -> int:
            (rows,) = await transaction.answers(await transaction.execute(_DISCARD, {"older": older, "limit": limit}))
            return len(rows)

        return await self._write(delete)

    def subscribe(self, on_change: Callable[[str], None], *, moves: bool = True) -> Callable[[], None]:
        """Call `on_change(room)` in the loop after our own writes and other processes'; "*" after a break."""
        return self.database.hints.subscribe(on_change, moves)

    async def _put(self, room: str, puts: Sequence[_Put]) -> list[bool | Exception]:
        """All of them in one transaction and one round trip, so that a process that is stopped holds no lock."""
        runs = 0

        async def insert(transaction: Transaction) -> list[Cursor]:
            nonlocal runs
            runs += 1
            await transaction.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"sottovoce {room}",))
            return [await transaction.execute(_PUT, {**put.row, "limit": put.limit}) for put in puts]

        async def look(connection: Connection) -> dict[str, dict[str, Any]]:
            sql = "SELECT id, room, content, addressee FROM sottovoce.deliveries WHERE id = ANY(%s)"
            found = await connection.execute(sql, ([put.row["id"] for put in puts],))
            return {row["id"]: row async for row in found}

        new = [cursor.rowcount > 0 for cursor in await self.database.write(insert)]
        known = {} if all(new) else await self.database.read(look)
        outcomes = [_outcome(put, each, known, runs > 1) for put, each in zip(puts, new, strict=True)]
        if True in outcomes:
            self.database.hints.tell(room)
        return outcomes

    async def _change(self, id: str, change: Callable[[Entry], Entry]) -> Status | None:
        """What anybody may do to a delivery, whoever has its room."""

        async def alter(transaction: Transaction) -> tuple[Entry, Entry] | None:
            (rows,) = await transaction.answers(await _locked(transaction, "id = %s", id))
            if not rows:
                return None
            before = _entry(rows[0])
            changed = change(before)
            if changed != before:
                await _keep(transaction, changed, anew=before.status.terminal and not changed.status.terminal)
                await transaction.execute("SELECT pg_notify(%s, %s)", (CHANNEL, changed.delivery.room))
            return before, changed

        async def changed() -> Status | None:
            made = await self.database.write(alter)
            if made is None:
                return None
            if made[0] != made[1]:
                self.database.hints.tell(made[0].delivery.room)
            return made[1].status

        return await self.database.run(changed()) if keepable(id) else None

    async def _write(
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        once: bool = False,
        notify: str | None = None,
        tell: str | None = None,
    ) -> T:
        async def write() -> T:
            result = await self.database.write(work, once=once, notify=notify)
            if tell is not None:
                self.database.hints.tell(tell, moved=True)
            return result

        return await self.database.run(write())

    async def _execute(self, sql: str, facts: Mapping[str, Any]) -> None:
        async def execute(transaction: Transaction) -> None:
            await transaction.execute(sql, facts)

        await self._write(execute)

    async def _read(self, sql: str, facts: Sequence[Any]) -> list[Entry]:
        async def look(connection: Connection) -> list[Entry]:
            return [_entry(row) async for row in await connection.execute(sql.encode(), facts)]

        return await self.database.run(self.database.read(look))


def _outcome(put: _Put, new: bool, known: Mapping[str, Mapping[str, Any]], perhaps_before: bool) -> bool | Exception:
    """What became of a put. `perhaps_before`: it may have been written already, by a commit that was never answered."""
    id, room = put.row["id"], put.row["room"]
    if new:
        return True
    if id not in known:
        return QueueFullError(f"room {room!r} already has {put.limit} open deliveries")
    if not same(known[id], put.row):
        return ConflictError(f"delivery id {id!r} was used before with other content")
    return perhaps_before


async def _locked(transaction: Transaction, which: str, value: str | list[str]) -> Cursor:
    """Deliveries nobody else may change before this transaction ends."""
    return await transaction.execute(f"{_SELECT} WHERE {which} ORDER BY seq FOR UPDATE", (value,))


async def _keep(transaction: Transaction, entry: Entry, epoch: int | None = None, *, anew: bool = False) -> None:
    """Write down where the delivery stands.

    `epoch`: of the owner who moved it (None: it was not the owner); `anew`: its age begins again.
    """
    fields = {name: getattr(entry, name) for name in ("wording", "heard_chars", "attempts", "reason", "unwanted")}
    facts = {"id": entry.delivery.id, "status": entry.status.value, "epoch": epoch, "anew": anew, **fields}
    await transaction.execute(_KEEP, facts)


def _entry(row: Mapping[str, Any]) -> Entry:
    kept = {field: row[field] for field in ("seq", "wording", "heard_chars", "attempts", "age", "reason", "unwanted")}
    return Entry(delivery=read(row), status=Status(row["status"]), **kept)
