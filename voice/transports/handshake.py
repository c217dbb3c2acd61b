"""The first words of a browser: nothing is believed, and little is listened to, until it has joined."""

from __future__ import annotations

import asyncio

from starlette.websockets import WebSocket

from voice.transports import wire
from voice.transports.browser import GONE, hang_up
from voice.transports.wire import Close, WireError

MISTAKES = 20
"""Messages that are not a join before the connection is given up."""


async def greet(socket: WebSocket) -> wire.Join | None:
    """Wait for an accepted socket's `join`. None: there was none, and the socket is closed with the reason."""
    try:
        async with asyncio.timeout(wire.JOIN_SECONDS):
            return await _first_join(socket)
    except TimeoutError:
        await refuse(socket, Close.SILENT, "not_joined", f"no join came within {wire.JOIN_SECONDS:g} s")
    except GONE:
        return None
    return None


async def refuse(socket: WebSocket, close: Close, code: str, message: str) -> None:
    """Tell a page why it is not let in, and close its socket."""
    try:
        async with asyncio.timeout(1.0):
            await socket.send_text(wire.control("error", code=code, message=message))
    except (TimeoutError, *GONE):
        return
    await hang_up(socket, close, message)


async def redirect(socket: WebSocket, address: str, token: str) -> None:
    """Send a page to another server of the house: `address` is its page's URL, `token` proves there who is calling."""
    try:
        async with asyncio.timeout(1.0):
            await socket.send_text(wire.control("moved", url=address, token=token))
    except (TimeoutError, *GONE):
        return
    await hang_up(socket, Close.MOVED, address)


async def _first_join(socket: WebSocket) -> wire.Join | None:
    for _ in range(MISTAKES):
        message = await socket.receive()
        if message["type"] != "websocket.receive":
            return None
        data = message.get("text")
        size = len(message["bytes"] if data is None else data)
        if size > wire.MAX_MESSAGE:
            await refuse(socket, Close.TOO_BIG, "too_big", f"a message has at most {wire.MAX_MESSAGE} bytes")
            return None
        try:
            if data is None:
                raise WireError("not_joined", "sound comes after joining; send join first")
            match wire.parse(data):
                case wire.Join() as join:
                    return join
                case wire.Leave():
                    await hang_up(socket, Close.ENDED, "you left")
                    return None
                case _:
                    raise WireError("not_joined", "send join first")
        except WireError as error:
            await socket.send_text(wire.control("error", code=error.code, message=error.message))
    await refuse(socket, Close.GARBAGE, "garbage", f"{MISTAKES} messages and none of them a join")
    return None
