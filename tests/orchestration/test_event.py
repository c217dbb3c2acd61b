"""An event keeps what came in, is checked, and is stamped by making another one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import ChannelCategory, ChannelType, InboundMessage, RoomEvent, TextContent

MESSAGE = InboundMessage("sms-ann", "ann", TextContent("My invoice looks wrong."), {"intent": "billing"})


def event(**changed: Any) -> RoomEvent:
    fields: dict[str, Any] = {"id": "e1", "room": "lobby", "channel_id": "ws", "sender_id": "ann"}
    return RoomEvent(**{**fields, "content": TextContent("Hello"), **changed})


def test_a_message_becomes_an_event() -> None:
    made = RoomEvent.of(MESSAGE, id="e1", room="lobby", channel_type="sms")
    assert (made.id, made.room, made.channel_id, made.sender_id) == ("e1", "lobby", "sms-ann", "ann")
    assert (made.channel_type, made.category) == (ChannelType.SMS, ChannelCategory.TRANSPORT)
    assert (made.text, made.intent, made.metadata) == ("My invoice looks wrong.", "billing", {"intent": "billing"})


def test_a_stamp_makes_another_event() -> None:
    first = RoomEvent.of(MESSAGE, id="e1", room="lobby", channel_type="sms")
    second = first.stamped({"_routed_to": "agent-billing"})
    assert second.metadata == {"intent": "billing", "_routed_to": "agent-billing"}
    assert first.metadata == {"intent": "billing"}
    assert second.stamped({"_routed_to": None}).metadata["_routed_to"] is None


def test_a_message_of_the_largest_size_can_still_be_stamped() -> None:
    full = InboundMessage("ws", "ann", TextContent("Hello"), {"a": "x" * 15_998})
    assert RoomEvent.of(full, id="e1", room="lobby", channel_type="sms").stamped({"_routed_to": "agent"})


@pytest.mark.parametrize("intent", [None, 5, ["billing"]])
def test_an_intent_is_text_or_none(intent: Any) -> None:
    assert event(metadata={"intent": intent}).intent is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": ""}, "id: it must have 1 to 128 printable characters"),
        ({"id": "a\nb"}, "id: it must have"),
        ({"id": 7}, "id: it must have"),
        ({"room": ""}, "room must have 1 to 64 characters"),
        ({"channel_type": "pigeon"}, "channel_type: 'pigeon' is not known; use 'voice', "),
        ({"channel_type": []}, r"channel_type: \[\] is not known"),
        ({"category": None}, "category: None is not known; use 'transport', 'intelligence', 'system'"),
        ({"content": "Hello"}, "content: str is no content"),
        ({"metadata": {"at": object()}}, r"metadata\['at'\]: object is nothing"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        event(**wrong)


letters = st.characters(exclude_categories=("C", "Z"))
names = st.text(letters, min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
numbers = st.integers(-(2**200), 2**200) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
events = st.builds(
    RoomEvent,
    id=names,
    room=names,
    channel_id=names,
    sender_id=names,
    content=st.builds(TextContent, st.text(letters | st.sampled_from(" \n\t\u200d"), min_size=1).filter(str.strip)),
    channel_type=st.sampled_from(ChannelType),
    category=st.sampled_from(ChannelCategory),
    metadata=st.dictionaries(texts, values, max_size=4),
)


@given(events)
def test_an_event_is_read_back_exactly_as_it_was(made: RoomEvent) -> None:
    read = RoomEvent.from_dict(json.loads(json.dumps(made.to_dict())))
    assert read == made
    assert repr(read) == repr(made)  # 1, 1.0 and True are equal, but not the same
    made.to_dict()["metadata"]["more"] = 1  # is anybody's to change
    assert read == made


DATA = event().to_dict()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "event: NoneType is no mapping; give a dict"),
        ([], "event: list is no mapping"),
        ({}, "event: its fields are id, room, .*; look at 'category'"),
        ({**DATA, "more": 1}, "event: its fields are .*; look at 'more'"),
        ({**DATA, 7: 1}, "event: its fields are .*; look at '7'"),
        ({**DATA, "content": "Hello"}, "content: str is no mapping"),
        ({**DATA, "content": {"body": "Hello"}}, "content: its fields are type, body; look at 'type'"),
        ({**DATA, "content": {"type": "video", "body": "Hello"}}, "content: the type 'video' is not known; use 'text'"),
        ({**DATA, "content": {"type": "text", "body": ""}}, "body: it is empty"),
        ({**DATA, "content": {"type": "text", "body": "a\0b"}}, "body: it holds control characters"),
        ({**DATA, "room": "a\0b"}, "room must have printable characters"),
        ({**DATA, "channel_type": 7}, "channel_type: 7 is not known"),
        ({**DATA, "metadata": {"a": "\ud800"}}, r"metadata\['a'\]: it holds characters"),
    ],
)
def test_what_is_no_event_is_told_by_its_field(data: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        RoomEvent.from_dict(data)
