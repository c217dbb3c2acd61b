"""What a room's agents remember: words are everybody's, tools are whose they are, and who comes later is told."""

from __future__ import annotations

import pytest

from orchestration import Agent
from orchestration.memory import SlidingWindowMemory
from orchestration.models.model import Message, Role
from orchestration.room_memory import RoomMemory
from orchestration.state import ConversationState
from tests.orchestration.models.double import Double, calls

HOST, CLERK = (Agent(id, model=Double([["x"]])) for id in ("host", "clerk"))


def user(text: str) -> Message:
    return Message(Role.USER, text)


def test_words_are_everybodys() -> None:
    memory = RoomMemory()
    memory.add(user("one"))
    assert memory.messages(HOST) == [user("one")]
    memory.add(user("two"), user("three"))
    for agent in (HOST, CLERK):
        assert memory.messages(agent) == [user("one"), user("two"), user("three")]


def test_a_tool_is_only_for_the_agent_that_called_it_and_nobody_else_at_all() -> None:
    memory = RoomMemory()
    memory.messages(HOST)
    call = calls("look")
    asked, found = Message(Role.ASSISTANT, "", (call,)), Message(Role.TOOL, "boats", call=call.id)
    memory.add(asked, found, by="host")
    memory.add(found, by="nobody")
    assert memory.messages(HOST) == [asked, found]
    assert memory.messages(CLERK) == []


def test_each_agent_has_a_memory_of_its_own_pattern() -> None:
    pattern = SlidingWindowMemory(max_events=2)
    short = Agent("short", model=Double([["x"]]), memory=pattern)
    memory, other = RoomMemory(), RoomMemory()
    memory.add(*map(user, "abc"))
    assert memory.messages(short) == [user("b"), user("c")]
    assert memory.messages(HOST) == [*map(user, "abc")]
    assert other.messages(short) == []
    assert pattern.messages() == []
    assert memory.of(short) is memory.of(short)


def test_a_memory_is_asked_for_whom_and_how_far_the_talk_is() -> None:
    asked: list[tuple[str, ConversationState | None]] = []

    class Curious(SlidingWindowMemory):
        def messages(self, agent_id: str = "", state: ConversationState | None = None) -> list[Message]:
            asked.append((agent_id, state))
            return []

    state = ConversationState()
    RoomMemory().messages(Agent("host", model=Double([["x"]]), memory=Curious()), state)
    assert asked == [("host", state)]


def test_one_that_fails_is_its_own_loss(caplog: pytest.LogCaptureFixture) -> None:
    class Full(SlidingWindowMemory):
        def add(self, *messages: Message) -> None:
            raise OSError("the disk is full")

    broken = Agent("broken", model=Double([["x"]]), memory=Full())
    memory = RoomMemory()
    for agent in (broken, HOST):
        assert memory.messages(agent) == []
    memory.add(user("one"))
    memory.tell(broken, user("two"))
    memory.tell(HOST, user("three"))
    assert memory.messages(HOST) == [user("one"), user("three")]
    assert memory.messages(broken) == []
    assert caplog.text.count("what was said is not remembered by agent broken") == 3


def test_it_does_not_grow_with_the_talk() -> None:
    memory = RoomMemory()
    for number in range(1_000):
        memory.add(user(f"{number}"))
    shown = [m.text for m in memory.messages(HOST)]
    assert 40 <= len(shown) <= 50
    assert shown == [f"{n}" for n in range(1_000 - len(shown), 1_000)]
