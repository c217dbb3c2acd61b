"""What only a ledger in a file promises: it outlives its process, and several processes may share it."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from delivery.ledger import Delivery, FencedError, LedgerError, Move, Status
from delivery.sqlite import SqliteLedger
from voice.clock import now, run

ROOT = Path(__file__).parents[2]


def result(id: str) -> Delivery:
    return Delivery(id=id, room="lobby", content=f"the answer to {id}", strategy={"name": "immediate"})


def child(source: str, *args: object) -> subprocess.Popen[str]:
    """A Python process of its own that runs `source`."""
    command = [sys.executable, "-c", textwrap.dedent(source), *map(str, args)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


WRITER = """
    import asyncio, sys
    from delivery.ledger import Delivery
    from delivery.sqlite import SqliteLedger

    async def main():
        ledger = SqliteLedger(sys.argv[1])
        await ledger.open()
        numbers = iter(range(10**9))

        async def write():
            for n in numbers:
                await ledger.put(Delivery(str(n), "lobby", f"the answer to {n}", {"name": "immediate"}), limit=10**9)
                print(n, flush=True)

        await asyncio.gather(*(write() for _ in range(8)))

    asyncio.run(main())
"""


@pytest.mark.crash
@pytest.mark.parametrize("after", [1, 60, 333])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, after: int) -> None:
    path = tmp_path / "ledger.db"
    with child(WRITER, path) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(after)]
        writer.kill()
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]

    async def script() -> None:
        ledger = SqliteLedger(path)
        await ledger.open()
        entries = await ledger.entries("lobby", limit=10**9)
        assert {e.delivery.id for e in entries} >= set(acknowledged)
        assert all(e.delivery.content == f"the answer to {e.delivery.id}" for e in entries)
        check = await ledger.database.read(lambda connection: connection.execute("PRAGMA integrity_check").fetchone())
        assert check[0] == "ok"
        assert await ledger.put(result("one more"), limit=10**9)
        await ledger.aclose()

    run(script())


def test_another_process_is_heard_and_fences_us(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    other = """
        import asyncio, sys
        from delivery.ledger import Delivery
        from delivery.sqlite import SqliteLedger

        async def main():
            ledger = SqliteLedger(sys.argv[1])
            await ledger.open()
            await ledger.take_room("lobby", "another process")
            await ledger.put(Delivery("theirs", "lobby", "from elsewhere", {"name": "immediate"}))
            await ledger.aclose()

        asyncio.run(main())
    """

    async def script() -> None:
        ledger = SqliteLedger(path, poll=0.25)
        await ledger.open()
        told: asyncio.Queue[str] = asyncio.Queue()
        stop = ledger.subscribe(told.put_nowait)
        await ledger.put(result("ours"))
        assert await told.get() == "lobby"
        epoch = await ledger.take_room("lobby", "us")
        await ledger.move("lobby", epoch, [Move("ours", Status.SPEAKING)])
        assert await told.get() == "lobby"
        await asyncio.sleep(1.0)
        assert told.empty()

        with await asyncio.to_thread(child, other, path) as process:
            assert await asyncio.to_thread(process.wait) == 0
        began = now()
        assert await told.get() == "*"
        assert now() - began <= 0.25
        assert [e.delivery.id for e in await ledger.entries("lobby")] == ["ours", "theirs"]
        with pytest.raises(FencedError):
            await ledger.move("lobby", epoch, [Move("ours", Status.HEARD)])
        ours = await ledger.get("ours")
        assert ours is not None
        assert ours.status is Status.QUEUED

        stop()
        assert told.empty()
        await ledger.aclose()

    run(script())


def test_nobody_polls_while_nobody_subscribes(tmp_path: Path) -> None:
    async def script() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db")
        await ledger.open()
        stop = ledger.subscribe(lambda room: None)
        stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        ledger.subscribe(lambda room: None)
        assert len(asyncio.all_tasks()) == 2
        await ledger.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(script())


def test_a_file_in_trouble_is_reported_once_and_watched_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ledger.db"

    async def script() -> None:
        ledger = SqliteLedger(path, busy_timeout=0.0)
        await ledger.open()
        told: asyncio.Queue[str] = asyncio.Queue()
        ledger.subscribe(told.put_nowait)
        real = ledger.database.read

        async def broken(work: object) -> object:
            raise LedgerError("the disk is on fire")

        ledger.database.read = broken  # type: ignore[assignment, method-assign]
        await asyncio.sleep(2.0)
        ledger.database.read = real  # type: ignore[method-assign]
        assert [r.getMessage() for r in caplog.records] == [
            "cannot look for other processes' deliveries: the disk is on fire"
        ]
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE something (x)")
        other.close()
        assert await told.get() == "*"
        await ledger.aclose()

    run(script())


def test_age_is_the_databases(tmp_path: Path) -> None:
    async def script() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db")
        await ledger.open()
        await ledger.put(result("one"))
        await ledger.put(result("two"))
        await ledger.database.write(
            lambda connection: connection.execute(
                "UPDATE deliveries SET put_at = put_at + (CASE id WHEN 'one' THEN -90.5 ELSE 3600 END)"
            )
        )
        await asyncio.sleep(1000.0)
        one, two = await ledger.entries("lobby")
        assert 90.5 <= one.age < 100.0
        assert two.age == 0.0
        await ledger.aclose()

    run(script())


def test_a_newer_releases_file_is_refused_and_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    async def script() -> None:
        ledger = SqliteLedger(path)
        await ledger.open()
        await ledger.database.write(lambda connection: connection.execute("UPDATE schema SET version = 99"))
        await ledger.aclose()
        with pytest.raises(LedgerError, match=r"ledger\.db: its deliveries are in format 99.*upgrade"):
            await ledger.open()
        with pytest.raises(LedgerError, match="closed"):
            await ledger.get("one")

    run(script())


def test_nothing_is_written_where_it_cannot_be(tmp_path: Path) -> None:
    async def script() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db", busy_timeout=0.01)
        await ledger.open()
        await ledger.put(result("one"))
        epoch = await ledger.take_room("lobby", "me")
        told: list[str] = []
        ledger.subscribe(told.append)
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for ask in (
            ledger.put(result("two")),
            ledger.move("lobby", epoch, [Move("one", Status.HEARD)]),
            ledger.take_room("lobby", "me"),
        ):
            with pytest.raises(LedgerError, match="locked"):
                await ask
        other.execute("ROLLBACK")
        other.close()
        assert [(e.delivery.id, e.status) for e in await ledger.entries("lobby")] == [("one", Status.QUEUED)]
        assert told == []
        await ledger.move("lobby", epoch, [Move("one", Status.HEARD)])
        await ledger.aclose()

    run(script())
