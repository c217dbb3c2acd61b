"""What is kept of a runtime's rooms: how far their conversations are, and what was said; both survive a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestration.event import RoomEvent
from orchestration.inbound import ChannelCategory, ChannelType
from orchestration.models.model import Message, Role
from orchestration.plain import ReadOnly
from orchestration.room import Room
from orchestration.room_memory import RoomMemory
from orchestration.room_trouble import RoomError
from orchestration.state import KEY, ConversationState, StateError, get_conversation_state, with_conversation_state
from orchestration.store.journal import Journal
from orchestration.store.store import RoomStore
from orchestration.store.stored_room import bounded
from orchestration.store.trouble import StaleRoomError, StoreError
from voice.clock import now

if TYPE_CHECKING:
    from orchestration.rooms import Rooms

log = logging.getLogger("sottovoce.store")

REMEMBERED = 50
"""Events of the timeline that agents remember after a restart: as many as a window of memory has room for."""
SEEN_BY = "_seen_by"
"""Among an event's metadata: the agents that saw it, where not all did."""
TRIES = 3
"""Times that a room is loaded when other processes make it at the same moment."""
PATIENCE = 5.0
"""Seconds that what was said may take to be written before it is read or deleted."""
UPKEEP = 60.0
"""Seconds after which it is noted that a room that goes with its talk is still in use."""
PASSING = 600.0
"""Seconds for which a room that goes with its talk is taken up again after a crash; later callers are others."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A room as far as it is kept."""

    id: str
    metadata: Mapping[str, Any]


@dataclass(slots=True)
class RoomRecords:
    """`runtime.store`. Raises StoreError when the store is away."""

    rooms: Rooms
    backend: RoomStore
    journal: Journal

    async def update_room(self, room: Room) -> Room:
        """Keep the metadata of this (perhaps changed) room, durably; then the live room has them, and is returned.

        Raises TypeError for what is no room, ValueError for metadata that are not plain data, RoomError when there is
        no such room (any more), and StaleRoomError when another process changed it meanwhile; the room has what that
        one made of it then.
        """
        if not isinstance(getattr(room, "id", None), str) or not hasattr(room, "metadata"):
            raise TypeError(f"room: {room!r:.60} is no Room; give one, like set_conversation_state returns")
        live = self.rooms.find(room.id)
        if live is None:
            raise RoomError(f"room: there is no room {room.id!r} in this process; create_room makes one")
        metadata = bounded(room.metadata)
        kept = with_conversation_state(metadata, get_conversation_state(room)) if KEY in metadata else metadata
        async with live.saving:
            await self._save(live, metadata, kept)
        return live

    async def change_state(
        self, room: Room, change: Callable[[ConversationState], ConversationState]
    ) -> ConversationState:
        """Keep what `change` makes of the state of the room's conversation, durably; one change after the other.

        It is asked again when another process changed the room meanwhile; if it gives the same state back, there is
        nothing to keep. Raises what it raises, RoomError when the room is there no more, and StoreError.
        """
        for left in reversed(range(TRIES)):
            async with room.saving:
                if self.rooms.find(room.id) is not room:
                    raise RoomError(f"room: the room {room.id!r} was closed")
                before = get_conversation_state(room)
                after = change(before)
                if after is before:
                    return before
                kept = with_conversation_state(room.metadata, after)
                try:
                    await self._save(room, bounded(kept), kept)
                except StaleRoomError:
                    if not left:
                        raise
                else:
                    return after
        raise AssertionError("the last try returns or raises")

    async def _save(self, room: Room, metadata: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
        """Save these; then the room has them as `kept`. Its lock is held."""
        try:
            room.version = await self.backend.save(room.id, metadata, room.version)
        except StaleRoomError:
            await self._reload(room)
            raise
        room.metadata, room.kept_at = kept, now()

    async def timeline(self, room_id: str, limit: int = REMEMBERED) -> list[RoomEvent]:
        """What was said in a room, oldest first: the newest 1 to 500 events."""
        await self._settle()
        return await self.backend.timeline(room_id, limit)

    async def list_rooms(self, limit: int = 100, after: str = "") -> list[str]:
        """The ids of rooms that something is kept of, 1 to 1,000, in order; `after`: those behind this one."""
        return await self.backend.rooms(limit, after)

    # -- for the runtime

    async def load(self, room: Room, given: Mapping[str, Any]) -> None:
        """Take up a room where it was left, with what is `given` beside that."""
        metadata = bounded(given)
        for _ in range(TRIES - 1):
            try:
                await self._load(room, metadata)
            except StaleRoomError:  # another process makes it, too
                continue
            return
        await self._load(room, metadata)

    async def _load(self, room: Room, given: ReadOnly) -> None:
        stored = await self.backend.load(room.id)
        if room.passing and (stored.age > PASSING if stored else await self.backend.timeline(room.id, 1)):
            await self.forget(room.id)
            stored = None
        room.version = stored.version if stored else 0
        metadata = ReadOnly({**stored.metadata, **given}) if stored else given
        if stored is not None:
            await self._recall(room)
        if not room.passing and (stored is None or dict(metadata) != dict(stored.metadata)):
            room.version = await self.backend.save(room.id, metadata, room.version)
        room.metadata = _readable(room.id, metadata)

    async def refresh(self, room: Room, epoch: int) -> None:
        """A talk begins in the room: take up what another process made of it, if one had it meanwhile."""
        if epoch != room.epoch + 1:
            async with room.saving:
                await self._reload(room)
            await self._recall(room)
        room.epoch = epoch

    def note(self, event: RoomEvent) -> None:
        """Something was said: it comes into the timeline soon."""
        self.journal.note(event)
        room = self.rooms.find(event.room)
        if room is not None and room.passing and (at := now()) >= room.kept_at + UPKEEP:
            room.kept_at = at
            self.rooms.beside(self._keep(room))

    async def _keep(self, room: Room) -> None:
        """Have a room that goes with its talk taken up again, should the process crash."""
        async with room.saving:
            session = self.rooms.session(room.id)
            if session is None or session.room is not room or session.closing:
                return
            try:
                room.version = await self.backend.save(room.id, room.metadata, room.version)
            except StoreError as error:
                log.warning("room %s would not be taken up again after a crash: %s", room.id, error)

    async def forget(self, room_id: str) -> None:
        """The conversation is over: nothing is kept of it."""
        await self._settle()
        await self.backend.forget(room_id)

    async def _settle(self) -> None:
        """All that was said is in the timelines. Raises StoreError when that takes too long."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.journal.settle()
        except TimeoutError:
            raise StoreError(f"what was said could not be written within {PATIENCE:g} s; the store is away") from None

    async def _reload(self, room: Room) -> None:
        stored = await self.backend.load(room.id)
        if stored is not None:
            room.version, room.metadata = stored.version, _readable(room.id, stored.metadata)
        elif room.version:  # another process ended the conversation
            room.version, room.metadata = 0, ReadOnly({})

    async def _recall(self, room: Room) -> None:
        """What was said before is remembered."""
        memory = RoomMemory()
        for event in await self.backend.timeline(room.id, REMEMBERED):
            if event.category is ChannelCategory.TRANSPORT and event.channel_type is not ChannelType.VOICE:
                room.senders.pop(event.sender_id, None)
                room.senders[event.sender_id] = event.channel_id
            if event.metadata.get(SEEN_BY) is not None:
                continue  # it was not for all agents, and who they were is not known yet
            if event.category is ChannelCategory.TRANSPORT:
                memory.add(Message(Role.USER, event.text))
            elif event.category is ChannelCategory.INTELLIGENCE or "complete" in event.metadata:  # told by no agent
                cut = "" if event.metadata.get("complete", True) else " (cut off here)"
                memory.add(Message(Role.ASSISTANT, event.text + cut))
        room.memory = memory


def _readable(room: str, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata with the state of the conversation read once; what cannot be read as one begins anew."""
    kept = Kept(room, metadata)
    try:
        return with_conversation_state(metadata, get_conversation_state(kept)) if KEY in metadata else metadata
    except StateError as error:
        log.error("%s; the conversation begins anew", error)
        return ReadOnly({key: value for key, value in metadata.items() if key != KEY})
