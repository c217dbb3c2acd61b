"""A caller without a browser: speaks the page's wire protocol in real time, with an ear that plays what it is sent.

    async with wire_caller(url, room="lobby", name="Ann") as ann:
        await ann.say(pcm)
        await ann.hears("on it")
        ann.ear            # what was audible, 16 kHz PCM, from the moment of joining

Its ear has a clock of its own (20 ms at a time, 40 ms prebuffer), reports receipts as the page does, and falls silent
when it is told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from voice.leg import FRAME_BYTES, FRAME_SAMPLES, FRAME_SECONDS
from voice.transports.wire import HEADER, PROTOCOL, Kind

PREBUFFER = 2
"""Frames held back before a stream is played."""
DEAD = 1.5
"""Seconds for which nobody can know that a process is dead: callers may still be sent to it, and come back."""
REPORT = 5
"""Frames between receipts."""


@dataclass
class _Stream:
    number: int
    pcm: bytearray = field(default_factory=bytearray)
    played: int = 0
    ends: int | None = None
    running: bool = False


@dataclass
class Utterance:
    """What the agent says, by the panel: its text, and how many characters of it were heard."""

    id: str
    text: str = ""
    chars: int = 0
    over: bool = False

    @property
    def heard(self) -> str:
        return self.text[: self.chars]


class WireCaller:
    """One call. `panel` has every message for the page; `utterances` is made of them."""

    def __init__(self, socket: ClientConnection) -> None:
        self.panel: list[tuple[str, dict[str, Any]]] = []
        self.utterances: dict[str, Utterance] = {}
        self.errors: list[dict[str, Any]] = []
        self.moved: dict[str, Any] = {}
        """Where the room is, if it is not here."""
        self.token = ""
        self.welcome: dict[str, Any] = {}
        self.ear = bytearray()
        self.closed = False
        self._socket = socket
        self.background = bytes(FRAME_BYTES)
        """The 20 ms frame that the microphone gives while nobody speaks."""
        self._speech = bytearray()
        self._sequence = 0
        self._stream: _Stream | None = None
        self._news = asyncio.Condition()
        self._spoken = asyncio.Event()
        self._welcomed = asyncio.Event()
        self._seen: dict[str, int] = {}

    @property
    def now(self) -> float:
        """Seconds of the ear's recording."""
        return len(self.ear) / 2 / 16_000

    async def say(self, pcm: bytes) -> None:
        """Speak (16 kHz PCM); returns when it has been sent, at the pace of speech."""
        self._spoken.clear()
        self._speech += pcm
        await self._spoken.wait()

    async def hears(self, text: str, within: float = 30.0) -> Utterance:
        """Wait until `text` was heard within one utterance, by the room's own account of the receipts."""
        async with asyncio.timeout(within), self._news:
            while True:
                for utterance in self.utterances.values():
                    place = utterance.heard.lower().find(text.lower(), self._seen.get(utterance.id, 0))
                    if place >= 0:
                        self._seen[utterance.id] = place + len(text)
                        return utterance
                if self.closed:
                    raise ConnectionError(f"the call ended before {text!r} was heard")
                await self._news.wait()

    async def until_panel(self, kind: str, within: float = 30.0, **wanted: Any) -> dict[str, Any]:
        """Wait for a panel message of this kind with these fields."""
        async with asyncio.timeout(within), self._news:
            while True:
                for name, payload in self.panel:
                    if name == kind and all(payload.get(k) == v for k, v in wanted.items()):
                        return payload
                await self._news.wait()

    # -- inside

    async def _join(self, room: str, name: str, token: str | None) -> None:
        join = {"type": "join", "protocol": PROTOCOL, "room": room, "name": name}
        await self._send({**join, "token": token} if token else join)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(message))

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if isinstance(message, bytes):
                    self._sound(message)
                else:
                    await self._control(json.loads(message))
        finally:
            self.closed = True
            self._welcomed.set()
            async with self._news:
                self._news.notify_all()

    def _sound(self, message: bytes) -> None:
        kind, _, _, number, _ = HEADER.unpack_from(message)
        if kind == Kind.AGENT:
            if self._stream is None or self._stream.number != number:
                self._stream = _Stream(number)
            self._stream.pcm += message[HEADER.size :]

    async def _control(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "welcome":
                self.welcome, self.token = message, message["token"]
                self._welcomed.set()
            case "moved":
                self.moved = message
            case "ping":
                await self._send({"type": "pong", "t": message["t"]})
            case "error":
                self.errors.append(message)
            case "finish":
                if self._stream and self._stream.number == message["stream"]:
                    self._stream.ends = message["samples"]
            case "clear":
                await self._clear(message["stream"])
            case "panel":
                await self._show(message["kind"], message["payload"])

    async def _clear(self, number: int) -> None:
        stream, played = self._stream, 0
        if stream and stream.number == number:
            played, self._stream = stream.played, None
        await self._send({"type": "played", "stream": number, "samples": played, "flushed": True})

    async def _show(self, kind: str, payload: dict[str, Any]) -> None:
        async with self._news:
            self.panel.append((kind, payload))
            if kind == "utterance":
                utterance = self.utterances.setdefault(payload["id"], Utterance(payload["id"]))
                utterance.text = utterance.text[: payload["from"]] + payload["text"]
            elif kind == "heard" and payload["utterance"] in self.utterances:
                self.utterances[payload["utterance"]].chars = payload["chars"]
            elif kind == "speaking" and payload["state"] == "ended" and payload["utterance"] in self.utterances:
                self.utterances[payload["utterance"]].over = True
            self._news.notify_all()

    async def _live(self) -> None:
        """Every 20 ms a frame goes out and a frame comes to the ear."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self.closed:
            await self._speak_frame()
            await self._hear_frame()
            due += FRAME_SECONDS
            await asyncio.sleep(max(due - loop.time(), 0))

    async def _speak_frame(self) -> None:
        frame = bytes(self._speech[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0") if self._speech else self.background
        del self._speech[:FRAME_BYTES]
        if not self._speech:
            self._spoken.set()
        await self._socket.send(HEADER.pack(Kind.MICROPHONE, 0, 0, 0, self._sequence) + frame)
        self._sequence += 1

    async def _hear_frame(self) -> None:
        stream, frame = self._stream, b""
        if stream is not None:
            left = len(stream.pcm) // 2 - stream.played
            stream.running = stream.running or left >= PREBUFFER * FRAME_SAMPLES or stream.ends is not None
            if stream.running and left > 0:
                frame = bytes(stream.pcm[2 * stream.played : 2 * stream.played + FRAME_BYTES])
                stream.played += len(frame) // 2
                done = stream.ends is not None and stream.played >= stream.ends
                if done or stream.played % (REPORT * FRAME_SAMPLES) == 0:
                    await self._send({"type": "played", "stream": stream.number, "samples": stream.played})
        self.ear += frame.ljust(FRAME_BYTES, b"\0")


@contextlib.asynccontextmanager
async def wire_caller(
    url: str, *, room: str = "lobby", name: str = "Ann", token: str | None = None, leave: bool = True
) -> AsyncIterator[WireCaller]:
    """Join and be welcome; `leave`: hang up at the end (False: the connection just ends).

    Goes where it is sent. Raises ConnectionRefusedError with the room's words when it refuses.
    """
    address = url.replace("http", "ws", 1).rstrip("/") + "/ws"
    async with connect(address, compression=None) as socket:
        caller = WireCaller(socket)
        await caller._join(room, name, token)
        reading = asyncio.create_task(caller._read())
        living: asyncio.Task[None] | None = None
        try:
            await caller._welcomed.wait()
            if caller.moved:
                there, proof = caller.moved["url"], caller.moved["token"]
                async with wire_caller(there, room=room, name=name, token=proof, leave=leave) as elsewhere:
                    elsewhere.moved = caller.moved
                    yield elsewhere
                return
            if not caller.welcome:
                raise ConnectionRefusedError(caller.errors[-1]["message"] if caller.errors else "no welcome")
            living = asyncio.create_task(caller._live())
            yield caller
            if leave and not caller.closed:
                await caller._send({"type": "leave"})
        finally:
            for task in filter(None, (reading, living)):
                task.cancel()
            await asyncio.gather(*filter(None, (reading, living)), return_exceptions=True)


@contextlib.asynccontextmanager
async def coming_back(url: str, token: str, *, leave: bool = True) -> AsyncIterator[WireCaller]:
    """Join as the page does: from a server that does not answer back to the first one."""
    until = asyncio.get_running_loop().time() + DEAD
    async with contextlib.AsyncExitStack() as call:
        while True:
            try:
                ann = await call.enter_async_context(wire_caller(url, token=token, leave=leave))
                break
            except ConnectionRefusedError:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(0.25)
        yield ann
