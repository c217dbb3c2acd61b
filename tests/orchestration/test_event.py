"""An event keeps what came in, is checked, and is stamped by making another one."""

from __future__ import annotations

from typing import Any

import pytest

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
