"""Prepared: a model that gives the answers it was given, one after the other: for tests, and for examples.

It is what is elsewhere called a mock: no key, no network, no chance. It notes what it was shown.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from itertools import count

from orchestration.models.model import Delta, Message, ToolCall, ToolSpec, word_by_word

KEPT = 100
"""The newest requests that are remembered."""
_KINDS = "text, a ToolCall, an exception to be raised, a list of those, or a function of (messages, tools)"

Part = str | ToolCall | Exception
Function = Callable[[Sequence[Message], Sequence[ToolSpec]], str | ToolCall | Exception | Sequence[Part]]
Answer = Part | Sequence[Part] | Function
"""Text, a tool call, an error that is raised, several of them in a row, or a function that looks at what is asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as the model was shown it."""

    messages: tuple[Message, ...]
    prompt: str
    tools: tuple[ToolSpec, ...]

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names of the tools it was offered."""
        return tuple(tool.name for tool in self.tools)


class Prepared:
    """Each request gets the next of `responses`; so does the one that brings a tool's result.

    When they run out, the last one is given again, or with `repeat=False` RuntimeError is raised. `delay` is what it
    thinks before its first word, in seconds of the event loop. All rooms that share one share its place in the list.
    """

    preemptive = False
    """What it would say ahead, and is not wanted, would be missing from the list."""

    def __init__(
        self, responses: Sequence[Answer], *, repeat: bool = True, delay: float = 0.0, name: str = "prepared"
    ) -> None:
        """Raises TypeError for what is no answer, ValueError for no answers at all and for a `delay` that is none."""
        if isinstance(responses, str) or not isinstance(responses, Sequence):
            raise TypeError(f"responses: give a list of answers, not {responses!r:.60}")
        if not responses:
            raise ValueError("responses: the list is empty; give at least one answer")
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < math.inf:
            raise ValueError(f"delay: {delay!r:.60} is no number of seconds from 0 on")
        for number, response in enumerate(responses):
            if isinstance(response, type) or not callable(response):
                _parts(response, f"responses[{number}]")
        self.name = name
        self._responses = tuple(responses)
        self._repeat = repeat
        self._delay = delay
        self._count = count()
        self._asked: deque[Asked] = deque(maxlen=KEPT)

    @property
    def asked(self) -> list[Asked]:
        """What it was shown, oldest first; the newest KEPT requests."""
        return list(self._asked)

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Give the next answer, word by word. Raises what it holds, RuntimeError when there is none left."""
        self._asked.append(Asked(tuple(messages), prompt, tuple(tools)))
        parts = self._next(messages, tools)
        if self._delay:
            await asyncio.sleep(self._delay)
        for part in parts:
            match part:
                case str():
                    for delta in word_by_word(part):
                        yield delta
                case ToolCall():
                    yield part
                case _:
                    raise part.with_traceback(None)  # raised again and again, it would grow

    def _next(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Sequence[Part]:
        number = next(self._count)
        if number >= len(self._responses):
            if not self._repeat:
                there = len(self._responses)
                raise RuntimeError(f"{self.name}: all {there} responses are used up; give more, or repeat=True")
            number = len(self._responses) - 1
        response = self._responses[number]
        where = f"responses[{number}]"
        if callable(response):
            return _parts(response(messages, tools), f"{where}: what its function returned")
        return _parts(response, where)


def _parts(answer: object, where: str) -> Sequence[Part]:
    """An answer as a list. Raises TypeError for what is none."""
    if isinstance(answer, str | ToolCall | Exception):
        return (answer,)
    parts: list[Part] = []
    for part in answer if isinstance(answer, Sequence) else (answer,):
        if not isinstance(part, str | ToolCall | Exception):
            raise TypeError(f"{where}: {part!r:.60} is no answer; give {_KINDS}")
        parts.append(part)
    return parts
