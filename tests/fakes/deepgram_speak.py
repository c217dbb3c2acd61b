"""Deepgram's speech over a WebSocket, /v1/speak (Aura), as its API reference describes it; no latency of its own.

What it says is up to a `Voice`. As the service does, it takes Speak messages of up to 2,000 characters, says what it
has at Flush (20 a minute, then there are warnings), and drops all of it at Clear. Pieces of sound do not end where
samples do.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.fakes.deepgram import Garbled, Peer, Query
from tests.fakes.faults import Faults
from tests.voice import doubles
from voice.audio import Resampler
from voice.leg import RATE
from voice.tts.espeak import Espeak
from voice.tts.flite import Flite
from voice.tts.synthesizer import Synthesizer

FLUSHES, WINDOW = 20, 60.0
LONGEST = 2000
_RATES = ("8000", "16000", "24000", "32000", "48000")

Voice = Callable[[str], AsyncIterator[bytes]]
"""What is said of a text: 16 kHz PCM in whole samples, in pieces."""


async def hidden(text: str) -> AsyncIterator[bytes]:
    """Its words hidden in the samples, frame by frame: `tests.voice.doubles.word_of` finds them."""
    for frame in doubles.spoken(text):
        yield frame


def said_by(synthesizer: Synthesizer) -> Voice:
    """By that one; a hum for what it cannot read."""

    async def voice(text: str) -> AsyncIterator[bytes]:
        spoke = False
        async for chunk in synthesizer.synthesize(text):
            spoke = spoke or bool(chunk.pcm)
            if chunk.pcm:
                yield chunk.pcm
        if not spoke:
            yield b"".join(struct.pack("<h", round(3000 * math.sin(i / 20))) for i in range(RATE // 10))

    return voice


def embedded() -> Voice:
    """By a voice that works here without a key."""
    return said_by(Flite() if Flite.check().usable else Espeak())


async def dumb(text: str) -> AsyncIterator[bytes]:
    """Nothing at all."""
    if text.isspace():
        yield b""


class FakeSpeak:
    """`flushes`: so many it allows in a minute. `late`: it says Flushed also of a text that was cleared, after Cleared.

    `texts`: those it was told to say, in order. `pieces`: of sound that it has sent. `clears`: so many Clear have come.
    `deaf`: it answers no more Clear. `dying`: so many connections break off when they are next told to say something.
    """

    path = "/v1/speak"

    def __init__(self, voice: Voice = hidden, *, flushes: int = FLUSHES, late: bool = False) -> None:
        self.faults = Faults()
        self.opened = self.pieces = self.clears = self.dying = 0
        self.texts: list[str] = []
        self.peers: list[Peer] = []
        self.most = 0
        """Connections that were open at the same time."""
        self.deaf = False
        self.voice, self.flushes, self.late = voice, flushes, late

    def refusal(self, query: Query) -> str:
        if not query.get("model", [""])[0].startswith("aura-"):
            return "No such model found."
        if query.get("encoding", ["linear16"]) != ["linear16"] or query.get("sample_rate", ["24000"])[0] not in _RATES:
            return "Unsupported audio format."
        return ""

    async def serve(self, peer: Peer, query: Query) -> None:
        self.peers.append(peer)
        self.most = max(self.most, len(self.peers))
        connection = _Connection(self, peer, int(query.get("sample_rate", ["24000"])[0]))
        speaking = asyncio.create_task(connection.speak())
        try:
            await connection.listen(query["model"][0])
        finally:
            self.peers.remove(peer)
            speaking.cancel()
            await asyncio.wait([speaking])
            if not speaking.cancelled() and not isinstance(speaking.exception(), Garbled | ConnectionClosed):
                speaking.result()

    async def cut_all(self) -> None:
        """Every connection breaks off, as when a network does."""
        for peer in self.peers:
            peer._connection.transport.abort()
        while self.peers:
            await asyncio.sleep(0)


class _Connection:
    def __init__(self, server: FakeSpeak, peer: Peer, rate: int) -> None:
        self._server, self._peer, self._rate = server, peer, rate
        self._text = ""
        self._times: deque[float] = deque()
        self._cleared = self._sequence = 0
        self._jobs: asyncio.Queue[str] = asyncio.Queue()
        self._sending = asyncio.Lock()

    async def listen(self, model: str) -> None:
        """What the client sends, to its end."""
        request = str(uuid.uuid4())
        await self._send(
            {
                "type": "Metadata",
                "request_id": request,
                "model_name": model,
                "model_version": "2026-01-01.0",
                "model_uuid": request,
            }
        )
        while True:
            message = json.loads(await self._peer.receive())
            match message:
                case {"type": "Speak"} if self._server.dying:
                    self._server.dying -= 1
                    await self._peer.cut()
                case {"type": "Speak", "text": str(text)} if len(text) <= LONGEST:
                    self._text += text
                case {"type": "Flush"}:
                    await self._flush()
                case {"type": "Clear"}:
                    await self._clear()
                case {"type": "Close"}:
                    return
                case _:
                    await self._peer.close(1008, "DATA-0000: the message cannot be processed")
                    return

    async def speak(self) -> None:
        """Say what is to be said, text by text."""
        while True:
            text, cleared = await self._jobs.get(), self._cleared
            self._server.texts.append(text)
            async for piece in self._uneven(text):
                await asyncio.sleep(0)  # where a service's network would be
                async with self._sending:
                    if self._cleared != cleared:
                        break
                    self._server.pieces += 1
                    await self._peer.send(piece)
            if self._cleared == cleared or self._server.late:
                async with self._sending:
                    await self._peer.send(self._numbered("Flushed"))

    async def _uneven(self, text: str) -> AsyncIterator[bytes]:
        """Its sound in pieces that end in the middle of a sample, but for the last."""
        resampler = Resampler(RATE, self._rate)
        rest = b""
        async for pcm in self._server.voice(text):
            rest += resampler.process(pcm)
            if len(rest) > 1:
                yield rest[:-1]
                rest = rest[-1:]
        if rest:
            yield rest

    async def _flush(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._times and self._times[0] <= now - WINDOW:
            self._times.popleft()
        if len(self._times) >= self._server.flushes:
            description = "Flush messages are limited; no more can be processed until the 60-second window has passed."
            await self._send({"type": "Warning", "description": description, "code": "EXCESSIVE_FLUSH"})
            return
        self._times.append(now)
        self._jobs.put_nowait(self._text)
        self._text = ""

    async def _clear(self) -> None:
        self._server.clears += 1
        self._cleared += 1
        self._text = ""
        while not self._jobs.empty():
            self._jobs.get_nowait()
        if not self._server.deaf:
            await self._send(self._numbered("Cleared"))

    def _numbered(self, kind: str) -> dict[str, Any]:
        self._sequence += 1
        return {"type": kind, "sequence_id": self._sequence - 1}

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._sending:
            await self._peer.send(message)
