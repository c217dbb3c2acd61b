"""What a store is asked, checked in the same way whatever keeps the rooms. All raise ValueError naming the argument."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.event import RoomEvent
from orchestration.identity import valid_name
from orchestration.store.store import MAX_LISTED, MAX_TIMELINE, MAX_VERSION


def room_id(room: object) -> str:
    """A room's id."""
    return valid_name(room, "room")


def behind(after: object) -> str:
    """The id behind which a list of rooms begins; "": at the first."""
    return "" if after == "" else valid_name(after, "after")


def loaded(version: object) -> int:
    """A version that was loaded; 0: none was."""
    if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < MAX_VERSION:
        raise ValueError(f"version: {version!r:.60} is none; give the one that was loaded, or 0 if there was none")
    return version


def listed(limit: object) -> int:
    """How many rooms."""
    return _count(limit, MAX_LISTED)


def shown(limit: object) -> int:
    """How many events."""
    return _count(limit, MAX_TIMELINE)


def addable(room: str, events: Sequence[RoomEvent]) -> list[RoomEvent]:
    """Events to be added to the room's timeline, each id once; of too many the newest, as no others would be kept."""
    for event in events:
        if not isinstance(event, RoomEvent):
            raise ValueError(f"events: {type(event).__name__} is no RoomEvent")
        if event.room != room:
            raise ValueError(f"events: event {event.id!r} is of room {event.room!r}, not of {room!r}")
    once: dict[str, RoomEvent] = {}
    for event in events:
        once.setdefault(event.id, event)
    return list(once.values())[-MAX_TIMELINE:]


def _count(limit: object, most: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= most:
        raise ValueError(f"limit: it must be a whole number, 1 to {most}, not {limit!r:.60}")
    return limit
