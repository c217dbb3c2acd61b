"""A room knows who talks in it, and with which tools."""

from __future__ import annotations

import pytest

from delivery import WaitForIdle
from orchestration import Agent
from orchestration.room import Room
from orchestration.tools import Tool, tool
from tests.orchestration.models.double import Double


def named(name: str) -> Tool:
    async def run() -> str:
        return name

    return tool(run, name=name)


def test_tools_are_added_and_names_are_used_once() -> None:
    room = Room("lobby", WaitForIdle())
    room.talker = Agent("host", model=Double([[]]), tools=[named("own")])
    room.equip(named("one"), named("two"))
    room.equip()
    for taken in ("own", "one"):
        with pytest.raises(TypeError, match=f"two tools are called '{taken}'"):
            room.equip(named("three"), named(taken))
    with pytest.raises(TypeError, match="two tools are called 'four'"):
        room.equip(named("four"), named("four"))
    assert [t.name for t in room.tools] == ["one", "two"]


def test_a_room_that_is_printed_says_who_is_there() -> None:
    room = Room("lobby", WaitForIdle())
    room.attach(Agent("host", model=Double([[]])))
    assert repr(room) == "Room('lobby', agents=['host'], channels=[])"


def test_a_room_without_an_agent_has_tools_too() -> None:
    room = Room("lobby", WaitForIdle())
    room.equip(named("one"))
    assert [t.name for t in room.tools] == ["one"]
    assert not room.passing
