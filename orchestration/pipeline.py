"""A conversation in stages: which agent has which phase, and where it may go from there. Checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestration.agent import Agent
from orchestration.renamed import renamed
from orchestration.routing import ConversationRouter, RoutingConditions, RoutingRule, members
from orchestration.routing_hook import PRIORITY, known_agents
from orchestration.state import ConversationState, agent_or_none, valid_agent, valid_phase

if TYPE_CHECKING:
    from orchestration.handoff_handler import HandoffHandler
    from orchestration.runtime import Runtime


@dataclass(frozen=True, slots=True)
class PipelineStage:
    """In `phase`, `agent_id` has the conversation; it goes on to the phase `next`, or back to one of `can_return_to`.

    `next` may be the phase itself, or None: it ends there. Raises ValueError naming the field that is wrong.
    """

    phase: str
    agent_id: str
    next: str | None = None
    can_return_to: Set[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "phase", valid_phase(self.phase))
        valid_agent(self.agent_id, "agent_id")
        if self.next is not None:
            object.__setattr__(self, "next", valid_phase(self.next, "next"))
        object.__setattr__(self, "can_return_to", members(self.can_return_to, "can_return_to", valid_phase))

    @property
    def leads_to(self) -> frozenset[str]:
        """The phases that may come after it."""
        return frozenset(self.can_return_to) | ({self.next} if self.next is not None else set())


class ConversationPipeline:
    """Stages in order; the conversation begins in the first. `supervisor_id` sees every event and has no stage."""

    def __init__(self, stages: Sequence[PipelineStage], supervisor_id: str | None = None) -> None:
        """Raises ValueError naming what is wrong: no stage, two of one phase or agent, a phase that none has."""
        self.stages = tuple(stages)
        if not self.stages:
            raise ValueError("stages: there are none; give at least one PipelineStage")
        if not all(isinstance(stage, PipelineStage) for stage in self.stages):
            raise ValueError("stages: it may hold PipelineStages only")
        _different([stage.phase for stage in self.stages], "phase")
        _different([stage.agent_id for stage in self.stages], "agent_id")
        agent_or_none(supervisor_id, "supervisor_id")
        if supervisor_id in {stage.agent_id for stage in self.stages}:
            raise ValueError(f"supervisor_id: {supervisor_id!r} has a stage; who looks on has none")
        self.supervisor_id = supervisor_id
        for stage in self.stages:
            self._check(stage)

    def _check(self, stage: PipelineStage) -> None:
        phases = [each.phase for each in self.stages]
        for field, wanted in (
            ("next", [stage.next] if stage.next else []),
            ("can_return_to", sorted(stage.can_return_to)),
        ):
            if missing := [phase for phase in wanted if phase not in phases]:
                raise ValueError(
                    f"stages: {field} of {stage.phase!r} is {missing[0]!r}, which no stage has; there are "
                    + ", ".join(phases)
                )

    @property
    def beginning(self) -> ConversationState:
        """The state of a conversation that begins: in the first phase, with its agent."""
        first = self.stages[0]
        return ConversationState(phase=first.phase, active_agent_id=first.agent_id)

    def to_router(self) -> ConversationRouter:
        """A router: each phase is its agent's, and whatever has no agent goes to the first one's."""
        rules = [
            RoutingRule(stage.agent_id, RoutingConditions(phases={stage.phase}), priority=place)
            for place, stage in enumerate(self.stages)
        ]
        return ConversationRouter(rules, self.stages[0].agent_id, self.supervisor_id)

    def get_phase_map(self) -> dict[str, str]:
        """The phase of each agent."""
        return {stage.agent_id: stage.phase for stage in self.stages}

    def get_allowed_transitions(self) -> dict[str, set[str]]:
        """The phases that may follow on each phase."""
        return {stage.phase: set(stage.leads_to) for stage in self.stages}

    @renamed("install", kit="runtime")
    def install(
        self,
        runtime: Runtime,
        agents: Sequence[Agent],
        *,
        room_id: str | None = None,
        agent_aliases: Mapping[str, str] | None = None,
        hook_priority: int = PRIORITY,
        human: bool = True,
        **limits: Any,
    ) -> HandoffHandler:
        """Have these agents lead the conversations of one room, or (None) of all rooms in which one of them is.

        See `ConversationRouter.install`; phases and transitions are those of the stages. Raises ValueError also when
        a stage's agent is missing among the `agents`.
        """
        ids = [agent.id for agent in known_agents(agents)]
        if missing := [stage.agent_id for stage in self.stages if stage.agent_id not in ids]:
            raise ValueError(f"agents: {missing[0]!r} has a stage and is not among them; there are {', '.join(ids)}")
        return self.to_router().install(
            runtime,
            agents,
            room_id=room_id,
            agent_aliases=agent_aliases,
            phase_map=self.get_phase_map(),
            allowed_transitions=self.get_allowed_transitions(),
            hook_priority=hook_priority,
            human=human,
            beginning=self.beginning,
            **limits,
        )


def _different(values: list[str], field: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"stages: two have the {field} {value!r}; each needs one of its own")
