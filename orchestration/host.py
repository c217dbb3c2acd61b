"""The seam between a conversation and the live talk that it is led in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from orchestration.authors import Authors
from orchestration.event import RoomEvent
from orchestration.inbound import InboundMessage
from orchestration.panel import UtteranceRole
from orchestration.room import Room
from voice.channel import Utterance
from voice.events import Turn

if TYPE_CHECKING:
    from orchestration.runtime import Runtime


class Host(Protocol):
    """Whose conversation it is: a room's live talk."""

    room: Room
    written: bool
    """Its callers read; otherwise they hear."""

    @property
    def closing(self) -> bool:
        """Nothing new is begun."""
        ...

    @property
    def runtime(self) -> Runtime: ...

    async def admit(self, turn: Turn, message: InboundMessage | None) -> RoomEvent | None:
        """What the turn (which came as `message`, if it was written) is in the room; None: it is not answered."""
        ...

    def tell(self, event: RoomEvent) -> None:
        """Something was said."""
        ...

    def oversee(self, agent: str, event: RoomEvent) -> None:
        """An agent is to see an event that another one answers."""
        ...

    def noted(self, utterance: Utterance, kind: UtteranceRole, deliveries: tuple[str, ...], authors: Authors) -> None:
        """An utterance of these agents begins, with these deliveries in it."""
        ...

    def settle_carried(self, delivery: str, heard: bool) -> None:
        """A delivery was told with a reply, and `heard` whole or not."""
        ...
