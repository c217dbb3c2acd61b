"""Rooms are islands: what goes on in one of them adds nothing to the waiting in any other."""

from __future__ import annotations

from tests.orchestration.crowd import BUSY, lived


def test_a_busy_room_adds_nothing_to_the_others() -> None:
    alone, beside = lived(10, 0, 60.0), lived(10, 120, 60.0)
    assert len(beside.pop(BUSY)) > 20
    assert alone == beside  # to the last digit
    assert all(len(lines) > 5 for lines in alone.values())
    assert all(room in " ".join(heard for _, _, heard in lines) for room, lines in alone.items())
