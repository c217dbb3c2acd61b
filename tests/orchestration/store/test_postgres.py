"""Rooms in PostgreSQL when the server or the way to it breaks: nothing twice, nothing lost, nobody held up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from delivery.postgres import PostgresLedger
from delivery.postgres.database import PostgresDatabase
from orchestration.store import Journal, StaleRoomError, StoreError
from orchestration.store.postgres import PostgresRoomStore
from tests.delivery.postgres.wire import Cut, wire
from tests.orchestration.store.stores import event, ids
from tests.postgres import USER, Server

pytestmark = pytest.mark.postgres

COMMIT = b"COMMIT\0"
"""The statement itself: a transaction's first words have "COMMITTED" in them."""


def play(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 60.0))


@pytest.mark.parametrize("cut", Cut)
def test_a_wire_that_breaks_at_the_commit_saves_once_and_is_no_stranger_to_itself(postgres_url: str, cut: Cut) -> None:
    async def main() -> None:
        async with wire(postgres_url) as line:
            store = PostgresRoomStore(PostgresDatabase(line.url))
            await store.open()
            line.at = COMMIT
            for version in range(2):
                line.cut = cut
                assert await store.save("lobby", {"n": version}, version) == version + 1
                assert line.cuts == version + 1
            with pytest.raises(StaleRoomError):
                await store.save("lobby", {}, 1)
            room = await store.load("lobby")
            assert room is not None
            assert (room.version, room.metadata) == (2, {"n": 1})
            await store.aclose()

    play(main())


@pytest.mark.parametrize("cut", Cut)
def test_a_wire_that_breaks_at_the_commit_adds_nothing_twice(postgres_url: str, cut: Cut) -> None:
    async def main() -> None:
        async with wire(postgres_url) as line:
            store = PostgresRoomStore(PostgresDatabase(line.url))
            await store.open()
            await store.add("lobby", [event(1)])
            line.at, line.cut = COMMIT, cut
            await store.add("lobby", [event(2), event(3)])
            assert line.cuts == 1
            assert ids(await store.timeline("lobby")) == ["e1", "e2", "e3"]
            await store.aclose()

    play(main())


def test_a_server_that_is_away_is_told_and_the_journal_waits_for_it(postgres_server: Server, postgres_url: str) -> None:
    async def main() -> None:
        store = PostgresRoomStore(PostgresDatabase(postgres_url))
        await store.open()
        journal = Journal(store)
        await journal.open()
        assert await store.save("lobby", {"n": 1}, 0) == 1
        await asyncio.to_thread(postgres_server.stop)
        try:
            for n in range(20):
                journal.note(event(n))
            with pytest.raises(StoreError, match=r"^PostgreSQL at .*(start it|tried again with the next call)$"):
                await store.load("lobby")
        finally:
            await asyncio.to_thread(postgres_server.start)
        await journal.settle()
        assert ids(await store.timeline("lobby")) == [f"e{n}" for n in range(20)]
        room = await store.load("lobby")
        assert room is not None
        assert room.version == 1
        await journal.aclose()
        await store.aclose()

    play(main())


def test_it_shares_the_ledgers_database(postgres_url: str) -> None:
    async def main() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        store = PostgresRoomStore(ledger.database)
        await store.open()
        await ledger.take_room("lobby", "here")
        await store.save("lobby", {"n": 1}, 0)
        await store.aclose()
        await store.aclose()
        assert await ledger.get("the database is still open") is None
        await ledger.aclose()

    play(main())


def test_rooms_are_in_the_order_of_their_characters_whatever_language_the_database_speaks(
    postgres_server: Server,
) -> None:
    new = "current_setting('server_version_num')::int >= 150000"
    if not postgres_server.run(f"SELECT 1 FROM pg_collation WHERE collname = 'en-x-icu' AND {new}"):
        pytest.skip("this PostgreSQL is older than 15, or built without ICU: its databases speak no language")
    postgres_server.run(
        f"CREATE DATABASE english OWNER {USER} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
    )

    async def main() -> None:
        store = PostgresRoomStore(PostgresDatabase(postgres_server.url("english")))
        await store.open()
        for room in ("b", "A", "a", "B", "ä"):
            await store.save(room, {}, 0)
        assert await store.rooms() == ["A", "B", "a", "b", "ä"]
        assert await store.rooms(2, "B") == ["a", "b"]
        await store.aclose()

    try:
        play(main())
    finally:
        postgres_server.run("DROP DATABASE english WITH (FORCE)")
