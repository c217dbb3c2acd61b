"""A post office: an open runtime with a room in it, and channels that note what they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orchestration import Agent, InboundMessage, InboundResult, Orchestration, Runtime, TextChannel, TextContent
from orchestration.event import RoomEvent
from orchestration.tools import tool
from tests.orchestration.models.double import Double, Part
from voice.clock import now, run


class Talks(Orchestration):
    """One agent talks, with these tools of the room."""

    def __init__(self, *agents: Agent, tools: Sequence[Callable[..., Any]] = ()) -> None:
        self._agents, self._tools = agents, tools

    def agents(self) -> Sequence[Agent]:
        return self._agents

    async def install(self, runtime: Runtime, room_id: str) -> None:
        runtime.room(room_id).equip(*map(tool, self._tools))


def talks(*replies: Sequence[Part], tools: Sequence[Callable[..., Any]] = ()) -> tuple[Talks, Double]:
    """An agent "host" whose model gives these replies, and the model."""
    model = Double(replies)
    return Talks(Agent("host", model=model), tools=tools), model


class Reader:
    """Somebody's end of a channel. `mood` is taken before each event: seconds to wait, an error to raise, or both."""

    def __init__(self, id: str = "ws", *mood: float | BaseException) -> None:
        self.id = id
        self.got: list[RoomEvent] = []
        self.at: list[float] = []
        self.mood = list(mood)
        self.now = 0
        self.most = 0
        """Events that were sent to it at once."""

    async def send(self, event: RoomEvent) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            while self.mood:
                mood = self.mood.pop(0)
                if isinstance(mood, BaseException):
                    raise mood
                await asyncio.sleep(mood)
                break
            self.got.append(event)
            self.at.append(now())
        finally:
            self.now -= 1

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.got]

    @property
    def channel(self) -> TextChannel:
        return TextChannel(self.id, send=self.send)


class Office:
    """An open runtime and its room "lobby"."""

    def __init__(self, runtime: Runtime, group: asyncio.TaskGroup) -> None:
        self.runtime = runtime
        self.group = group

    async def reader(self, id: str = "ws", *mood: float | BaseException, **more: Any) -> Reader:
        """A channel with somebody at its end."""
        reader = Reader(id, *mood)
        await self.runtime.attach_channel("lobby", reader.channel, **more)
        return reader

    async def mute(self, id: str = "gate", **more: Any) -> None:
        """A channel that only brings messages."""
        await self.runtime.attach_channel("lobby", TextChannel(id), **more)

    async def write(self, text: str = "hello", sender: str = "ann", channel: str = "ws") -> InboundResult:
        return await self.runtime.process_inbound(InboundMessage(channel, sender, TextContent(text)), room_id="lobby")

    def begin(self, text: str = "hello", sender: str = "ann", channel: str = "ws") -> asyncio.Task[InboundResult]:
        """Write without waiting for the answer."""
        return self.group.create_task(self.write(text, sender, channel))


def opened(*replies: Sequence[Part], tools: Sequence[Callable[..., Any]] = (), **more: Any) -> Runtime:
    """A runtime in memory whose agent gives these replies."""
    return Runtime(**{"orchestration": talks(*replies or (["fine."],), tools=tools)[0], "state": None, **more})


def play(script: Callable[[Office], Awaitable[None]], runtime: Runtime | None = None, *, real: bool = False) -> None:
    """Open the runtime, make the room, and play the script, in virtual time unless `real`."""

    async def main() -> None:
        async with asyncio.timeout(10_000), runtime or opened() as open_, asyncio.TaskGroup() as group:
            if "lobby" not in open_._rooms.names:
                await open_.create_room("lobby")
            await script(Office(open_, group))

    asyncio.run(main()) if real else run(main())


def reply(result: InboundResult) -> str:
    """The answer's words ("": there is none)."""
    return result.reply.text if result.reply else ""
