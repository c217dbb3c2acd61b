"""Entries in PostgreSQL when the server or the way to it breaks: nothing twice, nothing lost, nobody held up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from delivery.ledger import Delivery
from delivery.postgres import PostgresLedger
from delivery.postgres.database import PostgresDatabase
from orchestration.status import ALL_ROOMS, StatusBus, StatusFilter
from orchestration.status.postgres import PostgresStatusBackend
from tests.delivery.postgres.wire import Cut, wire
from tests.orchestration.status.stores import entry
from tests.postgres import Server

pytestmark = pytest.mark.postgres

EVERY = StatusFilter(ALL_ROOMS)


def play(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 60.0))


@pytest.mark.parametrize("cut", Cut)
def test_a_wire_that_breaks_at_the_commit_writes_nothing_twice(postgres_url: str, cut: Cut) -> None:
    async def main() -> None:
        async with wire(postgres_url) as line:
            backend = PostgresStatusBackend(PostgresDatabase(line.url))
            await backend.open()
            await backend.append([entry(1)])
            line.cut = cut
            await backend.append([entry(2), entry(3)])
            assert line.cuts == 1
            assert [e.id for e in await backend.recent(9, EVERY)] == ["e1", "e2", "e3"]
            await backend.aclose()

    play(main())


def test_posts_go_on_while_the_server_is_away_and_others_hear_of_them_later(
    postgres_server: Server, postgres_url: str
) -> None:
    async def main() -> None:
        one, two = (StatusBus(PostgresStatusBackend(PostgresDatabase(postgres_url))) for _ in range(2))
        async with one, two:
            here: list[str] = []
            there: list[str] = []
            await one.subscribe(lambda e: here.append(e.detail), room="lobby")
            await two.subscribe(lambda e: there.append(e.detail), room="lobby")
            await asyncio.to_thread(postgres_server.stop)
            for n in range(20):
                one.post(agent_id="analyst", action="count", status="info", detail=f"{n}", room="lobby")
            while len(here) < 20:
                await asyncio.sleep(0.01)
            assert there == []
            await asyncio.to_thread(postgres_server.start)
            while len(there) < 20:
                await asyncio.sleep(0.01)
            assert here == there == [f"{n}" for n in range(20)]
            assert [e.detail for e in await two.recent(100, room="lobby")] == there

    play(main())


def test_it_shares_the_ledgers_database_and_bothers_no_desk(postgres_url: str) -> None:
    async def main() -> None:
        ledgers = [PostgresLedger(postgres_url) for _ in range(2)]
        for ledger in ledgers:
            await ledger.open()
        one, two = (StatusBus(PostgresStatusBackend(ledger.database)) for ledger in ledgers)
        async with one, two:
            rooms: list[str] = []
            told = asyncio.Event()
            ledgers[1].subscribe(rooms.append)
            await two.subscribe(lambda _: told.set(), room="lobby")
            one.post(agent_id="analyst", action="count", status="info", room="lobby")
            await told.wait()
            await ledgers[0].put(Delivery(id="d", room="lobby", content="done", strategy={"name": "immediate"}))
            while "lobby" not in rooms:
                await asyncio.sleep(0.01)
            assert [room for room in rooms if room.isprintable()] == ["lobby"]
        for ledger in ledgers:
            await ledger.aclose()

    play(main())
