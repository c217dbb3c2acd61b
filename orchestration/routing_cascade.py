"""Routers in a row: the quick and cheap ones first, the next one where a router cannot tell, and at last a fallback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.event import RoomEvent
from orchestration.routing import OverseenRouter, Route, Router, Via, affinity
from orchestration.state import ConversationState, agent_or_none
from voice.cancellation import cancelled_here

log = logging.getLogger("sottovoce.routing")

PATIENCE = 2.0
"""Seconds that a router may take unless its tier says otherwise: a caller waits for it."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A router whose choice counts if its confidence is `threshold` (0 to 1) at least, and it comes in `patience` s.

    Raises ValueError naming the field that is wrong.
    """

    router: Router
    threshold: float = 0.0
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        if not callable(getattr(self.router, "route", None)):
            raise ValueError(f"router: {self.router!r:.60} is no Router; it has no `route`")
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold: {self.threshold!r:.60} is no number from 0 to 1")
        if not isinstance(self.patience, int | float) or not 0 < self.patience <= 60:
            raise ValueError(f"patience: {self.patience!r:.60} is no number of seconds above 0, at most 60")


class CascadeRouter(OverseenRouter):
    """Asks `tiers` in order; the first good choice counts, else `fallback_agent_id`.

    Affinity goes before all of them, and so does a human who has the conversation: a router that guesses must not take
    it away. A router that raises, is late, or names an agent that is not in the room is logged and passed over.
    """

    def __init__(
        self,
        tiers: Sequence[Tier | Router],
        fallback_agent_id: str | None = None,
        supervisor_id: str | None = None,
    ) -> None:
        """Raises ValueError naming what is wrong."""
        if not tiers:
            raise ValueError("tiers: there are none; give at least one router")
        agent_or_none(fallback_agent_id, "fallback_agent_id")
        agent_or_none(supervisor_id, "supervisor_id")
        self.tiers = tuple(each if isinstance(each, Tier) else Tier(each) for each in tiers)
        self.fallback_agent_id = fallback_agent_id
        self.supervisor_id = supervisor_id

    async def _chosen(self, event: RoomEvent, state: ConversationState, agents: Collection[str], context: Any) -> Route:
        if kept := affinity(state, agents):
            return Route(kept, Via.AFFINITY)
        if state.with_human:
            return Route(None, Via.HUMAN)
        for tier in self.tiers:
            route = await _asked(tier, event, state, agents, context)
            if route is not None and route.agent_id is not None and route.confidence >= tier.threshold:
                return route
        if self.fallback_agent_id in agents:
            return Route(self.fallback_agent_id, Via.FALLBACK)
        return Route(None, Via.NOBODY)


async def _asked(
    tier: Tier, event: RoomEvent, state: ConversationState, agents: Collection[str], context: Any
) -> Route | None:
    """What a tier's router says, if that can be used."""
    try:
        async with asyncio.timeout(tier.patience):
            route = await tier.router.route(event, state, agents=agents, context=context)
    except (Exception, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and cancelled_here():
            raise
        log.error("room %s: the router %r failed and is passed over", event.room, tier.router, exc_info=error)
        return None
    if route is None or route.agent_id is None or route.agent_id in agents:
        return route
    log.error("room %s: the router %r chose %r, who is not in the room", event.room, tier.router, route.agent_id)
    return None
