"""An Agent: a model with a prompt, tools and a role. It holds no conversation; the room it talks in does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from orchestration.content import says_something
from orchestration.models.given import model_of
from orchestration.models.model import Message, Model, Role, TextDelta, ToolCall
from orchestration.models.watched import ModelSilentError, ToolLoopError, watched
from orchestration.renamed import renamed
from orchestration.tools import SAME_ID, Tool, apart, run_tool, tool, unique

if TYPE_CHECKING:
    from orchestration.memory import MemoryProvider

MAX_ROUNDS = 8
"""Times in one reply that a model may call tools and be asked again; more is a loop."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def never() -> bool:
    """It goes on."""
    return False


def valid_id(id: object) -> str:
    """`id` as the id of an agent or worker. Raises ValueError."""
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise ValueError(f"id: {id!r} is no id; use 1 to 64 letters, digits, '-', '_' or '.', the first no mark")
    return id


_ELSEWHERE = {
    "provider": "agent.model",
    "system_prompt": "agent.prompt",
    "tool_handler": "await room.handoff.handle(room_id, agent_id, {...})",
}
"""What an agent is asked for by who knows RoomKit, and where it is here."""


class Agent:
    """Who talks, or works. `role` and `description` tell people and other agents what it is for.

    `model` may be a list, best first: where one fails before its first word, the next is asked. One that is reached by
    a network (`Anthropic()`) is asked again when it fails, and left alone for a while when it keeps failing. In both
    cases the attribute is a `FallbackModel`, and its `models` are those that were given.

    `greeting` is said to a caller who comes in. `memory` is a pattern, of which every room makes a fresh one (None: a
    window of the last 50 messages).
    """

    @renamed("Agent", provider="model", system_prompt="prompt")
    def __init__(
        self,
        id: str,
        *,
        model: Model | Sequence[Model],
        prompt: str = "",
        role: str = "",
        description: str = "",
        greeting: str = "",
        tools: Sequence[Tool | Callable[..., Any]] = (),
        memory: MemoryProvider | None = None,
    ) -> None:
        """Raises ValueError for a bad id and for an empty list of models, TypeError for unknown arguments, for what is
        no model, no text and no memory, and for two tools of one name."""
        self.id = valid_id(id)
        asked = model_of(model)
        for field, text in {"prompt": prompt, "role": role, "description": description, "greeting": greeting}.items():
            if not isinstance(text, str):
                raise TypeError(f"{field}: {type(text).__name__} is no text; give a str")
        self.model = asked
        self.prompt = prompt
        self.role = role
        self.description = description
        self.greeting = greeting
        self.tools = [t if isinstance(t, Tool) else tool(t) for t in tools]
        unique(self.tools)
        if memory is not None and not callable(getattr(memory, "fresh", None)):
            raise TypeError(f"memory: {memory!r:.60} is no memory; give one, like SlidingWindowMemory()")
        self.memory = memory

    def __repr__(self) -> str:
        return f"Agent({self.id!r})"

    if not TYPE_CHECKING:  # or every name would be one

        def __getattr__(self, name):
            told = f"; it is {_ELSEWHERE[name]} here" if name in _ELSEWHERE else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{told}")

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        group: asyncio.TaskGroup,
        tools: Sequence[Tool] = (),
        prompt: str | None = None,
        model: Model | None = None,
        said: list[Message] | None = None,
        ended: Callable[[ToolCall, Message], None] = lambda call, result: None,
        enough: Callable[[], bool] = never,
    ) -> AsyncGenerator[str, None]:
        """Answer the conversation so far, piece by piece; tools are run in between, `tools` beside its own.

        What the model and the tools said is appended to `said`. `prompt` and `model` replace the agent's own. Closing
        the iterator stops the generation, but not a tool that has begun: tools run in `group`, and a caller who cuts in
        stops no work. `ended` is told of each tool that ends, also after that. `enough` is asked after the tools:
        whether the reply is over with them. Raises ToolLoopError for more than MAX_ROUNDS, ModelSilentError for no
        answer, and what `watched` raises.
        """
        own = {t.name: t for t in [*self.tools, *tools]}
        said = [] if said is None else said
        asked = self.prompt if prompt is None else prompt
        model = model or self.model

        async def use(call: ToolCall, again: bool) -> None:
            result = Message(Role.TOOL, SAME_ID, call=call.id) if again else await run_tool(own.get(call.name), call)
            said.append(result)
            ended(call, result)

        answered = False
        for _ in range(MAX_ROUNDS):
            text, calls = "", list[ToolCall]()
            stream = model.stream([*messages, *said], prompt=asked, tools=[t.spec for t in own.values()])
            async with aclosing(watched(stream, f"the model of agent {self.id!r}", self.id)) as deltas:
                async for delta in deltas:
                    match delta:
                        case TextDelta(piece):
                            text += piece
                            yield piece
                        case ToolCall():
                            calls.append(delta)
            named = apart(calls)
            said.append(Message(Role.ASSISTANT, text, named))
            answered = answered or says_something(text)
            if not calls:
                if not answered and not getattr(model, "may_be_silent", False):
                    raise ModelSilentError(f"the model of agent {self.id!r} gave no answer")
                return
            running = [
                group.create_task(use(call, call is not made), name=f"tool {call.name}")
                for made, call in zip(calls, named, strict=True)
            ]
            await asyncio.wait(running)
            if enough() or any(task.cancelled() for task in running):
                return  # the conversation is another's now, or the room closes
        raise ToolLoopError(f"agent {self.id!r} called tools {MAX_ROUNDS} times and never came to an answer")
