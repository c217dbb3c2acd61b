"""Text channels, and what they are in a room: checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration import ChannelCategory, ChannelType, TextChannel
from orchestration.event import RoomEvent
from orchestration.text_channel import Binding

INTELLIGENCE, SYSTEM, TRANSPORT = ChannelCategory.INTELLIGENCE, ChannelCategory.SYSTEM, ChannelCategory.TRANSPORT


async def send(event: RoomEvent) -> None:
    """To nobody."""


def test_a_channel_is_what_it_was_given() -> None:
    channel = TextChannel(" sms ", "sms", send)  # type: ignore[arg-type]
    assert (channel.id, channel.type, channel.send) == ("sms", ChannelType.SMS, send)
    assert TextChannel("sms").type is ChannelType.WEBSOCKET
    assert TextChannel("sms") == TextChannel("sms", send=send)
    assert hash(TextChannel("sms")) == hash(TextChannel("sms"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": ""}, "id must have 1 to 64 characters"),
        ({"id": 7}, "id must be text"),
        ({"type": "pigeon"}, "type: 'pigeon' is not known; use 'voice'"),
        ({"send": "me"}, r"send: 'me' is no function; give one of \(event\), plain or async"),
    ],
)
def test_a_channel_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        TextChannel(**{"id": "ws", **wrong})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"category": "pigeon"}, "category: 'pigeon' is not known; use 'transport'"),
        ({"category": "intelligence"}, "category: a text channel is no agent; use 'transport' or 'system'"),
        ({"visibility": ""}, "visibility: '' is not known; use all, none, transport, intelligence, or ids"),
        ({"visibility": " , "}, "visibility: ' , ' is not known"),
        ({"visibility": None}, "visibility: None is not known"),
        ({"metadata": "x"}, "metadata"),
    ],
)
def test_a_binding_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        Binding(TextChannel("ws"), **wrong)


def test_who_reads_is_whoever_is_a_person_and_can_be_reached() -> None:
    there = TextChannel("ws", send=send)
    assert Binding(there).reads
    assert Binding(there, category="transport").category is TRANSPORT  # type: ignore[arg-type]
    assert not Binding(there, SYSTEM).reads
    assert not Binding(TextChannel("ws")).reads


@pytest.mark.parametrize(
    ("visibility", "seen_by"),
    [
        ("all", {"a", "b", "agent"}),
        ("none", set()),
        ("transport", {"a"}),
        ("system", {"b"}),
        ("intelligence", {"agent"}),
        (" a , agent ", {"a", "agent"}),
        ("intelligence,b", {"b", "agent"}),
        ("nobody-here", set()),
    ],
)
def test_visibility_is_a_group_or_names(visibility: str, seen_by: set[str]) -> None:
    binding = Binding(TextChannel("ws"), visibility=visibility)
    there = {"a": TRANSPORT, "b": SYSTEM, "agent": INTELLIGENCE}
    assert {id for id, category in there.items() if binding.shown_to(id, category)} == seen_by
