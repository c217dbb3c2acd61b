"""What is remembered of a conversation, and what has to fall out of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.memory import SlidingWindowMemory
from orchestration.models.model import Message, Role, ToolCall


def said(text: str) -> Message:
    return Message(Role.USER, text)


def test_the_last_messages_are_shown_in_order() -> None:
    memory = SlidingWindowMemory(3)
    assert memory.messages() == []
    for text in "abcde":
        memory.add(said(text))
    assert memory.messages() == [said("c"), said("d"), said("e")]


def test_a_tools_answer_goes_with_its_question() -> None:
    asked = Message(Role.ASSISTANT, "", (ToolCall("1", "look"), ToolCall("2", "look")))
    memory = SlidingWindowMemory(3)
    memory.add(asked, Message(Role.TOOL, "one", call="1"), Message(Role.TOOL, "two", call="2"))
    assert memory.messages()[0] == asked
    memory.add(said("next"))
    assert memory.messages() == [said("next")]


def test_a_window_of_tools_answers_only_is_empty() -> None:
    memory = SlidingWindowMemory(1)
    memory.add(Message(Role.ASSISTANT, "", (ToolCall("1", "look"),)), Message(Role.TOOL, "one", call="1"))
    assert memory.messages() == []


def test_what_is_shown_is_not_the_memory_itself() -> None:
    memory = SlidingWindowMemory()
    memory.add(said("a"))
    list(memory.messages()).clear()
    shown = memory.messages()
    memory.add(said("b"))
    assert shown == [said("a")]
    assert memory.messages() == [said("a"), said("b")]


@pytest.mark.parametrize("size", [0, -1, 1.5, "5", None])
def test_a_window_needs_a_size(size: Any) -> None:
    with pytest.raises(ValueError, match=r"^max_events: .* give a whole number from 1 on"):
        SlidingWindowMemory(size)


@given(st.integers(1, 8), st.lists(st.sampled_from(Role)))
def test_it_never_shows_more_than_its_size_nor_begins_with_a_tools_answer(size: int, roles: list[Role]) -> None:
    memory = SlidingWindowMemory(size)
    messages = [Message(role, str(number)) for number, role in enumerate(roles)]
    memory.add(*messages)
    shown = list(memory.messages())
    assert len(shown) <= size
    assert shown == messages[len(messages) - len(shown) :]
    assert not shown or shown[0].role is not Role.TOOL


def test_a_fresh_window_has_the_same_size_and_nothing_in_it() -> None:
    memory = SlidingWindowMemory(2)
    memory.add(said("a"))
    fresh = memory.fresh()
    assert fresh.messages() == []
    fresh.add(said("b"), said("c"), said("d"))
    assert fresh.messages() == [said("c"), said("d")]
    assert memory.messages() == [said("a")]
