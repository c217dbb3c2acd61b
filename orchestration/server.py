"""The browser's way in: one ASGI app with the page, its files, a health check and the WebSocket, under any prefix.

uvicorn.run(app(gate), **SETTINGS)                       # alone
fastapi_app.mount("/voice", app(gate, title="Support"))  # inside another app; the page is then at /voice/
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from orchestration.gate import Admission, Gate, Moved, Refused
from orchestration.page import HEADERS, Page
from voice.clock import now
from voice.transports import wire
from voice.transports.browser import GONE, LAST_WORDS, BrowserLeg, carry
from voice.transports.handshake import greet, redirect, refuse
from voice.transports.wire import Close

logger = logging.getLogger(__name__)

SETTINGS: Mapping[str, Any] = {
    "ws": "websockets-sansio",
    "ws_per_message_deflate": False,
    "ws_max_size": wire.MAX_MESSAGE,
    "timeout_graceful_shutdown": 5,
}
"""What uvicorn should be told: its fastest WebSocket, no compression (sound does not shrink), and our size limit."""


FOREIGN = "this server answers its own page only; whoever runs it can allow other sites (origins=...)"


def app(gate: Gate, *, title: str = "Sottovoce", origins: Iterable[str] = (), limit: int = 1000) -> Starlette:
    """The page and its server for the rooms behind `gate`; `title` is the page's.

    Pages of other sites may not connect, unless their origin ("https://example.org") is among `origins`; "*" lets all.
    The page of another process of ours may, with a caller who was sent here. At most `limit` connections are open at
    once.
    """
    door = _Door(gate, frozenset(origins), limit)

    async def about(_: Request) -> JSONResponse:
        return JSONResponse({"title": title, "help": asdict(gate.help())}, headers=HEADERS)

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "connections": door.open}, headers={"cache-control": "no-store"})

    page = Page()
    return Starlette(
        routes=[
            Route("/", page.serve),
            Route("/about", about),
            Route("/healthz", healthz),
            WebSocketRoute("/ws", door.answer),
            Route("/{path:path}", page.serve),
        ]
    )


@dataclass(frozen=True, slots=True)
class _Call:
    leg: BrowserLeg
    served: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the room has let go of the leg."""


@dataclass(slots=True)
class _Door:
    """Answers WebSockets: hears who it is, asks the gate, and puts a leg into the room."""

    gate: Gate
    origins: frozenset[str]
    limit: int
    open: int = 0
    calls: dict[str, _Call] = field(default_factory=dict)
    """Live calls by resume token."""

    async def answer(self, socket: WebSocket) -> None:
        await socket.accept()
        self.open += 1
        try:
            if self.open > self.limit:
                await refuse(socket, Close.REFUSED, "full", "too many people are connected; try again later")
            elif join := await greet(socket):
                await self._admit(socket, join)
        finally:
            self.open -= 1

    async def _admit(self, socket: WebSocket, join: wire.Join) -> None:
        ours = same_site(socket, self.origins)
        if not ours and join.token is None:
            return await refuse(socket, Close.REFUSED, "bad_origin", FOREIGN)
        try:
            admission = await self.gate.admit(join.room, join.name, join.token)
        except Refused as refused:
            return await refuse(socket, Close.REFUSED, refused.code, refused.message)
        except Moved as moved:
            return await redirect(socket, moved.address, moved.token)
        except Exception:
            logger.exception("the gate failed to admit a caller to room %s", join.room)
            return await refuse(socket, Close.FAILED, "failed", "the server failed to let you in; try again")
        if not ours and admission.token != join.token:
            return await refuse(socket, Close.REFUSED, "bad_origin", FOREIGN)
        return await self._talk(socket, join, admission)

    async def _talk(self, socket: WebSocket, join: wire.Join, admission: Admission) -> None:
        await self._replace(admission.token)
        started = now()
        call = _Call(BrowserLeg(admission.caller, join, started, admission.snapshot))
        self.calls[admission.token] = call
        try:
            await socket.send_text(self._welcome(join.room, admission, started))
            await _converse(socket, call.leg, admission)
        except GONE:
            call.leg.lost()
        finally:
            call.served.set()
            if self.calls.get(admission.token) is call:
                del self.calls[admission.token]

    async def _replace(self, token: str) -> None:
        """End the caller's older connection, and give the room a moment to notice before the new one comes in."""
        while (old := self.calls.pop(token, None)) is not None:
            old.leg.close(Close.REPLACED, "you joined from another window or device; this one was disconnected")
            try:
                async with asyncio.timeout(LAST_WORDS):
                    await old.served.wait()
            except TimeoutError:
                logger.warning("the room still holds the old connection of caller %s", old.leg.caller.id)

    def _welcome(self, room: str, admission: Admission, at: float) -> str:
        return wire.control(
            "welcome",
            protocol=wire.PROTOCOL,
            room=room,
            caller={"id": admission.caller.id, "name": admission.caller.name},
            token=admission.token,
            now=at,
            snapshot=admission.snapshot(),
            help=asdict(self.gate.help()),
        )


async def _converse(socket: WebSocket, leg: BrowserLeg, admission: Admission) -> None:
    """Carry the leg's messages while the room serves it."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(carry(socket, leg))
        try:
            await admission.serve(leg)
        except Exception:
            logger.exception("the room failed caller %s", leg.caller.id)
            leg.close(Close.FAILED, "the room failed; you can join again")
        else:
            leg.close(Close.ENDED, "the call is over")


def same_site(connection: HTTPConnection, origins: frozenset[str]) -> bool:
    """Whether a WebSocket comes from our own page, an allowed one, or no page at all.

    Browsers always send Origin with a WebSocket and let no page change it, Host or X-Forwarded-Host.
    """
    origin = connection.headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return True
    try:
        host = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    ours = (connection.headers.get("host", ""), connection.headers.get("x-forwarded-host", ""))
    return host != "" and host in {name.lower() for name in ours}
