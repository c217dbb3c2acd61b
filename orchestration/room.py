"""A Room: where callers and agents meet. What is known of it apart from the live talk."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from delivery.strategies import Strategy
from orchestration.agent import Agent
from orchestration.room_memory import RoomMemory
from orchestration.state import get_conversation_state
from orchestration.tools import Tool, unique

if TYPE_CHECKING:
    from orchestration.asked import HandsOver, Responder
    from orchestration.strategies.orchestration import Orchestration
    from orchestration.text_channel import Binding

MAX_NAME = 40
"""Most characters of a role that people are shown as a name."""


@dataclass(slots=True)
class Room:
    """`agents` are those in the room, by id; `talker` is the one that answers now (None: nobody does).

    `passing`: somebody's joining made it; it goes when its talk is over. `responder` makes the answers (None: the agent
    to whom a turn is routed does), `handoff` lets agents give the conversation away, `channels` are those that write.
    """

    id: str
    delivery: Strategy
    orchestration: Orchestration | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    passing: bool = False
    agents: dict[str, Agent] = field(default_factory=dict)
    channels: dict[str, Binding] = field(default_factory=dict)
    responder: Responder | None = None
    handoff: HandsOver | None = None
    senders: dict[str, str] = field(default_factory=dict, repr=False)
    """By which channel somebody wrote last who may read there, too."""
    memory: RoomMemory = field(default_factory=RoomMemory, repr=False)
    version: int = 0
    """Of what the store has of it."""
    epoch: int = 0
    """Of the last talk in this process."""
    kept_at: float = -math.inf
    """When the store last got something of it, in loop seconds."""
    saving: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _tools: list[tuple[str | None, Tool]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Room({self.id!r}, agents={list(self.agents)}, channels={list(self.channels)})"

    @property
    def talker(self) -> Agent | None:
        """The agent that has the conversation; the first one of the room, if none has it and no human either."""
        state = get_conversation_state(self)
        if active := self.agents.get(state.active_agent_id or ""):
            return active
        return None if state.with_human else next(iter(self.agents.values()), None)

    @talker.setter
    def talker(self, agent: Agent | None) -> None:
        others = {id: each for id, each in self.agents.items() if agent is None or id != agent.id}
        self.agents = {**({agent.id: agent} if agent else {}), **others}

    def called(self, agent: str) -> str:
        """What people call this agent: by its role, unless another one has that, too, or it is too long for a name."""
        known = self.agents.get(agent)
        if known is None or not 1 <= len(known.role) <= MAX_NAME:
            return agent
        same = [each for each in self.agents.values() if each.role == known.role]
        return known.role if len(same) == 1 else f"{known.role} ({agent})"

    def attach(self, *agents: Agent) -> None:
        """Have agents in the room. Raises ValueError when another agent has such an id there, all or none then."""
        added = {agent.id: agent for agent in agents}
        if len(added) < len(agents) or any(self.agents.get(id, agent) is not agent for id, agent in added.items()):
            ids = ", ".join(repr(agent.id) for agent in agents)
            raise ValueError(f"agents: of {ids} one is used twice in room {self.id!r}; ids must differ")
        self.agents.update(added)

    @property
    def tools(self) -> list[Tool]:
        """What agents may use in this room beside their own."""
        return [tool for _, tool in self._tools]

    def tools_of(self, agent: str) -> list[Tool]:
        """What this agent may use in this room beside its own."""
        return [tool for owner, tool in self._tools if owner in (None, agent)]

    def equip(self, *tools: Tool, agent: str | None = None) -> None:
        """Give the agents of the room, or one of them, more tools. Raises TypeError when a name is used twice."""
        for each in self.agents.values():
            if agent in (None, each.id):
                unique([*each.tools, *self.tools_of(each.id), *tools])
        unique([*(tool for owner, tool in self._tools if owner in (None, agent)), *tools])
        self._tools.extend((agent, tool) for tool in tools)
