"""A Team: agents of one room that hand the conversation over to each other, and one that looks on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

from orchestration.agent import Agent, valid_id
from orchestration.handoff import MAX_DEPTH, TIME_LIMIT, HandoffRules
from orchestration.handoff_request import HUMAN
from orchestration.routing import ConversationRouter
from orchestration.routing_hook import known_agents
from orchestration.state import ConversationState

if TYPE_CHECKING:
    from orchestration.runtime import Runtime


class Team:
    """`supervisor` is an agent that looks on at all that callers say, and may intervene; `supervisor_id` the id of one
    that you attach to the room yourself (`runtime.attach_agent`).

    `aliases` are other names for the agents, and for "human". `human`: whether a person can be asked for (also: when
    one of the `aliases` stands for "human"). One turn of a caller has room for `max_depth` handoffs in `time_limit`
    seconds.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
        supervisor_id: str | None = None,
        supervisor: Agent | None = None,
        aliases: Mapping[str, str] | None = None,
        human: bool = False,
        max_depth: int = MAX_DEPTH,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        """Raises TypeError for what is no agent, ValueError naming what is wrong."""
        self.agents = known_agents(agents)
        self.supervisor = supervisor
        self.supervisor_id = _supervisor(supervisor_id, supervisor)
        ids = [agent.id for agent in self.agents]
        if self.supervisor_id in ids:
            field = "supervisor_id" if supervisor is None else "supervisor"
            raise ValueError(f"{field}: {self.supervisor_id!r} is among the agents; who looks on does not answer")
        if HUMAN in ids:
            raise ValueError(f"agents: {HUMAN!r} is not free as an id; it means a person")
        if not isinstance(aliases, Mapping | None):
            raise ValueError(f"aliases: {type(aliases).__name__} is no mapping; give a dict")
        self.aliases = dict(aliases or {})
        self.human = human or HUMAN in self.aliases.values()
        self.max_depth, self.time_limit = max_depth, time_limit
        HandoffRules(
            dict.fromkeys(ids, ""),
            self.aliases,
            human=self.human,
            supervisor_id=self.supervisor_id,
            max_depth=max_depth,
            time_limit=time_limit,
        )

    @property
    def all(self) -> Sequence[Agent]:
        """The agents, and the one that looks on."""
        return [*self.agents, *([self.supervisor] if self.supervisor else [])]

    def install(
        self,
        router: ConversationRouter,
        runtime: Runtime,
        room_id: str,
        beginning: ConversationState,
        allowed_transitions: Mapping[str, Set[str]] | None = None,
    ) -> None:
        """Have them in the room; each agent's phase is its id."""
        router.install(
            runtime,
            self.all,
            room_id=room_id,
            agent_aliases=self.aliases,
            phase_map={agent.id: agent.id for agent in self.agents},
            allowed_transitions=allowed_transitions,
            human=self.human,
            beginning=beginning,
            max_depth=self.max_depth,
            time_limit=self.time_limit,
        )


def _supervisor(id: str | None, agent: Agent | None) -> str | None:
    """The id of who looks on. Raises TypeError and ValueError naming what is wrong."""
    if agent is not None and not isinstance(agent, Agent):
        raise TypeError(f"supervisor: {agent!r:.60} is no Agent")
    if agent is not None and id not in (None, agent.id):
        raise ValueError(f"supervisor_id: {id!r:.80} is not {agent.id!r}; give the agent or its id, not both")
    if isinstance(id, Agent):
        raise TypeError(f"supervisor_id: {id!r} is an Agent; give it as `supervisor`, or its id here")
    if id is not None:
        try:
            valid_id(id)
        except ValueError as error:
            raise ValueError(f"supervisor_{error}") from None
    return agent.id if agent else id
