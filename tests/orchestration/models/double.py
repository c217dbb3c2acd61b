"""A model that does as it is told, reply by reply, and notes what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.models.model import Delta, Message, TextDelta, ToolCall, ToolSpec

Part = str | float | ToolCall | Exception


@dataclass(frozen=True)
class Asked:
    """One request, as the model saw it."""

    messages: tuple[Message, ...]
    prompt: str
    tools: tuple[str, ...]


@dataclass
class Double:
    """Each of `replies` in turn, the last one again and again.

    A reply is words, seconds of thought, tool calls, and errors to raise.
    """

    replies: Sequence[Sequence[Part]]
    name: str = "double"
    asked: list[Asked] = field(default_factory=list)
    open: int = 0
    """Streams that have begun and not come to an end."""

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append(Asked(tuple(messages), prompt, tuple(t.name for t in tools)))
        self.open += 1
        try:
            for part in self.replies[min(len(self.asked), len(self.replies)) - 1]:
                match part:
                    case str():
                        yield TextDelta(part)
                    case ToolCall():
                        yield part
                    case Exception():
                        raise part
                    case seconds:
                        await asyncio.sleep(seconds)
        finally:
            self.open -= 1


def calls(name: str, id: str = "c1", **arguments: Any) -> ToolCall:
    """A tool call."""
    return ToolCall(id, name, arguments)
