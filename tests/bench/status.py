"""What the status bus costs: `python -m tests.bench.status` prints it.

A post, from the loop and from another thread, alone and with a subscriber; how soon a subscriber of this process is
told, and one of another process that shares the store (SQLite is looked at every 250 ms, PostgreSQL gives notice); and
what reading costs. PostgreSQL is a server of its own on this machine; without it its lines are left out.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from delivery.database import Database
from delivery.postgres.database import PostgresDatabase
from orchestration.status import ALL_ROOMS, InMemoryStatusBackend, StatusBackend, StatusBus
from orchestration.status.postgres import PostgresStatusBackend
from orchestration.status.sqlite import SqliteStatusBackend
from tests.postgres import missing, server
from voice.clock import wall_seconds

POSTS = 5_000
TOLD = 200
OTHERS = 40
READS = 200


def line(what: str, seconds: list[float]) -> None:
    us = sorted(s * 1e6 for s in seconds)
    print(f"{what:<58}{statistics.median(us):>10.1f} us{us[int(len(us) * 0.99)]:>12.1f} us")


def post(bus: StatusBus, number: int = 0) -> float:
    began = wall_seconds()
    bus.post(agent_id="analyst", action="search", status="ok", detail=f"Found {number} results", room="lobby")
    return wall_seconds() - began


async def posts(bus: StatusBus) -> list[float]:
    seconds = []
    for n in range(POSTS):
        seconds.append(post(bus, n))
        if n % 50 == 49:
            await asyncio.sleep(0)
    return seconds


async def told(ours: StatusBus, theirs: StatusBus, times: int) -> list[float]:
    """From a post on one bus to a subscriber of the other (or of the same)."""
    heard = asyncio.Event()
    stop = await theirs.subscribe(lambda _: heard.set(), room="lobby")
    seconds = []
    for n in range(times):
        await asyncio.sleep(0.06 + 0.037 * n % 0.25)  # at any moment between two looks
        heard.clear()
        began = wall_seconds()
        post(ours, n)
        await heard.wait()
        seconds.append(wall_seconds() - began)
    stop()
    return seconds


async def measure(name: str, made: Callable[[], StatusBackend], shared: bool) -> None:
    async with StatusBus(made()) as bus:
        line(f"{name}: post", await posts(bus))
        line(f"{name}: told here", await told(bus, bus, TOLD))
        seconds = []
        for _ in range(READS):
            began = wall_seconds()
            await bus.recent_text(10, room="lobby")
            seconds.append(wall_seconds() - began)
        line(f"{name}: recent_text(10) among {POSTS:,}", seconds)
        if shared:
            async with StatusBus(made()) as other:
                line(f"{name}: told in another process", await told(other, bus, OTHERS))


async def in_memory() -> None:
    async with StatusBus() as bus:
        line("memory: post from a thread", await asyncio.to_thread(lambda: [post(bus, n) for n in range(POSTS)]))
        for _ in range(100):
            await bus.subscribe(lambda _: None, room=ALL_ROOMS)
        began = wall_seconds()
        for n in range(1000):
            post(bus, n)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        line("memory: post and tell 100 subscribers", [(wall_seconds() - began) / 1000])


async def main() -> None:
    print(f"{'':<58}{'median':>13}{'99 %':>15}")
    await measure("memory", InMemoryStatusBackend, False)
    await in_memory()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        await measure("JSONL", lambda: InMemoryStatusBackend(path=path / "status.jsonl"), False)
        await measure("SQLite", lambda: SqliteStatusBackend(Database(path / "status.db")), True)
    if reason := missing():
        print(f"PostgreSQL: {reason}")
        return
    with server() as postgres:
        url = postgres.fresh()
        await measure("PostgreSQL", lambda: PostgresStatusBackend(PostgresDatabase(url)), True)


if __name__ == "__main__":
    asyncio.run(main())
