"""Slots: never more than may, nobody waits while there is room, nobody is overtaken in their own room."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.slots import Slot, Slots

moves = st.lists(st.tuples(st.sampled_from(["ask", "release"]), st.integers(0, 3)), max_size=80)


@given(limit=st.integers(1, 5), per_room=st.integers(1, 4), moves=moves)
def test_whatever_is_asked_and_released(limit: int, per_room: int, moves: list[tuple[str, int]]) -> None:
    slots = Slots(limit, per_room)
    asked: list[Slot] = []
    for what, n in moves:
        if what == "ask":
            asked.append(slots.ask(str(n)))
        elif asked:
            gone = asked.pop(n % len(asked))
            gone.release()
            gone.release()
        taken = Counter(slot.room for slot in asked if slot.granted)
        waiting = [slot.room for slot in asked if not slot.granted]
        assert taken.total() <= limit
        assert all(count <= per_room for count in taken.values())
        if taken.total() < limit:
            assert all(taken[room] == per_room for room in waiting)
        for room in set(waiting):
            in_order = [slot.granted for slot in asked if slot.room == room]
            assert in_order == sorted(in_order, reverse=True)
    for slot in asked:
        slot.release()
    again = [slots.ask(str(n)) for n in range(limit)]
    assert all(slot.granted for slot in again)


def test_rooms_take_turns() -> None:
    slots = Slots(1, 1)
    first = slots.ask("a")
    waiting = [slots.ask(room) for room in "aaabbc"]
    order = []
    running = first
    for _ in waiting:
        running.release()
        (running,) = [slot for slot in waiting if slot.granted and slot._slots is not None]
        order.append(running.room)
    assert order == ["a", "b", "c", "a", "b", "a"]


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, "3", None])
def test_what_is_no_number_of_slots(bad: object) -> None:
    with pytest.raises(ValueError, match="limit: "):
        Slots(bad, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="per_room: "):
        Slots(1, bad)  # type: ignore[arg-type]
