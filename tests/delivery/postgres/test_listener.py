"""Other processes' changes are heard, ours are not heard twice, and a break is noticed and mended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from delivery.ledger import Move, Status
from delivery.postgres import PostgresLedger, connections, listener
from tests.delivery.ledgers import result
from tests.delivery.postgres.wire import wire
from tests.postgres import Server

pytestmark = pytest.mark.postgres


def run(script: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(script, 60.0))


async def settled(*queues: asyncio.Queue[str]) -> list[list[str]]:
    """What was told by the time that a last change, in a room of its own, was told to all."""
    said = []
    for queue in queues:
        said.append(heard := list[str]())
        while (room := await queue.get()) != "the last":
            heard.append(room)
    return said


def test_a_change_is_told_to_every_process_once(postgres_url: str) -> None:
    async def script() -> None:
        one, other = PostgresLedger(postgres_url), PostgresLedger(postgres_url)
        await one.open()
        await other.open()
        here, there = asyncio.Queue[str](), asyncio.Queue[str]()
        one.subscribe(here.put_nowait)
        other.subscribe(there.put_nowait)

        async def told() -> list[list[str]]:
            last.append(await one.put(result(f"last {len(last)}", room="the last")))
            return await settled(here, there)

        last: list[bool] = []
        await one.put(result())
        assert await told() == [["lobby"], ["lobby"]]
        await one.put(result())
        assert await told() == [[], []], "nothing has changed"
        await asyncio.gather(*(one.put(result(f"d{n}")) for n in range(20)))
        assert await told() == [["lobby"], ["lobby"]], "a burst is one change"
        epoch = await one.take_room("lobby", "me")
        assert await told() == [[], ["lobby"]], "whoever had it may be fenced"
        await one.move("lobby", epoch, [Move("one", Status.SPEAKING)])
        assert await told() == [["lobby"], ["lobby"]]
        await other.cancel("one")
        await one.put(result("later"))
        assert await told() == [["lobby", "lobby"], ["lobby", "lobby"]]
        await one.aclose()
        await other.aclose()

    run(script())


def test_a_listener_that_was_cut_off_looks_everywhere_and_listens_again(
    postgres_server: Server, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def script() -> None:
        one, other = PostgresLedger(postgres_url), PostgresLedger(postgres_url)
        await one.open()
        await other.open()
        told = asyncio.Queue[str]()
        one.subscribe(told.put_nowait)
        for n in range(2):
            postgres_server.terminate(postgres_url)
            assert await told.get() == "*"
            await other.put(result(f"after {n}"))
            assert await told.get() == "lobby"
        await one.aclose()
        await other.aclose()

    with caplog.at_level(logging.WARNING, "sottovoce.postgres"):
        run(script())
    warned = [record.getMessage() for record in caplog.records if record.name == "sottovoce.postgres"]
    assert all("cannot hear of other processes' changes, trying again: PostgreSQL at" in line for line in warned)
    assert 2 <= len(warned) <= 4


def test_a_silent_wire_is_noticed(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "CHECK", 0.1)
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT", 0.3)

    async def script() -> None:
        async with wire(postgres_url) as line:
            one, other = PostgresLedger(line.url, timeout=0.3), PostgresLedger(postgres_url)
            await one.open()
            await other.open()
            told = asyncio.Queue[str]()
            one.subscribe(told.put_nowait)
            line.silent = True
            await other.put(result())
            await asyncio.sleep(0.5)
            assert told.empty()
            line.silent = False
            assert await told.get() == "*"
            await other.put(result("two"))
            assert await told.get() == "lobby"
            await one.aclose()
            await other.aclose()

    run(script())


def test_a_closed_ledger_hears_nothing_and_leaves_nothing_behind(postgres_server: Server, postgres_url: str) -> None:
    async def script() -> None:
        before = asyncio.all_tasks()
        one, other = PostgresLedger(postgres_url), PostgresLedger(postgres_url)
        await one.open()
        await other.open()
        told: list[str] = []
        one.subscribe(told.append)
        await one.aclose()
        await other.put(result())
        await other.aclose()
        assert told == []
        assert asyncio.all_tasks() == before

    run(script())
    name = postgres_url.rpartition("/")[2]
    left = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'ClientRead'"
    assert postgres_server.run(left) == [(0,)]
