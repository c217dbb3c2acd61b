"""Routing: which agent is to answer an event. Affinity first, then rules by priority, then a default.

A router is asked before an event is broadcast, with the room's state and the agents that are in the room; it keeps no
state of a room, so one may serve them all. Semantic and model-based routers implement `Router` too, and are put in a
row by `orchestration.routing_cascade`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from orchestration.event import RoomEvent, known
from orchestration.identity import valid_name
from orchestration.inbound import ChannelCategory, ChannelType
from orchestration.routing_hook import ALWAYS_PROCESS, ROUTED_TO, Installable
from orchestration.state import ConversationState, agent_or_none, valid_agent, valid_phase
from voice.cancellation import cancelled_here
from voice.clock import now

log = logging.getLogger("sottovoce.routing")

PATIENCE = 0.5
"""Seconds that a rule's `custom` may take, as a caller waits meanwhile; then the rule does not match."""
ALL_PATIENCE = 2.0
"""Seconds that all of them together may take for one event; what is asked after that has to know at once."""
MAX_RULES = 1_000
"""Most rules of one router: they are looked through for every event that has no agent yet."""
Predicate = Callable[[RoomEvent, Any, ConversationState], bool | Awaitable[bool]]
"""(event, context, state): does the rule match? A plain one must be quick, an async one may take PATIENCE."""


class Via(StrEnum):
    """How an agent was found."""

    AFFINITY = "affinity"
    RULE = "rule"
    DEFAULT = "default"
    MODEL = "model"
    """By what the words mean: for semantic and model-based routers."""
    FALLBACK = "fallback"
    HUMAN = "human"
    """A human has the conversation; no agent answers."""
    NOBODY = "nobody"
    """There is no agent for it."""


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers an event (None: no agent), and who sees it in any case.

    `confidence` is 0 to 1, for routers that guess.
    """

    agent_id: str | None
    via: Via
    always: tuple[str, ...] = ()
    confidence: float = 1.0

    def marks(self) -> Mapping[str, Any]:
        """What is stamped on the event's metadata."""
        return {ROUTED_TO: self.agent_id, ALWAYS_PROCESS: list(self.always)}


class Router(Protocol):
    """Finds the agent for an event. It must be quick, or a caller waits; a cascade bounds that."""

    async def route(
        self, event: RoomEvent, state: ConversationState, *, agents: Collection[str], context: Any = None
    ) -> Route | None:
        """Who answers; None: this event is not to be routed, or there is no telling.

        `agents`: the ids of those that are in the room; no other may be chosen. `context`: the hook's.
        """
        ...


@dataclass(frozen=True, slots=True)
class RoutingConditions:
    """All that are given must hold; none given: it always matches.

    `intents` are compared with `event.metadata["intent"]`, `source_channel_ids` with the channel it came by; `custom`
    is asked last. Raises ValueError naming the field that is wrong.
    """

    phases: Set[str] | None = None
    channel_types: Set[ChannelType] | None = None
    intents: Set[str] | None = None
    source_channel_ids: Set[str] | None = None
    custom: Predicate | None = None

    def __post_init__(self) -> None:
        self._each("phases", valid_phase)
        self._each("channel_types", lambda value, field: known(ChannelType, field, value))
        self._each("intents", _intent)
        self._each("source_channel_ids", valid_name)
        if self.custom is not None and not callable(self.custom):
            raise ValueError(f"custom: {self.custom!r:.60} is no function; give one of (event, context, state)")

    def _each(self, field: str, checked: Callable[[object, str], str]) -> None:
        values = getattr(self, field)
        if values is None:
            return
        if not (wanted := members(values, field, checked)):
            raise ValueError(f"{field}: it is empty and would never match; leave it out to match any")
        object.__setattr__(self, field, wanted)

    def fits(self, event: RoomEvent, state: ConversationState) -> bool:
        """Whether all hold, `custom` left out."""
        return (
            (self.phases is None or state.phase in self.phases)
            and (self.channel_types is None or event.channel_type in self.channel_types)
            and (self.intents is None or event.intent in self.intents)
            and (self.source_channel_ids is None or event.channel_id in self.source_channel_ids)
        )


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """`agent_id` answers where `conditions` hold. Of several rules the lowest `priority` counts, then the first."""

    agent_id: str
    conditions: RoutingConditions = field(default_factory=RoutingConditions)
    priority: int = 0

    def __post_init__(self) -> None:
        valid_agent(self.agent_id, "agent_id")
        if not isinstance(self.conditions, RoutingConditions):
            raise ValueError(f"conditions: {self.conditions!r:.60} are none; give RoutingConditions(...)")
        if not isinstance(self.priority, int) or isinstance(self.priority, bool):
            raise ValueError(f"priority: {self.priority!r:.60} is no whole number")

    async def matches(
        self, event: RoomEvent, context: Any, state: ConversationState, patience: float = PATIENCE
    ) -> bool:
        """Whether its conditions hold. A `custom` that raises, or takes more than `patience` s, is logged: no."""
        if not self.conditions.fits(event, state):
            return False
        custom = self.conditions.custom
        if custom is None:
            return True
        try:
            answer = custom(event, context, state)
            if inspect.isawaitable(answer):
                async with asyncio.timeout(patience):
                    answer = await answer
            return bool(answer)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_here():
                raise
            log.error(
                "the rule for %s: its condition %r failed and does not hold", self.agent_id, custom, exc_info=error
            )
            return False


class OverseenRouter(Installable, ABC):
    """A router of what people and programs say; its `supervisor_id` sees every event, whoever answers it."""

    supervisor_id: str | None

    async def route(
        self, event: RoomEvent, state: ConversationState, *, agents: Collection[str], context: Any = None
    ) -> Route | None:
        """Who answers; None for what no person or program has said: agents never answer each other."""
        if event.category is not ChannelCategory.TRANSPORT:
            return None
        route = await self._chosen(event, state, agents, context)
        return overseen(route, self.supervisor_id, agents)

    @abstractmethod
    async def _chosen(self, event: RoomEvent, state: ConversationState, agents: Collection[str], context: Any) -> Route:
        """Who answers, of those that are in the room."""


class ConversationRouter(OverseenRouter):
    """The agent that has the conversation goes on with it; otherwise the first rule that matches; otherwise a default.

    Once an agent has given it to a human, no agent answers unless a rule says so. `supervisor_id` sees every event,
    whoever answers it. An agent that is not in the room is passed over.
    """

    def __init__(
        self,
        rules: Sequence[RoutingRule] = (),
        default_agent_id: str | None = None,
        supervisor_id: str | None = None,
    ) -> None:
        """Raises ValueError naming what is wrong."""
        if not all(isinstance(rule, RoutingRule) for rule in rules):
            raise ValueError("rules: it may hold RoutingRules only")
        if len(rules) > MAX_RULES:
            raise ValueError(f"rules: {len(rules)} are too many; use at most {MAX_RULES}")
        agent_or_none(default_agent_id, "default_agent_id")
        agent_or_none(supervisor_id, "supervisor_id")
        self.rules = tuple(sorted(rules, key=lambda rule: rule.priority))
        self.default_agent_id = default_agent_id
        self.supervisor_id = supervisor_id

    def __repr__(self) -> str:
        return f"ConversationRouter({len(self.rules)} rules, default {self.default_agent_id})"

    @property
    def named(self) -> Sequence[str]:
        """The agents to whom it may send."""
        default = [] if self.default_agent_id is None else [self.default_agent_id]
        return list(dict.fromkeys([*(rule.agent_id for rule in self.rules), *default]))

    async def _chosen(self, event: RoomEvent, state: ConversationState, agents: Collection[str], context: Any) -> Route:
        if kept := affinity(state, agents):
            return Route(kept, Via.AFFINITY)
        end = now() + ALL_PATIENCE
        for rule in self.rules:
            patience = min(PATIENCE, max(0.0, end - now()))
            if rule.agent_id in agents and await rule.matches(event, context, state, patience):
                return Route(rule.agent_id, Via.RULE)
        if state.with_human:
            return Route(None, Via.HUMAN)
        if self.default_agent_id in agents:
            return Route(self.default_agent_id, Via.DEFAULT)
        return Route(None, Via.NOBODY)


def affinity(state: ConversationState, agents: Collection[str]) -> str | None:
    """The agent that has the conversation, if it is in the room."""
    return state.active_agent_id if state.active_agent_id in agents else None


def overseen(route: Route, supervisor: str | None, agents: Collection[str]) -> Route:
    """The route, seen by the supervisor too if that is in the room and does not answer itself."""
    if supervisor is None or supervisor not in agents or supervisor in (route.agent_id, *route.always):
        return route
    return replace(route, always=(*route.always, supervisor))


def members(values: object, field: str, checked: Callable[[object, str], str]) -> frozenset[str]:
    """A set of what `checked(value, field)` makes of the values. Raises ValueError when it is one text, or no set."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{field}: {values!r:.60} is no set; write {{{values!r:.60}}}")
    return frozenset(checked(value, field) for value in values)


def _intent(intent: object, field: str) -> str:
    if not isinstance(intent, str) or not intent.strip():
        raise ValueError(f"{field}: {intent!r:.60} is no intent; use text")
    return intent
