"""AgentWorker: an agent does a job in the background; what its model and its tools did is not done, or paid, twice.

Whatever the model does comes to an end: a silent, endless or lost one is given up with an error that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestration.agent import MAX_ROUNDS, Agent
from orchestration.content import says_something
from orchestration.engines.engine import TaskResult
from orchestration.models.model import Message, Role, TextDelta, ToolCall, ToolSpec
from orchestration.models.structured import Structured
from orchestration.models.watched import ModelLostError, watched
from orchestration.tools import SAME_ID, Tool, apart, run_tool
from orchestration.workers.handed import shown_of

if TYPE_CHECKING:
    from orchestration.workers.worker import Context


class NoAnswerError(RuntimeError):
    """A model came to no answer; the message says how."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, and the tools it called with it."""

    text: str
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class LastTool:
    """A tool that runs nothing: the agent's work is over with its call. `check` raises ValueError naming the argument
    that is wrong; then the model is told, and goes on."""

    spec: ToolSpec
    check: Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class AgentWorker:
    """An agent at work: its model's answer is the result; each model call and each tool call is a step.

    The channels that the work shares with its room are told of its tools (`tool`, and a `status` of started, done or
    failed) and of its answer (`final`).
    """

    agent: Agent

    @property
    def id(self) -> str:
        """The agent's."""
        return self.agent.id

    @property
    def label(self) -> str:
        """The agent's role."""
        return self.agent.role or self.agent.id

    async def run(self, input: str, context: Context) -> TaskResult:
        """Ask the model, run its tools, until it answers without one."""
        try:
            reply = await self.ask(input, context, over=lambda reply: context.tell(reply.text.strip(), final=True))
        except NoAnswerError as error:
            return TaskResult("", error=str(error))
        return TaskResult(reply.text.strip())

    async def ask(
        self,
        input: str,
        context: Context,
        *,
        last: Sequence[LastTool] = (),
        schema: Mapping[str, Any] | None = None,
        over: Callable[[Reply], None],
    ) -> Reply:
        """The reply with which its work is over: one without a call, or with a call of one of the `last` tools.

        These stand before tools of its own of the same name. With `schema` a model that can (`writes`) answers in JSON
        of that shape instead, and is offered no tool. The tools it calls at once run side by side. `over` is
        told of that reply, not again when the task is resumed. Raises NoAnswerError, and what the model raises.
        """
        messages = [Message(Role.USER, shown_of(input))]
        desk = _Desk({t.name: t for t in self.agent.tools}, {t.spec.name: t for t in last}, context)

        async def ask() -> tuple[str, list[tuple[str, str, Any]]]:
            reply = await self._listen(messages, desk.specs(), schema)
            if desk.ends(reply):
                over(reply)
            return reply.text, [(call.id, call.name, _plain(call.arguments)) for call in reply.calls]

        for round_ in range(MAX_ROUNDS):
            text, made = await context.step(f"model {round_}", ask)
            reply = Reply(text, tuple(ToolCall(*call) for call in made))
            if not reply.calls and not says_something(text):
                raise NoAnswerError("the model gave no answer")
            calls = apart(reply.calls)
            messages.append(Message(Role.ASSISTANT, text, calls))
            messages += await desk.use(round_, reply.calls, calls)
            if desk.ends(reply):
                return reply
        raise NoAnswerError("the model went on calling tools without an answer")

    @property
    def writes(self) -> bool:
        """Whether it may answer in JSON of a given shape: its model has a way for that, and it has no tools to use."""
        return isinstance(self.agent.model, Structured) and not self.agent.tools

    async def _listen(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], schema: Mapping[str, Any] | None
    ) -> Reply:
        """The model's whole reply. Raises NoAnswerError when there is no end to it, or nothing comes."""
        text, calls = list[str](), list[ToolCall]()
        model, prompt = self.agent.model, self.agent.prompt
        if schema is not None and self.writes and isinstance(model, Structured):
            stream = model.write_json(list(messages), prompt=prompt, schema=schema)
        else:
            stream = model.stream(list(messages), prompt=prompt, tools=specs)
        try:
            async with aclosing(watched(stream, "the model", self.agent.id)) as deltas:
                async for delta in deltas:
                    match delta:
                        case TextDelta(piece):
                            text.append(piece)
                        case ToolCall():
                            calls.append(delta)
        except ModelLostError as error:
            raise NoAnswerError(str(error)) from None
        return Reply("".join(text), tuple(calls))


@dataclass(frozen=True, slots=True)
class _Desk:
    """The tools that an agent at work has: its own, and the last ones."""

    own: Mapping[str, Tool]
    last: Mapping[str, LastTool]
    context: Context

    def specs(self) -> list[ToolSpec]:
        """As the model is offered them."""
        return [
            *(t.spec for name, t in self.own.items() if name not in self.last),
            *(t.spec for t in self.last.values()),
        ]

    def ends(self, reply: Reply) -> bool:
        """Whether the work is over with this reply."""
        if not reply.calls:
            return bool(reply.text.strip())
        return any(call.name in self.last and not self._misfit(call) for call in reply.calls)

    async def use(self, round_: int, made: Sequence[ToolCall], calls: Sequence[ToolCall]) -> list[Message]:
        """What the tools say that are called at once. `made` are the calls as the model made them."""
        try:
            async with asyncio.TaskGroup() as group:
                running = [
                    group.create_task(self._answer(f"tool {round_}.{number}", call, again=call.id != one.id))
                    for number, (one, call) in enumerate(zip(made, calls, strict=True))
                ]
        except BaseExceptionGroup as errors:  # a step that could not be kept: its own words say more than the group's
            raise errors.exceptions[0] from None
        return [Message(Role.TOOL, task.result(), call=call.id) for task, call in zip(running, calls, strict=True)]

    async def _answer(self, step: str, call: ToolCall, *, again: bool) -> str:
        """What one tool says, done once. A call whose id was used already may be the same one once more: not done."""
        if again:
            return SAME_ID
        if call.name in self.last:
            return self._misfit(call) or "noted"
        self.context.progress(call.name)

        async def run() -> str:
            self.context.tell(call.name, tool=call.name, status="started")
            text = (await run_tool(self.own.get(call.name), call)).text
            self.context.tell(call.name, tool=call.name, status="failed" if text.startswith("error:") else "done")
            return text

        return await self.context.step(step, run)

    def _misfit(self, call: ToolCall) -> str:
        """What is wrong with the arguments of a last tool; "": nothing."""
        try:
            self.last[call.name].check(call.arguments)
        except ValueError as error:
            return f"error: the arguments do not fit: {error}"
        return ""


def _plain(arguments: Any) -> Any:
    """A mapping as JSON has it; anything else a model's adapter may give is for the tool to refuse."""
    return dict(arguments) if isinstance(arguments, Mapping) else arguments
