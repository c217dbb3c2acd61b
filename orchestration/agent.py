"""An Agent: a model with a prompt, tools and a role. It holds no conversation; the room it talks in does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from orchestration.models.model import Message, Model, Role, TextDelta, ToolCall
from orchestration.tools import Tool, run_tool, tool, unique

MAX_ROUNDS = 8
"""Times in one reply that a model may call tools and be asked again; more is a loop."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_RENAMED = {"provider": "model", "system_prompt": "prompt"}


class ToolLoopError(RuntimeError):
    """A model went on calling tools and never came to an answer."""


def valid_id(id: object) -> str:
    """`id` as the id of an agent or worker. Raises ValueError."""
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise ValueError(f"id: {id!r} is no id; use 1 to 64 letters, digits, '-', '_' or '.', the first no mark")
    return id


class Agent:
    """Who talks, or works. `role` and `description` tell people and other agents what it is for.

    `greeting` is said to a caller who comes in.
    """

    def __init__(
        self,
        id: str,
        *,
        model: Model,
        prompt: str = "",
        role: str = "",
        description: str = "",
        greeting: str = "",
        tools: Sequence[Tool | Callable[..., Any]] = (),
        **unknown: Any,
    ) -> None:
        """Raises ValueError for a bad id, TypeError for unknown arguments and for two tools of one name."""
        for name in unknown:
            hint = f"; it is called {_RENAMED[name]!r} here" if name in _RENAMED else ""
            raise TypeError(f"Agent got an unknown argument {name!r}{hint}")
        self.id = valid_id(id)
        self.model = model
        self.prompt = prompt
        self.role = role
        self.description = description
        self.greeting = greeting
        self.tools = [t if isinstance(t, Tool) else tool(t) for t in tools]
        unique(self.tools)

    def __repr__(self) -> str:
        return f"Agent({self.id!r})"

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        group: asyncio.TaskGroup,
        tools: Sequence[Tool] = (),
        said: list[Message] | None = None,
        ended: Callable[[ToolCall, Message], None] = lambda call, result: None,
    ) -> AsyncGenerator[str, None]:
        """Answer the conversation so far, piece by piece; tools are run in between, `tools` beside its own.

        What the model and the tools said is appended to `said`. Closing the iterator stops the generation, but not a
        tool that has begun: tools run in `group`, and a caller who cuts in stops no work. `ended` is told of each tool
        that ends, also after that. Raises ToolLoopError after MAX_ROUNDS, and what the model raises.
        """
        own = {t.name: t for t in [*self.tools, *tools]}
        said = [] if said is None else said

        async def use(call: ToolCall) -> None:
            result = await run_tool(own.get(call.name), call)
            said.append(result)
            ended(call, result)

        for _ in range(MAX_ROUNDS):
            text, calls = "", list[ToolCall]()
            stream = self.model.stream([*messages, *said], prompt=self.prompt, tools=[t.spec for t in own.values()])
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    match delta:
                        case TextDelta(piece):
                            text += piece
                            yield piece
                        case ToolCall():
                            calls.append(delta)
            said.append(Message(Role.ASSISTANT, text, tuple(calls)))
            if not calls:
                return
            running = [group.create_task(use(call), name=f"tool {call.name}") for call in calls]
            await asyncio.wait(running)
            if any(task.cancelled() for task in running):
                return  # the room closes
        raise ToolLoopError(f"agent {self.id!r} called tools {MAX_ROUNDS} times and never came to an answer")
