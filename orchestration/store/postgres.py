"""Rooms in a PostgreSQL database, for all the processes that share it."""
# ruff: noqa: S608 (only names and constants of ours are written into SQL; every value is bound)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from delivery.postgres.connections import Connection
from delivery.postgres.database import PostgresDatabase, Transaction
from orchestration.event import RoomEvent
from orchestration.store.asked import addable, behind, listed, loaded, room_id, shown
from orchestration.store.row import read, stored_room, written
from orchestration.store.store import MAX_TIMELINE
from orchestration.store.stored_room import StoredRoom, bounded
from orchestration.store.trouble import StaleRoomError, explained

_VERSIONS = [
    # Collated by code points: the database's own order may be any language's.
    """
    CREATE TABLE sottovoce.kept_rooms (
        room text COLLATE "C" PRIMARY KEY,
        metadata text NOT NULL,
        version bigint NOT NULL,
        saved_at timestamptz NOT NULL
    );
    CREATE TABLE sottovoce.timelines (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        room text NOT NULL,
        id text NOT NULL,
        event text NOT NULL,
        added_at timestamptz NOT NULL,
        UNIQUE (room, id)
    );
    CREATE INDEX timelines_by_room ON sottovoce.timelines (room, seq);
    """,
]

_LOAD = """
    SELECT room, metadata, version, greatest(0, extract(epoch FROM clock_timestamp() - saved_at))::float8 AS age
    FROM sottovoce.kept_rooms WHERE room = %s
"""
_BEGIN = """
    INSERT INTO sottovoce.kept_rooms VALUES (%(room)s, %(metadata)s, 1, clock_timestamp())
    ON CONFLICT (room) DO NOTHING RETURNING version
"""
_SAVE = """
    UPDATE sottovoce.kept_rooms SET metadata = %(metadata)s, version = version + 1, saved_at = clock_timestamp()
    WHERE room = %(room)s AND version = %(version)s RETURNING version
"""
_ROOMS = "SELECT room FROM sottovoce.kept_rooms WHERE room > %s ORDER BY room LIMIT %s"
_ADD = """
    INSERT INTO sottovoce.timelines (room, id, event, added_at)
    SELECT %(room)s, id, event, clock_timestamp()
    FROM unnest(%(ids)s::text[], %(events)s::text[]) WITH ORDINALITY AS given (id, event, place) ORDER BY place
    ON CONFLICT (room, id) DO NOTHING
"""
_TRIM = f"""
    DELETE FROM sottovoce.timelines WHERE room = %(room)s AND seq <= (
        SELECT seq FROM sottovoce.timelines WHERE room = %(room)s ORDER BY seq DESC LIMIT 1 OFFSET {MAX_TIMELINE}
    )
"""
_TIMELINE = "SELECT event FROM sottovoce.timelines WHERE room = %s ORDER BY seq DESC LIMIT %s"


class PostgresRoomStore:
    """Rooms in a PostgreSQL database, usually the ledger's: `PostgresRoomStore(ledger.database)`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._opened = False

    async def open(self) -> None:
        """Connect and bring the tables up to date. Raises StoreError naming the database and the fix."""
        if self._opened:
            return
        with explained():
            await self._database.open_with("rooms", _VERSIONS)
        self._opened = True

    async def aclose(self) -> None:
        """Let go of the database."""
        if self._opened:
            self._opened = False
            await self._database.aclose()

    async def load(self, room: str) -> StoredRoom | None:
        """What was saved of the room."""
        rows = await self._rows(_LOAD, (room_id(room),))
        return stored_room(rows[0]) if rows else None

    async def save(self, room: str, metadata: Mapping[str, Any], version: int) -> int:
        """Keep this in place of what `version` had."""
        room, version = room_id(room), loaded(version)
        facts = {"room": room, "metadata": written(bounded(metadata)), "version": version}

        async def put(transaction: Transaction) -> int:
            (saved,) = await transaction.answers(await transaction.execute(_SAVE if version else _BEGIN, facts))
            if not saved:
                raise StaleRoomError(room, version)
            return version + 1

        with explained():
            # Run again after its answer was lost, it would find its own version and take it for another's.
            return await self._database.run(self._database.write(put, once=True))

    async def forget(self, room: str) -> None:
        """Keep nothing of the room."""
        key = (room_id(room),)

        async def drop(transaction: Transaction) -> None:
            await transaction.execute("DELETE FROM sottovoce.kept_rooms WHERE room = %s", key)
            await transaction.execute("DELETE FROM sottovoce.timelines WHERE room = %s", key)

        with explained():
            await self._database.run(self._database.write(drop))

    async def rooms(self, limit: int = 100, after: str = "") -> list[str]:
        """The ids of saved rooms, in order."""
        return [row["room"] for row in await self._rows(_ROOMS, (behind(after), listed(limit)))]

    async def add(self, room: str, events: Sequence[RoomEvent]) -> None:
        """Put events at the end of the room's timeline; returns when they are durable."""
        room = room_id(room)
        added = addable(room, events)
        facts = {"room": room, "ids": [e.id for e in added], "events": [written(e.to_dict()) for e in added]}
        if not added:
            return

        async def append(transaction: Transaction) -> None:
            await transaction.execute(_ADD, facts)
            await transaction.execute(_TRIM, facts)

        with explained():
            await self._database.run(self._database.write(append))

    async def timeline(self, room: str, limit: int = 50) -> list[RoomEvent]:
        """The newest events of the room, oldest first."""
        room = room_id(room)
        rows = await self._rows(_TIMELINE, (room, shown(limit)))
        return await read(room, [row["event"] for row in reversed(rows)])

    async def _rows(self, sql: str, facts: Sequence[Any]) -> list[dict[str, Any]]:
        async def look(connection: Connection) -> list[dict[str, Any]]:
            return await (await connection.execute(sql.encode(), facts)).fetchall()

        with explained():
            return await self._database.run(self._database.read(look))
