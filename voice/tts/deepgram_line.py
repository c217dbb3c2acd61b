"""A line: one WebSocket to Deepgram's Aura, on which one text at a time is spoken, and what is known of its state.

It is read only by whoever has it; nothing of ours runs while it is idle (the socket's own ping keeps it alive). A text
that is given up is cleared away before the next one begins, so that no old sound leaks into it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from voice import deepgram
from voice.provider_error import Cause, ProviderError

if TYPE_CHECKING:
    from deepgram.speak.v1.socket_client import AsyncV1SocketClient

log = logging.getLogger("sottovoce.deepgram")

FLUSHES, WINDOW = 20, 62.0
"""Texts a line in that many seconds. Deepgram allows 20 Flush in 60 s by its own clock, which may hear of them sooner
or later than they were sent: https://developers.deepgram.com/docs/tts-ws-flush."""
LIFETIME = 3000.0
"""Seconds after which a line begins no more texts: Deepgram ends a connection after an hour."""
LONGEST_MESSAGE = 2000
"""Characters a Speak message may have, by Deepgram's reference."""
CLEARED = 2.0
"""Seconds in which a Clear must be answered; it is usually a round trip."""
CLEARING = 1.0
"""Seconds in which a Clear must be sent."""


class StaleLineError(Exception):
    """The line cannot take a text any more, and nothing of that text was done: another one will."""


class Line:
    """`name` is what errors call the provider, `now` the loop's time."""

    def __init__(self, name: str, now: float) -> None:
        self._name = name
        self._opened = now
        self._stack = AsyncExitStack()
        self._socket: AsyncV1SocketClient
        self._flushes: deque[float] = deque()
        self.waited = False
        """It lay idle, so it may have died unnoticed."""
        self._broken = False
        self._odd = b""
        """Half a sample that waits for its other half."""
        self._speaking = self._heard = self._cleared = False
        self.clearing = False
        """A text was given up and what the server still sends of it has yet to be read: see `clear`."""
        self.idle_since = now

    async def open(self, client: Any, options: dict[str, Any]) -> None:
        """Connect. Raises ProviderError."""
        connecting = client.speak.v1.connect(**options)
        self._socket = await self._stack.enter_async_context(deepgram.connected(self._name, connecting))

    @property
    def alive(self) -> bool:
        """It is open, as far as is known, and no text is in the way."""
        return self._protocol.state.name == "OPEN" and not self._broken and not self._speaking

    def old(self, now: float) -> bool:
        """It should not begin another text, though it still could."""
        return now - self._opened >= LIFETIME

    def ready(self, now: float) -> bool:
        """It can take another text."""
        while self._flushes and self._flushes[0] <= now - WINDOW:
            self._flushes.popleft()
        return self.alive and len(self._flushes) < FLUSHES

    async def say(self, text: str) -> None:
        """Begin a text. Raises StaleLineError, ProviderError."""
        from deepgram.speak.v1.types import SpeakV1Text

        loop = asyncio.get_running_loop()
        self._speaking, self._heard, self._odd = True, False, b""
        try:
            async with asyncio.timeout(deepgram.CONNECT):
                for piece in pieces(text):
                    await self._socket.send_text(SpeakV1Text(text=piece))
                self._flushes.append(loop.time())
                await self._socket.send_flush()
        except Exception as error:
            raise self._failure(error) from None

    async def hear(self, seconds: float) -> bytes | None:
        """The next whole samples of the text; None at its end. Raises StaleLineError, or ProviderError: nothing came
        within `seconds`, or the connection broke, or what came made no sense.
        """
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await self._socket.recv()
                    if isinstance(message, bytes):
                        if pcm := self._whole(message):
                            self._heard = True
                            return pcm
                    elif self._ends(message):
                        self._speaking = self._cleared = False
                        return None
        except StaleLineError:
            raise
        except Exception as error:
            raise self._failure(error) from None

    async def clear(self) -> None:
        """Give up the text that is being spoken. What the server answers is read by `settle`. Does not raise."""
        if not self._speaking or self._broken:
            return
        try:
            async with asyncio.timeout(CLEARING):
                await self._socket.send_clear()
        except Exception as error:
            log.debug("%s: a text could not be cleared: %s", self._name, deepgram.failure(self._name, error))
            return  # still speaking, so it is not taken back
        self._cleared = self.clearing = True
        self._speaking = False

    async def settle(self) -> bool:
        """Read on until the Clear is answered, if it has not been. False: it was not, and the line is of no use."""
        if not self.clearing:
            return True
        try:
            async with asyncio.timeout(CLEARED):
                while getattr(await self._socket.recv(), "type", None) != "Cleared":
                    pass
        except Exception as error:
            log.debug("%s: a cleared line is dropped: %s", self._name, deepgram.failure(self._name, error))
            return False
        self.clearing = False
        return True

    async def close(self, *, abort: bool = False) -> None:
        """Say goodbye; after a second, or at once with `abort`, just go."""
        if abort:
            self.abort()
        await self._stack.aclose()

    def abort(self) -> None:
        """Go at once."""
        self._protocol.transport.abort()

    @property
    def _protocol(self) -> Any:
        """The connection below the SDK's socket, which itself has neither a state nor a way to go at once. Old and new
        clients of `websockets` have both; the SDK still uses the old one."""
        return self._socket._websocket

    def _whole(self, message: bytes) -> bytes:
        pcm = self._odd + message
        end = len(pcm) & ~1
        self._odd = pcm[end:]
        return pcm[:end]

    def _ends(self, message: Any) -> bool:
        """Whether a control message says that the text is at its end. Its `type` counts, not its class: the SDK takes
        one message for another that looks alike."""
        match getattr(message, "type", None):
            case "Flushed":
                # of the text before, which was cleared when it was almost done
                return self._heard or not self._cleared
            case "Warning":
                said = f"{getattr(message, 'code', '')}: {getattr(message, 'description', '')}"[:200]
                log.warning("%s warns: %s", self._name, said)
                if "flush" in said.lower() and not self._heard:
                    raise self._refused(said)
            case "Error":
                said = f"{getattr(message, 'description', '')}"
                raise ProviderError(self._name, Cause.SERVER, said)
            case "Metadata" | "Cleared":
                pass
            case other:
                log.debug("%s: a message of type %.40r was passed over", self._name, other)
        return False

    def _refused(self, said: str) -> Exception:
        """It counts more texts than we do. Another line will take this one, unless this is a new one."""
        if not self.waited:
            return ProviderError(self._name, Cause.RATE, said)
        self._flushes.extend([asyncio.get_running_loop().time()] * FLUSHES)
        return StaleLineError()

    def _failure(self, error: Exception) -> Exception:
        from websockets.exceptions import ConnectionClosed

        self._broken = True
        if isinstance(error, ConnectionClosed) and self.waited and not self._heard:
            return StaleLineError()
        return deepgram.failure(self._name, error)


def pieces(text: str) -> list[str]:
    """`text` in pieces that fit into messages, cut after a space where there is one."""
    found = []
    while len(text) > LONGEST_MESSAGE:
        cut = text.rfind(" ", 0, LONGEST_MESSAGE) + 1 or LONGEST_MESSAGE
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text]
