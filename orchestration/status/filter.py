"""A StatusFilter: which entries somebody wants. Those of other rooms only come if all rooms are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from orchestration.identity import valid_name
from orchestration.status.entry import StatusEntry, StatusLevel, level, name


class _Rooms(Enum):
    ALL = "all rooms"


ALL_ROOMS: Final = _Rooms.ALL
"""In place of a room: every room, and what happened in none."""

RoomScope = str | Literal[_Rooms.ALL] | None


@dataclass(frozen=True, slots=True)
class StatusFilter:
    """Entries of `room` (None: of no room; ALL_ROOMS), and of this agent, action and status (None: any)."""

    room: RoomScope = None
    agent_id: str | None = None
    action: str | None = None
    status: StatusLevel | None = None

    def matches(self, entry: StatusEntry) -> bool:
        """Whether the entry is wanted."""
        return (
            (self.room is ALL_ROOMS or self.room == entry.room)
            and (self.agent_id is None or self.agent_id == entry.agent_id)
            and (self.action is None or self.action == entry.action)
            and (self.status is None or self.status is entry.status)
        )

    def terms(self) -> dict[str, str]:
        """What the columns of a table must hold, for backends that ask a database; no room is "" there."""
        given = {"agent_id": self.agent_id, "action": self.action, "status": self.status and self.status.value}
        terms = {column: value for column, value in given.items() if value is not None}
        return terms if self.room is ALL_ROOMS else {"room": self.room or "", **terms}


def wanted(room: RoomScope, agent_id: str | None, action: str | None, status: StatusLevel | str | None) -> StatusFilter:
    """A filter. Raises ValueError naming the field that is wrong."""
    return StatusFilter(
        room if room is None or room is ALL_ROOMS else valid_name(room, "room"),
        None if agent_id is None else name("agent_id", agent_id),
        None if action is None else name("action", action),
        None if status is None else level(status),
    )
