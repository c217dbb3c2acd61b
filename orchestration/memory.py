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


STEP = 5
"""A full window drops this part of itself at once, a fifth. If it slid by a message each turn, the whole conversation
would be new to a model's prompt cache each turn, and be paid for as such (`python -m tests.bench.prompt_cache`)."""
SMALL = 10
"""Messages from which on a window drops in steps; below that there is nothing to save, and each message counts."""


class SlidingWindowMemory:
    """The last messages, at most `max_events`, never beginning with a tool's answer whose question fell out.

    A full one drops a fifth at once, so that the prompt cache of models is of use: of 50, the last 40 to 50 are shown.
    One for less than 10 drops what is too much and no more.
    """

    def __init__(self, max_events: int = 50) -> None:
        """Raises ValueError unless `max_events` is a whole number of 1 or more."""
        if not isinstance(max_events, int) or max_events < 1:
            raise ValueError(f"max_events: {max_events!r} is no number of messages; give a whole number from 1 on")
        self._most = max_events
        self._left = max_events if max_events < SMALL else max_events - max_events // STEP
        """How many are left of a window that was too full."""
        self._messages: deque[Message] = deque()

    def fresh(self) -> Self:
        """An empty window of the same size."""
        return type(self)(self._most)

    def add(self, *messages: Message) -> None:
        """Remember messages."""
        for message in messages:
            self._messages.append(message)
            if len(self._messages) > self._most:
                while len(self._messages) > self._left:
                    self._messages.popleft()

    def messages(self, agent_id: str = "", state: ConversationState | None = None) -> Sequence[Message]:
        """What the model is shown, oldest first."""
        return list(dropwhile(lambda message: message.role is Role.TOOL, self._messages))
