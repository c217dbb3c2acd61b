"""Memory: what of a conversation is shown to the model, at a cost that does not grow with its length."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from orchestration.models.model import Message, Role


class SlidingWindowMemory:
    """The last `max_events` messages, never beginning with a tool's answer whose question fell out."""

    def __init__(self, max_events: int = 50) -> None:
        if max_events < 1:
            raise ValueError(f"max_events: {max_events} is too few; give at least 1")
        self._messages: deque[Message] = deque(maxlen=max_events)

    def add(self, message: Message) -> None:
        """Remember a message."""
        self._messages.append(message)

    def messages(self) -> Sequence[Message]:
        """What the model is shown, oldest first."""
        messages = list(self._messages)
        while messages and messages[0].role is Role.TOOL:
            messages.pop(0)
        return messages
