"""Pipeline: agents in a row; each has the conversation until it hands it on to the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from orchestration.agent import Agent
from orchestration.handoff import MAX_DEPTH, TIME_LIMIT
from orchestration.pipeline import ConversationPipeline, PipelineStage
from orchestration.strategies.orchestration import Orchestration
from orchestration.strategies.team import Team

if TYPE_CHECKING:
    from orchestration.runtime import Runtime


class Pipeline(Orchestration):
    """The first of `agents` begins; each can hand over to the next. The phase of a conversation is its agent's id.

    For ways back and phases of your own use a `ConversationPipeline`. The rest is told at `Team`.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
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
        stages = [PipelineStage(phase=id, agent_id=id, next=after) for id, after in pairwise([*ids, None]) if id]
        self.pipeline = ConversationPipeline(stages, self._team.supervisor_id)

    def agents(self) -> Sequence[Agent]:
        """In their order, and who looks on."""
        return self._team.all

    async def install(self, runtime: Runtime, room_id: str) -> None:
        """The agents are in the room; the first one, or who had it before a restart, has the conversation."""
        self._team.install(
            self.pipeline.to_router(),
            runtime,
            room_id,
            self.pipeline.beginning,
            allowed_transitions=self.pipeline.get_allowed_transitions(),
        )
