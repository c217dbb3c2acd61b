"""Rooms in an SQLite file: what was saved survives kill -9, and several processes may save."""
# ruff: noqa: S608 (only names and constants of ours are written into SQL; every value is bound)

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from delivery.database import NOW, Database
from orchestration.event import RoomEvent
from orchestration.store.asked import addable, behind, listed, loaded, room_id, shown
from orchestration.store.row import read, stored_room, written
from orchestration.store.store import MAX_TIMELINE
from orchestration.store.stored_room import StoredRoom, bounded
from orchestration.store.trouble import StaleRoomError, explained

_VERSIONS = [
    """
    CREATE TABLE kept_rooms (
        room TEXT PRIMARY KEY,
        metadata TEXT NOT NULL,
        version INTEGER NOT NULL,
        saved_at REAL NOT NULL
    );
    CREATE TABLE timelines (
        seq INTEGER PRIMARY KEY,
        room TEXT NOT NULL,
        id TEXT NOT NULL,
        event TEXT NOT NULL,
        added_at REAL NOT NULL,
        UNIQUE (room, id)
    );
    CREATE INDEX timelines_by_room ON timelines (room, seq);
    """,
]

_LOAD = f"SELECT *, max(0.0, {NOW} - saved_at) AS age FROM kept_rooms WHERE room = ?"
_BEGIN = f"INSERT INTO kept_rooms VALUES (:room, :metadata, 1, {NOW}) ON CONFLICT (room) DO NOTHING"
_SAVE = f"""
    UPDATE kept_rooms SET metadata = :metadata, version = version + 1, saved_at = {NOW}
    WHERE room = :room AND version = :version
"""
_ROOMS = "SELECT room FROM kept_rooms WHERE room > ? ORDER BY room LIMIT ?"
_ADD = f"INSERT INTO timelines (room, id, event, added_at) VALUES (?, ?, ?, {NOW}) ON CONFLICT (room, id) DO NOTHING"
_TRIM = f"""
    DELETE FROM timelines WHERE room = :room
    AND seq <= (SELECT seq FROM timelines WHERE room = :room ORDER BY seq DESC LIMIT 1 OFFSET {MAX_TIMELINE})
"""
_TIMELINE = "SELECT event FROM timelines WHERE room = ? ORDER BY seq DESC LIMIT ?"


class SqliteRoomStore:
    """Rooms in an SQLite file, usually the ledger's: `SqliteRoomStore(ledger.database)`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opened = False

    async def open(self) -> None:
        """Open the file and bring its tables up to date. Raises StoreError naming path and fix."""
        if self._opened:
            return
        with explained():
            await self._database.open_with("rooms", _VERSIONS)
        self._opened = True

    async def aclose(self) -> None:
        """Let go of the file."""
        if self._opened:
            self._opened = False
            await self._database.aclose()

    async def load(self, room: str) -> StoredRoom | None:
        """What was saved of the room."""
        key = (room_id(room),)
        with explained():
            row = await self._database.read(lambda connection: connection.execute(_LOAD, key).fetchone())
        return None if row is None else stored_room(dict(row))

    async def save(self, room: str, metadata: Mapping[str, Any], version: int) -> int:
        """Keep this in place of what `version` had."""
        room, version = room_id(room), loaded(version)
        facts = {"room": room, "metadata": written(bounded(metadata)), "version": version}

        def put(connection: sqlite3.Connection) -> int:
            if not connection.execute(_SAVE if version else _BEGIN, facts).rowcount:
                raise StaleRoomError(room, version)
            return version + 1

        with explained():
            return await self._database.write(put)

    async def forget(self, room: str) -> None:
        """Keep nothing of the room."""
        key = (room_id(room),)

        def drop(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM kept_rooms WHERE room = ?", key)
            connection.execute("DELETE FROM timelines WHERE room = ?", key)

        with explained():
            await self._database.write(drop)

    async def rooms(self, limit: int = 100, after: str = "") -> list[str]:
        """The ids of saved rooms, in order."""
        asked = behind(after), listed(limit)
        with explained():
            rows = await self._database.read(lambda connection: connection.execute(_ROOMS, asked).fetchall())
        return [row["room"] for row in rows]

    async def add(self, room: str, events: Sequence[RoomEvent]) -> None:
        """Put events at the end of the room's timeline; returns when they are durable."""
        room = room_id(room)
        rows = [(room, event.id, written(event.to_dict())) for event in addable(room, events)]
        if not rows:
            return

        def append(connection: sqlite3.Connection) -> None:
            connection.executemany(_ADD, rows)
            connection.execute(_TRIM, {"room": room})

        with explained():
            await self._database.write(append)

    async def timeline(self, room: str, limit: int = 50) -> list[RoomEvent]:
        """The newest events of the room, oldest first."""
        asked = room_id(room), shown(limit)
        with explained():
            rows = await self._database.read(lambda connection: connection.execute(_TIMELINE, asked).fetchall())
        return await read(asked[0], [row["event"] for row in reversed(rows)])
