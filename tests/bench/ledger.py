"""What durable memory costs: `python -m tests.bench.ledger` prints it.

Puts and moves of each ledger one after the other and from many at once, beside what plain sqlite3 and plain psycopg
need for the same insert under the same settings in the same run; how soon another process hears of a put (by
PostgreSQL's notification; SQLite is looked at every 250 ms); then the task engines, from `start` to the body's first
line. PostgreSQL is a server of its own on this machine, as durable as a real one; without it its lines are left out.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from delivery.ledger import Delivery, Ledger, Move, Status
from delivery.memory import MemoryLedger
from delivery.postgres import PostgresLedger
from delivery.sqlite import SqliteLedger
from orchestration.engines.durable import DurableEngine
from orchestration.engines.engine import Steps, Task, TaskEngine, TaskResult
from orchestration.engines.memory import MemoryEngine
from tests.postgres import Server, missing, server
from voice.clock import now, wall_seconds

PUTS = 1000
AT_ONCE = 64
ROOMS = 50
HINTS = 200
TASKS = 40
ENOUGH = 10**9


def line(what: str, seconds: list[float], wall: float | None = None) -> None:
    ms = sorted(s * 1000 for s in seconds)
    rate = f"{len(ms) / wall:>9,.0f}/s" if wall else " " * 11
    print(f"{what:<46}{statistics.median(ms):>9.3f} ms{ms[int(len(ms) * 0.99)]:>10.3f} ms{rate}")


async def timed(work: Awaitable[object]) -> float:
    began = now()
    await work
    return now() - began


def delivery(n: int) -> Delivery:
    return Delivery(
        f"d{n}", f"room {n % ROOMS}", f"Result {n}: " + "the quick brown fox " * 10, {"name": "wait_for_idle"}, to="ann"
    )


def plain(path: Path) -> list[float]:
    """The floor: one row, one commit, no thread, no checks."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE d (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, content TEXT)")
    seconds = []
    for n in range(PUTS):
        one, began = delivery(n), wall_seconds()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO d (id, content) VALUES (?, ?)", (one.id, one.content))
        connection.execute("COMMIT")
        seconds.append(wall_seconds() - began)
    connection.close()
    return seconds


async def plain_postgres(url: str) -> list[float]:
    """The floor: one row, one commit, one round trip, no checks."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE d (seq bigserial PRIMARY KEY, id text UNIQUE, content text)")
        seconds = []
        for n in range(PUTS):
            one = delivery(n)
            insert = connection.execute("INSERT INTO d (id, content) VALUES (%s, %s)", (one.id, one.content))
            seconds.append(await timed(insert))
        return seconds


async def hints(url: str) -> list[float]:
    """From the beginning of a put in one process until another one is told of it."""
    here, there = PostgresLedger(url), PostgresLedger(url)
    await here.open()
    await there.open()
    told: asyncio.Queue[float] = asyncio.Queue()
    there.subscribe(lambda _: told.put_nowait(now()))
    seconds = []
    for n in range(HINTS):
        began = now()
        await here.put(delivery(10**6 + n), limit=ENOUGH)
        seconds.append(await told.get() - began)
    await here.aclose()
    await there.aclose()
    return seconds


async def ledger(name: str, one: Ledger) -> None:
    await one.open()
    began = now()
    seconds = [await timed(one.put(delivery(n), limit=ENOUGH)) for n in range(PUTS)]
    line(f"{name}: puts, one after the other", seconds, now() - began)

    queue = iter(range(PUTS, 5 * PUTS))
    seconds = []

    async def writer() -> None:
        for n in queue:
            seconds.append(await timed(one.put(delivery(n), limit=ENOUGH)))

    began = now()
    await asyncio.gather(*(writer() for _ in range(AT_ONCE)))
    line(f"{name}: puts, {AT_ONCE} at once", seconds, now() - began)

    epochs = [await one.take_room(f"room {n}", "bench") for n in range(ROOMS)]
    moves = [
        one.move(f"room {n % ROOMS}", epochs[n % ROOMS], [Move(f"d{n}", Status.SPEAKING, heard_chars=3)])
        for n in range(PUTS)
    ]
    began = now()
    seconds = [await timed(move) for move in moves]
    line(f"{name}: moves, one after the other", seconds, now() - began)
    await one.aclose()


@asynccontextmanager
async def lag() -> AsyncIterator[Callable[[], float]]:
    """The longest the loop was kept from a 2 ms timer."""
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            worst = max(worst, await timed(asyncio.sleep(0.002)) - 0.002)

    watching = asyncio.create_task(watch())
    yield lambda: worst
    watching.cancel()


async def engine(one: TaskEngine) -> None:
    begun: dict[str, float] = {}
    to_body, to_step, to_cancel = [], [], []
    reached = asyncio.Event()

    async def body(task: Task, steps: Steps) -> TaskResult:
        to_body.append(now() - begun[task.id])
        to_step.extend([await timed(steps.step(f"step {n}", lambda: asyncio.sleep(0, {"n": 1}))) for n in range(3)])
        reached.set()
        if task.input == "wait":
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                to_cancel.append(now() - begun[task.id])
                raise
        return TaskResult("done")

    async with lag() as worst:
        opening = await timed(one.open(body, "bench"))
        print(
            f"{one.name} engine: first open {opening * 1000:.0f} ms, the loop late by {worst() * 1000:.1f} ms at most"
        )
    async with lag() as worst:
        for n in range(TASKS):
            id = f"t{n}"
            reached.clear()
            begun[id] = now()
            await one.start(Task(id, "lobby", "bench", "wait" if n % 2 else ""))
            await reached.wait()
            if n % 2:
                begun[id] = now()
                await one.cancel(id)
                await asyncio.sleep(0)
        line(f"{one.name} engine: start to body", to_body)
        line(f"{one.name} engine: a step's bookkeeping", to_step)
        line(f"{one.name} engine: cancel to CancelledError", to_cancel)
        closing = await timed(one.aclose())
        print(f"{one.name} engine: close {closing * 1000:.0f} ms; the loop late by {worst() * 1000:.1f} ms at most")


async def postgres(one: Server) -> None:
    line("plain psycopg: one insert, one commit", await plain_postgres(one.fresh()))
    url = one.fresh()
    await ledger("postgres ledger", PostgresLedger(url))
    line("postgres ledger: put to another process's hint", await hints(url))


async def every(directory: Path) -> None:
    print(f"{'':<46}{'p50':>9}   {'p99':>10}")
    line("plain sqlite3: one insert, one commit", plain(directory / "plain.db"))
    await ledger("sqlite ledger", SqliteLedger(directory / "ledger.db"))
    await ledger("memory ledger", MemoryLedger())
    if missing() is None:
        with server() as one:
            await postgres(one)
    await engine(DurableEngine.in_file(directory / "tasks.db"))
    await engine(MemoryEngine())


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(every(Path(directory)))


if __name__ == "__main__":
    main()
