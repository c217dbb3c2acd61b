"""A page on which a supervisor is written to, and workers of known speed; all in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from delivery import Status
from orchestration import Agent, InboundMessage, Orchestration, RoomEvent, Runtime, TextChannel, TextContent
from orchestration.models import Prepared
from orchestration.workers import Context, FunctionWorker
from voice.clock import run


def works(id: str, seconds: float = 5.0, text: str | None = None, error: str = "") -> FunctionWorker:
    """A worker; its text is `<id>: <what it was given>`."""

    async def job(input: str, context: Context) -> str:
        await asyncio.sleep(seconds)
        if error:
            raise OSError(error)
        return f"{id}: {input}" if text is None else text

    return FunctionWorker(id, job, id.capitalize())


def host(*answers: Any, id: str = "host", **more: Any) -> Agent:
    """An agent that gives these answers."""
    return Agent(id, model=Prepared(answers), role="Host", **more)


def model(agent: Agent) -> Prepared:
    assert isinstance(agent.model, Prepared)
    return agent.model


@dataclass
class Page:
    """Ann writes in a room and reads what is said there; `sent` is all she read."""

    runtime: Runtime
    room: str = "lobby"
    sent: list[RoomEvent] = field(default_factory=list)

    @property
    def read(self) -> list[str]:
        return [event.text for event in self.sent]

    @property
    def channel(self) -> TextChannel:
        async def send(event: RoomEvent) -> None:
            self.sent.append(event)

        return TextChannel(f"ws-{self.room}", send=send)

    async def asks(self, text: str) -> str | None:
        message = InboundMessage(f"ws-{self.room}", "ann", TextContent(text))
        reply = (await self.runtime.process_inbound(message)).reply
        return None if reply is None else reply.text

    async def statuses(self) -> list[Status]:
        return [entry.status for entry in await self.runtime.ledger.entries(self.room, list(Status))]


def reads(script: Callable[[Page], Awaitable[None]], supervisor: Orchestration, **runtime: Any) -> None:
    """Play it in virtual time."""

    async def main() -> None:
        async with Runtime(orchestration=supervisor, state=None, **runtime) as house:
            page = Page(house)
            await house.create_room(page.room)
            await house.attach_channel(page.room, page.channel)
            await script(page)

    run(main())
