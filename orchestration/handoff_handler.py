"""HandoffHandler: has the handoffs happen that agents ask for. Each is decided, kept, and then told to all who look on.

A handoff that cannot be kept does not happen, and the model is told so. The agent that gets the conversation answers
the same turn (`orchestration.asked.Routed`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Set
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orchestration.agent import Agent
from orchestration.asked import Asked, current
from orchestration.event import RoomEvent
from orchestration.handoff import (
    MAX_DEPTH,
    TIME_LIMIT,
    Handoff,
    HandoffRules,
    Rejection,
    purposes,
)
from orchestration.handoff_chain import HandoffChain
from orchestration.handoff_request import HANDOFF_TOOL, HUMAN, MAX_TARGET
from orchestration.hooks import HookTrigger
from orchestration.identity import valid_name
from orchestration.inbound import ChannelCategory, ChannelType, TextContent
from orchestration.renamed import renamed
from orchestration.room import Room
from orchestration.room_trouble import RoomError
from orchestration.state import ConversationState
from orchestration.status.entry import StatusLevel
from orchestration.store.trouble import StoreError
from orchestration.tools import Tool, unique

if TYPE_CHECKING:
    from orchestration.routing import Router
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.handoff")

SYSTEM = "system"
"""Who tells a room of a handoff, and by which channel."""
ACTION = "handoff"
"""The action of the entries on the status bus."""
FAILED = "error: the handoff did not happen, and will not now; go on with the caller yourself"
"""What a model is told when it cannot be kept, as the store is away."""
DONE = "Done: {to} has the conversation now. Say nothing more."
BACK = "error: {to} could not answer; the conversation is yours again. Go on yourself, or hand over to another."
"""What who gave it away is told instead, the next time that its model is asked."""
MAX_KEPT = 64
"""Groups of agents whose rules are kept; rooms with the same agents share them."""


class _NotAllowedError(Exception):
    """A handoff that must not be."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.reason)
        self.rejection = rejection


class HandoffHandler:
    """Implements `orchestration.asked.HandsOver`: `room.handoff` of the rooms it serves. It keeps no state of a room.

    `agent_aliases`, `phase_map`, `allowed_transitions`, `human`, `max_depth` and `time_limit` (seconds) are those of
    `HandoffRules`; the agents are those of the room, without the supervisor (None: the router's), who looks on.
    What names an agent that is not in a room does not count there.
    """

    @renamed("HandoffHandler", kit="runtime")
    def __init__(
        self,
        *,
        runtime: Runtime | None = None,
        router: Router | None = None,
        agent_aliases: Mapping[str, str] | None = None,
        phase_map: Mapping[str, str] | None = None,
        allowed_transitions: Mapping[str, Set[str]] | None = None,
        human: bool = True,
        supervisor_id: str | None = None,
        max_depth: int = MAX_DEPTH,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        """Raises TypeError for unknown arguments and what is no runtime or router, ValueError naming what is wrong."""
        if runtime is None or not callable(getattr(runtime, "fire", None)):
            raise TypeError(f"runtime: {runtime!r:.60} is no Runtime; give the one whose rooms it serves")
        if not callable(getattr(router, "route", None)):
            raise TypeError(f"router: {router!r:.60} is no Router, like ConversationRouter(...)")
        self.runtime = runtime
        self.router = router
        self.supervisor_id = supervisor_id or getattr(router, "supervisor_id", None)
        aliases, phases = dict(agent_aliases or {}), dict(phase_map or {})
        named = {*aliases.values(), *phases} - {HUMAN}
        self._pattern = HandoffRules(
            agents=dict.fromkeys(sorted(map(str, named)), ""),
            aliases=aliases,
            phase_map=phases,
            allowed_transitions=allowed_transitions,
            human=human,
            supervisor_id=self.supervisor_id,
            max_depth=max_depth,
            time_limit=time_limit,
        )
        self._rules: dict[tuple[Agent, ...], HandoffRules | None] = {}
        """By the agents that are in a room; None: they fit no rules."""

    def rules(self, room: Room) -> HandoffRules | None:
        """Who may hand over to whom in this room, as long as its agents stay; None: its agents fit no rules."""
        there = tuple(room.agents.values())
        if there not in self._rules:
            if len(self._rules) >= MAX_KEPT:
                self._rules.clear()
            self._rules[there] = self._made(room, there)
        return self._rules[there]

    def _made(self, room: Room, there: tuple[Agent, ...]) -> HandoffRules | None:
        pattern = self._pattern
        agents = purposes(*(agent for agent in there if agent.id != self.supervisor_id))
        known = {*agents, HUMAN}
        if missing := sorted({*pattern.aliases.values(), *pattern.phase_map} - known):
            log.warning("room %s: handoffs know %s, who is not in the room", room.id, ", ".join(missing))
        try:
            return HandoffRules(
                agents=agents,
                aliases={alias: target for alias, target in pattern.aliases.items() if target in known},
                phase_map={agent: phase for agent, phase in pattern.phase_map.items() if agent in known},
                allowed_transitions=pattern.allowed_transitions,
                human=pattern.human,
                supervisor_id=self.supervisor_id,
                max_depth=pattern.max_depth,
                time_limit=pattern.time_limit,
            )
        except ValueError as error:
            log.error("room %s: no agent can hand over: %s", room.id, error)
            return None

    # -- who asks for it

    def tool_for(self, asked: Asked, agent: Agent) -> Tool | None:
        """The tool by which `agent` does, with the targets it may choose now; None: there is nobody to give it to."""
        rules = self.rules(asked.room)
        state = asked.state
        spec = rules.tool(agent.id, state.phase, state.active_agent_id) if rules else None
        if spec is None:
            return None

        async def run(arguments: Mapping[str, Any]) -> str:
            return await self._hand_over(asked.runtime, asked.room, agent.id, arguments, asked)

        return Tool(spec, run)

    async def called(self, agent: Agent, arguments: Mapping[str, Any]) -> str:
        """What comes of it that `agent` called the tool in the turn it answers."""
        asked = current()
        if asked is None or asked.agent is not agent:
            return "error: there is no conversation here that you could hand over"
        return await self._hand_over(asked.runtime, asked.room, agent.id, arguments, asked)

    async def handle(self, room_id: str, by: str, arguments: Mapping[str, Any]) -> str:
        """Have the agent `by` hand over, with the tool's arguments, as if its model had called the tool.

        Returns what a model would be told: "error: ..." when it does not happen. Within a tool of `by` the next agent
        answers the turn. Raises RoomError when there is no such room, ValueError when `by` is not in it.
        """
        room = self.runtime.room(valid_name(room_id, "room_id"))
        if by not in room.agents:
            there = ", ".join(room.agents) or "none"
            raise ValueError(f"by: {by!r:.80} is no agent in room {room.id!r}; there are {there}")
        asked = current()
        own = asked is not None and asked.room is room and asked.agent is room.agents[by]
        return await self._hand_over(self.runtime, room, by, arguments, asked if own else None)

    # -- what happens

    async def _hand_over(
        self, runtime: Runtime, room: Room, by: str, arguments: Mapping[str, Any], asked: Asked | None
    ) -> str:
        """Either all of it, or nothing; returns what the model is told."""
        decided: list[Handoff] = []

        def decide(state: ConversationState) -> ConversationState:
            made = self._decided(room, state, by, arguments, asked)
            if isinstance(made, Rejection):
                raise _NotAllowedError(made)
            decided.append(made)
            return made.state

        try:
            await runtime.store.change_state(room, decide)
        except _NotAllowedError as error:
            await _tell_rejection(runtime, room, by, arguments, error.rejection)
            return f"error: {error.rejection.reason}"
        except (StoreError, RoomError, ValueError) as error:
            log.error("room %s: a handoff by %s cannot be kept: %s", room.id, by, error)
            return FAILED
        made = decided[-1]
        if asked is not None:
            asked.chain = made.chain
            successor = room.agents[made.to_agent] if made.to_agent else None
            asked.give(successor, partial(self._take_back, asked, by, made) if successor else None)
        await _tell(runtime, room, by, made)
        return DONE.format(to=made.to_agent or "a person")

    async def _take_back(self, asked: Asked, by: str, made: Handoff) -> None:
        """Whoever got the conversation cannot answer: who gave it away has it again, and is told so."""
        runtime, room, to = asked.runtime, asked.room, made.to_agent
        before: list[ConversationState] = []

        def take_back(state: ConversationState) -> ConversationState:
            before.append(state)
            return made.taken_back(state, f"{to} did not answer")

        try:
            after = await runtime.store.change_state(room, take_back)
        except (StoreError, RoomError, ValueError) as error:
            log.error("room %s: the handoff to %s cannot be taken back: %s", room.id, to, error)
            return
        if after is before[-1]:
            return  # it has gone on from there
        for stage in asked.stages:
            for place, message in enumerate(stage.said):
                if stage.agent == by and message.text == DONE.format(to=to):
                    stage.said[place] = replace(message, text=BACK.format(to=to))
        await _tell_return(runtime, room, made, after)

    def _decided(
        self, room: Room, state: ConversationState, by: str, arguments: Mapping[str, Any], asked: Asked | None
    ) -> Handoff | Rejection:
        rules = self.rules(room)
        if rules is None:
            raise ValueError("there are no rules for the agents of this room")
        now = asyncio.get_running_loop().time()
        chain = asked.chain if asked else HandoffChain(now)
        return rules.decide(state, by, arguments, chain, now=now)


def setup_handoff(agent: Agent, handler: HandoffHandler) -> None:
    """Give an agent the tool `handoff_conversation`, wherever it talks; the newest handler counts.

    Where a room has a `handoff` of its own, that one's tool counts. Raises TypeError for what is no agent or handler,
    and when another tool of the agent has that name.
    """
    if not isinstance(agent, Agent):
        raise TypeError(f"agent: {agent!r:.60} is no Agent")
    if not isinstance(handler, HandoffHandler):
        raise TypeError(f"handler: {handler!r:.60} is no HandoffHandler")

    async def run(arguments: Mapping[str, Any]) -> str:
        return await handler.called(agent, arguments)

    tools = [*(tool for tool in agent.tools if tool.spec is not HANDOFF_TOOL), Tool(HANDOFF_TOOL, run)]
    unique(tools)
    agent.tools = tools


async def _tell(runtime: Runtime, room: Room, by: str, made: Handoff) -> None:
    to = made.to_agent or HUMAN
    log.info("room %s: %s handed the conversation over to %s: %s", room.id, by, to, made.reason)
    facts = {
        "from_agent": made.from_agent,
        "to_agent": made.to_agent,
        "from_phase": made.from_phase,
        "to_phase": made.to_phase,
        "channel_escalation": made.channel_escalation.value,
        "reason": made.reason,
        "summary": made.summary,
    }
    id = _note(runtime, room, f"{by} handed the conversation over to {to}.", facts)
    _post(runtime, room, by, StatusLevel.OK, f"to {to}: {made.reason}", facts)
    for trigger in (HookTrigger.ON_HANDOFF, HookTrigger.ON_PHASE_TRANSITION):
        await runtime.fire(trigger, room.id, id, made.reason, facts)


async def _tell_return(runtime: Runtime, room: Room, made: Handoff, after: ConversationState) -> None:
    to, back = made.to_agent or HUMAN, after.active_agent_id or HUMAN
    reason = f"{to} did not answer"
    log.warning("room %s: %s; %s has the conversation again", room.id, reason, back)
    facts = {
        "from_agent": made.to_agent,
        "to_agent": after.active_agent_id,
        "from_phase": made.to_phase,
        "to_phase": after.phase,
        "reason": reason,
    }
    id = _note(runtime, room, f"{reason}; {back} has the conversation again.", facts, back=True)
    _post(runtime, room, to, StatusLevel.FAILED, f"back to {back}: {reason}", facts)
    await runtime.fire(HookTrigger.ON_PHASE_TRANSITION, room.id, id, reason, facts)


def _note(runtime: Runtime, room: Room, text: str, facts: Mapping[str, Any], *, back: bool = False) -> str:
    """Tell the room, and its pages; returns the event's id. `back`: a handoff is taken back.

    What an agent wrote down for the next one is not for callers to read.
    """
    event = RoomEvent(
        id=f"handoff-{uuid4().hex[:12]}",
        room=room.id,
        channel_id=SYSTEM,
        sender_id=SYSTEM,
        content=TextContent(text),
        channel_type=ChannelType.SYSTEM,
        category=ChannelCategory.SYSTEM,
        metadata={name: fact for name, fact in facts.items() if name != "summary"},
    )
    runtime.store.note(event)
    runtime.broadcast.after(event)
    runtime.broadcast.show(room, event)
    if session := runtime.session(room.id):
        session.handed_over(facts["from_agent"], facts["to_agent"], back=back)
    return event.id


def _post(runtime: Runtime, room: Room, agent: str, level: StatusLevel, detail: str, facts: Mapping[str, Any]) -> None:
    """Tell the status bus; what is long is in the room's event."""
    short = {name: fact for name, fact in facts.items() if name not in ("reason", "summary")}
    runtime.status_bus.post(agent_id=agent, action=ACTION, status=level, detail=detail, metadata=short, room=room.id)


async def _tell_rejection(runtime: Runtime, room: Room, by: str, arguments: Mapping[str, Any], made: Rejection) -> None:
    target = arguments.get("target") if isinstance(arguments, Mapping) else None
    facts = {"code": made.code.value, "reason": made.reason, "target": str(target)[:MAX_TARGET], "from_agent": by}
    log.info("room %s: %s must not hand over to %s: %s", room.id, by, facts["target"], made.reason)
    await runtime.fire(HookTrigger.ON_HANDOFF_REJECTED, room.id, f"handoff-{uuid4().hex[:12]}", made.reason, facts)
