"""What comes in: a message from somebody, over a channel of some type. Checked here, trusted afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orchestration.content import readable
from orchestration.identity import valid_name
from orchestration.plain import plain

if TYPE_CHECKING:
    from orchestration.event import RoomEvent

MAX_METADATA = 16_000
"""Most characters of what may come along with a message."""


class ChannelType(StrEnum):
    """By which way somebody is in a room."""

    VOICE = "voice"
    """A talk that is heard: browser, LiveKit room, simulated call."""
    REALTIME_VOICE = "realtime_voice"
    """A talk that a speech-to-speech model leads."""
    SIP = "sip"
    """A phone call."""
    WEBSOCKET = "websocket"
    """A page or an app that writes."""
    CLI = "cli"
    """A terminal."""
    SMS = "sms"
    MMS = "mms"
    RCS = "rcs"
    WHATSAPP = "whatsapp"
    MESSENGER = "messenger"
    TELEGRAM = "telegram"
    TEAMS = "teams"
    EMAIL = "email"
    PUSH = "push"
    WEBHOOK = "webhook"
    """A program that reports something."""
    AI = "ai"
    """An agent."""
    SYSTEM = "system"
    """The runtime itself."""

    @property
    def spoken(self) -> bool:
        """Whether it is heard; work is done in the background there."""
        return self in (ChannelType.VOICE, ChannelType.REALTIME_VOICE, ChannelType.SIP)


class ChannelCategory(StrEnum):
    """What a channel is in a room. Only what a TRANSPORT brings is routed: agents never answer each other."""

    TRANSPORT = "transport"
    """People and programs come by it."""
    INTELLIGENCE = "intelligence"
    """An agent speaks through it."""
    SYSTEM = "system"
    """The runtime tells by it what it does."""


@dataclass(frozen=True, slots=True)
class TextContent:
    """Something written or said, 1 to 20,000 characters. Raises ValueError when there is nothing to be read in it."""

    body: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", str(readable(self.body, "body")))


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message that came over the channel `channel_id`, from `sender_id`.

    `metadata` is plain data that the channel knows beside it, like an `intent`. Raises ValueError naming the field that
    is wrong; keys that begin with "_" are the runtime's, so that no stranger decides who answers.
    """

    channel_id: str
    sender_id: str
    content: TextContent
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channel_id", valid_name(self.channel_id, "channel_id"))
        object.__setattr__(self, "sender_id", valid_name(self.sender_id, "sender_id"))
        text_content(self.content)
        metadata = plain(self.metadata, "metadata", MAX_METADATA)
        if kept := [key for key in metadata if key.startswith("_")]:
            raise ValueError(f"metadata: the key {kept[0][:40]!r} begins with '_', which is the runtime's; rename it")
        object.__setattr__(self, "metadata", metadata)


@dataclass(frozen=True, slots=True)
class InboundResult:
    """What came of a message: `event` is what it was in the room (None: it was `refused`, and why), `reply` the answer
    as it was told (None: there is none)."""

    event: RoomEvent | None
    reply: RoomEvent | None
    refused: str = ""


def text_content(content: object) -> TextContent:
    """Raises ValueError unless it is TextContent."""
    if not isinstance(content, TextContent):
        raise ValueError(f"content: {type(content).__name__} is no content; give TextContent(body=...)")
    return content
