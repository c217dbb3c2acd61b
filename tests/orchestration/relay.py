"""A relay: agents that hand a conversation on, on prepared models; played aloud, or written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orchestration import (
    Agent,
    ConversationState,
    HandoffMemoryProvider,
    HookContext,
    HookEvent,
    HookExecution,
    HookTrigger,
    InboundMessage,
    InboundResult,
    Orchestration,
    RoomEvent,
    Runtime,
    SlidingWindowMemory,
    TextChannel,
    TextContent,
    get_conversation_state,
)
from orchestration.models.model import ToolCall
from orchestration.models.prepared import Answer, Prepared
from orchestration.simulation import SimulatedCall, simulate
from orchestration.store.memory import MemoryRoomStore
from orchestration.store.trouble import StaleRoomError, StoreError
from voice.clock import run

ASK = {"reason": "It is theirs.", "summary": "Ann's invoice 12 is wrong."}


def hand(target: str, id: str = "c1", **more: Any) -> ToolCall:
    """A model's handoff."""
    return ToolCall(id, "handoff_conversation", {"target": target, **ASK, **more})


def agent(id: str, *answers: Answer, **more: Any) -> Agent:
    """An agent that gives these answers, and remembers what it was handed."""
    memory = HandoffMemoryProvider(SlidingWindowMemory())
    return Agent(id, model=Prepared(answers or (f"{id} here.",)), role=id.title(), memory=memory, **more)


def model(agent: Agent) -> Prepared:
    assert isinstance(agent.model, Prepared)
    return agent.model


def told(agent: Agent, request: int = -1) -> list[str]:
    """What its model was shown."""
    return [message.text for message in model(agent).asked[request].messages]


def results(agent: Agent, request: int = -1) -> list[str]:
    """The results of tools that its model was shown."""
    return [message.text for message in model(agent).asked[request].messages if message.call]


def targets(agent: Agent, request: int = -1) -> list[str] | None:
    """To whom it could hand over; None: it had no such tool."""
    for spec in model(agent).asked[request].tools:
        if spec.name == "handoff_conversation":
            return list(spec.schema["properties"]["target"]["enum"])
    return None


def aloud(script: Callable[[SimulatedCall], Awaitable[None]], it: Orchestration | Runtime, **speech: Any) -> None:
    """A call in virtual time."""
    runtime = it if isinstance(it, Runtime) else Runtime(orchestration=it, state=None)

    async def main() -> None:
        async with simulate(runtime, **speech) as call:
            await script(call)

    run(main())


def heard(call: SimulatedCall) -> list[str]:
    return [line.heard for line in call.lines]


def state(call: SimulatedCall) -> ConversationState:
    return get_conversation_state(call.runtime.room(call.room))


def of_room(runtime: Runtime, room: str = "lobby") -> ConversationState:
    return get_conversation_state(runtime.room(room))


def open_to(script: Callable[[Runtime], Awaitable[None]], *, room: str | None = "lobby", **parts: Any) -> None:
    """A runtime with a room in which somebody writes over the channel "page"."""

    async def main() -> None:
        async with Runtime(**{"state": None, **parts}) as runtime:
            if room:
                await runtime.create_room(room)
                await runtime.attach_channel(room, TextChannel("page"))
            await script(runtime)

    run(main())


async def write(runtime: Runtime, text: str, room: str = "lobby", **metadata: Any) -> InboundResult:
    message = InboundMessage("page", "ann", TextContent(text), metadata)
    return await runtime.process_inbound(message, room_id=room)


async def answer(runtime: Runtime, text: str, room: str = "lobby", **metadata: Any) -> tuple[str, str]:
    """Who answered what is written, and what."""
    reply = (await write(runtime, text, room, **metadata)).reply
    return (reply.sender_id, reply.text) if reply else ("", "")


class Records:
    """What hooks are told, in order."""

    def __init__(self, runtime: Runtime) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.events: list[RoomEvent] = []
        for trigger in (HookTrigger.ON_HANDOFF, HookTrigger.ON_PHASE_TRANSITION, HookTrigger.ON_HANDOFF_REJECTED):
            runtime.hook(trigger, execution=HookExecution.SYNC)(self._note)
        runtime.hook(HookTrigger.AFTER_BROADCAST)(self._hear)

    def _note(self, event: HookEvent, context: HookContext) -> None:
        self.seen.append((event.trigger.value, dict(event.metadata)))

    def _hear(self, event: RoomEvent, context: HookContext) -> None:
        self.events.append(event)

    @property
    def names(self) -> Sequence[str]:
        return [name for name, _ in self.seen]

    def codes(self) -> list[str]:
        return [facts["code"] for name, facts in self.seen if name == "on_handoff_rejected"]


class Moody(MemoryRoomStore):
    """A store that can be away, or be changed by somebody else."""

    fault: type[StoreError] | None = None

    async def save(self, room: str, metadata: Any, version: int) -> int:
        if self.fault is StaleRoomError:
            raise StaleRoomError(room, version)
        if self.fault:
            raise self.fault("the disk is full")
        return await super().save(room, metadata, version)
