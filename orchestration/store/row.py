"""A room's metadata and an event as rows of a table, the same text in every database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestration.event import RoomEvent
from orchestration.plain import ReadOnly
from orchestration.store.stored_room import StoredRoom
from orchestration.store.trouble import StoreError

BREATH = 50_000
"""Characters of events that are read before others in the loop have their turn: some milliseconds."""


def written(plain: Mapping[str, Any]) -> str:
    """Plain data as JSON."""
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def stored_room(row: Mapping[str, Any]) -> StoredRoom:
    """The room of a row. Raises StoreError when somebody has damaged it."""
    try:
        metadata = json.loads(row["metadata"], object_hook=ReadOnly)
    except ValueError as error:
        raise _damaged(row["room"], "metadata", error) from error
    if not isinstance(metadata, ReadOnly):
        raise _damaged(row["room"], "metadata", ValueError(f"{type(metadata).__name__} is no mapping"))
    return StoredRoom(row["room"], metadata, row["version"], row["age"])


async def read(room: str, rows: Sequence[str]) -> list[RoomEvent]:
    """The events of a room's rows, in their order. Raises StoreError when somebody has damaged one."""
    events, characters = [], 0
    for row in rows:
        if (characters := characters + len(row)) > BREATH:
            await asyncio.sleep(0)
            characters = len(row)
        try:
            events.append(RoomEvent.from_dict(json.loads(row)))
        except ValueError as error:
            raise _damaged(room, "timeline", error) from error
    return events


def _damaged(room: str, what: str, error: ValueError) -> StoreError:
    return StoreError(f"room {room!r}: its {what} in the database is damaged ({error}); forget() the room, or mend it")
