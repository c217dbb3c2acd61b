"""Whatever several processes do in whatever order: the stores agree with a plain list of what was saved and said."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.database import Database
from orchestration.event import RoomEvent
from orchestration.store import MemoryRoomStore, RoomStore, StaleRoomError
from orchestration.store import asked as asked_module
from orchestration.store import memory as memory_module
from orchestration.store import sqlite as sqlite_module
from orchestration.store.sqlite import SqliteRoomStore
from tests.orchestration.store.stores import event
from voice.clock import run

KEPT = 8
"""Events of a room that are kept here, so that many a script goes beyond it."""
ROOMS = ["lobby", "Lobby", "Ätti'c", "\U0001f6a4 \uffee"]
rooms = st.sampled_from(ROOMS)
who = st.integers(0, 1)
small = st.none() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=("Cs",)), max_size=5)
metadata = st.dictionaries(st.sampled_from("abc"), small.filter(lambda v: not isinstance(v, str) or "\0" not in v))
steps = st.one_of(
    st.tuples(st.just("load"), who, rooms, st.none()),
    st.tuples(st.just("save"), who, rooms, metadata),
    st.tuples(st.just("add"), who, rooms, st.lists(st.integers(0, 40), max_size=KEPT + 4)),
    st.tuples(st.just("forget"), who, rooms, st.none()),
    st.tuples(st.just("page"), who, rooms, st.integers(1, 3)),
    st.tuples(st.just("reopen"), who, rooms, st.none()),
)


class Play:
    """Two processes (in memory, one) and what they should find."""

    def __init__(self, stores: list[RoomStore]) -> None:
        self.stores = stores
        self.saved: dict[str, tuple[int, dict[str, Any]]] = {}
        self.said: dict[str, list[RoomEvent]] = {}
        self.loaded: dict[tuple[int, str], int] = {}

    async def load(self, who: int, room: str, _: None) -> None:
        found = await self.stores[who].load(room)
        self.loaded[who, room] = found.version if found else 0
        assert ((found.version, dict(found.metadata)) if found else None) == self.saved.get(room)

    async def save(self, who: int, room: str, metadata: dict[str, Any]) -> None:
        """With the version that this process has loaded, however long ago."""
        version = self.loaded.get((who, room), 0)
        if version == self.saved.get(room, (0,))[0]:
            assert await self.stores[who].save(room, metadata, version) == version + 1
            self.saved[room] = version + 1, metadata
            self.loaded[who, room] = version + 1
        else:
            with pytest.raises(StaleRoomError):
                await self.stores[who].save(room, metadata, version)

    async def add(self, who: int, room: str, numbers: list[int]) -> None:
        events = [event(n, room) for n in numbers]
        await self.stores[who].add(room, events)
        said = self.said.setdefault(room, [])
        fresh = list(dict.fromkeys(e.id for e in events))[-KEPT:]
        said += [next(e for e in events if e.id == id) for id in fresh if all(e.id != id for e in said)]
        del said[:-KEPT]
        assert await self.stores[1 - who].timeline(room, KEPT) == said

    async def forget(self, who: int, room: str, _: None) -> None:
        await self.stores[who].forget(room)
        self.saved.pop(room, None)
        self.said.pop(room, None)

    async def page(self, who: int, room: str, limit: int) -> None:
        behind = [each for each in sorted(self.saved) if each > room]
        assert await self.stores[who].rooms(limit, room) == behind[:limit]
        assert await self.stores[who].rooms() == sorted(self.saved)

    async def reopen(self, who: int, _: str, __: None) -> None:
        await self.stores[who].aclose()
        await self.stores[who].open()

    async def end(self) -> None:
        for store in self.stores:
            for room in ROOMS:
                assert await store.timeline(room, KEPT) == self.said.get(room, [])


async def act(play: Play, script: list[tuple[str, int, str, Any]]) -> None:
    for store in play.stores:
        await store.open()
    for what, who, room, value in script:
        await getattr(play, what)(who, room, value)
    await play.end()
    for store in play.stores:
        await store.aclose()


@pytest.fixture(autouse=True, scope="module")
def short() -> Any:
    """Timelines are short here."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (asked_module, memory_module):
            patch.setattr(module, "MAX_TIMELINE", KEPT)
        patch.setattr(sqlite_module, "_TRIM", sqlite_module._TRIM.replace("OFFSET 500", f"OFFSET {KEPT}"))
        yield


@given(st.lists(steps, max_size=30))
def test_in_memory(script: list[tuple[str, int, str, Any]]) -> None:
    store = MemoryRoomStore()
    run(act(Play([store, store]), script))


@settings(max_examples=40)
@given(st.lists(steps, max_size=15))
def test_in_a_file_that_two_processes_use(script: list[tuple[str, int, str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rooms.db"
        run(act(Play([SqliteRoomStore(Database(path)), SqliteRoomStore(Database(path))]), script))
