"""Text channels: ways by which people and programs write in a room, and read what is said there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.event import RoomEvent, known
from orchestration.identity import valid_name
from orchestration.inbound import MAX_METADATA, ChannelCategory, ChannelType
from orchestration.plain import plain

Send = Callable[[RoomEvent], object]
"""Hands an event to whoever is at the other end, plain or async; returns when they have it, raises when they do not get
it. A plain one holds everybody up while it runs."""
_GROUPS = ("all", "none", *(str(each) for each in (ChannelCategory.TRANSPORT, ChannelCategory.INTELLIGENCE)))


@dataclass(frozen=True, slots=True)
class TextChannel:
    """A socket, a page, a gateway for text messages, a program. One may be in many rooms.

    `send` hands it what is said in its rooms; without one it only brings messages, and their answers are what
    `process_inbound` returns. Raises ValueError naming the field that is wrong.
    """

    id: str
    type: ChannelType = ChannelType.WEBSOCKET
    send: Send | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", valid_name(self.id, "id"))
        object.__setattr__(self, "type", known(ChannelType, "type", self.type))
        if self.send is not None and not callable(self.send):
            raise ValueError(f"send: {self.send!r:.60} is no function; give one of (event), plain or async")


@dataclass(frozen=True, slots=True)
class Binding:
    """A channel in a room: what it is there, and who sees what it brings.

    `visibility` is "all", "none", "transport" (other channels), "intelligence" (agents), or ids of channels and agents
    with commas between them. Raises ValueError naming the field that is wrong.
    """

    channel: TextChannel
    category: ChannelCategory = ChannelCategory.TRANSPORT
    visibility: str = "all"
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    line: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, compare=False, repr=False)
    """Held while something is sent to it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "category", known(ChannelCategory, "category", self.category))
        if self.category is ChannelCategory.INTELLIGENCE:
            raise ValueError("category: a text channel is no agent; use 'transport' or 'system'")
        object.__setattr__(self, "metadata", plain(self.metadata, "metadata", MAX_METADATA))
        if not isinstance(self.visibility, str) or not self._named:
            raise ValueError(f"visibility: {self.visibility!r:.60} is not known; use {', '.join(_GROUPS)}, or ids")

    @property
    def id(self) -> str:
        """The channel's."""
        return self.channel.id

    @property
    def reads(self) -> bool:
        """Somebody is at the other end, to whom can be spoken at any time."""
        return self.category is ChannelCategory.TRANSPORT and self.channel.send is not None

    @property
    def _named(self) -> frozenset[str]:
        return frozenset(name for each in self.visibility.split(",") if (name := each.strip()))

    def shown_to(self, id: str, category: ChannelCategory) -> bool:
        """Whether the channel or agent `id` sees what this one brings."""
        return bool(self._named & {"all", str(category), id})
