"""Which ended deliveries stay in memory: never too many, and always the newest of a room that somebody has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.ended import Ended


def test_the_newest_stay() -> None:
    ended = Ended(keep=2, keep_per_room=0)
    for id in ("a", "b", "c", "d"):
        ended.add("lobby", id)
    ended.remove("lobby", "a")
    assert ended.surplus == 1
    assert list(ended.drop(5)) == ["b"]
    assert (ended.surplus, list(ended.drop(5))) == (0, [])


def test_no_more_are_dropped_than_asked_for() -> None:
    ended = Ended(keep=0, keep_per_room=0)
    for id in ("a", "b", "c"):
        ended.add("lobby", id)
    assert list(ended.drop(2)) == ["a", "b"]


def test_a_room_that_is_held_keeps_its_own_whatever_others_do() -> None:
    ended = Ended(keep=1, keep_per_room=2)
    ended.hold("lobby", [])
    for id in ("a", "b", "c"):
        ended.add("lobby", id)
    for n in range(10):
        ended.add("attic", f"x{n}")
    assert list(ended.drop(99)) == ["a", *(f"x{n}" for n in range(9))]
    ended.let_go("lobby")
    assert list(ended.drop(99)) == ["x9", "b"]


def test_a_room_that_is_taken_again_keeps_what_was_over_before() -> None:
    ended = Ended(keep=3, keep_per_room=2)
    for id in ("a", "b", "c"):
        ended.add("lobby", id)
    ended.hold("lobby", ["a", "b", "c"])
    for n in range(4):
        ended.add("attic", f"x{n}")
    assert list(ended.drop(99)) == ["a", "x0"]
    ended.remove("lobby", "c")
    ended.let_go("lobby")
    assert list(ended.drop(99)) == ["x1"]


@pytest.mark.parametrize("bad", [{"keep": -1}, {"keep_per_room": 1.5}, {"keep": True}])
def test_a_number_that_is_none_is_refused_by_name(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))}: .* is no whole number, 0 or more"):
        Ended(**{"keep": 1, "keep_per_room": 1, **bad})


ROOMS = st.sampled_from(["lobby", "attic", "cellar"])


@given(st.lists(st.tuples(st.sampled_from(["end", "end", "end", "hold", "let go", "again"]), ROOMS), max_size=60))
def test_there_are_never_more_than_promised_and_never_fewer(steps: list[tuple[str, str]]) -> None:
    ended = Ended(keep=3, keep_per_room=2)
    over: list[tuple[str, str]] = []
    held: dict[str, list[str]] = {}
    """All that were over in a room since it was taken: also those that are not over any more count among its newest."""
    for number, (step, room) in enumerate(steps):
        of_room = [id for its, id in over if its == room]
        match step:
            case "end":
                over.append((room, f"{number}"))
                ended.add(room, f"{number}")
                held.get(room, []).append(f"{number}")
            case "hold":
                held[room] = of_room
                ended.hold(room, of_room)
            case "let go":
                held.pop(room, None)
                ended.let_go(room)
            case "again" if of_room:
                over.remove((room, of_room[-1]))
                ended.remove(room, of_room[-1])
        gone = set(ended.drop(99))
        assert gone <= {id for _, id in over}
        assert not gone & {id for ids in held.values() for id in ids[-2:]}
        over = [(its, id) for its, id in over if id not in gone]
        assert len(over) <= 3 + 2 * len(held)
        assert not gone or len(over) >= 3
