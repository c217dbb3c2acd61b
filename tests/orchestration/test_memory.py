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


@given(st.integers(1, 30), st.lists(st.sampled_from(Role), max_size=80), st.data())
def test_it_shows_the_last_messages_within_its_size(size: int, roles: list[Role], data: st.DataObject) -> None:
    memory, at_once = SlidingWindowMemory(size), SlidingWindowMemory(size)
    messages = [Message(role, str(number)) for number, role in enumerate(roles)]
    left = list(messages)
    while left:
        many = data.draw(st.integers(1, len(left)))
        memory.add(*left[:many])
        del left[:many]
    at_once.add(*messages)
    shown = list(memory.messages())
    assert shown == list(at_once.messages())
    assert len(shown) <= size
    assert shown == messages[len(messages) - len(shown) :]
    assert not shown or shown[0].role is not Role.TOOL
    least = min(len(messages), size if size < 10 else size - size // 5)
    dropped = messages[len(messages) - least : len(messages) - len(shown)]
    assert all(message.role is Role.TOOL for message in dropped)


def test_a_full_window_drops_a_fifth_and_then_grows_again() -> None:
    memory = SlidingWindowMemory(50)
    begins, lengths = [], []
    for number in range(200):
        memory.add(said(str(number)))
        begins.append(int(memory.messages()[0].text))
        lengths.append(len(memory.messages()))
    assert max(lengths) == 50
    assert min(lengths[50:]) == 40
    assert sorted(set(begins)) == [0, *range(11, 160, 11)]


def test_a_small_window_drops_what_is_too_much_and_no_more() -> None:
    memory = SlidingWindowMemory(9)
    for number in range(30):
        memory.add(said(str(number)))
        assert len(memory.messages()) == min(number + 1, 9)


def test_a_fresh_window_has_the_same_size_and_nothing_in_it() -> None:
    memory = SlidingWindowMemory(2)
    memory.add(said("a"))
    fresh = memory.fresh()
    assert fresh.messages() == []
    fresh.add(said("b"), said("c"), said("d"))
    assert fresh.messages() == [said("c"), said("d")]
    assert memory.messages() == [said("a")]
