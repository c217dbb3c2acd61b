"""Events are in their rooms' timelines soon, each once and in order, and whoever notes them never waits for a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.event import RoomEvent
from orchestration.store import Journal, MemoryRoomStore, StoreError
from orchestration.store.journal import AT_ONCE, LAST_LOOK
from orchestration.write_behind import EVERY, MAX_WAITING, RETRY
from tests.orchestration.store.stores import Kind, event, ids
from voice.clock import now, run


class Moody(MemoryRoomStore):
    """Slow, away, or without patience with one room, for as long as it is told to be."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.fault: BaseException | None = None
        self.refused = ""
        self.added: list[tuple[str, int]] = []
        self.at_once = self.most_at_once = 0

    async def add(self, room: str, events: Sequence[RoomEvent]) -> None:
        self.added.append((room, len(events)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.fault is not None:
            raise self.fault
        if room == self.refused:
            raise ValueError("events: not these")
        await super().add(room, events)


def play(script: Callable[[Journal, Moody], Awaitable[None]]) -> Moody:
    store = Moody()

    async def main() -> None:
        journal = Journal(store)
        await journal.open()
        await script(journal, store)
        await journal.aclose()
        assert len(asyncio.all_tasks()) == 1

    run(main())
    return store


def test_what_is_noted_is_in_the_timeline_soon(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            journal = Journal(store)
            await journal.open()
            for n in range(30):
                journal.note(event(n))
                journal.note(event(n, "attic"))
            await journal.settle()
            for room in ("lobby", "attic"):
                assert await store.timeline(room) == [event(n, room) for n in range(30)]
            journal.note(event(30))
            await journal.aclose()
            assert len(await store.timeline("lobby")) == 31

    kind.play(main())


def test_a_burst_is_written_together_room_by_room() -> None:
    async def script(journal: Journal, store: Moody) -> None:
        for n in range(10):
            for room in ("lobby", "attic"):
                journal.note(event(n, room))
        assert store.added == []
        await journal.settle()
        assert store.added == [("lobby", 10), ("attic", 10)]
        assert now() == 0.0

    play(script)


def test_a_few_rooms_are_written_at_once_by_one_task() -> None:
    async def script(journal: Journal, store: Moody) -> None:
        assert len(asyncio.all_tasks()) == 2
        store.seconds = 1.0
        for n in range(3 * AT_ONCE):
            journal.note(event(1, f"room {n}"))
        await journal.settle()
        assert store.most_at_once == AT_ONCE
        assert now() == 3.0
        assert len(asyncio.all_tasks()) == 2

    play(script)


@pytest.mark.parametrize("fault", [StoreError("away"), OSError("away"), asyncio.CancelledError("away")])
def test_while_the_store_is_away_nobody_notices(fault: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    async def script(journal: Journal, store: Moody) -> None:
        store.fault = fault
        for n in range(50):
            journal.note(event(n, f"room {n % 7}"))
        settled = asyncio.create_task(journal.settle())
        await asyncio.sleep(3.5 * RETRY)
        assert not settled.done()
        store.fault = None
        await settled
        assert now() == pytest.approx(4 * RETRY)
        for n in range(7):
            assert ids(await store.timeline(f"room {n}")) == [f"e{i}" for i in range(n, 50, 7)]

    play(script)
    assert caplog.text.count("events of timelines cannot be written, trying again: away") == 1


def test_too_many_cost_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    async def script(journal: Journal, store: Moody) -> None:
        store.fault = StoreError("away")
        for n in range(MAX_WAITING + 3):
            journal.note(event(n, f"room {n % 100}"))
        await asyncio.sleep(0.1)
        store.fault = None
        await journal.settle()
        assert ids(await store.timeline("room 2", 500))[0] == "e102"
        assert ids(await store.timeline("room 3", 500))[0] == "e3"

    play(script)
    assert "3 events of timelines were lost, as they could not be written for so long" in caplog.text


def test_what_the_store_refuses_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def script(journal: Journal, store: Moody) -> None:
        store.refused = "attic"
        for n in range(3):
            for room in ("lobby", "attic", "cellar"):
                journal.note(event(n, room))
        await journal.settle()
        assert now() == 0.0
        assert [ids(await store.timeline(room)) for room in ("lobby", "attic", "cellar")] == [
            ["e0", "e1", "e2"],
            [],
            ["e0", "e1", "e2"],
        ]

    play(script)
    assert "room 'attic': the store refuses 3 events, they are lost" in caplog.text


def test_at_the_end_all_is_written() -> None:
    async def script(journal: Journal, store: Moody) -> None:
        store.seconds = 0.2
        for n in range(300):
            journal.note(event(n))

    store = play(script)
    assert ids(run(store.timeline("lobby", 500))) == [f"e{n}" for n in range(300)]


def test_a_store_that_hangs_at_the_end_costs_seconds(caplog: pytest.LogCaptureFixture) -> None:
    async def script(journal: Journal, store: Moody) -> None:
        store.seconds = 1000.0
        journal.note(event(1))
        await asyncio.sleep(1)
        await journal.aclose()
        assert now() == 1.0 + LAST_LOOK
        await journal.settle()

    play(script)
    assert "1 events of timelines could not be written: TimeoutError" in caplog.text


def test_closed_it_keeps_what_is_noted_for_the_next_time() -> None:
    async def main() -> None:
        store = Moody()
        journal = Journal(store)
        await journal.settle()
        journal.note(event(1))
        with pytest.raises(StoreError, match=r"the journal is not open, so nothing is written; await open\(\) first"):
            await journal.settle()
        await journal.open()
        await journal.open()
        await journal.settle()
        assert ids(await store.timeline("lobby")) == ["e1"]
        await journal.aclose()
        await journal.aclose()
        journal.note(event(2))
        await journal.open()
        await journal.aclose()
        assert ids(await store.timeline("lobby")) == ["e1", "e2"]

    run(main())


steps = st.one_of(
    st.tuples(st.just("note"), st.integers(1, 60)),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.01, EVERY, RETRY])),
    st.tuples(st.just("mood"), st.sampled_from(["well", "slow", "away"])),
    st.tuples(st.just("settle"), st.just(0)),
    st.tuples(st.just("reopen"), st.just(0)),
)
ROOMS = ["lobby", "attic", "cellar", "hall", "porch", "roof"]


@given(st.lists(steps, max_size=25))
def test_whatever_happens_each_room_has_all_of_its_events_in_order(script: list[tuple[str, object]]) -> None:
    async def main() -> None:
        store, noted = Moody(), list[RoomEvent]()
        journal = Journal(store)
        await journal.open()

        async def check() -> None:
            for room in ROOMS:
                assert await store.timeline(room, 500) == [each for each in noted if each.room == room][-500:]

        for what, value in script:
            if what == "note":
                assert isinstance(value, int)
                for n in range(value):
                    noted.append(event(len(noted), ROOMS[(n * n + value) % len(ROOMS)]))
                    journal.note(noted[-1])
            elif what == "sleep":
                assert isinstance(value, float)
                await asyncio.sleep(value)
            elif what == "mood":
                store.seconds = 0.3 if value == "slow" else 0.0
                store.fault = StoreError("not today") if value == "away" else None
            elif what == "settle" and store.fault is None:
                await journal.settle()
                await check()
            elif what == "reopen" and store.fault is None and store.seconds == 0.0:
                await journal.aclose()
                await check()
                await journal.open()
        store.fault = None
        await journal.settle()
        await check()
        await journal.aclose()

    run(main())
