"""What only a ledger in a server promises: it outlives its process, and processes on any machine share it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.ledger import FencedError, LedgerError, Move, Process, RoomHeldError, Status
from delivery.postgres import PostgresLedger
from tests.delivery.ledgers import entry, result

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[3]

WRITER = """
    import asyncio, sys
    from delivery.ledger import Delivery
    from delivery.postgres import PostgresLedger

    async def main():
        ledger = PostgresLedger(sys.argv[1])
        await ledger.open()
        numbers = iter(range(10**9))

        async def write(room):
            for n in numbers:
                await ledger.put(Delivery(str(n), room, f"the answer to {n}", {"name": "immediate"}), limit=10**9)
                print(n, flush=True)

        await asyncio.gather(*(write(f"room {n % 3}") for n in range(8)))

    asyncio.run(main())
"""

OWNER = """
    import asyncio, sys
    from delivery.ledger import FencedError, Move, Process, Status
    from delivery.postgres import PostgresLedger

    async def main():
        ledger = PostgresLedger(sys.argv[1])
        sys.stdin.readline()
        await ledger.open()
        await ledger.beat(Process("owner", "http://owner:8080"))
        epoch = await ledger.take_room("lobby", "owner")
        try:
            while True:
                await ledger.move("lobby", epoch, [Move("one", Status.SPEAKING, attempt=True)])
                print("speaking", flush=True)
        except FencedError:
            print("fenced", flush=True)

    asyncio.run(main())
"""


@contextlib.contextmanager
def child(source: str, *args: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process of its own that runs `source`; killed at the end."""
    command = [sys.executable, "-c", textwrap.dedent(source), *map(str, args)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.crash
@pytest.mark.parametrize("after", [1, 60, 333])
def test_kill_9_loses_nothing_that_was_acknowledged(postgres_url: str, after: int) -> None:
    with child(WRITER, postgres_url) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(after)]
        writer.kill()
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]

    async def script() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        entries = [e for n in range(3) for e in await ledger.entries(f"room {n}", limit=10**9)]
        assert {e.delivery.id for e in entries} >= set(acknowledged)
        assert all(e.delivery.content == f"the answer to {e.delivery.id}" for e in entries)
        assert await ledger.put(result("one more"), limit=10**9)
        await ledger.aclose()

    asyncio.run(script())


@pytest.mark.crash
def test_an_owner_that_was_stopped_for_too_long_is_fenced(postgres_url: str) -> None:
    async def script(owner: subprocess.Popen[str]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            patient, ledger = PostgresLedger(postgres_url, lease=600.0), PostgresLedger(postgres_url, lease=0.5)
            for each in (patient, ledger):
                await each.open()
                stack.push_async_callback(each.aclose)
            await ledger.put(result())
            assert owner.stdin is not None
            owner.stdin.write("go\n")
            owner.stdin.flush()
            assert owner.stdout is not None
            assert (await asyncio.to_thread(owner.stdout.readline)).strip() == "speaking"
            with pytest.raises(RoomHeldError) as held:
                await patient.take_room("lobby", "we")
            assert held.value.holder == Process("owner", "http://owner:8080")
            os.kill(owner.pid, signal.SIGSTOP)
            epoch = 0
            while not epoch:
                with contextlib.suppress(LedgerError):  # held; or its row is locked by a transaction that stands still
                    epoch = await ledger.take_room("lobby", "we")
                await asyncio.sleep(0.05)
            queued = await entry(ledger)
            assert (queued.status, queued.reason) == (Status.QUEUED, "the process that spoke it is gone")
            await ledger.move("lobby", epoch, [Move("one", Status.HEARD)])
            heard = await entry(ledger)
            os.kill(owner.pid, signal.SIGCONT)
            said = await asyncio.to_thread(owner.stdout.read)
            assert said.split()[-1] == "fenced"
            after = await entry(ledger)
            assert (after.status, after.attempts) == (Status.HEARD, heard.attempts)

    with child(OWNER, postgres_url) as owner:
        asyncio.run(asyncio.wait_for(script(owner), 60.0))


def test_of_many_that_take_a_room_at_once_one_gets_it(postgres_url: str) -> None:
    async def script() -> None:
        ledgers = [PostgresLedger(postgres_url) for _ in range(4)]
        await asyncio.gather(*(ledger.open() for ledger in ledgers))
        await asyncio.gather(*(ledger.beat(Process(str(n))) for n, ledger in enumerate(ledgers)))
        for turn in range(5):
            takes = (ledger.take_room(f"room {turn}", str(n)) for n, ledger in enumerate(ledgers))
            outcomes = await asyncio.gather(*takes, return_exceptions=True)
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["RoomHeldError"] * 3 + ["int"]
        await asyncio.gather(*(ledger.aclose() for ledger in ledgers))

    asyncio.run(script())


def test_whoever_takes_a_room_while_another_writes_fences_it(postgres_url: str) -> None:
    async def script() -> None:
        one, other = PostgresLedger(postgres_url), PostgresLedger(postgres_url)
        await one.open()
        await other.open()
        for n in range(10):
            await one.put(result(str(n), room=f"room {n}"))
            epoch = await one.take_room(f"room {n}", "one")
            moving = one.move(f"room {n}", epoch, [Move(str(n), Status.SPEAKING, attempt=True)])
            moved, taken = await asyncio.gather(moving, other.take_room(f"room {n}", "other"), return_exceptions=True)
            assert taken == epoch + 1
            found = await entry(one, str(n))
            assert found.status is Status.QUEUED, "either it came too late, or what it wrote was taken back"
            assert found.attempts == (0 if isinstance(moved, FencedError) else 1)
        await one.aclose()
        await other.aclose()

    asyncio.run(script())


def test_what_two_processes_do_to_one_delivery_is_done_one_after_the_other(postgres_url: str) -> None:
    async def script() -> None:
        one, other = PostgresLedger(postgres_url), PostgresLedger(postgres_url)
        await one.open()
        await other.open()
        epoch = await one.take_room("lobby", "one")
        for n in range(20):
            await one.put(result(str(n)))
            moving = one.move("lobby", epoch, [Move(str(n), Status.RESERVED)])
            ended, status = await asyncio.gather(moving, other.cancel(str(n)))
            found = await entry(one, str(n))
            if ended:
                assert (status, found.status) == (Status.CANCELLED, Status.CANCELLED)
            else:
                assert (status, found.status, found.unwanted) == (Status.RESERVED, Status.RESERVED, True)
        await one.aclose()
        await other.aclose()

    asyncio.run(script())
