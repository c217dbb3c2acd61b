"""Which entries are wanted; what matches in memory is what a database is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.status import ALL_ROOMS, StatusFilter, StatusLevel
from orchestration.status.filter import wanted
from orchestration.status.row import written
from tests.orchestration.status.stores import entry

some = st.none() | st.sampled_from(["a", "b"])


@given(
    st.none() | st.sampled_from(["a", "b", ALL_ROOMS]), some, some, st.none() | st.sampled_from(StatusLevel), st.data()
)
def test_a_table_is_asked_for_just_what_matches(
    room: Any, agent_id: str | None, action: str | None, status: StatusLevel | None, data: st.DataObject
) -> None:
    one = entry(
        room=data.draw(some),
        agent_id=data.draw(st.sampled_from("ab")),
        action=data.draw(st.sampled_from("ab")),
        status=data.draw(st.sampled_from(StatusLevel)),
    )
    chosen = StatusFilter(room, agent_id, action, status)
    row = written(one)
    assert chosen.matches(one) == all(row[column] == value for column, value in chosen.terms().items())


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (("", None, None, None), "room must have 1 to 64 characters"),
        ((3, None, None, None), "room must be text"),
        ((None, "", None, None), "agent_id must have 1 to 256"),
        ((None, None, 3, None), "action must be text"),
        ((None, None, None, "good"), "status: 'good' is not known"),
    ],
)
def test_what_is_wrong_is_named(given: tuple[Any, ...], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        wanted(*given)


def test_a_room_named_like_all_of_them_is_only_a_room() -> None:
    star = wanted("*", None, None, None)
    assert star.matches(entry(room="*"))
    assert not star.matches(entry(room="lobby"))
    assert not star.matches(entry())
