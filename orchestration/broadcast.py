"""Broadcast: what is said in a room goes through the hooks, to the channels that may see it, and into the timeline."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from delivery.desk import Refuse
from orchestration.event import RoomEvent
from orchestration.hooks import HookContext, HookTrigger
from orchestration.inbound import ChannelCategory
from orchestration.room import Room
from orchestration.text_channel import Binding

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.broadcast")

PATIENCE = 30.0
"""Seconds that a channel may take for one event."""


class Undelivered(Exception):  # noqa: N818 - an outcome for whoever sends, not a fault of theirs
    """Nobody to whom it was to go has it."""


class Broadcast:
    """A runtime's. Hooks that only observe, and channels that only look on, are not waited for."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def before(self, event: RoomEvent) -> RoomEvent:
        """What the hooks make of it before anybody sees it. Raises Refuse when one does."""
        runtime = self._runtime
        context = HookContext(runtime, event.room)
        return await runtime.hooks.broadcast(HookTrigger.BEFORE_BROADCAST, event, context, runtime.beside)

    def after(self, event: RoomEvent) -> None:
        """It was said: hooks are told, soon."""
        if self._runtime.hooks.any(HookTrigger.AFTER_BROADCAST, event.room):
            self._runtime.beside(self._after(event))

    async def _after(self, event: RoomEvent) -> None:
        runtime = self._runtime
        try:
            context = HookContext(runtime, event.room)
            await runtime.hooks.broadcast(HookTrigger.AFTER_BROADCAST, event, context, runtime.beside)
        except Refuse:
            log.warning("event %s was said: a hook for it cannot refuse", event.id)

    def show(self, room: Room, event: RoomEvent, only: frozenset[str] | None = None) -> None:
        """Have the room's channels (`only` these) see it, without waiting for them."""
        receivers = [b for b in self._receivers(room, event) if only is None or b.id in only]
        if receivers:
            self._runtime.beside(self._send_all(receivers, event))

    async def send(self, room: Room, event: RoomEvent, to: str | None = None) -> None:
        """Have the room's channels see it. Raises Undelivered when the channel `to` did not get it, or (None) nobody
        did, though there are channels for people.
        """
        receivers = self._receivers(room, event)
        people = [b for b in receivers if b.reads and to in (None, b.id)]
        if to is not None:
            receivers = [b for b in receivers if b in people or b.category is ChannelCategory.SYSTEM]
        if not receivers:
            return
        had = await self._send_all(receivers, event)
        if people and not any(b.id in had for b in people):
            raise Undelivered(f"none of {', '.join(b.id for b in people)} took it")

    def _receivers(self, room: Room, event: RoomEvent) -> list[Binding]:
        source = room.channels.get(event.channel_id)
        return [
            binding
            for binding in room.channels.values()
            if binding.channel.send is not None
            and binding is not source
            and (source is None or source.shown_to(binding.id, binding.category))
        ]

    async def _send_all(self, receivers: list[Binding], event: RoomEvent) -> set[str]:
        """The ids of the channels that took it."""
        if len(receivers) == 1:
            took = [await self._send(receivers[0], event)]
        else:
            took = await asyncio.gather(*(self._send(binding, event) for binding in receivers))
        return {binding.id for binding, had in zip(receivers, took, strict=True) if had}

    async def _send(self, binding: Binding, event: RoomEvent) -> bool:
        send = binding.channel.send
        if send is None:
            return False
        try:
            async with asyncio.timeout(PATIENCE):
                await send(event)
        except Exception as error:
            log.warning("room %s: channel %s did not take %s: %r", event.room, binding.id, event.id, error)
            return False
        return True
