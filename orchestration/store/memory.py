"""Rooms in memory: they last as long as the process. The real ones' exact behaviour, in microseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nsmallest
from itertools import islice
from typing import Any, NamedTuple

from orchestration.event import RoomEvent
from orchestration.plain import ReadOnly
from orchestration.store.asked import addable, behind, listed, loaded, room_id, shown
from orchestration.store.store import MAX_TIMELINE
from orchestration.store.stored_room import StoredRoom, bounded
from orchestration.store.trouble import StaleRoomError
from voice.clock import now


class _Kept(NamedTuple):
    metadata: ReadOnly
    version: int
    at: float


class MemoryRoomStore:
    """Rooms in a dict, also after `aclose`, until they are forgotten. `age` is by the event loop's clock."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Kept] = {}
        self._timelines: dict[str, dict[str, RoomEvent]] = {}

    async def open(self) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        """Nothing to do."""

    async def load(self, room: str) -> StoredRoom | None:
        """What was saved of the room."""
        kept = self._rooms.get(room := room_id(room))
        return None if kept is None else StoredRoom(room, kept.metadata, kept.version, max(0.0, now() - kept.at))

    async def save(self, room: str, metadata: Mapping[str, Any], version: int) -> int:
        """Keep this in place of what `version` had."""
        room, copy, version = room_id(room), bounded(metadata), loaded(version)
        kept = self._rooms.get(room)
        if version != (0 if kept is None else kept.version):
            raise StaleRoomError(room, version)
        self._rooms[room] = _Kept(copy, version + 1, now())
        return version + 1

    async def forget(self, room: str) -> None:
        """Keep nothing of the room."""
        room = room_id(room)
        self._rooms.pop(room, None)
        self._timelines.pop(room, None)

    async def rooms(self, limit: int = 100, after: str = "") -> list[str]:
        """The ids of saved rooms, in order."""
        limit, after = listed(limit), behind(after)
        return nsmallest(limit, (room for room in self._rooms if room > after))

    async def add(self, room: str, events: Sequence[RoomEvent]) -> None:
        """Put events at the end of the room's timeline."""
        room = room_id(room)
        added = addable(room, events)
        if not added:
            return
        timeline = self._timelines.setdefault(room, {})
        for event in added:
            timeline.setdefault(event.id, event)
        for oldest in list(islice(timeline, max(0, len(timeline) - MAX_TIMELINE))):
            del timeline[oldest]

    async def timeline(self, room: str, limit: int = 50) -> list[RoomEvent]:
        """The newest events of the room, oldest first."""
        limit = shown(limit)
        return list(islice(reversed(self._timelines.get(room_id(room), {}).values()), limit))[::-1]
