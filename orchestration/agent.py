"""An Agent: a model with a prompt, tools and a role. It holds no conversation; the room it talks in does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self

from orchestration.content import says_something
from orchestration.models.model import Delta, Message, Model, Role, TextDelta, ToolCall
from orchestration.renamed import renamed
from orchestration.tools import Tool, run_tool, tool, unique
from voice.cancellation import cancelled_here

if TYPE_CHECKING:
    from orchestration.memory import MemoryProvider

MAX_ROUNDS = 8
"""Times in one reply that a model may call tools and be asked again; more is a loop."""
MAX_CALLS = 64
"""Most tools that a model may call at once."""
MAX_TEXT = 200_000
"""Most characters of one reply: hours of talk; a model that writes more has lost its way."""
STALLED = 60.0
"""Seconds without a word or a call after which a model is given up."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class ToolLoopError(RuntimeError):
    """A model went on calling tools and never came to an answer."""


class ModelSilentError(RuntimeError):
    """A model gave no answer: it said nothing, not even after its tools, or nothing came for a minute."""


def never() -> bool:
    """It goes on."""
    return False


def valid_id(id: object) -> str:
    """`id` as the id of an agent or worker. Raises ValueError."""
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise ValueError(f"id: {id!r} is no id; use 1 to 64 letters, digits, '-', '_' or '.', the first no mark")
    return id


class Agent:
    """Who talks, or works. `role` and `description` tell people and other agents what it is for.

    `greeting` is said to a caller who comes in. `memory` is a pattern, of which every room makes a fresh one (None: a
    window of the last 50 messages).
    """

    @renamed("Agent", provider="model", system_prompt="prompt")
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
        memory: MemoryProvider | None = None,
    ) -> None:
        """Raises ValueError for a bad id, TypeError for unknown arguments, for what is no model and no memory, and for
        two tools of one name."""
        self.id = valid_id(id)
        if not callable(getattr(model, "stream", None)):
            raise TypeError(f"model: {model!r:.60} is no model, like Scripted(...)")
        self.model = model
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

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        group: asyncio.TaskGroup,
        tools: Sequence[Tool] = (),
        prompt: str | None = None,
        said: list[Message] | None = None,
        ended: Callable[[ToolCall, Message], None] = lambda call, result: None,
        enough: Callable[[], bool] = never,
    ) -> AsyncGenerator[str, None]:
        """Answer the conversation so far, piece by piece; tools are run in between, `tools` beside its own.

        What the model and the tools said is appended to `said`. `prompt` replaces the agent's own. Closing the iterator
        stops the generation, but not a tool that has begun: tools run in `group`, and a caller who cuts in stops no
        work. `ended` is told of each tool that ends, also after that. `enough` is asked after the tools: whether the
        reply is over with them. Raises ToolLoopError for more than MAX_ROUNDS or MAX_CALLS, ModelSilentError for no
        answer, and what the model raises.
        """
        own = {t.name: t for t in [*self.tools, *tools]}
        said = [] if said is None else said
        asked = self.prompt if prompt is None else prompt

        async def use(call: ToolCall) -> None:
            result = await run_tool(own.get(call.name), call)
            said.append(result)
            ended(call, result)

        answered = False
        for _ in range(MAX_ROUNDS):
            text, calls = "", list[ToolCall]()
            stream = self.model.stream([*messages, *said], prompt=asked, tools=[t.spec for t in own.values()])
            async with aclosing(self._watched(stream)) as deltas:
                async for delta in deltas:
                    match delta:
                        case TextDelta(piece):
                            text += piece
                            yield piece
                        case ToolCall():
                            calls.append(delta)
                            if len(calls) > MAX_CALLS:
                                raise ToolLoopError(f"agent {self.id!r} called more than {MAX_CALLS} tools at once")
            said.append(Message(Role.ASSISTANT, text, tuple(calls)))
            answered = answered or says_something(text)
            if not calls:
                if not answered:
                    raise ModelSilentError(f"the model of agent {self.id!r} gave no answer")
                return
            running = [group.create_task(use(call), name=f"tool {call.name}") for call in calls]
            await asyncio.wait(running)
            if enough() or any(task.cancelled() for task in running):
                return  # the conversation is another's now, or the room closes
        raise ToolLoopError(f"agent {self.id!r} called tools {MAX_ROUNDS} times and never came to an answer")

    async def _watched(self, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """What the model streams, as long as it comes and is not endless. Raises ModelSilentError, ValueError."""
        length = 0
        async with aclosing(stream) as deltas, _Patience() as patience:
            while True:
                try:
                    delta = await patience.next(deltas)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    if not patience.over:
                        raise
                    silent = f"the model of agent {self.id!r} said nothing for {STALLED:g} s"
                    raise ModelSilentError(silent) from None
                except asyncio.CancelledError:
                    if cancelled_here():
                        raise
                    raise ModelSilentError(f"the model of agent {self.id!r} was cancelled") from None
                if isinstance(delta, TextDelta) and (length := length + len(delta.text)) > MAX_TEXT:
                    raise ValueError(f"the model of agent {self.id!r} wrote more than {MAX_TEXT} characters")
                yield delta


class _Patience:
    """Gives up a model that is silent for STALLED seconds. It has one timer, which most models never see: to set one
    for each word would cost more than the words."""

    def __init__(self) -> None:
        self.over = False
        self._loop = asyncio.get_running_loop()
        self._since = 0.0
        self._waiting: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def next(self, deltas: AsyncGenerator[Delta, None]) -> Delta:
        """What comes next. Raises TimeoutError when it is `over`, and what `deltas` raises."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_at(self._since + STALLED, self._look)
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await anext(deltas)
        finally:
            self._waiting = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._since + STALLED:
            self._timer = self._loop.call_at(self._since + STALLED, self._look)
        else:
            self.over = True
            self._waiting.reschedule(self._loop.time())
