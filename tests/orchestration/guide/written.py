"""A room that is written in, over a channel that keeps what it is sent; and agents with prepared answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orchestration import (
    Agent,
    ChannelType,
    ConversationState,
    HandoffHandler,
    HandoffMemoryProvider,
    InboundMessage,
    InboundResult,
    RoomEvent,
    Runtime,
    SlidingWindowMemory,
    TextChannel,
    TextContent,
    get_conversation_state,
)
from orchestration.models import Prepared, ToolCall
from orchestration.models.prepared import Answer, Asked
from voice.clock import run


class Written:
    """One room, and what its reader is sent."""

    def __init__(self, runtime: Runtime, room: str) -> None:
        self.runtime = runtime
        self.room = room
        self.sent: list[RoomEvent] = []

    async def join(self, channel: str = "ws-user", type: ChannelType = ChannelType.WEBSOCKET) -> None:
        async def send(event: RoomEvent) -> None:
            self.sent.append(event)

        await self.runtime.attach_channel(self.room, TextChannel(channel, type, send))

    async def write(self, text: str, channel: str = "ws-user", **metadata: Any) -> InboundResult:
        message = InboundMessage(
            channel_id=channel, sender_id="user", content=TextContent(body=text), metadata=metadata
        )
        return await self.runtime.process_inbound(message, room_id=self.room)

    async def asks(self, text: str, channel: str = "ws-user", **metadata: Any) -> RoomEvent:
        reply = (await self.write(text, channel, **metadata)).reply
        assert reply is not None
        return reply

    async def answer(self, text: str, channel: str = "ws-user", **metadata: Any) -> tuple[str, str]:
        """Who answers, and what."""
        reply = await self.asks(text, channel, **metadata)
        return reply.sender_id, reply.text

    @property
    def state(self) -> ConversationState:
        return get_conversation_state(self.runtime.room(self.room))

    @property
    def handoff(self) -> HandoffHandler:
        """What hands over in this room, as if an agent's model had called the tool."""
        handler = self.runtime.room(self.room).handoff
        assert isinstance(handler, HandoffHandler)
        return handler


def written(script: Callable[[Written], Awaitable[object]], *, room: str = "support-room", **parts: Any) -> None:
    """Play it in virtual time, in a room of a runtime made of `parts`."""

    async def main() -> None:
        async with Runtime(**{"state": None, **parts}) as runtime:
            await runtime.create_room(room_id=room)
            page = Written(runtime, room)
            await page.join()
            await script(page)

    run(main())


def agent(id: str, *answers: Answer, role: str = "", description: str = "", **more: Any) -> Agent:
    """An agent that gives these answers in turn (none: it says who it is)."""
    return Agent(
        id,
        model=Prepared(answers or [f"This is {id}."]),
        role=role or id.capitalize(),
        description=description,
        prompt=f"You are {id}.",
        memory=HandoffMemoryProvider(SlidingWindowMemory(max_events=50)),
        **more,
    )


def shown(to: Agent) -> list[Asked]:
    """What its model was asked."""
    assert isinstance(to.model, Prepared)
    return to.model.asked


def targets(asked: Asked) -> Sequence[str]:
    """To whom the agent could hand over; none: it was not offered the tool."""
    for tool in asked.tools:
        if tool.name == "handoff_conversation":
            names: Sequence[str] = tool.schema["properties"]["target"]["enum"]
            return names
    return ()


def hand_over(
    target: str, reason: str = "It is for them.", summary: str = "No more is known.", **more: str
) -> ToolCall:
    """The call by which a model hands the conversation over."""
    arguments = {"target": target, "reason": reason, "summary": summary, **more}
    return ToolCall(f"to-{target}", "handoff_conversation", arguments)
