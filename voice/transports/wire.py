"""What a browser and a room say to each other over one WebSocket, byte for byte. Sans-I/O: parse and encode, no socket.

Binary messages carry sound: a header of 12 bytes (little-endian) and 16-bit mono PCM at 16,000 Hz:

    kind u8 | 0 u8 | 0 u16 | stream u32 | position u32 | samples

    kind 1, up    the caller's voice: exactly 20 ms (640 bytes); stream is 0; position counts frames from 0 in this
                  connection. A gap means that the page had to drop frames; a repeat or a step back is refused.
    kind 2, down  the agent's voice: `position` is the first sample's place in audio stream `stream`.
    kind 3, down  another caller's voice: `stream` numbers the caller in this connection, `position` counts frames.

Text messages are JSON objects with a `type`. From the page:

    join    {protocol, room, name, token?, prebuffer?, latency?}  must be first, within JOIN_SECONDS
    audio   {prebuffer, latency}     seconds held back by the jitter buffer, and by browser and device after it
    played  {stream, samples, flushed?}  receipts, see below
    ping    {t}                      answered by pong with the same t; the page measures round trip and clock with it
    pong    {t}                      answers the room's ping
    leave   {}                       the caller hangs up (a connection that just ends may be resumed)

To the page:

    welcome {protocol, room, caller: {id, name}, token, now, snapshot, help}
    moved   {url, token}             instead of welcome: join there, with this token
    clear   {stream}                 drop what has not been played; answered by played with flushed
    finish  {stream, samples}        nothing follows; played with this count is wanted when it is out
    panel   {kind, payload}          for the eye
    error   {code, message}          something sent was ignored, or (just before a close) why this is the end
    ping {t} / pong {t, now}         `now` is the room's clock, in seconds

`played.samples` counts samples of the stream, at 16 kHz, that the page's playback worklet has rendered. They are at the
ear `latency` seconds later. In answer to `clear` it is the exact place at which the worklet fell silent.

A connection is closed with one of `Close`; the `error` sent before it says the same in words (but for a message beyond
the WebSocket server's own limit, which it answers itself with 1009).
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from voice.leg import FRAME_BYTES

PROTOCOL = 1
"""Version of this protocol; a page of another version is told to reload."""
JOIN_SECONDS = 10.0
"""A connection that has not joined by then is closed."""
HEADER = struct.Struct("<BBHII")
MAX_TEXT = 4096
"""Characters of JSON a page may send at once (the longest sensible message, join, has about 400)."""
MAX_BINARY = HEADER.size + FRAME_BYTES
MAX_MESSAGE = 16_384
"""Bytes at which a message costs the connection; for the WebSocket server's own limit."""
MAX_NAME = 40
MAX_TOKEN = 128
MAX_GAP = 3000
"""Frames the page may skip at once (one minute); beyond that the number is taken for nonsense."""
MAX_HOLD = 5.0
"""Seconds of prebuffer or latency that are believed."""
_U32 = 0xFFFF_FFFF
_ROOM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Kind(IntEnum):
    """What a binary message carries."""

    MICROPHONE = 1
    AGENT = 2
    PEER = 3


class Close(IntEnum):
    """Why a connection is closed. Codes below 4000 are the WebSocket standard's own."""

    ENDED = 1000
    """The caller left, or the room ended the call."""
    GOING_AWAY = 1001
    """The server stops; come back."""
    TOO_BIG = 1009
    """A message was larger than MAX_MESSAGE."""
    FAILED = 1011
    """The room failed; come back."""
    MOVED = 4307
    """The room is open at another server: the `moved` before, and the reason, say where."""
    GARBAGE = 4400
    """Too many messages that made no sense."""
    REFUSED = 4403
    """The room would not have the caller: the error before says why."""
    SILENT = 4408
    """Nobody joined, or nothing was heard of the page for too long."""
    REPLACED = 4409
    """The same caller connected again."""
    FLOOD = 4429
    """Sound or messages came several times faster than real time."""
    SLOW = 4503
    """The page, or the network, cannot keep up with what it is sent; come back."""


class WireError(ValueError):
    """A message that is not taken. `code` is stable and for programs, `message` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Voice:
    """20 ms of the caller's voice; `sequence` counts frames."""

    sequence: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Join:
    """The page wants to bring a caller into a room. `prebuffer` and `latency` are seconds, as in `Audio`."""

    room: str
    name: str
    token: str | None = None
    prebuffer: float = 0.04
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class Audio:
    """What lies between the page's playback worklet and the ear changed (seconds)."""

    prebuffer: float
    latency: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """The page has rendered `samples` samples of agent stream `stream`; `flushed`: and then fell silent."""

    stream: int
    samples: int
    flushed: bool = False


@dataclass(frozen=True, slots=True)
class Ping:
    """The page asks for a sign of life; `t` is its own and comes back unchanged."""

    t: float


@dataclass(frozen=True, slots=True)
class Pong:
    """The page answers the room's ping `t`."""

    t: float


@dataclass(frozen=True, slots=True)
class Leave:
    """The caller hangs up."""


Message = Voice | Join | Audio | Receipt | Ping | Pong | Leave


def parse(data: str | bytes) -> Message:
    """Understand one message from a page. Raises WireError, and nothing else, for anything that is not one."""
    return _parse_text(data) if isinstance(data, str) else _parse_binary(data)


def _parse_binary(data: bytes) -> Voice:
    if len(data) < HEADER.size:
        raise WireError("bad_frame", f"a binary message starts with a header of {HEADER.size} bytes; got {len(data)}")
    kind, zero8, zero16, stream, sequence = HEADER.unpack_from(data)
    if kind != Kind.MICROPHONE or zero8 or zero16 or stream:
        raise WireError("bad_frame", f"a page sends binary messages of kind {Kind.MICROPHONE.value} and stream 0 only")
    size = len(data) - HEADER.size
    if size != FRAME_BYTES:
        raise WireError("bad_frame", f"a frame is 20 ms of 16-bit mono PCM at 16 kHz: {FRAME_BYTES} bytes; got {size}")
    return Voice(sequence, data[HEADER.size :])


def _parse_text(data: str) -> Message:
    if len(data) > MAX_TEXT:
        raise WireError("too_big", f"a text message has at most {MAX_TEXT} characters; got {len(data)}")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise WireError("bad_json", "a text message is one JSON object") from None
    if not isinstance(fields, dict):
        raise WireError("bad_json", "a text message is one JSON object")
    match fields.get("type"):
        case "played":
            return Receipt(_whole(fields, "stream"), _whole(fields, "samples"), _flag(fields, "flushed"))
        case "ping":
            return Ping(_number(fields, "t"))
        case "pong":
            return Pong(_number(fields, "t"))
        case "audio":
            return Audio(_seconds(fields, "prebuffer"), _seconds(fields, "latency"))
        case "leave":
            return Leave()
        case "join":
            return _join(fields)
        case _:
            raise WireError("unknown_type", "type must be one of join, audio, played, ping, pong, leave")


def _join(fields: Mapping[str, Any]) -> Join:
    if fields.get("protocol") != PROTOCOL or isinstance(fields.get("protocol"), bool):
        raise WireError("bad_protocol", f"this server speaks protocol {PROTOCOL}; reload the page")
    return Join(
        room=_room(fields.get("room")),
        name=_name(fields.get("name")),
        token=_token(fields.get("token")),
        prebuffer=_seconds(fields, "prebuffer", 0.04),
        latency=_seconds(fields, "latency", 0.0),
    )


def _room(room: object) -> str:
    if not isinstance(room, str) or not _ROOM.fullmatch(room):
        raise WireError(
            "bad_room",
            "a room's name has 1 to 64 letters, digits, dots, dashes or underscores and starts with a letter or digit",
        )
    return room


def _name(name: object) -> str:
    text = name.strip() if isinstance(name, str) else ""
    if not text or len(text) > MAX_NAME or not text.isprintable():
        raise WireError("bad_name", f"a caller's name has 1 to {MAX_NAME} printable characters")
    return text


def _token(token: object) -> str | None:
    if token is None:
        return None
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN or not token.isascii() or not token.isprintable():
        raise WireError("bad_token", "token is the text that an earlier welcome gave, or null")
    return token


def _whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _U32:
        raise WireError("bad_field", f"{name} must be a whole number from 0 to {_U32}")
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise WireError("bad_field", f"{name} must be true or false")
    return value


def _number(fields: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e15:
        raise WireError("bad_field", f"{name} must be a number")
    return float(value)


def _seconds(fields: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = _number(fields, name, default)
    if not 0 <= value <= MAX_HOLD:
        raise WireError("bad_field", f"{name} must be seconds from 0 to {MAX_HOLD:g}")
    return value


@dataclass(slots=True)
class Sequence:
    """The numbers of the caller's frames: each one is taken once, in order."""

    _next: int = 0

    def take(self, sequence: int) -> None:
        """Accept a frame's number. Raises WireError for a repeat, a step back or an absurd leap."""
        if sequence < self._next:
            raise WireError("out_of_order", f"frame {sequence} comes twice or too late; {self._next} was next")
        if sequence > self._next + MAX_GAP:
            raise WireError("out_of_order", f"frame {sequence} is too far ahead; {self._next} was next")
        self._next = sequence + 1


def audio(kind: Kind, stream: int, position: int, pcm: bytes) -> bytes:
    """A binary message with sound. `stream` and `position` are 32-bit; `pcm` holds whole samples. Raises ValueError."""
    if not (0 <= stream <= _U32 and 0 <= position <= _U32):
        raise ValueError(f"stream {stream} and position {position} must fit 32 bits")
    if len(pcm) % 2:
        raise ValueError(f"pcm must hold whole 16-bit samples; got {len(pcm)} bytes")
    return HEADER.pack(kind, 0, 0, stream, position) + pcm


def control(type: str, **fields: Any) -> str:
    """A text message of type `type`. Raises ValueError or TypeError for what JSON cannot carry."""
    return json.dumps({"type": type, **fields}, separators=(",", ":"), allow_nan=False)


def clip(reason: str) -> str:
    """`reason` cut to what a WebSocket close frame can carry (123 bytes of UTF-8)."""
    return reason.encode()[:123].decode(errors="ignore")
