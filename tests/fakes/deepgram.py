"""Deepgram on one port of this machine: each path has a handler, which speaks that API's wire format.

    async with FakeDeepgram(FakeListen(ear), FakeFlux(ear)) as fake:
        provider = Deepgram(api_key=fake.key, base_url=fake.url)

The handshake is checked as the service does: "Authorization: Token <key>" (401), the path (404), the query as the
handler wants it (400). A handler sends through `Peer`, which commits the fault that was ordered.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.fakes.faults import Fault, Faults

KEY = "test-key-that-must-be-in-no-log"
Query = Mapping[str, list[str]]


class Handler(Protocol):
    """One API. `faults` are those of its connections; `opened` counts those that were accepted."""

    path: str
    faults: Faults
    opened: int

    def refusal(self, query: Query) -> str:
        """What is wrong with a connection's query; "": nothing."""
        ...

    async def serve(self, peer: Peer, query: Query) -> None:
        """One connection, to its end. It is closed normally when this returns."""
        ...


class Garbled(Exception):  # noqa: N818 (it is no error of ours: it ends a connection as ordered)
    """The fault has ended the connection."""


GARBAGE: tuple[str | bytes, ...] = ("{", '{"type": "NeverHeardOf"}', "[1, 2", b"\x01")


class Peer:
    """The server's side of one connection. Iterate it for the client's messages: bytes, or text."""

    def __init__(self, connection: ServerConnection, fault: Fault) -> None:
        self._connection = connection
        self.fault = fault
        self._sent = 0

    async def send(self, message: Mapping[str, Any] | bytes) -> None:
        """Send it, or do what the fault says. Raises Garbled when that has ended the connection."""
        fault = self.fault
        if fault.silent:
            return
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.cut_after is not None and self._sent >= fault.cut_after:
            await self.cut()
        data: str | bytes = message if isinstance(message, bytes) else json.dumps(message)
        if fault.garbage:
            data = GARBAGE[self._sent % len(GARBAGE)]
        self._sent += 1
        await self._connection.send(data)

    async def cut(self) -> None:
        """End it now: with the fault's close code, or with none, as a network does. Raises Garbled."""
        if self.fault.close is not None:
            await self.close(self.fault.close, "ordered")
        else:
            self._connection.transport.abort()
        raise Garbled

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason)

    async def receive(self, timeout: float | None = None) -> str | bytes:
        """The client's next message. Raises TimeoutError, ConnectionClosed."""
        async with asyncio.timeout(timeout):
            return await self._connection.recv()


class FakeDeepgram:
    """`url` is there once it is entered, at `port` (0: any free one). `seen`: the queries of the connections that were
    accepted, oldest first."""

    def __init__(self, *handlers: Handler, key: str = KEY, port: int = 0) -> None:
        self.key = key
        self._port = port
        self.handlers = {handler.path: handler for handler in handlers}
        self.seen: list[tuple[str, Query]] = []
        self._server: Server | None = None
        self._faults: dict[ServerConnection, Fault] = {}

    async def __aenter__(self) -> FakeDeepgram:
        self._server = await serve(
            self._serve, "127.0.0.1", self._port, process_request=self._check, compression=None, ping_interval=None
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """For `base_url=`."""
        assert self._server is not None, "enter it first"
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def cut(self) -> None:
        """Tear down every connection there is, as a dying server does."""
        for connection in self._server.connections if self._server is not None else ():
            connection.transport.abort()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._server.connections) if self._server is not None else 0

    async def hang_up(self, code: int, reason: str) -> None:
        """Close all connections."""
        assert self._server is not None, "enter it first"
        for connection in list(self._server.connections):
            await connection.close(code, reason)

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        """The handshake."""
        parts = urlsplit(request.path)
        handler = self.handlers.get(parts.path)
        if request.headers.get("Authorization") != f"Token {self.key}":
            return _refused(401, "Invalid credentials.")
        if handler is None:
            return _refused(404, "Not found.")
        fault = handler.faults.take()
        if fault.status is not None:
            return _refused(fault.status, "Ordered.", fault.retry_after)
        if wrong := handler.refusal(parse_qs(parts.query)):
            return _refused(400, wrong)
        self._faults[connection] = fault
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        parts = urlsplit(connection.request.path)
        query = parse_qs(parts.query)
        self.seen.append((parts.path, query))
        handler = self.handlers[parts.path]
        handler.opened += 1
        with contextlib.suppress(Garbled, ConnectionClosed):
            await handler.serve(Peer(connection, self._faults.pop(connection)), query)


def _refused(status: int, why: str, retry_after: float | None = None) -> Response:
    body = json.dumps({"err_code": http.HTTPStatus(status).name, "err_msg": why}).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
    if retry_after is not None:
        headers["retry-after"] = f"{retry_after:g}"
    return Response(status, http.HTTPStatus(status).phrase, headers, body)
