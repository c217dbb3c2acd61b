"""The floor among those who write: what it says, when a reply is given up, and that it is the floor of voices."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.events import (
    Event,
    Joined,
    Left,
    ReplySettled,
    SpeakingEnded,
    SpeakingPlanned,
    SpeakingScheduled,
    SpeakingStarted,
    Turn,
    TurnEnded,
)
from voice.floor import Floor, FloorState, FloorTimes, ReplyOverdue
from voice.floor_view import Blocker, FloorChanged
from voice.written_floor import REPLY, WrittenFloor


def turn(id: str, caller: str = "ann") -> Turn:
    return Turn(id, caller, "hello", 0.0, 0.0)


def test_it_is_empty_until_somebody_reads_then_open() -> None:
    floor = WrittenFloor()
    assert (floor.view.state, floor.view.blocker) == (FloorState.EMPTY, Blocker.NOBODY)
    (change,) = floor.handle(Joined("ann"), 5.0)
    assert isinstance(change, FloorChanged)
    assert change.view is floor.view
    assert (floor.view.state, floor.view.since, floor.view.quiet_since) == (FloorState.OPEN, 5.0, 5.0)
    assert floor.handle(Joined("ann"), 6.0) == []


def test_a_reply_is_owed_until_it_is_sent() -> None:
    floor = WrittenFloor()
    floor.handle(Joined("ann"), 0.0)
    seen = []
    events: list[Event] = [TurnEnded(turn("t")), SpeakingPlanned("u"), SpeakingStarted("u"), SpeakingEnded("u")]
    for at, event in enumerate([*events, ReplySettled("t")], 1):
        floor.handle(event, float(at))
        seen.append((floor.view.state, floor.view.blocker, floor.view.since))
    assert seen == [
        (FloorState.AGENT_OWES, Blocker.REPLY, 1.0),
        (FloorState.AGENT_OWES, Blocker.REPLY, 1.0),
        (FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING, 3.0),
        (FloorState.AGENT_OWES, Blocker.REPLY, 4.0),
        (FloorState.OPEN, None, 5.0),
    ]


def test_a_reply_is_given_up_and_the_time_counts_from_what_was_written_last() -> None:
    floor = WrittenFloor(reply=10.0)
    floor.handle(Joined("ann"), 0.0)
    floor.handle(TurnEnded(turn("a")), 1.0)
    floor.handle(TurnEnded(turn("b")), 2.0)
    assert floor.deadline() == 11.0
    floor.handle(SpeakingStarted("u"), 5.0)
    assert floor.deadline() is None
    floor.handle(SpeakingEnded("u"), 6.0)
    assert floor.deadline() == 16.0
    overdue = [action for action in floor.expire(20.0) if isinstance(action, ReplyOverdue)]
    assert [action.turn.id for action in overdue] == ["a", "b"]
    assert (floor.view.state, floor.view.since) == (FloorState.OPEN, 16.0)
    assert floor.deadline() is None


def test_nobody_waits_for_the_replies_to_who_has_left() -> None:
    floor = WrittenFloor()
    for event in (Joined("ann"), Joined("bob"), TurnEnded(turn("t")), Left("ann")):
        floor.handle(event, 1.0)
    assert floor.view.state is FloorState.OPEN
    assert floor.deadline() is None


def steps(floor: WrittenFloor) -> int:
    """Bytecodes that an exchange takes."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for event in (TurnEnded(turn("t")), SpeakingPlanned("u"), SpeakingStarted("u"), SpeakingEnded("u")):
            floor.handle(event, 1.0)
            floor.deadline()
        floor.handle(ReplySettled("t"), 1.0)
    finally:
        sys.settrace(before)
    return count


def test_what_it_costs_does_not_grow_with_how_many_read() -> None:
    few, many = WrittenFloor(), WrittenFloor()
    few.handle(Joined("ann"), 0.0)
    for number in range(1_000):
        many.handle(Joined(f"reader {number}"), 0.0)
    steps(few)  # what has never run before is run in other bytecodes from Python 3.12 on
    assert 100 < steps(few) == steps(many)


NAMES = st.sampled_from(["ann", "bob"])
IDS = st.sampled_from(["a", "b", "c"])
EVENTS = st.one_of(
    st.builds(Joined, NAMES),
    st.builds(Left, NAMES),
    st.builds(TurnEnded, st.builds(turn, IDS, NAMES)),
    st.builds(ReplySettled, IDS),
    st.builds(SpeakingPlanned, IDS.map("u{}".format)),
    st.builds(SpeakingStarted, IDS.map("u{}".format)),
    st.builds(SpeakingEnded, IDS.map("u{}".format)),
)


@given(st.lists(EVENTS, max_size=40))
def test_it_says_what_the_floor_of_voices_says_without_voices(events: list[Event]) -> None:
    """As long as nothing is given up: the other one's patience with receipts has no meaning here."""
    other = Floor(FloorTimes(question=0.0, reply=REPLY))
    floor = WrittenFloor()
    for at, event in enumerate(events):
        floor.handle(event, float(at))
        other.handle(event, float(at))
        if isinstance(event, SpeakingStarted):
            other.handle(SpeakingScheduled(event.utterance, 1e6), float(at))
        view = other.view
        assert floor.view == replace(view, since=floor.view.since if view.state is FloorState.EMPTY else view.since)


@pytest.mark.parametrize("reply", [1.0, 330.0])
def test_time_that_jumps_changes_no_outcome(reply: float) -> None:
    slow, fast = WrittenFloor(reply), WrittenFloor(reply)
    for floor in (slow, fast):
        floor.handle(Joined("ann"), 0.0)
        floor.handle(TurnEnded(turn("t")), 0.0)
    late = slow.handle(SpeakingPlanned("u"), 1000.0)
    assert late[0] == ReplyOverdue(turn("t"))
    assert late[1] == fast.expire(reply)[1]
