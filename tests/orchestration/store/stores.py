"""What the tests of every room store share: each kind of it, events to keep in it, and a loop it can live in.

In virtual time, except with PostgreSQL: it is a server, which has its own clock and is reached over a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from delivery.database import Database
from delivery.postgres.database import PostgresDatabase
from orchestration.event import RoomEvent
from orchestration.inbound import TextContent
from orchestration.store import MemoryRoomStore, RoomStore
from orchestration.store.postgres import PostgresRoomStore
from orchestration.store.sqlite import SqliteRoomStore
from voice.clock import run


class Kind:
    """Stores of one kind on one file or database: each `made()` is another process's."""

    def __init__(self, name: str, path: Path, url: Callable[[], str]) -> None:
        self.name = name
        self.path = path / "rooms.db"
        self.url = url() if name == "postgres" else ""

    def made(self) -> RoomStore:
        match self.name:
            case "memory":
                return MemoryRoomStore()
            case "sqlite":
                return SqliteRoomStore(Database(self.path))
            case _:
                return PostgresRoomStore(PostgresDatabase(self.url))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[RoomStore]:
        store = self.made()
        await store.open()
        try:
            yield store
        finally:
            await store.aclose()

    def play(self, main: Coroutine[Any, Any, None]) -> None:
        if self.name == "postgres":
            asyncio.run(asyncio.wait_for(main, 60.0))
        else:
            run(main)


def event(number: int = 1, room: str = "lobby", text: str = "", **fields: Any) -> RoomEvent:
    given = {
        "id": f"e{number}",
        "channel_id": "ws",
        "sender_id": "ann",
        "content": TextContent(text or f"No. {number}"),
    }
    return RoomEvent(**{**given, "room": room, **fields})


def ids(events: list[RoomEvent]) -> list[str]:
    return [each.id for each in events]
