"""The state of a conversation: its phase, who has it, and how it came there. An immutable value.

It is kept as plain data under `room.metadata["_conversation_state"]`, so it survives whatever the room survives. What
it costs does not grow with the talk: a turn without a handoff changes nothing, and the newest MAX_HISTORY transitions
are kept; `forgotten` counts the older ones (an ON_PHASE_TRANSITION hook sees every one, and may keep them for good).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Protocol, Self

from orchestration.agent import valid_id
from orchestration.plain import ReadOnly, plain, storable, thawed
from voice.clock import wall_time

if TYPE_CHECKING:
    from orchestration.room import Room

KEY = "_conversation_state"
"""Where a room's metadata has it."""
MAX_HISTORY = 50
"""Most transitions that are kept."""
MAX_PHASE = 64
"""Most characters of a phase's name."""
MAX_REASON = 500
"""Most characters of the reason for a transition."""
MAX_CONTEXT = 32_000
"""Most characters of what a conversation's context holds."""


class StateError(ValueError):
    """What is stored as a room's conversation state is none; the message says where, and how to begin anew."""


class ConversationPhase(StrEnum):
    """Usual phases. Any other text of 1 to 64 printable characters is a phase too."""

    INTAKE = "intake"
    QUALIFICATION = "qualification"
    HANDLING = "handling"
    ESCALATION = "escalation"
    RESOLUTION = "resolution"
    FOLLOWUP = "followup"


@dataclass(frozen=True, slots=True)
class PhaseTransition:
    """One step of a conversation; `timestamp` is UTC. An agent of None: nobody yet, or a human.

    Raises ValueError naming the field that is wrong.
    """

    from_phase: str
    to_phase: str
    from_agent: str | None
    to_agent: str | None
    reason: str
    timestamp: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "from_phase", valid_phase(self.from_phase, "from_phase"))
        object.__setattr__(self, "to_phase", valid_phase(self.to_phase, "to_phase"))
        agent_or_none(self.from_agent, "from_agent")
        agent_or_none(self.to_agent, "to_agent")
        if not isinstance(self.reason, str) or len(self.reason) > MAX_REASON or not storable(self.reason):
            raise ValueError(f"reason: it must be text of at most {MAX_REASON} characters, without NULs and half pairs")
        if not isinstance(self.timestamp, datetime) or self.timestamp.tzinfo is None:
            raise ValueError(f"timestamp: {self.timestamp!r:.60} is no time with a time zone; use datetime.now(UTC)")
        if self.timestamp.tzinfo is not UTC or self.timestamp.fold:
            object.__setattr__(self, "timestamp", _utc(self.timestamp))


@dataclass(frozen=True, slots=True)
class ConversationState:
    """How far a conversation is. Every change makes a new one.

    `handoff_count` counts changes of the agent. `context` is plain data of the conversation, read-only, at most
    MAX_CONTEXT characters; keys that begin with "_" are the runtime's. Raises ValueError naming the field that is
    wrong.
    """

    phase: str = ConversationPhase.INTAKE
    active_agent_id: str | None = None
    previous_agent_id: str | None = None
    handoff_count: int = 0
    phase_history: tuple[PhaseTransition, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict, hash=False)
    forgotten: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "phase", valid_phase(self.phase))
        agent_or_none(self.active_agent_id, "active_agent_id")
        agent_or_none(self.previous_agent_id, "previous_agent_id")
        for name in ("handoff_count", "forgotten"):
            count = getattr(self, name)
            if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 2**53:
                raise ValueError(f"{name}: {count!r:.60} is no count; use a whole number from 0 on")
        history = tuple(self.phase_history)
        if not all(isinstance(each, PhaseTransition) for each in history):
            raise ValueError("phase_history: it may hold PhaseTransitions only")
        if (over := len(history) - MAX_HISTORY) > 0:
            object.__setattr__(self, "forgotten", self.forgotten + over)
        object.__setattr__(self, "phase_history", history[-MAX_HISTORY:])
        object.__setattr__(self, "context", plain(self.context, "context", MAX_CONTEXT))

    @property
    def with_human(self) -> bool:
        """An agent has given the conversation to a human: no agent answers by itself."""
        return self.active_agent_id is None and self.previous_agent_id is not None

    def transition(
        self,
        to_phase: str,
        to_agent: str | EllipsisType | None = ...,
        reason: str = "",
        *,
        context: Mapping[str, Any] | None = None,
        timestamp: datetime | None = None,
    ) -> Self:
        """The state after a step to another phase, or another agent, or both.

        `to_agent`: left out, the agent stays; None gives the conversation to a human. `context` is merged into what is
        there. `timestamp`: when (None: now). Raises ValueError naming the field that is wrong.
        """
        agent = self.active_agent_id if isinstance(to_agent, EllipsisType) else to_agent
        at = timestamp or datetime.fromtimestamp(wall_time(), UTC)
        step = PhaseTransition(self.phase, to_phase, self.active_agent_id, agent, reason, at)
        changed = agent != self.active_agent_id
        return replace(
            self,
            phase=to_phase,
            active_agent_id=agent,
            previous_agent_id=self.active_agent_id if changed else self.previous_agent_id,
            handoff_count=self.handoff_count + changed,
            phase_history=(*self.phase_history, step),
            context={**self.context, **(context or {})},
        )

    def remembering(self, context: Mapping[str, Any]) -> Self:
        """The same state with this merged into its context."""
        return replace(self, context={**self.context, **context})

    def to_dict(self) -> dict[str, Any]:
        """As plain data that JSON gives back exactly."""
        return {
            "phase": self.phase,
            "active_agent_id": self.active_agent_id,
            "previous_agent_id": self.previous_agent_id,
            "handoff_count": self.handoff_count,
            "phase_history": [_written(step) for step in self.phase_history],
            "context": thawed(self.context),
            "forgotten": self.forgotten,
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """What `to_dict` made. Raises ValueError naming what is wrong with it; what is missing has its default."""
        fields = _fields(data, cls.__slots__)
        history = fields.pop("phase_history", [])
        if not isinstance(history, list):
            raise ValueError(f"phase_history: {type(history).__name__} is no list")
        return cls(phase_history=tuple(_read(step, place) for place, step in enumerate(history)), **fields)


class _Stored(ReadOnly):
    """What `to_dict` made, and of what: to look at a room's state in every turn costs nothing."""

    __slots__ = ("state",)

    def __init__(self, state: ConversationState) -> None:
        super().__init__(state.to_dict())
        self.state = state


class HasMetadata(Protocol):
    """A room, as far as its state is concerned."""

    @property
    def id(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...


def get_conversation_state(room: HasMetadata) -> ConversationState:
    """The room's state; a new conversation's when there is none. Raises StateError when what is stored is none."""
    stored = room.metadata.get(KEY)
    if isinstance(stored, _Stored):
        return stored.state
    if stored is None:
        return _BEGINNING
    try:
        return ConversationState.from_dict(stored)
    except ValueError as error:
        raise StateError(f"room {room.id!r}: metadata[{KEY!r}]: {error} (remove the key to begin anew)") from None


def set_conversation_state(room: Room, state: ConversationState) -> Room:
    """The room with this state. The room that was given is not changed; whoever calls saves the new one."""
    if not isinstance(state, ConversationState):
        raise TypeError(f"state: {type(state).__name__} is no ConversationState")
    return replace(room, metadata=with_conversation_state(room.metadata, state))


def with_conversation_state(metadata: Mapping[str, Any], state: ConversationState) -> Mapping[str, Any]:
    """A copy of a room's metadata with this state."""
    return ReadOnly({**metadata, KEY: _Stored(state)})


def valid_phase(phase: object, field: str = "phase") -> str:
    """`phase` as the name of a phase, plain text. Raises ValueError naming `field`."""
    if not isinstance(phase, str) or not 1 <= len(phase) <= MAX_PHASE or not phase.isprintable() or phase.isspace():
        raise ValueError(f"{field}: {phase!r:.80} is no phase; use 1 to {MAX_PHASE} printable characters")
    return str(phase)


def valid_agent(agent: object, field: str) -> str:
    """`agent` as an agent's id. Raises ValueError naming `field`."""
    try:
        return valid_id(agent)
    except ValueError as error:
        raise ValueError(f"{field}{str(error).removeprefix('id')}") from None


def agent_or_none(agent: object, field: str) -> None:
    """Raises ValueError naming `field` unless it is None or an agent's id."""
    if agent is not None:
        valid_agent(agent, field)


def _written(step: PhaseTransition) -> dict[str, Any]:
    return {
        "from_phase": step.from_phase,
        "to_phase": step.to_phase,
        "from_agent": step.from_agent,
        "to_agent": step.to_agent,
        "reason": step.reason,
        "timestamp": step.timestamp.isoformat(),
    }


def _read(data: object, place: int) -> PhaseTransition:
    names = PhaseTransition.__slots__
    try:
        fields = _fields(data, names)
        if missing := [name for name in names if name not in fields]:
            raise ValueError(f"{missing[0]}: it is missing")
        return PhaseTransition(**{**fields, "timestamp": datetime.fromisoformat(fields["timestamp"])})
    except (ValueError, TypeError) as error:
        raise ValueError(f"phase_history[{place}]: {error}") from None


def _fields(data: object, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ValueError(f"{type(data).__name__} is no mapping")
    if unknown := [name for name in data if name not in names]:
        raise ValueError(f"{unknown[0]!r:.60} is no field of it; there are {', '.join(names)}")
    return dict(data)


def _utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC).replace(fold=0)  # which UTC has none of, and no text tells
    except OverflowError:
        raise ValueError(f"timestamp: {at!r} is out of range") from None


_BEGINNING = ConversationState()
"""Of every conversation that has no state yet."""
