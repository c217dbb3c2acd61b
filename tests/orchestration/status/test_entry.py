"""What an entry may hold, and what is said of what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.status.entry import MAX_DETAIL, MAX_METADATA, MAX_NAME, StatusEntry, StatusLevel, checked

GIVEN = {
    "agent_id": "analyst",
    "action": "search",
    "status": "ok",
    "detail": "",
    "metadata": None,
    "room": None,
    "timestamp": 1.0,
    "id": "1",
}


def made(**fields: Any) -> StatusEntry:
    return checked(**{**GIVEN, **fields})


def test_the_levels_are_known_by_name_and_by_value() -> None:
    assert [level.value for level in StatusLevel] == ["ok", "failed", "pending", "info", "completed"]
    assert made(status="completed").status is StatusLevel.COMPLETED
    assert made(status=StatusLevel.INFO).status is StatusLevel.INFO


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"agent_id": None}, "^agent_id must be text, not NoneType$"),
        ({"agent_id": ""}, "^agent_id must have 1 to 256 characters, not 0$"),
        ({"agent_id": "a" * (MAX_NAME + 1)}, "^agent_id must have 1 to 256 characters, not 257$"),
        ({"agent_id": "a\nb"}, "^agent_id must have printable characters only"),
        ({"agent_id": "  "}, "^agent_id must have printable characters only"),
        ({"action": b"search"}, "^action must be text, not bytes$"),
        ({"action": "a\ud800"}, "^action must have printable characters only"),
        ({"status": "done"}, "^status: 'done' is not known; use 'ok', 'failed', 'pending', 'info', 'completed'$"),
        ({"status": None}, "^status: None is not known"),
        ({"status": ["ok"]}, r"^status: \['ok'\] is not known"),
        ({"detail": None}, "^detail must be text, not NoneType$"),
        ({"detail": "x" * (MAX_DETAIL + 1)}, "^detail must have at most 2000 characters, not 2001; cut it$"),
        ({"metadata": [1]}, "^metadata must be a mapping, not list; give a dict$"),
        ({"metadata": {"a": object()}}, "^metadata must be JSON: "),
        ({"metadata": {"a": float("nan")}}, "^metadata must be JSON: "),
        ({"metadata": {(1, 2): 3}}, "^metadata must be JSON: "),
        ({"metadata": {"a": "x" * MAX_METADATA}}, "^metadata must be at most 4096 characters of JSON, not 41"),
        ({"room": ""}, "^room must have 1 to 64 characters"),
        ({"room": 7}, "^room must be text, not int"),
        ({"timestamp": "now"}, "^timestamp must be a number of seconds, not str$"),
        ({"timestamp": -1}, "^timestamp must be seconds since 1970, before the year 10,000, not -1$"),
        ({"id": "x" * 65}, "^id must have 1 to 64 characters, not 65$"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        made(**fields)


def test_metadata_that_goes_round_in_circles_is_told() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    with pytest.raises(ValueError, match="metadata must be JSON"):
        made(metadata=circle)


def test_metadata_is_a_copy_as_it_will_be_read_back() -> None:
    given = {"where": ("here", "there"), 7: "seven"}
    kept = made(metadata=given).metadata
    given["where"] = ()
    assert kept == {"where": ["here", "there"], "7": "seven"}


def test_what_no_database_keeps_of_a_detail_is_replaced() -> None:
    assert made(detail="a\0b\ud800c\nd").detail == "a�b�c\nd"
    assert made(detail="x" * MAX_DETAIL).detail == "x" * MAX_DETAIL


def test_a_room_has_the_name_that_rooms_have() -> None:
    assert made(room=" Ku\u0308che ").room == "K\u00fcche"
