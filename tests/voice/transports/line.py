"""A WebSocket without a network: Starlette's own, over queues in memory, so that it works in virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket


class Line:
    """The far end of an accepted WebSocket: what it got, and what it sends. `blocked`: nothing gets through to it."""

    def __init__(self) -> None:
        self.got: list[str | bytes] = []
        self.closed: tuple[int, str] | None = None
        self.broken = False
        self.blocked = asyncio.Event()
        self.blocked.set()
        self._up: asyncio.Queue[Message] = asyncio.Queue()
        self._up.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b"", "subprotocols": []}
        self.asgi: tuple[Scope, Receive, Send] = (scope, self._up.get, self._send)
        """What a server would call an app with."""
        self.socket = WebSocket(*self.asgi)

    async def accepted(self) -> WebSocket:
        await self.socket.accept()
        return self.socket

    def block(self) -> None:
        self.blocked.clear()

    def break_down(self) -> None:
        """Whatever is sent from now on fails."""
        self.broken = True

    def says(self, data: str | bytes | dict[str, Any]) -> None:
        text = json.dumps(data) if isinstance(data, dict) else data
        self._up.put_nowait(
            {"type": "websocket.receive", "text": text}
            if isinstance(text, str)
            else {"type": "websocket.receive", "bytes": text}
        )

    def drops(self, code: int = 1006) -> None:
        """The connection is gone."""
        self._up.put_nowait({"type": "websocket.disconnect", "code": code})

    @property
    def control(self) -> list[dict[str, Any]]:
        """The JSON messages it got."""
        return [json.loads(message) for message in self.got if isinstance(message, str)]

    async def _send(self, message: Message) -> None:
        await self.blocked.wait()
        if self.broken:
            raise BrokenPipeError
        if message["type"] == "websocket.send":
            data = message.get("text")
            self.got.append(message["bytes"] if data is None else data)
        elif message["type"] == "websocket.close":
            self.closed = (message["code"], message["reason"])
