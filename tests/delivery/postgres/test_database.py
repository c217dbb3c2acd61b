"""The way to the database: it breaks, it hangs, it comes back; what was written is written once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

import pytest

from delivery.ledger import FencedError, LedgerError, Move, Status
from delivery.postgres import PostgresLedger, connections
from delivery.postgres.connections import Connection
from delivery.postgres.database import Transaction
from tests.delivery.ledgers import entry, result
from tests.delivery.postgres.wire import Cut, wire
from tests.postgres import Server

pytestmark = pytest.mark.postgres


def run(script: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(script, 60.0))


async def until(ledger: PostgresLedger, id: str, status: Status) -> None:
    """Wait for a delivery to stand there."""
    while (found := await ledger.get(id)) is None or found.status is not status:
        await asyncio.sleep(0.01)


def test_many_processes_may_begin_at_once(postgres_url: str) -> None:
    async def script() -> None:
        ledgers = [PostgresLedger(postgres_url) for _ in range(6)]
        await asyncio.gather(*(ledger.open() for ledger in ledgers))
        new = await asyncio.gather(*(ledger.put(result()) for ledger in ledgers))
        assert sorted(new) == [False] * 5 + [True]
        await asyncio.gather(*(ledger.aclose() for ledger in ledgers))

    run(script())


def test_a_server_that_is_gone_for_a_while(postgres_server: Server, postgres_url: str) -> None:
    async def script() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        await ledger.put(result())
        epoch = await ledger.take_room("lobby", "me")
        told: asyncio.Queue[str] = asyncio.Queue()
        ledger.subscribe(told.put_nowait)
        with postgres_server.away():
            asks = [
                *(ledger.put(result(f"more {n}")) for n in range(50)),
                ledger.move("lobby", epoch, [Move("one", Status.HEARD)]),
                ledger.entries("lobby"),
                ledger.take_room("attic", "me"),
                ledger.cancel("one"),
            ]
            for outcome in await asyncio.gather(*asks, return_exceptions=True):
                assert isinstance(outcome, LedgerError), outcome
                assert str(outcome).startswith(f"PostgreSQL at sottovoce@127.0.0.1:{postgres_server.port}/")
            with pytest.raises(LedgerError):
                await PostgresLedger(postgres_url).open()
            await asyncio.sleep(connections.REST)
        assert await told.get() == "*"
        assert [e.delivery.id for e in await ledger.entries("lobby")] == ["one"]
        await ledger.move("lobby", epoch, [Move("one", Status.HEARD)])
        assert await ledger.put(result("after"))
        await ledger.aclose()

    run(script())


def test_a_server_that_crashes_keeps_what_it_acknowledged(postgres_server: Server, postgres_url: str) -> None:
    async def script() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        numbers = itertools.count()
        acknowledged: list[str] = []

        async def write() -> None:
            for n in numbers:
                try:
                    await ledger.put(result(str(n)), limit=10**6)
                except LedgerError:
                    return
                acknowledged.append(str(n))

        writing = asyncio.gather(*(write() for _ in range(8)))
        while len(acknowledged) < 100:
            await asyncio.sleep(0)
        await asyncio.to_thread(postgres_server.kill)
        await writing
        postgres_server.start()
        await asyncio.sleep(connections.REST)
        found = {e.delivery.id for e in await ledger.entries("lobby", limit=10**6)}
        assert found >= set(acknowledged)
        assert len(acknowledged) >= 100
        await ledger.aclose()

    run(script())


def test_connections_that_are_ended_in_the_midst_of_use_are_not_noticed(
    postgres_server: Server, postgres_url: str
) -> None:
    async def script() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        rooms = [f"room {n}" for n in range(6)]
        epochs = {room: await ledger.take_room(room, "me") for room in rooms}
        ended = 0

        async def work(room: str) -> None:
            for n in range(20):
                assert await ledger.put(result(f"{room}:{n}", room=room))
                for status in (Status.RESERVED, Status.SPEAKING, Status.HEARD):
                    await ledger.move(room, epochs[room], [Move(f"{room}:{n}", status, attempt=True)])

        async def end_them() -> None:
            nonlocal ended
            while True:
                await asyncio.sleep(0.1)
                ended += await asyncio.to_thread(postgres_server.terminate, postgres_url)

        ending = asyncio.create_task(end_them())
        await asyncio.gather(*map(work, rooms))
        ending.cancel()
        assert ended > 0
        for room in rooms:
            entries = await ledger.entries(room, [Status.HEARD])
            assert [e.attempts for e in entries] == [3] * 20
        await ledger.aclose()

    run(script())


@pytest.mark.parametrize("cut", list(Cut))
def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_done_twice(postgres_url: str, cut: Cut) -> None:
    async def script() -> None:
        async with wire(postgres_url) as line:
            ledger, other = PostgresLedger(line.url), PostgresLedger(postgres_url)
            await ledger.open()
            await other.open()
            told: list[str] = []
            epoch = await ledger.take_room("lobby", "me")
            ledger.subscribe(told.append)
            line.cut = cut
            assert await ledger.put(result()) is True
            assert line.cuts == 1
            await asyncio.sleep(0)
            assert set(told) == {"lobby"}
            line.cut = cut
            await ledger.move("lobby", epoch, [Move("one", Status.SPEAKING, attempt=True)])
            assert line.cuts == 2
            assert (await entry(ledger)).attempts == 1
            line.cut = cut
            assert await ledger.cancel("one") is Status.SPEAKING
            line.cut = cut
            assert await ledger.move("lobby", epoch, [Move("one", Status.CANCELLED)]) == frozenset()
            line.cut = cut
            assert await ledger.replay("one") is Status.QUEUED
            line.cut = cut
            assert await ledger.take_room("lobby", "me") > epoch
            assert line.cuts == 6
            assert [e.delivery.id for e in await other.entries("lobby")] == ["one"]
            await ledger.aclose()
            await other.aclose()

    run(script())


def test_a_server_that_hangs_is_given_up_in_time(
    postgres_server: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT", 0.3)

    async def script() -> None:
        ledger = PostgresLedger(postgres_url, timeout=0.3)
        await ledger.open()
        await ledger.put(result())
        epoch = await ledger.take_room("lobby", "me")
        with postgres_server.frozen():
            asks = [
                *(ledger.put(result(f"more {n}", room=f"room {n % 7}")) for n in range(50)),
                *(ledger.move("lobby", epoch, [Move("one", Status.RESERVED)]) for _ in range(5)),
                ledger.get("one"),
            ]
            async with asyncio.timeout(10.0):
                outcomes = await asyncio.gather(*asks, return_exceptions=True)
            assert {type(outcome).__mro__[-4] for outcome in outcomes} == {LedgerError}
            assert any("no answer for 0.3 s" in str(outcome) for outcome in outcomes)
            assert any("nobody answered within 0.3 s" in str(outcome) for outcome in outcomes)
        await asyncio.sleep(connections.REST)
        assert await ledger.put(result("after"))
        await ledger.move("lobby", epoch, [Move("after", Status.RESERVED)])
        await ledger.aclose()

    run(script())


def test_who_was_stopped_in_the_midst_of_a_write_holds_nobody_up(postgres_url: str) -> None:
    async def script() -> None:
        stopped, other = PostgresLedger(postgres_url, timeout=1.0), PostgresLedger(postgres_url, timeout=1.0)
        await stopped.open()
        await other.open()
        epoch = await stopped.take_room("lobby", "me")
        await stopped.put(result())
        there, on = asyncio.Event(), asyncio.Event()

        async def stand_still(transaction: Transaction) -> None:
            await transaction.answers(await transaction.execute("SELECT epoch FROM sottovoce.rooms FOR UPDATE"))
            there.set()
            await on.wait()

        standing = asyncio.create_task(stopped.database.run(stopped.database.write(stand_still)))
        await there.wait()
        assert await other.take_room("lobby", "other") == epoch + 1
        assert not standing.done()
        on.set()
        await standing  # it has found out and done it again
        with pytest.raises(FencedError):
            await stopped.move("lobby", epoch, [Move("one", Status.HEARD)])
        await stopped.aclose()
        await other.aclose()

    run(script())


def test_a_room_that_is_held_up_holds_up_no_other(postgres_url: str) -> None:
    async def script() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        busy, free = await ledger.take_room("busy", "me"), await ledger.take_room("free", "me")
        await ledger.put(result(room="free"))
        async with ledger.database._open_connections().lend() as holder:
            await holder.execute("BEGIN")
            await holder.execute("SELECT FROM sottovoce.rooms WHERE room = 'busy' FOR UPDATE")
            waiting = asyncio.create_task(ledger.move("busy", busy, []))
            for n in range(20):
                await ledger.put(result(f"more {n}", room="free"))
                await ledger.move("free", free, [Move(f"more {n}", Status.HEARD)])
            assert not waiting.done()
            await holder.execute("ROLLBACK")
        await waiting
        await ledger.aclose()

    run(script())


def test_a_lock_that_is_not_let_go_is_said(postgres_url: str) -> None:
    async def script() -> None:
        ledger = PostgresLedger(postgres_url, timeout=0.5)
        await ledger.open()
        epoch = await ledger.take_room("lobby", "me")
        async with PostgresLedgerHolding(postgres_url):
            with pytest.raises(LedgerError, match="another program holds a lock on this"):
                await ledger.move("lobby", epoch, [])
        await ledger.move("lobby", epoch, [])
        await ledger.aclose()

    run(script())


class PostgresLedgerHolding:
    """Another program that has locked the rooms."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __aenter__(self) -> None:
        import psycopg

        self.connection = await psycopg.AsyncConnection.connect(self.url)
        await self.connection.execute("LOCK TABLE sottovoce.rooms")

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()


def test_all_connections_busy_is_said(postgres_url: str) -> None:
    async def script() -> None:
        ledger = PostgresLedger(postgres_url, connections=1, timeout=0.3)
        await ledger.open()
        async with ledger.database._open_connections().lend():
            with pytest.raises(LedgerError, match=r"all 1 connections were busy for 0\.3 s"):
                await ledger.get("one")
        assert await ledger.get("one") is None
        await ledger.aclose()

    run(script())


def test_what_nobody_waits_for_any_more_is_finished(postgres_url: str) -> None:
    async def script() -> None:
        before = asyncio.all_tasks()
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        epoch = await ledger.take_room("lobby", "me")
        await ledger.put(result())
        asks = [
            asyncio.create_task(ledger.move("lobby", epoch, [Move("one", Status.HEARD)])),
            asyncio.create_task(ledger.put(result("two"))),
        ]
        for _ in range(2):
            await asyncio.sleep(0)
        for ask in asks:
            ask.cancel()
        assert [type(o) for o in await asyncio.gather(*asks, return_exceptions=True)] == [asyncio.CancelledError] * 2
        await ledger.aclose()
        assert asyncio.all_tasks() == before
        await ledger.open()
        assert (await entry(ledger)).status is Status.HEARD
        assert (await entry(ledger, "two")).status is Status.QUEUED
        await ledger.aclose()

    run(script())


def test_age_is_the_servers(postgres_server: Server, postgres_url: str) -> None:
    async def script() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        await ledger.put(result("one"))
        await ledger.put(result("two"))
        change = "UPDATE sottovoce.deliveries SET put_at = put_at + CASE id WHEN 'one' THEN {} ELSE {} END"
        postgres_server.run(change.format("interval '-90.5 s'", "interval '1 h'"), postgres_url)
        one, two = await ledger.entries("lobby")
        assert 90.5 <= one.age < 100.0
        assert two.age == 0.0
        await ledger.aclose()

    run(script())


def test_of_several_servers_the_one_that_is_there_is_used(postgres_url: str) -> None:
    async def script() -> None:
        credentials, _, place = postgres_url.rpartition("@")
        ledger = PostgresLedger(f"{credentials}@127.0.0.1:1,{place}?target_session_attrs=primary")
        await ledger.open()
        assert await ledger.put(result())
        await ledger.aclose()

    run(script())


def test_a_commit_is_on_the_disk_whatever_the_database_says(postgres_server: Server, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres_server.run(f"ALTER DATABASE {name} SET synchronous_commit = off")

    async def script() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()

        async def look(connection: Connection) -> str:
            row = await (await connection.execute("SHOW synchronous_commit")).fetchone()
            return str(row and row["synchronous_commit"])

        assert await ledger.database.run(ledger.database.read(look)) == "on"
        await ledger.aclose()

    try:
        run(script())
    finally:
        postgres_server.run(f"ALTER DATABASE {name} RESET synchronous_commit")


def test_a_server_that_does_not_sync_is_warned_of(
    postgres_server: Server, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def script() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        await ledger.aclose()

    run(script())
    assert "fsync" not in caplog.text
    postgres_server.stop()
    postgres_server.start(fsync="off")
    try:
        run(script())
    finally:
        postgres_server.restart()
    assert "fsync is off, so a power cut may lose what was acknowledged" in caplog.text
