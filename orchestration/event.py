"""An event in a room: who said what, over which channel. What hooks and routers see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self, TypeVar

from orchestration.identity import valid_name
from orchestration.inbound import MAX_METADATA, ChannelCategory, ChannelType, InboundMessage, TextContent, text_content
from orchestration.plain import plain, thawed
from voice.events import Turn

E = TypeVar("E", bound=StrEnum)

VOICE = "voice"
"""The id of the channel by which those come who are heard."""
MAX_ID = 128
"""Most characters of an event's id."""


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """Something said in a room. `metadata` keys that begin with "_" are the runtime's and its routers'.

    Raises ValueError naming the field that is wrong.
    """

    id: str
    room: str
    channel_id: str
    sender_id: str
    content: TextContent
    channel_type: ChannelType = ChannelType.VOICE
    category: ChannelCategory = ChannelCategory.TRANSPORT
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not 1 <= len(self.id) <= MAX_ID or not self.id.isprintable():
            raise ValueError(f"id: it must have 1 to {MAX_ID} printable characters")
        for name in ("room", "channel_id", "sender_id"):
            object.__setattr__(self, name, valid_name(getattr(self, name), name))
        text_content(self.content)
        object.__setattr__(self, "channel_type", known(ChannelType, "channel_type", self.channel_type))
        object.__setattr__(self, "category", known(ChannelCategory, "category", self.category))
        # Twice what a message may bring: the runtime has something to add.
        object.__setattr__(self, "metadata", plain(self.metadata, "metadata", 2 * MAX_METADATA))

    @classmethod
    def of(cls, message: InboundMessage, *, id: str, room: str, channel_type: ChannelType | str) -> Self:
        """What a message becomes when it comes into a room."""
        return cls(
            id=id,
            room=room,
            channel_id=message.channel_id,
            sender_id=message.sender_id,
            content=message.content,
            channel_type=known(ChannelType, "channel_type", channel_type),
            metadata=message.metadata,
        )

    @classmethod
    def heard(cls, turn: Turn, room: str, text: str) -> Self:
        """What a spoken turn becomes, with these words."""
        return cls(turn.id, room, VOICE, turn.caller, TextContent(text), metadata={"confidence": turn.confidence})

    @property
    def text(self) -> str:
        """What was said."""
        return self.content.body

    @property
    def intent(self) -> str | None:
        """What the sender wants, if somebody has put it into `metadata["intent"]`."""
        intent = self.metadata.get("intent")
        return intent if isinstance(intent, str) else None

    def to_dict(self) -> dict[str, Any]:
        """As plain data that JSON gives back exactly."""
        return {
            "id": self.id,
            "room": self.room,
            "channel_id": self.channel_id,
            "sender_id": self.sender_id,
            "content": {"type": "text", "body": self.content.body},
            "channel_type": self.channel_type.value,
            "category": self.category.value,
            "metadata": thawed(self.metadata),
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """What `to_dict` made. Raises ValueError naming what is wrong with it."""
        fields = _fields(data, "event", cls.__slots__)
        content = _fields(fields["content"], "content", ("type", "body"))
        if content["type"] != "text":
            raise ValueError(f"content: the type {content['type']!r:.60} is not known; use 'text'")
        return cls(**{**fields, "content": TextContent(content["body"])})

    def stamped(self, marks: Mapping[str, Any]) -> Self:
        """The same event with these marks among its metadata."""
        return replace(self, metadata={**self.metadata, **marks})


def _fields(data: object, field: str, names: tuple[str, ...]) -> dict[str, Any]:
    """These and no other. Raises ValueError naming `field`."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{field}: {type(data).__name__} is no mapping; give a dict")
    if unlike := set(names).symmetric_difference(data):
        raise ValueError(f"{field}: its fields are {', '.join(names)}; look at {min(map(str, unlike))!r:.60}")
    return dict(data)


def known(kind: type[E], field: str, value: object) -> E:
    """Raises ValueError naming the field and what it may be."""
    try:
        return kind(value)  # type: ignore[arg-type]  # whatever it is, it is looked up
    except ValueError:
        names = ", ".join(repr(each.value) for each in kind)
        raise ValueError(f"{field}: {value!r:.60} is not known; use {names}") from None
