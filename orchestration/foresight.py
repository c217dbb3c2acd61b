"""Foresight: what the model of whoever has the conversation would be asked, if a turn ended now. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from orchestration.agent import Agent
from orchestration.asked import ROUTED, Asked, Foresees, Late, Request
from orchestration.event import RoomEvent
from orchestration.handoff_chain import HandoffChain
from orchestration.host import Host
from orchestration.usage import charge_to
from voice.events import Turn


class Foresight:
    """A room's. `remembered` returns when all that was said is remembered: the answer may be about it."""

    def __init__(
        self, host: Host, group: asyncio.TaskGroup, late: Late, remembered: Callable[[], Awaitable[None]]
    ) -> None:
        self._host = host
        self._group = group
        self._late = late
        self._remembered = remembered

    async def request(self, turn: Turn) -> Request | None:
        """For the answer to this turn; None: there is no telling. Raises what a responder raises."""
        room = self._host.room
        responder, agent = room.responder or ROUTED, room.talker
        if agent is None or not isinstance(responder, Foresees):
            return None
        await self._remembered()
        asked = self.suppose(turn, agent)
        charge_to(asked.tab)  # what is made ahead and not wanted is paid, too
        return await responder.foresee(asked, agent)

    def suppose(self, turn: Turn, agent: Agent) -> Asked:
        """The turn as if it were being answered by this agent."""
        return Asked(
            runtime=self._host.runtime,
            room=self._host.room,
            event=RoomEvent.heard(turn, self._host.room.id, turn.text),
            group=self._group,
            agent=agent,
            spoken=True,
            chain=HandoffChain(asyncio.get_running_loop().time()),
            late=self._late,
            foreseen=True,
        )
