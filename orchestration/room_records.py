"""What is kept of a runtime's rooms: how far their conversations are, and what was said; both survive a restart."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestration.event import RoomEvent
from orchestration.inbound import ChannelCategory
from orchestration.models.model import Message, Role
from orchestration.plain import ReadOnly
from orchestration.room import Room
from orchestration.room_memory import RoomMemory
from orchestration.state import KEY, StateError, get_conversation_state, with_conversation_state
from orchestration.store.journal import Journal
from orchestration.store.store import RoomStore
from orchestration.store.stored_room import bounded
from orchestration.store.trouble import StaleRoomError

if TYPE_CHECKING:
    from orchestration.rooms import Rooms

log = logging.getLogger("sottovoce.store")

REMEMBERED = 50
"""Events of the timeline that agents remember after a restart: as many as a window of memory has room for."""
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

        Raises ValueError for metadata that are not plain data, KeyError when there is no such room (any more), and
        StaleRoomError when another process changed it meanwhile; the room has what that one made of it then.
        """
        live = self.rooms.find(room.id)
        if live is None:
            raise KeyError(f"room: there is no room {room.id!r} in this process; create_room makes one")
        async with live.saving:
            try:
                live.version = await self.backend.save(live.id, room.metadata, live.version)
            except StaleRoomError:
                await self._reload(live)
                raise
            live.metadata = room.metadata
        return live

    async def timeline(self, room_id: str, limit: int = REMEMBERED) -> list[RoomEvent]:
        """What was said in a room, oldest first: the newest 1 to 500 events."""
        await self.journal.settle()
        return await self.backend.timeline(room_id, limit)

    async def list_rooms(self, limit: int = 100, after: str = "") -> list[str]:
        """The ids of rooms that something is kept of, 1 to 1,000, in order; `after`: those behind this one."""
        return await self.backend.rooms(limit, after)

    # -- for the runtime

    async def load(self, room: Room, given: Mapping[str, Any]) -> None:
        """Take up a room where it was left, with what is `given` beside that."""
        metadata = bounded(given)
        stored = await self.backend.load(room.id)
        if stored is not None:
            room.version = stored.version
            if room.passing and stored.age > PASSING:
                await self.forget(room.id)
                room.version = 0
            else:
                metadata = ReadOnly({**stored.metadata, **metadata})
                await self._recall(room)
        room.metadata = _readable(room.id, metadata)
        if not room.passing and (stored is None or dict(metadata) != dict(stored.metadata)):
            room.version = await self.backend.save(room.id, metadata, room.version)

    async def refresh(self, room: Room, epoch: int) -> None:
        """A talk begins in the room: take up what another process made of it, if one had it meanwhile."""
        if room.epoch and epoch != room.epoch + 1:
            async with room.saving:
                await self._reload(room)
            await self._recall(room)
        room.epoch = epoch

    def note(self, event: RoomEvent) -> None:
        """Something was said: it comes into the timeline soon."""
        self.journal.note(event)

    async def forget(self, room_id: str) -> None:
        """The conversation is over: nothing is kept of it."""
        await self.journal.settle()
        await self.backend.forget(room_id)

    async def _reload(self, room: Room) -> None:
        stored = await self.backend.load(room.id)
        room.version = stored.version if stored else 0
        room.metadata = _readable(room.id, stored.metadata if stored else ReadOnly({}))

    async def _recall(self, room: Room) -> None:
        """What was said before is remembered."""
        memory = RoomMemory()
        for event in await self.backend.timeline(room.id, REMEMBERED):
            if event.category is ChannelCategory.TRANSPORT:
                memory.add(Message(Role.USER, event.text))
            elif event.category is ChannelCategory.INTELLIGENCE:
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
