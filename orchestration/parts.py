"""What the parts of a Runtime know of each other: it is put together of hosting, delivering and delegating."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from delivery.ledger import Ledger
from delivery.strategies import Strategy
from orchestration.hooks import Hooks, HookTrigger

if TYPE_CHECKING:
    from orchestration.rooms import Rooms
    from orchestration.strategies.orchestration import Orchestration
    from orchestration.tasks import Tasks


class Parts:
    """Implemented by Runtime."""

    orchestration: Orchestration | None
    delivery: Strategy
    fold: bool
    open_rooms: frozenset[str] | None
    hooks: Hooks
    ledger: Ledger
    tasks: Tasks
    _rooms: Rooms

    def check_open(self) -> None:
        """Raises RoomError unless the runtime is open."""
        raise NotImplementedError

    def reachable(self, room_id: str) -> str:
        """The name of a room that there is, or can be. Raises ValueError, RoomError."""
        raise NotImplementedError

    def delivery_of(self, room_id: str) -> Strategy:
        """The room's strategy, or the runtime's."""
        raise NotImplementedError

    async def fire(self, trigger: HookTrigger, room: str, id: str, text: str, metadata: Mapping[str, Any]) -> str:
        """Call the hooks; returns the text, perhaps rewritten. Raises Refuse when a SYNC hook does."""
        raise NotImplementedError

    def beside(self, work: Coroutine[Any, Any, object]) -> None:
        """Let it run beside what goes on, as long as the runtime is open. What it raises is logged."""
        raise NotImplementedError
