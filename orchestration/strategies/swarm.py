"""Swarm: whoever has the conversation keeps it until it hands over, to any of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestration.agent import Agent
from orchestration.handoff import MAX_DEPTH, TIME_LIMIT
from orchestration.routing import ConversationRouter
from orchestration.state import ConversationState
from orchestration.strategies.orchestration import Orchestration
from orchestration.strategies.team import Team

if TYPE_CHECKING:
    from orchestration.runtime import Runtime


class Swarm(Orchestration):
    """`entry` is the id of the agent that begins (None: the first). The phase of a conversation is its agent's id.

    An agent that is attached to the room later belongs to the swarm, too. The rest is told at `Team`.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
        entry: str | None = None,
        supervisor_id: str | None = None,
        *,
        supervisor: Agent | None = None,
        aliases: Mapping[str, str] | None = None,
        human: bool = False,
        max_depth: int = MAX_DEPTH,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        """Raises TypeError for what is no agent, ValueError naming what is wrong."""
        self._team = Team(agents, supervisor_id, supervisor, aliases, human, max_depth, time_limit)
        ids = [agent.id for agent in self._team.agents]
        self.entry = ids[0] if entry is None else entry
        if self.entry not in ids:
            raise ValueError(f"entry: {entry!r:.80} is not among the agents; there are {', '.join(ids)}")
        self._router = ConversationRouter((), self.entry, self._team.supervisor_id)

    def agents(self) -> Sequence[Agent]:
        """All of them, and who looks on."""
        return self._team.all

    async def install(self, runtime: Runtime, room_id: str) -> None:
        """The agents are in the room; the entry, or who had it before a restart, has the conversation."""
        beginning = ConversationState(phase=self.entry, active_agent_id=self.entry)
        self._team.install(self._router, runtime, room_id, beginning)
