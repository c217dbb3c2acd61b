"""AgentWorker: an agent does a job in the background; what its model and its tools did is not done, or paid, twice."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestration.agent import MAX_ROUNDS, Agent
from orchestration.engines.engine import TaskResult
from orchestration.models.model import Message, Role, TextDelta, ToolCall
from orchestration.tools import run_tool

if TYPE_CHECKING:
    from orchestration.workers.worker import Context


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
        messages = [Message(Role.USER, input)]
        tools = {t.name: t for t in self.agent.tools}
        for round_ in range(MAX_ROUNDS):
            text, calls = await context.step(f"model {round_}", lambda: self._ask(list(messages)))
            made = tuple(ToolCall(id, name, arguments) for id, name, arguments in calls)
            messages.append(Message(Role.ASSISTANT, text, made))
            if not made:
                if text.strip():
                    context.tell(text.strip(), final=True)
                return TaskResult(text.strip(), error=None if text.strip() else "the model gave no answer")
            for call in made:
                context.progress(call.name)

                async def use(call: ToolCall = call) -> str:
                    context.tell(call.name, tool=call.name, status="started")
                    text = (await run_tool(tools.get(call.name), call)).text
                    context.tell(call.name, tool=call.name, status="failed" if text.startswith("error:") else "done")
                    return text

                answer = await context.step(f"tool {round_} {call.id}", use)
                messages.append(Message(Role.TOOL, answer, call=call.id))
        return TaskResult("", error="the model went on calling tools without an answer")

    async def _ask(self, messages: list[Message]) -> tuple[str, list[tuple[str, str, dict[str, object]]]]:
        text, calls = "", []
        specs = [t.spec for t in self.agent.tools]
        async with aclosing(self.agent.model.stream(messages, prompt=self.agent.prompt, tools=specs)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta(piece):
                        text += piece
                    case ToolCall(id, name, arguments):
                        calls.append((id, name, dict(arguments)))
        return text, calls
