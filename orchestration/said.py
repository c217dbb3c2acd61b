"""What is said in a room, until it is over: then as much as was heard of it is remembered, and others are told.

Of what is written it is what was written, if no hook would have it otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from orchestration.asked import Asked
from orchestration.authors import Authors
from orchestration.event import RoomEvent
from orchestration.host import Host
from orchestration.models.model import Message, Role
from orchestration.panel import UtteranceRole
from orchestration.reply import Words
from voice.channel import Utterance


class Said:
    """A room's. `over` is told of each answer that was heard, or cut, and returns when what it cost is known."""

    def __init__(self, host: Host, group: asyncio.TaskGroup, over: Callable[[Asked], Awaitable[None]]) -> None:
        self._host = host
        self._group = group
        self._over = over
        self._words: dict[str, Words] = {}

    def add(self, utterance: Utterance, words: Words) -> None:
        """A reply, of which whoever follows it will see that it is remembered."""
        self._words[utterance.id], words.utterance = words, utterance

    def begin(
        self,
        utterance: Utterance,
        kind: UtteranceRole,
        words: Words,
        deliveries: tuple[str, ...] = (),
        *,
        asked: Asked | None = None,
    ) -> None:
        """Something that is no reply; `asked`: what it is late for."""
        self.add(utterance, words)
        self._host.noted(utterance, kind, deliveries, Authors(words.author))
        words.remembering = self._group.create_task(self.remember(utterance, asked))
        if asked is not None:
            words.remembering.add_done_callback(lambda _: asked.end())

    async def remember(self, utterance: Utterance, asked: Asked | None) -> RoomEvent | None:
        """When it is over: the tools it used, then what was heard of it. Returns that, as others are told."""
        await utterance
        if asked is not None:
            await self._over(asked)
        memory = self._host.room.memory
        for stage in asked.stages if asked else ():
            memory.add(*stage.used, by=stage.agent)
        words = self._words.pop(utterance.id)
        heard = words.sent.text if words.sent else utterance.heard.strip()
        if event := words.sent or self._told(utterance, words, heard):
            cut = "" if utterance.complete else " (cut off here)"
            memory.add(Message(Role.ASSISTANT, heard + cut))
            self._host.tell(event)
        return event

    async def remembered(self) -> None:
        """Returns when all that was said is remembered: an answer may be about it."""
        known = self._words.values()
        if said := [w.remembering for w in known if w.remembering and w.utterance and w.utterance.done]:
            await asyncio.wait(said)

    def writing(self, utterance: Utterance) -> RoomEvent | None:
        """What is about to be written, as others are told."""
        return self._told(utterance, self._words[utterance.id], utterance.text)

    def written(self, utterance: Utterance, event: RoomEvent) -> None:
        """It was written so."""
        self._words[utterance.id].sent = event

    def refused(self, utterance: Utterance, why: str) -> None:
        """A hook would not have it written."""
        if reply := self._words[utterance.id].reply:
            reply.refused = why

    def asked_by(self, utterance: Utterance) -> Asked | None:
        """What it answers, if it does."""
        reply = self._words[utterance.id].reply
        return reply.asked if reply else None

    def _told(self, utterance: Utterance, words: Words, text: str) -> RoomEvent | None:
        return words.told(self._host.room, utterance, text, written=self._host.written)
