"""Routing, wired: a router as the hook that decides who answers what comes into a room, with the handoffs beside it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestration.agent import Agent
from orchestration.event import RoomEvent
from orchestration.identity import valid_name
from orchestration.inbound import ChannelCategory
from orchestration.renamed import renamed
from orchestration.room_trouble import RoomError
from orchestration.state import (
    KEY,
    ConversationState,
    StateError,
    get_conversation_state,
    set_conversation_state,
)
from orchestration.usage import Tab, charging

if TYPE_CHECKING:
    from orchestration.handoff_handler import HandoffHandler
    from orchestration.hooks import Hook, HookContext
    from orchestration.room import Room
    from orchestration.routing import Router
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.routing")

ROUTED_TO = "_routed_to"
"""The mark on an event's metadata: the id of the one agent that answers it, or None."""
ALWAYS_PROCESS = "_always_process"
"""The mark on an event's metadata: the ids of agents that see it in any case."""
HELD_BY = "_held_by"
"""The mark on an event's metadata: which agent had the conversation (None: none) when the event was routed."""
PRIORITY = -100
"""Of the BEFORE_BROADCAST hook that routes: before the hooks of users, who may see where an event goes."""


class Installable:
    """What a router can do beside routing. To have it, subclass it and implement `orchestration.routing.Router`."""

    def as_hook(self: Router) -> Hook:
        """A SYNC hook for BEFORE_BROADCAST that marks what callers say with who answers it (see `Route.marks`)."""
        return _Routing(self)

    @renamed("install", kit="runtime")
    def install(
        self: Router,
        runtime: Runtime,
        agents: Sequence[Agent],
        *,
        room_id: str | None = None,
        agent_aliases: Mapping[str, str] | None = None,
        phase_map: Mapping[str, str] | None = None,
        allowed_transitions: Mapping[str, Set[str]] | None = None,
        hook_priority: int = PRIORITY,
        human: bool = True,
        beginning: ConversationState | None = None,
        **limits: Any,
    ) -> HandoffHandler:
        """Route the events of one room, where these agents come in, or (None) of all rooms where one of them is.

        They can hand over to each other: with `room_id` by `room.handoff`, otherwise by a tool of their own too. The
        rest is told at `HandoffHandler`; `beginning` is the state of a conversation that begins. Returns the handler,
        whose `handle` has an agent hand over. Raises TypeError and ValueError naming what is wrong, RoomError when
        there is no such room.
        """
        from orchestration.handoff_handler import HandoffHandler, setup_handoff
        from orchestration.hooks import HookExecution, HookTrigger

        room = None if room_id is None else runtime.room(valid_name(room_id, "room_id"))
        team = known_agents(agents)
        _check_names("agent_aliases", (agent_aliases or {}).values(), team)
        _check_names("phase_map", phase_map or {}, team)
        handler = HandoffHandler(
            runtime=runtime,
            router=self,
            agent_aliases=agent_aliases,
            phase_map=phase_map,
            allowed_transitions=allowed_transitions,
            human=human,
            **limits,
        )
        if room is None:
            for agent in team:
                setup_handoff(agent, handler)
        else:
            room.attach(*team)
            room.handoff = handler
            settled(room, beginning)
        there = room.agents if room else {agent.id for agent in team}
        if missing := [name for name in getattr(self, "named", ()) if name not in there]:
            log.warning("%r routes to %s, who is not among the agents here", self, ", ".join(missing))
        routing = _Routing(self, beginning, handler, team)
        runtime.hook(
            HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC, priority=hook_priority, room_id=room_id
        )(routing)
        return handler


class _Routing:
    """The hook. `team`: only rooms with one of them are its business (None: all rooms)."""

    def __init__(
        self,
        router: Router,
        beginning: ConversationState | None = None,
        handler: HandoffHandler | None = None,
        team: Collection[Agent] | None = None,
    ) -> None:
        self._router = router
        self._beginning = beginning
        self._handler = handler
        self._team = team

    def __repr__(self) -> str:
        return f"routing by {self._router!r:.60}"

    async def __call__(self, event: RoomEvent, context: HookContext) -> RoomEvent | None:
        """The event with its marks; None: it is not to be routed."""
        if event.category is not ChannelCategory.TRANSPORT:
            return None
        try:
            room: Room = context.runtime.room(event.room)
        except RoomError:
            return None  # it has just been closed
        if self._team is not None:
            if not any(room.agents.get(agent.id) is agent for agent in self._team):
                return None
            room.handoff = room.handoff or self._handler
        state = settled(room, self._beginning)
        with charging(Tab(context.runtime.meter, room.id)):
            route = await self._router.route(event, state, agents=_readers(room, event), context=context)
        if route is None:
            return None
        if route.agent_id is None:
            log.info("room %s: no agent answers %s (%s)", room.id, event.id, route.via)
        return event.stamped({**route.marks(), HELD_BY: state.active_agent_id})


def settled(room: Room, beginning: ConversationState | None) -> ConversationState:
    """The room's state, put right where it stands for nothing; what is put right is kept with the next change.

    A conversation that has no state yet gets `beginning`; one whose state cannot be read begins anew, as a room must
    not fall silent; one whose agent is not in the room any more goes back to the first agent.
    """
    try:
        state = get_conversation_state(room)
    except StateError as error:
        log.error("%s; it begins anew now", error)
        fresh = beginning or ConversationState()
    else:
        if KEY not in room.metadata:
            if beginning is None:
                return state
            fresh = beginning
        elif state.active_agent_id is None or state.active_agent_id in room.agents:
            return state
        else:
            fresh = _without(state, room, beginning)
    room.metadata = set_conversation_state(room, fresh).metadata
    return fresh


def _without(state: ConversationState, room: Room, beginning: ConversationState | None) -> ConversationState:
    """The state without its agent, who is not there."""
    gone = state.active_agent_id
    log.warning("room %s: %s had the conversation and is not in the room any more", room.id, gone)
    if beginning is None or beginning.active_agent_id not in room.agents:
        return replace(state, active_agent_id=None, previous_agent_id=None)
    return state.transition(beginning.phase, beginning.active_agent_id, f"{gone} is not in the room any more")


def known_agents(agents: Sequence[Agent]) -> tuple[Agent, ...]:
    """Raises TypeError for what is no agent, ValueError when there are none or two have one id."""
    if not isinstance(agents, list | tuple):
        raise TypeError(f"agents: {agents!r:.60} is no list; give a list of Agents")
    for agent in agents:
        if not isinstance(agent, Agent):
            raise TypeError(f"agents: {agent!r:.60} is no Agent")
    if not agents:
        raise ValueError("agents: there are none; give at least one Agent")
    ids = [agent.id for agent in agents]
    if twice := [id for id in ids if ids.count(id) > 1]:
        raise ValueError(f"agents: two have the id {twice[0]!r}; ids must differ")
    return tuple(agents)


def _readers(room: Room, event: RoomEvent) -> Collection[str]:
    """The agents that may see what came by this channel."""
    source = room.channels.get(event.channel_id)
    if source is None or source.visibility == "all":
        return room.agents
    return [id for id in room.agents if source.shown_to(id, ChannelCategory.INTELLIGENCE)]


def _check_names(field: str, names: Collection[str], team: Sequence[Agent]) -> None:
    """Raises ValueError for a name that is nobody's."""
    ids = [agent.id for agent in team]
    if unknown := [name for name in names if name not in (*ids, "human")]:
        raise ValueError(f"{field}: {unknown[0]!r:.60} is no agent here; there are {', '.join(ids)}")
