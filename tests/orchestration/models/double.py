"""A model that does as it is told, reply by reply, and notes what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.models.model import Delta, Message, TextDelta, ToolCall, ToolSpec, Usage, word_by_word

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


class Writer:
    """A model that can be held to a shape (`Structured`), and has no other way: it writes each of `texts` in turn."""

    name = "writer"

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)
        self.asked: list[tuple[Sequence[Message], str, Mapping[str, Any]]] = []

    def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        raise AssertionError("it was to write")

    async def write_json(
        self, messages: Sequence[Message], *, prompt: str = "", schema: Mapping[str, Any]
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append((list(messages), prompt, schema))
        for delta in word_by_word(self._texts.pop(0)):
            yield delta
        yield Usage("writer-1", 10, 5, cost=0.5)


def calls(name: str, id: str = "c1", **arguments: Any) -> ToolCall:
    """A tool call."""
    return ToolCall(id, name, arguments)
