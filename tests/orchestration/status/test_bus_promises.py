"""Whatever happens in whatever order: who asked is told of all of it once and in order, and reading tells the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestration.status import ALL_ROOMS, InMemoryStatusBackend, StatusBus, StatusEntry, StatusFilter
from orchestration.write_behind import RETRY
from voice.clock import run

STEPS = 30
SLOW = 0.3
"""Seconds that the slowest subscriber and store take."""
ROOMS = [None, "lobby", "attic"]
scopes = st.sampled_from([*ROOMS, ALL_ROOMS])
steps = st.one_of(
    st.tuples(st.just("post"), st.sampled_from(ROOMS), st.booleans()),
    st.tuples(st.just("subscribe"), scopes, st.sampled_from([0.0, 0.01, SLOW])),
    st.tuples(st.just("stop"), st.integers(0, 5), st.none()),
    st.tuples(st.just("read"), scopes, st.integers(1, 5)),
    st.tuples(st.just("store"), st.sampled_from(["well", "broken", "slow"]), st.none()),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.02, 0.2, 2.0]), st.none()),
    st.tuples(st.just("reopen"), st.none(), st.none()),
)


class Moody(InMemoryStatusBackend):
    mood = "well"

    async def append(self, entries: Sequence[StatusEntry]) -> None:
        if self.mood == "slow":
            await asyncio.sleep(SLOW)
        if self.mood == "broken":
            raise OSError("not today")
        await super().append(entries)

    async def recent(self, n: int, wanted: StatusFilter) -> list[StatusEntry]:
        await asyncio.sleep(0.1 if self.mood == "slow" else 0.0)
        return await super().recent(n, wanted)


class Ear:
    """A subscriber, and what it should have been told."""

    def __init__(self, scope: Any, pace: float) -> None:
        self.scope = scope
        self.pace = pace
        self.heard: list[StatusEntry] = []
        self.due: list[StatusEntry] = []
        self.stop: Callable[[], None] | None = None

    def leaves(self) -> None:
        """It is told of nothing more, so perhaps not of the last ones."""
        self.stop = None
        assert self.heard == self.due[: len(self.heard)]
        self.due = list(self.heard)

    async def hear(self, entry: StatusEntry) -> None:
        self.heard.append(entry)
        await asyncio.sleep(self.pace)


class Play:
    """A bus, what was posted to it, and whoever listens."""

    def __init__(self) -> None:
        self.backend = Moody()
        self.bus = StatusBus(self.backend)
        self.posted: list[StatusEntry] = []
        self.ears: list[Ear] = []

    async def post(self, room: str | None, in_thread: bool) -> None:
        fields: dict[str, Any] = {"agent_id": "a", "action": "b", "status": "ok", "room": room}
        entry = await asyncio.to_thread(self.bus.post, **fields) if in_thread else self.bus.post(**fields)
        self.posted.append(entry)
        for ear in self.ears:
            if ear.stop and StatusFilter(ear.scope).matches(entry):
                ear.due.append(entry)

    async def subscribe(self, scope: Any, pace: float) -> None:
        ear = Ear(scope, pace)
        ear.stop = await self.bus.subscribe(ear.hear, room=scope)
        self.ears.append(ear)

    async def stop(self, number: int, _: None) -> None:
        if number < len(self.ears) and (stop := self.ears[number].stop):
            stop()
            self.ears[number].leaves()

    async def read(self, scope: Any, n: int) -> None:
        there = [entry for entry in self.posted if StatusFilter(scope).matches(entry)]
        assert await self.bus.recent(n, room=scope) == there[-n:]

    async def store(self, mood: str, _: None) -> None:
        self.backend.mood = mood

    async def sleep(self, seconds: float, _: None) -> None:
        await asyncio.sleep(seconds)

    async def reopen(self, _: None, __: None) -> None:
        self.backend.mood = "well"
        await self.bus.aclose()
        for ear in self.ears:
            if ear.stop:
                ear.leaves()
        await self.bus.open()

    async def end(self) -> None:
        self.backend.mood = "well"
        await asyncio.sleep(2 * RETRY + STEPS * SLOW)
        for ear in self.ears:
            assert ear.heard == ear.due
        assert await self.backend.recent(1000, StatusFilter(ALL_ROOMS)) == self.posted
        await self.bus.aclose()
        assert len(asyncio.all_tasks()) == 1


@given(st.lists(steps, max_size=STEPS))
def test_who_asked_is_told_of_everything_once_and_in_order(script: list[tuple[str, Any, Any]]) -> None:
    async def main() -> None:
        play = Play()
        await play.bus.open()
        for what, one, other in script:
            await getattr(play, what)(one, other)
        await play.end()

    run(main())
