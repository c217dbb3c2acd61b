"""The seam for language models: messages and tools in, a stream of text and tool calls out."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Role(StrEnum):
    """Who a message is from."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a tool run; `arguments` is parsed JSON."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation. `tool_calls` on an assistant's, `call` (the id answered) on a tool's."""

    role: Role
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    call: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it; `schema` is JSON Schema of its arguments (an object)."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the reply's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost, in tokens; `input` counts only those that no cache gave. `cost` in US dollars, where prices
    are known. Comes last in a stream, if at all; also after one that was closed early it may never come."""

    model: str
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float | None = None


Delta = TextDelta | ToolCall | Usage


def word_by_word(text: str) -> Iterator[TextDelta]:
    """A text in the pieces in which language models stream one; together they are the text."""
    for piece in re.findall(r"\S+\s*|\s+", text):
        yield TextDelta(piece)


class Model(Protocol):
    """A language model. Closing the returned iterator stops the generation."""

    name: str

    def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Answer the conversation so far. `prompt` is the system prompt."""
        ...
