"""Handoffs: an agent gives the conversation to another one, or to a human. Whether it may is decided here, purely.

What models ask for is checked against who is there, how the conversation may go on, and what has happened since the
caller last spoke: agents that pass a caller round and round are stopped after one round. A refusal tells the model
what it can do instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestration.agent import Agent
from orchestration.handoff_chain import HandoffChain
from orchestration.handoff_request import HANDOFF_TOOL, HUMAN, ChannelEscalation, HandoffRequest
from orchestration.models.model import ToolSpec
from orchestration.plain import ReadOnly
from orchestration.routing import members
from orchestration.state import ConversationPhase, ConversationState, agent_or_none, valid_agent, valid_phase

NOTE = "_handoff"
"""Where a state's context has what the last handoff was about."""
MAX_DEPTH = 5
"""Handoffs in one turn of the caller; who is passed on more often should be asked what they want."""
TIME_LIMIT = 30.0
"""Seconds after the caller's turn in which agents may still pass it on: then somebody has to answer."""
MAX_NAMES = 200
"""Most agents and aliases: models read all of them each time."""


class RejectionCode(StrEnum):
    """Why a handoff is refused."""

    BAD_REQUEST = "bad_request"
    NOT_ACTIVE = "not_active"
    UNKNOWN_TARGET = "unknown_target"
    SAME_AGENT = "same_agent"
    NOT_ALLOWED = "not_allowed"
    LOOP = "loop"
    TOO_DEEP = "too_deep"
    TOO_LATE = "too_late"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A handoff that does not happen; `reason` is written for the model: what is wrong, and what to do instead."""

    code: RejectionCode
    reason: str


@dataclass(frozen=True, slots=True)
class Handoff:
    """A handoff that happens: `state` is the conversation's from now on, `chain` the turn's.

    `to_agent` is None for a human; `channel_escalation` is the way by which the caller is to be reached from now on.
    """

    state: ConversationState
    chain: HandoffChain
    from_agent: str | None
    to_agent: str | None
    from_phase: str
    reason: str
    summary: str
    channel_escalation: ChannelEscalation

    @property
    def to_phase(self) -> str:
        """The phase from now on."""
        return self.state.phase

    def taken_back(self, state: ConversationState, reason: str) -> ConversationState:
        """`state` with the conversation given back, if whoever got it still has it but does not answer."""
        if state.active_agent_id != self.to_agent or self.from_agent is None:
            return state
        return state.transition(self.from_phase, self.from_agent, reason)


@dataclass(frozen=True, slots=True)
class HandoffNote:
    """What the last handoff was about, as it is kept in the state's context for the agent that got it."""

    from_agent: str | None
    to_agent: str | None
    reason: str
    summary: str
    channel_escalation: str = "same"
    """The way by which the caller is to be reached from now on."""

    @classmethod
    def of(cls, state: ConversationState) -> HandoffNote | None:
        """The note in a state's context, if there is one that can be read."""
        kept = state.context.get(NOTE)
        if not isinstance(kept, Mapping):
            return None
        found = {name: kept.get(name) for name in cls.__slots__}
        match {**found, "channel_escalation": kept.get("channel_escalation", "same")}:
            case {
                "from_agent": str() | None as giver,
                "to_agent": str() | None as taker,
                "reason": str() as reason,
                "summary": str() as summary,
                "channel_escalation": str() as way,
            }:
                return cls(giver, taker, reason, summary, way)
        return None

    def written(self) -> Mapping[str, Any]:
        """As it stands in a context."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class HandoffRules:
    """Who may give the conversation to whom.

    `agents`: id and purpose of each (`purposes` makes it of Agents). `aliases`: other names for them, and for "human".
    `phase_map`: the phase that comes with an agent, or with "human" (else "handling" and "escalation").
    `allowed_transitions`: the phases that may follow on each phase (None: all); a phase that is not in it is outside
    the plan, and all phases of the plan may follow on it. `human`: whether "human" is a target. `supervisor_id` may
    give away what another agent has. One turn of the caller has room for `max_depth` handoffs in `time_limit` seconds.

    Raises ValueError naming the field that is wrong.
    """

    agents: Mapping[str, str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    phase_map: Mapping[str, str] = field(default_factory=dict)
    allowed_transitions: Mapping[str, Set[str]] | None = None
    human: bool = True
    supervisor_id: str | None = None
    max_depth: int = MAX_DEPTH
    time_limit: float = TIME_LIMIT

    def __post_init__(self) -> None:
        for name in ("agents", "aliases", "phase_map"):
            if not isinstance(given := getattr(self, name), Mapping):
                raise ValueError(f"{name}: {type(given).__name__} is no mapping; give a dict")
            object.__setattr__(self, name, ReadOnly(given))
        if (count := len(self.agents) + len(self.aliases)) > MAX_NAMES:
            raise ValueError(f"agents: {count} agents and aliases are too many; use at most {MAX_NAMES}")
        self._check_names()
        self._check_plan()
        agent_or_none(self.supervisor_id, "supervisor_id")
        if not isinstance(self.max_depth, int) or self.max_depth < 1:
            raise ValueError(f"max_depth: {self.max_depth!r:.60} is no whole number from 1 on")
        if not isinstance(self.time_limit, int | float) or not self.time_limit > 0:
            raise ValueError(f"time_limit: {self.time_limit!r:.60} is no number of seconds above 0")

    def _check_names(self) -> None:
        for agent in self.agents:
            valid_agent(agent, "agents")
        if HUMAN in self.agents:
            raise ValueError(f"agents: {HUMAN!r} is not free as an id; it means a person")
        for alias, target in self.aliases.items():
            valid_agent(alias, "aliases")
            if target not in self.agents and not (target == HUMAN and self.human):
                raise ValueError(f"aliases: {alias!r} stands for {target!r}, which is no agent here; {self._there()}")
            if alias in (*self.agents, HUMAN) and alias != target:
                raise ValueError(f"aliases: {alias!r} is itself an id; choose another alias for {target!r}")

    def _check_plan(self) -> None:
        for agent, phase in self.phase_map.items():
            valid_phase(phase, "phase_map")
            if agent not in self.agents and agent != HUMAN:
                raise ValueError(f"phase_map: {agent!r} is no agent here; {self._there()}")
        if (plan := self.allowed_transitions) is not None:
            checked = {
                valid_phase(phase, "allowed_transitions"): members(after, "allowed_transitions", valid_phase)
                for phase, after in plan.items()
            }
            object.__setattr__(self, "allowed_transitions", ReadOnly(checked))

    # -- what is offered

    def targets(self, agent_id: str, phase: str, holder: str | None = None) -> list[str]:
        """The agents to which `agent_id` may give a conversation that is in `phase`, and that `holder` has."""
        return [
            agent
            for agent in self.agents
            if agent not in (agent_id, holder) and self._misplaced(phase, agent, self._phase_of(agent)) is None
        ]

    def tool(self, agent_id: str, phase: str, holder: str | None = None) -> ToolSpec | None:
        """The `handoff_conversation` tool, as that agent is offered it in that phase; None: there is nobody to go to.

        Its target can be nothing but a name that leads somewhere. `holder`: who has the conversation, if another one.
        """
        reachable = [*self.targets(agent_id, phase, holder), *([HUMAN] if self.human else [])]
        if not reachable:
            return None
        names = {target: [target, *(a for a, t in self.aliases.items() if t == target != a)] for target in reachable}
        enum = [name for target in reachable for name in names[target]]
        told = [f"{' or '.join(names[target])}: {self._purpose(target)}" for target in reachable]
        properties = dict(HANDOFF_TOOL.schema["properties"])
        properties["target"] = {"type": "string", "enum": enum, "description": "Who takes over. " + " ".join(told)}
        return replace(HANDOFF_TOOL, schema={**HANDOFF_TOOL.schema, "properties": properties})

    # -- what is decided

    def decide(
        self,
        state: ConversationState,
        by: str,
        request: HandoffRequest | Mapping[str, Any],
        chain: HandoffChain,
        *,
        now: float,
        timestamp: datetime | None = None,
    ) -> Handoff | Rejection:
        """What comes of it that agent `by` asks for a handoff, at `now` (seconds of the loop's clock).

        A request may be the tool's arguments as the model gave them. A human can always be asked for: neither the plan
        nor the limits of a turn stand in the way, and no phase of an agent's comes with it. `timestamp`: what the
        history says (None: now). Raises ValueError when the state's context has no room left for the summary.
        """
        if not isinstance(request, HandoffRequest):
            try:
                request = HandoffRequest.parse(request)
            except ValueError as error:
                return Rejection(RejectionCode.BAD_REQUEST, f"The arguments do not fit: {error}. Call it again.")
        holder = "a person" if state.with_human else state.active_agent_id or by
        if holder != by and by != self.supervisor_id:
            done = f"Not you but {holder} has the conversation now: stop here and say no more."
            return Rejection(RejectionCode.NOT_ACTIVE, done)
        target = self.aliases.get(request.target, request.target)
        if target == HUMAN and self.human:
            if state.with_human:
                return Rejection(RejectionCode.SAME_AGENT, "A person has the conversation already: leave it to them.")
            phase = self.phase_map.get(HUMAN, str(ConversationPhase.ESCALATION))
            return self._given(state, by, None, phase, request, chain, timestamp)
        phase = request.next_phase or self._phase_of(target)
        refusal = self._refusal(state, by, target, phase) or self._endless(target, chain, now)
        return refusal or self._given(state, by, target, phase, request, chain, timestamp)

    def _refusal(self, state: ConversationState, by: str, target: str, phase: str) -> Rejection | None:
        """Why `target` may not get a conversation that is in this state."""
        if target not in self.agents:
            return self._told(RejectionCode.UNKNOWN_TARGET, f"There is no {target!r}.", by, state)
        if target == state.active_agent_id or (target == by and state.active_agent_id is None):
            going = "You have the conversation already" if target == by else f"{target} has the conversation already"
            return Rejection(RejectionCode.SAME_AGENT, f"{going}: go on and answer the caller.")
        if wrong := self._misplaced(state.phase, target, phase):
            return self._told(RejectionCode.NOT_ALLOWED, wrong, by, state)
        return None

    def _endless(self, target: str, chain: HandoffChain, now: float) -> Rejection | None:
        """Why nobody should pass on this turn once more."""
        answer = "Answer the caller yourself, or ask them what they need."
        if target in chain.passed and self.allowed_transitions is None:  # a plan's ways back are meant
            why = f"{target} has just given this conversation away; giving it back would go round in circles."
            return Rejection(RejectionCode.LOOP, f"{why} {answer}")
        if len(chain.passed) >= self.max_depth:
            why = f"The caller has been passed on {len(chain.passed)} times without an answer."
            return Rejection(RejectionCode.TOO_DEEP, f"{why} {answer}")
        if now - chain.began > self.time_limit:
            return Rejection(RejectionCode.TOO_LATE, f"The caller has waited {now - chain.began:.0f} s. {answer}")
        return None

    def _given(
        self,
        state: ConversationState,
        by: str,
        target: str | None,
        phase: str,
        request: HandoffRequest,
        chain: HandoffChain,
        timestamp: datetime | None,
    ) -> Handoff:
        note = HandoffNote(by, target, request.reason, request.summary, request.channel_escalation.value)
        # Who answers by a rule or by default has the conversation too; a human can only be given what somebody had.
        held = state if state.active_agent_id or state.with_human else replace(state, active_agent_id=by)
        after = held.transition(phase, target, request.reason, context={NOTE: note.written()}, timestamp=timestamp)
        return Handoff(
            state=after,
            chain=replace(chain, passed=(*chain.passed, by)),
            from_agent=state.active_agent_id or by,
            to_agent=target,
            from_phase=state.phase,
            reason=request.reason,
            summary=request.summary,
            channel_escalation=request.channel_escalation,
        )

    def _phase_of(self, agent: str) -> str:
        return self.phase_map.get(agent, str(ConversationPhase.HANDLING))

    def _misplaced(self, now_in: str, target: str, phase: str) -> str | None:
        """Why the plan does not let `target` have the conversation in `phase`, after the phase it is in."""
        plan = self.allowed_transitions
        if plan is None:
            return None
        own = self.phase_map.get(target, phase)
        if phase != own:
            return f"{target} works in the phase {own!r}, not in {phase!r}; leave next_phase out."
        follows = phase in plan[now_in] if now_in in plan else any(phase in (at, *after) for at, after in plan.items())
        return None if follows else f"The phase {phase!r} does not follow on {now_in!r}."

    def _told(self, code: RejectionCode, wrong: str, by: str, state: ConversationState) -> Rejection:
        names = [*self.targets(by, state.phase), *([HUMAN] if self.human else [])]
        instead = f"You can hand over to {', '.join(names)}." if names else "Go on with the conversation yourself."
        return Rejection(code, f"{wrong} {instead}")

    def _purpose(self, target: str) -> str:
        return "a person, when no agent can help." if target == HUMAN else f"{self.agents[target] or 'an agent'}."

    def _there(self) -> str:
        return f"there are {', '.join(self.agents) or 'none'}"


def purposes(*agents: Agent) -> dict[str, str]:
    """What each agent is for, for those who may hand over to it."""
    return {a.id: ": ".join(text.rstrip(".") for text in (a.role, a.description) if text) for a in agents}
