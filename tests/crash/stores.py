"""Where a town's runtimes remember: a directory of SQLite files, or a PostgreSQL database, one a town."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from tests.crash.forge import Forge
from tests.postgres import USER, Server

CONNECTIONS = 300
"""Connections that the server takes: a dozen towns with a few processes each, some of them dead a moment ago."""


_NUMBERS = itertools.count(1)


class Stores(Protocol):
    """Makes stores and takes them back; `name` is for people."""

    name: str

    async def make(self, place: Path, *, fresh: bool = False) -> str:
        """The `state` for the runtimes of a town in `place`. `fresh`: nobody has ever used it."""
        ...

    async def drop(self, state: str) -> None: ...


class Files:
    """SQLite: a directory beside the town's notes. Each is fresh."""

    name = "sqlite"

    async def make(self, place: Path, *, fresh: bool = False) -> str:
        return str(place / "state")

    async def drop(self, state: str) -> None:
        await asyncio.to_thread(shutil.rmtree, state, ignore_errors=True)


class Databases:
    """PostgreSQL: a database each, copied from one whose tables are there already, which takes a tenth of the time."""

    name = "postgres"

    def __init__(self, server: Server) -> None:
        self._server = server
        self._copying = asyncio.Lock()
        self._model = ""

    async def make(self, place: Path, *, fresh: bool = False) -> str:
        name = f"town_{next(_NUMBERS)}"
        model = "" if fresh else f" TEMPLATE {self._model}"
        async with self._copying:  # one copies at a time, or the server says that the model is in use
            await asyncio.to_thread(self._server.run, f"CREATE DATABASE {name} OWNER {USER}{model}")
        return self._server.url(name)

    async def drop(self, state: str) -> None:
        name = state.rpartition("/")[2]
        await asyncio.to_thread(self._server.run, f"DROP DATABASE {name} WITH (FORCE)")

    async def prepare(self, forge: Forge, place: Path) -> None:
        """Make the model."""
        place.mkdir(parents=True, exist_ok=True)
        state = await self.make(place, fresh=True)
        child = await forge.run(
            folder=str(place), log=str(place / "log"), state=state, role="open", plot="", seed=0, haste=1.0
        )
        if await child.ended:
            raise RuntimeError((place / "log").read_text())
        self._model = state.rpartition("/")[2]


@contextlib.asynccontextmanager
async def databases(server: Server, forge: Forge, place: Path) -> AsyncIterator[Databases]:
    """Databases on a server, which takes more connections meanwhile than it usually does."""
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start, max_connections=CONNECTIONS)
    try:
        made = Databases(server)
        await made.prepare(forge, place)
        yield made
    finally:
        await asyncio.to_thread(server.restart)
