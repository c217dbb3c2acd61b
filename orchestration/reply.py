"""A reply under way, and whose words an utterance has: what a conversation knows of what its agents say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.asked import Asked
from orchestration.authors import Authors
from orchestration.content import made_readable, made_speakable
from orchestration.event import RoomEvent
from orchestration.inbound import ChannelCategory, ChannelType, TextContent
from orchestration.room import Room
from voice.channel import Utterance
from voice.events import Turn

log = logging.getLogger("sottovoce.conversation")

SYSTEM = "system"
"""By which channel the runtime speaks, when no agent is there."""


@dataclass(slots=True)
class Reply:
    """A reply under way. `begun`: its first words are on their way to the ear; nothing can be folded in any more."""

    asked: Asked | None
    """What it answers; None: that could not be found out, and it is an excuse."""
    turn: Turn
    owed: bool
    """The floor knows of the turn, and the channel apologises when the reply fails."""
    utterance: Utterance | None = None
    over: asyncio.Task[RoomEvent | None] | None = None
    begun: bool = False
    failed: bool = False
    missed: bool = False
    """Who asked did not hear all of it, whoever else did."""
    refused: str = ""
    """Why it was not written: a hook would not have it."""
    authors: Authors = field(default_factory=Authors)
    event: RoomEvent | None = None
    """What came of it, as others are told."""
    _waiter: asyncio.Future[None] | None = None

    async def told(self) -> RoomEvent | None:
        """What came of it, as others are told; None: nothing, or the talk ended before. Whoever brought the turn may
        wait for it."""
        if self.over is not None and not self.over.done():
            self._waiter = self.over.get_loop().create_future()
            self.over.add_done_callback(lambda _: self.end())
            await self._waiter
        return self.event

    def end(self) -> None:
        """It is over."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass(slots=True)
class Words:
    """Whose words an utterance has, and what is known beside them."""

    agent: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reply: Reply | None = None
    sent: RoomEvent | None = None
    """What hooks made of it, if it was written."""
    utterance: Utterance | None = None
    remembering: asyncio.Task[RoomEvent | None] | None = None

    @property
    def author(self) -> str:
        """Which agent wrote what is no reply: who looked on and intervened, too; "": none."""
        by = self.metadata.get("agent") if self.metadata.get("intervention") is True else self.agent
        return by if isinstance(by, str) and by != SYSTEM else ""

    def told(self, room: Room, utterance: Utterance, text: str, *, written: bool) -> RoomEvent | None:
        """What was said, as others are told; None: there is nothing in it."""
        # A reader sees a smile that nobody could hear.
        if not (text := made_readable(text) if written else made_speakable(text)):
            return None
        asked = self.reply.asked if self.reply else None
        agent = asked.agent.id if asked and asked.agent else self.agent
        known = agent in room.agents
        cost = {"usage": asked.tab.sums.written()} if asked and asked.tab.sums.total.requests else {}
        whole = utterance.interrupted_by is None and not (self.reply and self.reply.failed)

        def event(metadata: Mapping[str, Any]) -> RoomEvent:
            return RoomEvent(
                id=utterance.id,
                room=room.id,
                channel_id=agent,
                sender_id=agent,
                content=TextContent(text),
                channel_type=ChannelType.AI if known else ChannelType.SYSTEM,
                category=ChannelCategory.INTELLIGENCE if known else ChannelCategory.SYSTEM,
                metadata=metadata,
            )

        try:
            return event({**self.metadata, **cost, "complete": whole})
        except ValueError as error:
            log.error("room %s: what is known beside %s is left out: %s", room.id, utterance.id, error)
            return event({"complete": whole})
