"""Memory: what of a conversation is shown to the model, at a cost that does not grow with its length."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import dropwhile
from typing import TYPE_CHECKING, Protocol, Self

from orchestration.models.model import Message, Role

if TYPE_CHECKING:
    from orchestration.state import ConversationState


class MemoryProvider(Protocol):
    """What an agent remembers. The one that an Agent is given is a pattern: every room makes a `fresh` one of it."""

    def fresh(self) -> MemoryProvider:
        """An empty one of the same kind, that shares nothing with this."""
        ...

    def add(self, *messages: Message) -> None:
        """Remember messages."""
        ...

    def messages(self, agent_id: str = "", state: ConversationState | None = None) -> Sequence[Message]:
        """What the model of `agent_id` is shown, oldest first; `state` is how far the conversation is."""
        ...


class SlidingWindowMemory:
    """The last `max_events` messages, never beginning with a tool's answer whose question fell out."""

    def __init__(self, max_events: int = 50) -> None:
        """Raises ValueError unless `max_events` is a whole number of 1 or more."""
        if not isinstance(max_events, int) or max_events < 1:
            raise ValueError(f"max_events: {max_events!r} is no number of messages; give a whole number from 1 on")
        self._messages: deque[Message] = deque(maxlen=max_events)

    def fresh(self) -> Self:
        """An empty window of the same size."""
        return type(self)(self._messages.maxlen or 1)

    def add(self, *messages: Message) -> None:
        """Remember messages."""
        self._messages.extend(messages)

    def messages(self, agent_id: str = "", state: ConversationState | None = None) -> Sequence[Message]:
        """What the model is shown, oldest first."""
        return list(dropwhile(lambda message: message.role is Role.TOOL, self._messages))
