"""A real uvicorn on a free loopback port, for as long as a test needs it; and gates to put behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from orchestration.gate import Admission, Help, Moved, Phrase, Refused
from orchestration.server import SETTINGS
from voice.channel import Caller
from voice.leg import FRAME_SAMPLES, Frame, Leg, LegEvent, Played


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextlib.asynccontextmanager
async def serving(application: ASGIApp, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve `application` as the house plan says; gives its address, "http://127.0.0.1:54321"."""
    listener = socket.create_server((host, 0))
    server = _Server(uvicorn.Config(application, log_level="warning", **SETTINGS))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@dataclass
class EchoGate:
    """Lets everybody in and says back what they say, as the agent's voice; notes everything a leg tells."""

    callers: dict[str, str] = field(default_factory=dict)
    """Token of each (room, name)."""
    legs: list[Leg] = field(default_factory=list)
    events: list[LegEvent] = field(default_factory=list)
    served: list[bool] = field(default_factory=list)
    """For every leg that ended: whether it hung up."""
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    echo: bool = True
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Addresses of rooms that another server has."""
    stream: int = 0
    position: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def help(self) -> Help:
        return Help("an echo", scripted=True, note="It says back what you say.", phrases=(Phrase("Hello", "Hello"),))

    async def admit(self, room: str, name: str, token: str | None) -> Admission:
        if room == "closed":
            raise Refused("unknown_room", "there is no room called closed; ask whoever invited you")
        if address := self.elsewhere.get(room):
            raise Moved(address, self.callers.setdefault(f"{room}/{name}", f"token-{len(self.callers)}"))
        key = f"{room}/{name}"
        known = self.callers.setdefault(key, f"token-{len(self.callers)}")
        if token != known and len(self.legs) > len(self.served) and any(leg.caller.id == key for leg in self.legs):
            raise Refused("name_taken", f"somebody called {name} is here already; take another name")
        return Admission(Caller(key, name), known, self.serve, lambda: self.snapshot)

    def next_stream(self) -> None:
        """What follows is a new piece of playout."""
        self.stream, self.position = self.stream + 1, 0

    async def serve(self, leg: Leg) -> None:
        self.legs.append(leg)
        self.next_stream()
        async for event in leg.incoming():
            self.events.append(event)
            self._news.set()
            if isinstance(event, Frame) and self.echo:
                leg.send(event.pcm, stream=self.stream, position=self.position)
                self.position += FRAME_SAMPLES
        self.served.append(leg.hung_up)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for an event, or the end of a leg, that makes `condition` true."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    @property
    def played(self) -> list[Played]:
        return [event for event in self.events if isinstance(event, Played)]

    @property
    def frames(self) -> list[Frame]:
        return [event for event in self.events if isinstance(event, Frame)]
