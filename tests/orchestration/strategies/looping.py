"""A writer, reviewers that find the first draft too long, and rooms in which a loop of them is read or heard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from orchestration import (
    Agent,
    InboundMessage,
    InboundResult,
    Loop,
    RoomEvent,
    Runtime,
    TextChannel,
    TextContent,
    get_conversation_state,
)
from orchestration.models import Intent, Message, Prepared, Scripted, ToolCall, ToolSpec
from orchestration.models.scripted import RESULT
from orchestration.simulation import SimulatedCall, simulate
from tests.scenarios.scenes import check_manners
from voice.clock import run

FIRST = "Dear neighbours, boats are far too long to be described here."
SECOND = "Dear neighbours, boats float."
TOO_LONG = "It is too long."
APPROVE = ToolCall("approve", "approve_output")
TALK = [
    Intent(["write about {topic}"], call="delegate_loop", arguments=lambda s: {"task": s["topic"]}, answer="On it."),
    Intent(["what time is it"], answer="It is noon."),
    Intent(["how is it going"], call="task_status"),
    Intent(["forget it"], call="cancel_task"),
    Intent(["what came of it"], call="recall"),
    Intent(["stop"], answer="All right."),
]


def draft(task: str) -> str:
    """The first draft, or with what the reviewers said of it the second."""
    return (SECOND if TOO_LONG in task else FIRST).replace("boats", task.split()[0])


def drafts(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    told = RESULT.search(messages[-1].text)
    return f"It reads: {told['text']}" if told else draft(messages[-1].text)


def talker(id: str = "host", **more: Any) -> Agent:
    brain = Scripted(TALK, fallback=("Pardon?",), telling=("It reads: {result}",))
    return Agent(id, model=brain, role=id.capitalize(), **more)


def writer(seconds: float = 0.0, model: Any = None) -> Agent:
    return Agent("writer", role="Writer", model=model or Prepared([drafts], delay=seconds))


def judges(id: str, seconds: float = 0.0, verdict: Any = None) -> Agent:
    """A reviewer that finds the first draft too long, or has this verdict on every draft."""

    def judge(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        return TOO_LONG if "far too long" in messages[-1].text else APPROVE

    return Agent(id, role=id.capitalize(), model=Prepared([verdict or judge], delay=seconds))


def approves(id: str, seconds: float = 0.0) -> Agent:
    return judges(id, seconds, APPROVE)


def model_of(agent: Agent) -> Prepared:
    assert isinstance(agent.model, Prepared)
    return agent.model


class Page:
    """A room that is read, with a channel that keeps what it is sent; messages are answered while they wait."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.sent: list[RoomEvent] = []

    async def open(self, room: str = "lobby", **more: Any) -> None:
        await self.runtime.create_room(room, **more)
        await self.join(room)

    async def join(self, room: str = "lobby") -> None:
        async def send(event: RoomEvent) -> None:
            self.sent.append(event)

        await self.runtime.attach_channel(room, TextChannel("page", send=send))

    async def write(self, text: str, sender: str = "ann", room: str = "lobby") -> InboundResult:
        return await self.runtime.process_inbound(InboundMessage("page", sender, TextContent(text)), room_id=room)

    async def asks(self, text: str) -> RoomEvent:
        reply = (await self.write(text)).reply
        assert reply is not None
        return reply

    def context(self, room: str = "lobby") -> Mapping[str, Any]:
        return get_conversation_state(self.runtime.room(room)).context


def reads(script: Callable[[Page], Awaitable[object]], loop: Loop, **parts: Any) -> None:
    async def main() -> None:
        async with Runtime(**{"orchestration": loop, "state": None, **parts}) as runtime:
            page = Page(runtime)
            await page.open()
            await script(page)

    run(main())


def hears(script: Callable[[SimulatedCall], Awaitable[object]], loop: Loop, **parts: Any) -> None:
    async def main() -> None:
        async with simulate(Runtime(**{"orchestration": loop, "state": None, **parts})) as call:
            await script(call)
            check_manners(call)

    run(main())


def context_of(call: SimulatedCall) -> Mapping[str, Any]:
    return get_conversation_state(call.runtime.room(call.room)).context


def three(seconds: Sequence[float] = (2.0, 3.0, 4.0)) -> list[Agent]:
    """Three reviewers, of whom one finds the first draft too long."""
    tone, length, facts = seconds
    return [approves("tone", tone), judges("length", length), approves("facts", facts)]
