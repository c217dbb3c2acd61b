"""A browser in a room: `BrowserLeg` is one caller's leg over one WebSocket; `carry` moves its messages.

The leg itself touches no socket and waits for nothing: messages of the page go in with `take`, messages for it come
out with `outgoing`, `tick` watches for pages that fell silent or cannot keep up. What a page can do wrong costs only
that page: a message that makes no sense is answered with an `error` and ignored, too many of them, or sound much
faster than real time, end the connection (`wire.Close` says how).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from voice.channel import Caller
from voice.clock import now as clock
from voice.leg import Frame, LegEvent
from voice.transports import wire
from voice.transports.bucket import Bucket
from voice.transports.outbox import Outbox
from voice.transports.receipts import Receipts
from voice.transports.wire import Close, WireError

logger = logging.getLogger(__name__)

GONE = (WebSocketDisconnect, OSError)
"""What a socket raises when its far end is no longer there."""

MAX_UNREAD = 256
"""Events that may wait for the room to read them (5 s of voice); the oldest are dropped."""
VOICE_RATE = 150.0
"""Frames a second a page may send in the long run: three times real time."""
VOICE_BURST = 250.0
"""Frames at once: what a network that stood still for 5 s lets through afterwards."""
CONTROL_RATE = 50.0
"""Text messages a second in the long run; a page sends some 15."""
PING_EVERY = 2.0
CONGESTED_AFTER = 3.0
"""Seconds a ping may stay unanswered before other callers' voices and the panel are no longer sent."""
SLOW_AFTER = 10.0
"""Seconds a ping may stay unanswered before the connection is given up."""
SILENT_AFTER = 10.0
"""Seconds without a word from a page (its microphone alone sends 50 frames a second) before it is given up."""
LAST_WORDS = 1.0
"""Seconds allowed for sending the reason and closing the socket."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection is over: closed by us with `code`, or (None) it ended at the far end."""

    code: Close | None
    message: str


class BrowserLeg:
    """The leg of a caller who joined with `join`. `snapshot` gives the panel anew after parts of it were dropped."""

    receipts = True

    def __init__(
        self, caller: Caller, join: wire.Join, now: float, snapshot: Callable[[], Mapping[str, Any]] | None = None
    ) -> None:
        self.caller = caller
        self.jitter = join.prebuffer + join.latency
        self.ending: Ending | None = None
        self.over = asyncio.Event()
        """Set when nothing more is taken in; `ending` then says why."""
        self._hung_up = False
        self._snapshot = snapshot
        self._receipts = Receipts()
        self._outbox = Outbox(self._receipts.sent)
        self._waiting = asyncio.Event()
        self._inbox: deque[LegEvent] = deque()
        self._arrived = asyncio.Event()
        self._sequence = wire.Sequence()
        self._peers: dict[str, tuple[int, int]] = {}
        self._voice = Bucket(VOICE_RATE, VOICE_BURST)
        self._control = Bucket(CONTROL_RATE, 2 * CONTROL_RATE)
        self._patience = Bucket(2.0, 20.0)
        self._excess = Bucket(1.0, 300.0)
        self._warnings = Bucket(1.0, 1.0)
        self._heard_at = self._pinged_at = now
        self._unanswered = False

    # What the room does with it.

    @property
    def hung_up(self) -> bool:
        return self._hung_up

    async def incoming(self) -> AsyncIterator[LegEvent]:
        while True:
            while self._inbox:
                yield self._inbox.popleft()
            if self.ending:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def send(self, pcm: bytes, *, stream: int, position: int) -> None:
        if self.ending is None and not self._receipts.silenced(stream):
            self._outbox.agent(stream, position, pcm)
            self._queued()

    def finish(self, stream: int, samples: int) -> None:
        if self.ending is None and not self._receipts.silenced(stream):
            self._receipts.sent(stream, 0)
            self._outbox.in_order(wire.control("finish", stream=stream, samples=samples))
            self._queued()

    def clear(self, stream: int) -> None:
        if self.ending is None and not self._receipts.silenced(stream):
            self._receipts.cleared(stream)
            self._outbox.drop_stream(stream)
            self._outbox.urgent(wire.control("clear", stream=stream))
            self._queued()

    def send_peer(self, pcm: bytes, caller: str) -> None:
        if self.ending is None:
            number, sequence = self._peers.get(caller, (len(self._peers) + 1, 0))
            self._peers[caller] = (number, sequence + 1)
            self._outbox.peer(number, sequence, pcm)
            self._queued()

    def send_panel(self, kind: str, payload: Mapping[str, Any]) -> None:
        if self.ending is None:
            self._outbox.panel(wire.control("panel", kind=kind, payload=payload))
            self._queued()

    # What the connection does with it.

    def take(self, data: str | bytes, now: float) -> None:
        """Take in one message of the page at `now` (loop seconds); what is wrong with it is answered, never raised."""
        if self.ending:
            return
        self._heard_at = now
        if len(data) > wire.MAX_MESSAGE:
            self.close(Close.TOO_BIG, f"a message has at most {wire.MAX_MESSAGE} bytes")
            return
        try:
            if isinstance(data, bytes):
                self._take_voice(data, now)
            else:
                self._take_control(data, now)
        except WireError as error:
            if self._patience.take(now):
                self._outbox.urgent(wire.control("error", code=error.code, message=error.message))
                self._queued()
            else:
                self.close(Close.GARBAGE, f"too many messages that make no sense; the last one: {error.message}")

    def tick(self, now: float) -> None:
        """Look after the connection; to be called about once a second with the loop time."""
        if self.ending:
            return
        lag = now - self._pinged_at if self._unanswered else 0.0
        self._outbox.congested = lag > CONGESTED_AFTER
        if now - self._heard_at > SILENT_AFTER:
            self.close(Close.SILENT, f"nothing was heard from the page for {SILENT_AFTER:g} s")
        elif lag > SLOW_AFTER:
            self.close(Close.SLOW, "the page or the network cannot keep up with what it is sent")
        elif not self._unanswered and now - self._pinged_at >= PING_EVERY:
            self._unanswered, self._pinged_at = True, now
            self._outbox.urgent(wire.control("ping", t=now))
            self._queued()
        if self._outbox.lost_panel and not self._outbox.congested and not self._outbox and self._snapshot:
            self._outbox.lost_panel = False
            self.send_panel("snapshot", self._snapshot())

    def close(self, code: Close, message: str) -> None:
        """End the connection from our side: the page is told `message` and the socket closed with `code`."""
        if self.ending is None:
            if code is not Close.ENDED:
                logger.info("browser leg of caller %s closed: %s (%d)", self.caller.id, message, code)
                self._outbox.urgent(wire.control("error", code=code.name.lower(), message=message))
            self._end(Ending(code, message))

    def lost(self) -> None:
        """The connection is gone."""
        if self.ending is None:
            self._end(Ending(None, "the connection ended"))

    def pop(self) -> str | bytes | None:
        """The next message for the page, if one waits; what is popped counts as sent."""
        return self._outbox.take()

    async def outgoing(self) -> AsyncIterator[str | bytes]:
        """Messages for the page, in the order in which they must leave; ends after the last words."""
        while True:
            while (message := self.pop()) is not None:
                yield message
            if self.ending:
                return
            self._waiting.clear()
            await self._waiting.wait()

    # Inside.

    def _take_voice(self, data: bytes, now: float) -> None:
        voice = wire.parse(data)
        assert isinstance(voice, wire.Voice)
        self._sequence.take(voice.sequence)
        if self._voice.take(now):
            self._arrive(Frame(voice.pcm))
        elif not self._excess.take(now):
            self.close(Close.FLOOD, "sound came several times faster than real time for too long")
        elif self._warnings.take(now):
            raise WireError("too_fast", "sound comes several times faster than real time; frames are dropped")

    def _take_control(self, data: str, now: float) -> None:
        if not self._control.take(now):
            self.close(Close.FLOOD, f"more than {CONTROL_RATE:g} messages a second")
            return
        match wire.parse(data):
            case wire.Receipt() as receipt:
                self._arrive(self._receipts.check(receipt))
            case wire.Ping(t):
                self._outbox.urgent(wire.control("pong", t=t, now=now))
                self._queued()
            case wire.Pong(t):
                self._unanswered &= t != self._pinged_at
            case wire.Audio(prebuffer, latency):
                self.jitter = prebuffer + latency
            case wire.Leave():
                self._hung_up = True
                self.close(Close.ENDED, "you left")
            case wire.Join():
                raise WireError("already_joined", "this connection has joined; open another one")

    def _arrive(self, event: LegEvent) -> None:
        if len(self._inbox) >= MAX_UNREAD:
            self._inbox.remove(next((e for e in self._inbox if isinstance(e, Frame)), self._inbox[0]))
        self._inbox.append(event)
        self._arrived.set()

    def _queued(self) -> None:
        self._waiting.set()
        if self._outbox.overflowed:
            self.close(Close.SLOW, "the page or the network cannot keep up with what it is sent")

    def _end(self, ending: Ending) -> None:
        self.ending = ending
        self._outbox.drop_all_but_urgent()
        self.over.set()
        self._arrived.set()
        self._waiting.set()


async def carry(socket: WebSocket, leg: BrowserLeg) -> None:
    """Move messages between an accepted socket and `leg` until one of them is over; then close the socket."""
    try:
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(_read(socket, leg))
            writer = tasks.create_task(_write(socket, leg))
            await _watch(leg)
            await asyncio.wait([writer], timeout=LAST_WORDS)
            reader.cancel()
            writer.cancel()
    finally:
        leg.lost()
    if leg.ending and leg.ending.code is not None:
        await hang_up(socket, leg.ending.code, leg.ending.message)


async def hang_up(socket: WebSocket, code: Close, message: str) -> None:
    """Close a socket that may be gone or blocked already."""
    with contextlib.suppress(TimeoutError, RuntimeError, *GONE):
        async with asyncio.timeout(LAST_WORDS):
            await socket.close(code, wire.clip(message))


async def _read(socket: WebSocket, leg: BrowserLeg) -> None:
    while (message := await socket.receive())["type"] == "websocket.receive":
        data = message.get("text")
        leg.take(message["bytes"] if data is None else data, clock())
    leg.lost()


async def _write(socket: WebSocket, leg: BrowserLeg) -> None:
    try:
        async for message in leg.outgoing():
            if isinstance(message, str):
                await socket.send_text(message)
            else:
                await socket.send_bytes(message)
    except GONE:
        leg.lost()


async def _watch(leg: BrowserLeg) -> None:
    """Look after the connection until it is over."""
    while leg.ending is None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await leg.over.wait()
        leg.tick(clock())
