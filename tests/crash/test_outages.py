"""The store is away, full, locked or read-only in mid-call: the call goes on, and what is owed is heard afterwards.

What cannot be stored is refused aloud to whoever wants it told, and nothing of it is half written.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.crash.ear import heard
from tests.crash.forge import Child, Forge, forge
from tests.crash.plots import REFUSED
from tests.crash.stores import Files, databases
from tests.crash.town import Town
from tests.postgres import Server

pytestmark = pytest.mark.crash

Trouble = Callable[[Town, Child], AbstractAsyncContextManager[None]]

FULL = ("max_page_count = {pages}", "max_page_count = 1000000")
READ_ONLY = ("query_only = ON", "query_only = OFF")


@contextlib.asynccontextmanager
async def bad_disk(town: Town, child: Child) -> AsyncIterator[None]:
    """The disk as SQLite sees it; `pragmas` say how."""
    child.signal(signal.SIGUSR2)
    yield
    child.signal(signal.SIGTTOU)


@contextlib.asynccontextmanager
async def locked(town: Town, child: Child) -> AsyncIterator[None]:
    """Another program has the file's lock, for longer than it is waited for."""
    file = Path(town.store) / "sottovoce.db"
    with contextlib.closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def stopped(server: Server) -> Trouble:
    @contextlib.asynccontextmanager
    async def trouble(town: Town, child: Child) -> AsyncIterator[None]:
        await asyncio.to_thread(server.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(server.start)

    return trouble


def silent(server: Server) -> Trouble:
    @contextlib.asynccontextmanager
    async def trouble(town: Town, child: Child) -> AsyncIterator[None]:
        with server.frozen():
            yield

    return trouble


async def live_through(town: Town, trouble: Trouble, pragmas: tuple[str, ...] = (), *, sure: bool = True) -> None:
    """Play a call, with trouble in the midst of it. `sure`: what was refused is known not to be stored."""
    child = await town.begin("both", pragmas=pragmas)
    await town.until(lambda: town.noted("ready"), "that the call is under way")
    async with trouble(town, child):
        begun = town.now
        town.note("trouble")
        await town.until(lambda: town.noted("declined") or town.noted("accepted"), "what the producer was told")
        await town.until(lambda: town.noted("answered"), "that the host answers all the same")
        mended = town.now
    town.note("mended")
    await town.end(child)
    assert town.noted("declined"), "what could not be stored was not refused"
    meanwhile = [word for life in heard(town.folder / "ears") for at, word in life.surely if begun < at < mended]
    assert "noon." in meanwhile, "the caller heard nothing while the store was in trouble"
    verdict = town.judge()
    assert verdict.good, f"{verdict} {town.log[-3000:]}"
    assert verdict.twice == 0
    end = json.loads((town.folder / "end").read_text())
    stored = {entry["delivery"]["id"]: entry["status"] for entry in end["entries"]}
    assert REFUSED not in stored or not sure
    assert {stored["d1"], stored["d2"]} == {"heard"}


def test_sqlite_in_trouble(tmp_path: Path) -> None:
    async def play(made: Forge, name: str, trouble: Trouble, pragmas: tuple[str, ...]) -> None:
        place = tmp_path / name
        await live_through(Town(made, place, await Files().make(place), "outage"), trouble, pragmas)

    async def main() -> None:
        async with forge() as made, asyncio.TaskGroup() as group:
            group.create_task(play(made, "full", bad_disk, FULL))
            group.create_task(play(made, "read-only", bad_disk, READ_ONLY))
            group.create_task(play(made, "locked", locked, ()))

    asyncio.run(main())


@pytest.mark.postgres
@pytest.mark.parametrize("how", [stopped, silent])
def test_postgres_in_trouble(how: Callable[[Server], Trouble], tmp_path: Path, postgres_server: Server) -> None:
    async def main() -> None:
        async with forge() as made, databases(postgres_server, made, tmp_path / "model") as stores:
            place = tmp_path / "town"
            town = Town(made, place, await stores.make(place), "outage")
            # A server that falls silent may find the request when it wakes: nobody can know before.
            await live_through(town, how(postgres_server), sure=how is not silent)

    asyncio.run(main())
