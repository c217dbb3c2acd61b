"""Broadcast: what is said in a room goes through the hooks, to the channels that may see it, and into the timeline."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING

from orchestration.event import RoomEvent
from orchestration.hooks import HookContext, HookTrigger
from orchestration.inbound import ChannelCategory
from orchestration.room import Room
from orchestration.text_channel import Binding
from voice.cancellation import cancelled_here

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.broadcast")

PATIENCE = 30.0
"""Seconds that a channel may take for one event, those before it included."""
GRACE = 1.0
"""Seconds for which the others are waited for when one reader has it: a dead channel must not hold up a room."""


class Undelivered(Exception):  # noqa: N818 - an outcome for whoever sends, not a fault of theirs
    """Nobody to whom it was to go has it."""


class Broadcast:
    """A runtime's. Hooks that only observe, and channels that only look on, are not waited for."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def before(self, event: RoomEvent) -> RoomEvent:
        """What the hooks make of it before anybody sees it. Raises Refuse when one does."""
        runtime = self._runtime
        if not runtime.hooks.any(HookTrigger.BEFORE_BROADCAST, event.room):
            return event
        context = HookContext(runtime, event.room)
        return await runtime.hooks.broadcast(HookTrigger.BEFORE_BROADCAST, event, context, runtime.beside)

    def after(self, event: RoomEvent) -> None:
        """It was said: hooks are told, soon."""
        runtime = self._runtime
        if runtime.hooks.any(HookTrigger.AFTER_BROADCAST, event.room):
            context = HookContext(runtime, event.room)
            runtime.beside(runtime.hooks.broadcast(HookTrigger.AFTER_BROADCAST, event, context, runtime.beside))

    def show(self, room: Room, event: RoomEvent, only: frozenset[str] | None = None) -> None:
        """Have the room's channels (`only` these) see it, without waiting for them."""
        receivers = [b for b in self._receivers(room, event) if only is None or b.id in only]
        for binding in receivers:
            self._runtime.beside(self._send(binding, event))

    async def send(self, room: Room, event: RoomEvent, to: str | None = None) -> None:
        """Have the room's channels see it; returns when those have it who read, or soon after the first of them has.

        Raises Undelivered when the channel `to` did not get it, or (None) nobody did, though there are channels for
        people.
        """
        receivers = self._receivers(room, event)
        people = [b for b in receivers if b.reads and to in (None, b.id)]
        for binding in receivers:
            if binding.category is ChannelCategory.SYSTEM and (people or to is None):
                self._runtime.beside(self._send(binding, event))
        if not people:
            if to is not None:
                raise Undelivered(f"{to!r} reads by no channel")
            return
        if not (await self._send(people[0], event) if len(people) == 1 else await self._send_all(people, event)):
            raise Undelivered(f"{', '.join(b.id for b in people)} did not take it")

    def _receivers(self, room: Room, event: RoomEvent) -> list[Binding]:
        source = room.channels.get(event.channel_id)
        return [
            binding
            for binding in room.channels.values()
            if binding.channel.send is not None
            and binding is not source
            and (source is None or source.shown_to(binding.id, binding.category))
        ]

    async def _send_all(self, people: list[Binding], event: RoomEvent) -> bool:
        """Whether one of them took it. Those that are late go on beside."""
        left, took = len(people), False
        moved = asyncio.Event()

        async def send(binding: Binding) -> None:
            nonlocal left, took
            had = await self._send(binding, event)  # not `took |= await`: that takes what `took` was before
            took, left = took or had, left - 1
            moved.set()

        for binding in people:
            self._runtime.beside(send(binding))
        while left and not took:
            moved.clear()
            await moved.wait()
        try:
            async with asyncio.timeout(GRACE):
                while left:
                    moved.clear()
                    await moved.wait()
        except TimeoutError:
            log.info("room %s: %d channels are late with %s", event.room, left, event.id)
        return took

    async def _send(self, binding: Binding, event: RoomEvent) -> bool:
        """Whether it took it; what is sent to one channel arrives in its order."""
        send = binding.channel.send
        if send is None:
            return False
        try:
            async with asyncio.timeout(PATIENCE), binding.line:
                if inspect.isawaitable(sent := send(event)):
                    await sent
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_here():
                raise
            log.warning("room %s: channel %s did not take %s: %r", event.room, binding.id, event.id, error)
            return False
        return True
