"""What the tests of every status backend share: each kind of store, entries to keep in it, and a loop it can live in.

In virtual time, except with PostgreSQL: it is a server, which has its own clock and is reached over a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from delivery.database import Database
from delivery.postgres.database import PostgresDatabase
from orchestration.status import InMemoryStatusBackend, StatusBackend, StatusEntry, StatusLevel
from orchestration.status.postgres import PostgresStatusBackend
from orchestration.status.sqlite import SqliteStatusBackend
from voice.clock import run


class Store:
    """Backends of one kind on one file or database: each `made()` is another process's."""

    def __init__(self, kind: str, path: Path, url: Callable[[], str]) -> None:
        self.kind = kind
        self._path = path
        self._url = url() if kind == "postgres" else ""

    def made(self, **limits: int) -> StatusBackend:
        match self.kind:
            case "memory":
                return InMemoryStatusBackend(**limits)
            case "jsonl":
                return InMemoryStatusBackend(path=self._path / "status.jsonl", **limits)
            case "sqlite":
                return SqliteStatusBackend(Database(self._path / "status.db"), **limits)
            case _:
                return PostgresStatusBackend(PostgresDatabase(self._url), **limits)

    def play(self, main: Coroutine[Any, Any, None]) -> None:
        if self.kind == "postgres":
            asyncio.run(asyncio.wait_for(main, 60.0))
        else:
            run(main)


def entry(number: int = 1, **fields: Any) -> StatusEntry:
    given = {"agent_id": "analyst", "action": "search", "status": StatusLevel.OK, "timestamp": float(number)}
    return StatusEntry(**{**given, "id": f"e{number}", **fields})
