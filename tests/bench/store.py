"""What keeping rooms costs: `python -m tests.bench.store` prints it.

A note into the journal, alone and with the writing; save, load and a timeline of 50 events of each store, and what 100
rooms' events cost in a journal before they are all durable. PostgreSQL is a server of its own on this machine; without
it its lines are left out.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable
from pathlib import Path

from delivery.database import Database
from delivery.postgres.database import PostgresDatabase
from orchestration.event import RoomEvent
from orchestration.inbound import TextContent
from orchestration.state import KEY, ConversationState
from orchestration.store import Journal, MemoryRoomStore, RoomStore
from orchestration.store.postgres import PostgresRoomStore
from orchestration.store.sqlite import SqliteRoomStore
from tests.postgres import missing, server
from voice.clock import wall_seconds

TIMES = 300
NOTES = 5_000
ROOMS = 100
STATE = ConversationState(phase="handling", active_agent_id="billing", context={"invoice": 7}).to_dict()


def line(what: str, seconds: list[float]) -> None:
    us = sorted(s * 1e6 for s in seconds)
    print(f"{what:<58}{statistics.median(us):>10.1f} us{us[int(len(us) * 0.99)]:>12.1f} us")


async def timed(work: Awaitable[object]) -> float:
    began = wall_seconds()
    await work
    return wall_seconds() - began


def event(number: int) -> RoomEvent:
    said = TextContent(f"No. {number}: could you have a look at my last invoice, please?")
    return RoomEvent(f"e{number}", f"room {number % ROOMS}", "ws", "ann", said, metadata={"intent": "billing"})


async def measure(name: str, store: RoomStore) -> None:
    await store.open()
    line(f"{name}: save a state", [await timed(store.save("lobby", {KEY: STATE}, n)) for n in range(TIMES)])
    line(f"{name}: load a state", [await timed(store.load("lobby")) for _ in range(TIMES)])
    journal = Journal(store)
    await journal.open()
    events = [event(n) for n in range(NOTES)]
    notes = []
    began = wall_seconds()
    for each in events:
        noted = wall_seconds()
        journal.note(each)
        notes.append(wall_seconds() - noted)
    await journal.settle()
    line(f"{name}: note", notes)
    line(f"{name}: note and write, {NOTES:,} of {ROOMS} rooms, each", [(wall_seconds() - began) / NOTES])
    await journal.aclose()
    line(f"{name}: timeline of 50", [await timed(store.timeline("room 1", 50)) for _ in range(TIMES)])
    await store.aclose()


async def main() -> None:
    print(f"{'':<58}{'median':>13}{'99 %':>15}")
    await measure("memory", MemoryRoomStore())
    with tempfile.TemporaryDirectory() as directory:
        await measure("SQLite", SqliteRoomStore(Database(Path(directory) / "rooms.db")))
    if reason := missing():
        print(f"PostgreSQL: {reason}")
        return
    with server() as postgres:
        await measure("PostgreSQL", PostgresRoomStore(PostgresDatabase(postgres.fresh())))


if __name__ == "__main__":
    asyncio.run(main())
