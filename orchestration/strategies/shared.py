"""Shared: the channels of a room that see what its workers say and do."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestration.room import Room

log = logging.getLogger("sottovoce.work")


@dataclass(slots=True)
class Shared:
    """Their ids, for one room. They may be attached at any time, also while the work goes on."""

    room: Room
    channels: Sequence[str] = ()
    _missed: set[str] = field(default_factory=set)

    def ids(self) -> Sequence[str]:
        """Them. The first time that one is not in the room when work begins, it is logged."""
        for id in self.channels:
            if id not in self.room.channels and id not in self._missed:
                self._missed.add(id)
                log.warning("room %s: share_channels: there is no channel %r yet; attach_channel it", self.room.id, id)
        return self.channels
