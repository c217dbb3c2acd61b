"""What comes in is checked field by field, and is what it says afterwards."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest

from orchestration import ChannelType, InboundMessage, TextContent
from orchestration.content import MAX_CONTENT

HELLO = TextContent(body="Hello there")


def test_a_message_is_what_it_was_given() -> None:
    message = InboundMessage("ws-user", "ann", HELLO, {"intent": "billing", "seats": [1]})
    assert message == InboundMessage(
        channel_id=" ws-user ", sender_id="ann", content=HELLO, metadata={"intent": "billing", "seats": (1,)}
    )
    assert message.content.body == "Hello there"
    assert asdict(message)["metadata"] == {"intent": "billing", "seats": [1]}
    assert hash(message) == hash(InboundMessage("ws-user", "ann", HELLO))


def test_nothing_of_it_can_be_changed() -> None:
    message = InboundMessage("ws-user", "ann", HELLO, {"intent": "billing"})
    with pytest.raises(FrozenInstanceError):
        message.sender_id = "bob"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        message.content.body = "Goodbye"  # type: ignore[misc]
    with pytest.raises(TypeError):
        message.metadata["intent"] = "sales"  # type: ignore[index]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"channel_id": ""}, "channel_id must have 1 to 64 characters"),
        ({"channel_id": None}, "channel_id must be text, not NoneType"),
        ({"sender_id": "a\nb"}, "sender_id must have printable characters only"),
        ({"sender_id": "x" * 65}, "sender_id must have 1 to 64 characters"),
        ({"content": "Hello"}, r"content: str is no content; give TextContent\(body=...\)"),
        ({"metadata": None}, "metadata: NoneType is no mapping"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata: more than 16000 characters"),
        ({"metadata": {"_routed_to": "agent-admin"}}, "metadata: the key '_routed_to' begins with '_', .*; rename it"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], said: str) -> None:
    fields: dict[str, Any] = {"channel_id": "ws-user", "sender_id": "ann", "content": HELLO, **wrong}
    with pytest.raises(ValueError, match=f"^{said}"):
        InboundMessage(**fields)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("x" * (MAX_CONTENT + 1), "characters are too many"),
        ("a\x07b", "control characters"),
        (b"hello", "bytes is no text"),
        (None, "NoneType is no text"),
    ],
)
def test_content_is_something_to_be_read(body: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^body: .*{said}"):
        TextContent(body)


def test_channels_that_are_heard_are_known() -> None:
    assert {each for each in ChannelType if each.spoken} == {"voice", "realtime_voice", "sip"}
    assert ChannelType("sms") is ChannelType.SMS
