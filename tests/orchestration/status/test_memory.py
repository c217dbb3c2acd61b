"""The entries in memory: a room has of all entries its own, and nothing is left of old ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestration.status import ALL_ROOMS, InMemoryStatusBackend, StatusFilter
from tests.orchestration.status.stores import entry
from voice.clock import run

ROOMS = st.sampled_from(["lobby", "kitchen", None])


@given(st.lists(st.lists(st.tuples(st.integers(1, 30), ROOMS), max_size=8), max_size=8))
def test_a_room_has_of_all_entries_its_own(batches: list[list[tuple[int, str | None]]]) -> None:
    async def main() -> None:
        backend = InMemoryStatusBackend(max_entries=5)
        for batch in batches:
            await backend.append([entry(number, room=room) for number, room in batch])
            kept = await backend.recent(10, StatusFilter(ALL_ROOMS))
            assert len(kept) <= 5
            for room in ("lobby", "kitchen", None):
                assert await backend.recent(10, StatusFilter(room)) == [one for one in kept if one.room == room]
            assert set(backend._of_room) == {one.room for one in kept}

    run(main())
