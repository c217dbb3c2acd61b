"""The seam for orchestrations: which agents there are, which workers, and how they are wired into a room."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestration.agent import Agent
from orchestration.workers.worker import Worker

if TYPE_CHECKING:
    from orchestration.runtime import Runtime


class Orchestration(ABC):
    """Subclass to build your own. One object may serve many rooms, so it keeps no state of a room."""

    @abstractmethod
    def agents(self) -> Sequence[Agent]:
        """The agents that talk with callers."""

    def workers(self) -> Sequence[Worker]:
        """What may run in the background; known to the runtime before tasks of an earlier process are resumed."""
        return ()

    @abstractmethod
    async def install(self, runtime: Runtime, room_id: str) -> None:
        """Wire talker and tools into the room."""


def known_orchestration(it: object) -> Orchestration | None:
    """Raises TypeError when it is no orchestration."""
    if not isinstance(it, Orchestration | None):
        raise TypeError(f"orchestration: {it!r} is no Orchestration, like Supervisor(...), nor None")
    return it
