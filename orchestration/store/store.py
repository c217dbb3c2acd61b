"""The seam for what keeps rooms: their metadata, saved by one at a time, and the newest of what was said in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from orchestration.event import RoomEvent
from orchestration.store.stored_room import StoredRoom

MAX_TIMELINE = 500
"""Most events that are kept of a room: the newest."""

MAX_LISTED = 1_000
"""Most rooms that are listed at once."""

MAX_VERSION = 2**53
"""Versions are below it: every database and JSON can hold them."""


class RoomStore(Protocol):
    """Keeps rooms. Used from one event loop; several processes may share what is behind it.

    Every method but `aclose` raises StoreError when it cannot be done now, and ValueError naming the argument that is
    wrong. One that is cancelled, or failed, may be done all the same, also a moment later; nothing is ever half done.
    """

    async def open(self) -> None:
        """Make it ready; once it is, nothing."""
        ...

    async def load(self, room: str) -> StoredRoom | None:
        """What was saved of the room; None: nothing."""
        ...

    async def save(self, room: str, metadata: Mapping[str, Any], version: int) -> int:
        """Keep this as the room's metadata, in place of what `version` had. Returns the new version; it is durable.

        `version`: the one that was loaded, or that the last `save` returned; 0: there was none. Raises StaleRoomError
        when somebody else saved it meanwhile, or has forgotten it.
        """
        ...

    async def forget(self, room: str) -> None:
        """Keep nothing of the room, metadata or timeline. Its versions begin at 1 again."""
        ...

    async def rooms(self, limit: int = 100, after: str = "") -> list[str]:
        """The ids of saved rooms by their characters' code points, 1 to 1,000; `after`: those behind this one."""
        ...

    async def add(self, room: str, events: Sequence[RoomEvent]) -> None:
        """Put events at the end of the room's timeline, of which the newest MAX_TIMELINE are kept.

        One whose id is in the timeline is left alone: after a failure it is added again. Raises ValueError for an event
        of another room.
        """
        ...

    async def timeline(self, room: str, limit: int = 50) -> list[RoomEvent]:
        """The newest events of the room, 1 to 500, oldest first."""
        ...

    async def aclose(self) -> None:
        """Let go of it; it may be opened again."""
        ...
