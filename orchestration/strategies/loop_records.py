"""LoopRecords: how the review loops of a room ended, written into the context of its conversation."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from delivery.ledger import LedgerError
from orchestration.engines.engine import TaskStatus
from orchestration.hooks import HookContext, HookEvent
from orchestration.state import ConversationState
from orchestration.tasks import REMEMBERED, delivery_of

if TYPE_CHECKING:
    from orchestration.asked import Asked
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.loop")

PATIENCE = 5.0
"""Seconds that writing down how a loop ended may take; the result does not wait for it any longer."""


@dataclass(slots=True)
class LoopRecords:
    """Writes how a room's loops end into the context of its conversation. The last one that ended stays there."""

    runtime: Runtime
    room_id: str
    worker: str
    under_way: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Messages whose loop goes on though the talk in which it was begun has ended, the last ones."""
    _seen: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Deliveries of the loops that ended here, the last ones."""

    async def completed(self, event: HookEvent, context: HookContext) -> None:
        """A hook for the end of tasks."""
        if event.metadata["worker"] != self.worker or event.metadata["status"] == TaskStatus.CANCELLED:
            return
        self._seen.append(delivery_of(event.id))
        if (result := await self.runtime.tasks.result(event.id, within=0)) is not None:
            await self.write(outcome(result.data))

    async def delivered(self, event: HookEvent, context: HookContext) -> None:
        """A hook for the end of deliveries: a loop may have ended before this room was there, or in another process."""
        if self._ours(event.metadata) and event.id not in self._seen:
            await self.write(outcome(event.metadata))

    async def told_in(self, asked: Asked) -> dict[str, Any]:
        """How the loop ended that an agent tells of in its answer: it was over at once, or is told again. {}: none."""
        found: dict[str, Any] = {}
        for delivery in asked.carried:
            try:
                metadata = (await self.runtime.receipt(delivery).entry()).delivery.metadata
            except LedgerError as error:
                log.warning("room %s: what is told of %s is not known: %s", self.room_id, delivery, error)
            else:
                found |= outcome(metadata) if self._ours(metadata) else {}
        return found

    async def write(self, outcome: Mapping[str, Any]) -> None:
        """Keep it. Whatever is in the way is logged: the result is told all the same."""
        try:
            async with asyncio.timeout(PATIENCE):
                room = self.runtime.room(self.room_id)
                await self.runtime.store.change_state(room, partial(_with, outcome))
        except Exception as error:
            log.warning("room %s: how its loop ended is not kept: %r", self.room_id, error)

    def _ours(self, metadata: Mapping[str, Any]) -> bool:
        """Whether this is a delivery of what came of the loop."""
        return metadata.get("worker") == self.worker and "approved" in metadata


def outcome(data: Mapping[str, Any]) -> dict[str, Any]:
    """How a loop ended: rounds that were judged, and whether the last draft was approved."""
    return {"iteration": data.get("iteration", 0), "approved": data.get("approved", False)}


def _with(outcome: Mapping[str, Any], state: ConversationState) -> ConversationState:
    """The state with this in its context, if it is not there."""
    return state if outcome.items() <= state.context.items() else state.remembering(outcome)
