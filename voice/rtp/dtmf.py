"""Keys of the telephone: each press told once, whatever is lost, repeated or comes by two ways; and pressed by us.

As events in RTP (RFC 4733), in bodies of SIP INFO, and as found in the sound (`goertzel.py`).
"""

from __future__ import annotations

import re
import struct
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from voice.rtp.jitter import CLOCK, STEP

DIGITS = "0123456789*#ABCD"
"""By the code of their event (RFC 4733 section 3.2)."""
SAME_PRESS = 0.15
"""A digit that comes by another way within this time (s) of its last is the same press."""
REMEMBERED = 16
"""Presses whose packets may still come, out of order."""
REPEATS = 3
"""Times that the end of an event is sent (RFC 4733 section 2.5.1.4)."""
SHORTEST, LONGEST = 0.04, 5.0
"""How long a key may be pressed by us (s)."""
VOLUME = 10
"""As loud as keys are (-dBm0)."""
MAX_QUEUE = 64
"""Presses that may wait to be sent."""
MAX_BODY = 256
_EVENT = struct.Struct("!BBH")
_SEGMENT = 0xFFFF
_END = 0x80
_RELAY = re.compile(r"^[ \t]*(signal|duration)[ \t]*=[ \t]*([0-9A-Da-d*#]{1,5})[ \t]*$", re.MULTILINE | re.IGNORECASE)


class Way(Enum):
    """How a key came."""

    EVENT = auto()
    INFO = auto()
    SOUND = auto()


class Keys:
    """Tells presses apart: what comes in of keys, by any way, goes through here; what is new comes out."""

    def __init__(self) -> None:
        self._told: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._going_on: tuple[int, int] | None = None
        """Code and end (timestamp) of the event that has not ended."""
        self._last: dict[str, tuple[Way, float]] = {}

    def event(self, payload: bytes, timestamp: int, now: float) -> str | None:
        """The payload of an event packet: the digit, if this is its first packet that came. Never raises."""
        if len(payload) < _EVENT.size:
            return None
        code, flags, duration = _EVENT.unpack_from(payload)
        if code >= len(DIGITS):
            return None
        press = (code, timestamp)
        # A key held for longer than a duration can say goes on in a new segment, at a new time (section 2.5.1.3).
        new = press not in self._told and press != self._going_on
        ended, end = bool(flags & _END), (timestamp + duration) % (1 << 32)
        if press not in self._told:
            self._told.append(press)
        self._going_on = (code, end) if duration == _SEGMENT and not ended else None
        return self.pressed(DIGITS[code], Way.EVENT, now) if new else None

    def pressed(self, digit: str, way: Way, now: float) -> str | None:
        """A press that came by `way`: the digit, unless it is one that was told already from another way."""
        before = self._last.get(digit)
        if before is not None and before[0] is not way and now - before[1] < SAME_PRESS:
            return None
        self._last[digit] = (way, now)
        return digit

    def restart(self) -> None:
        """Another stream follows (a new SSRC), whose timestamps mean other presses."""
        self._told.clear()
        self._going_on = None


@dataclass(frozen=True, slots=True)
class Press:
    """A key and for how long it is pressed (s)."""

    digit: str
    seconds: float


def read_info(kind: str, body: bytes) -> Press | None:
    """The key in the body of a SIP INFO of type `application/dtmf-relay` or `application/dtmf`; None: there is none."""
    kind = kind.partition(";")[0].strip().lower()
    if len(body) > MAX_BODY:
        return None
    text = body.decode("latin-1").strip()
    if kind == "application/dtmf":
        return _press(text, "")
    if kind != "application/dtmf-relay":
        return None
    fields = {name.lower(): value for name, value in _RELAY.findall(text.replace("\r", "\n"))}
    return _press(fields.get("signal", ""), fields.get("duration", ""))


def info(press: Press) -> tuple[str, bytes]:
    """Type and body of a SIP INFO that presses a key."""
    return "application/dtmf-relay", f"Signal={press.digit}\r\nDuration={round(press.seconds * 1000)}\r\n".encode()


def _press(signal: str, milliseconds: str) -> Press | None:
    """Some write 10 and 11 for the star and the square."""
    digit = {"10": "*", "11": "#"}.get(signal, signal).upper()
    if len(digit) != 1 or digit not in DIGITS:
        return None
    seconds = int(milliseconds) / 1000 if milliseconds.isdecimal() else 0.1
    return Press(digit, min(LONGEST, max(SHORTEST, seconds)))


@dataclass(frozen=True, slots=True)
class EventPacket:
    """What goes out at a tick instead of sound: at the timestamp of the press, marked if it is the first."""

    payload: bytes
    timestamp: int
    marker: bool


class KeySender:
    """Presses keys one after the other, in the ticks of a stream that has another use for those between."""

    def __init__(self, clock: int = CLOCK) -> None:
        """`clock`: of the telephone events, ticks a second (Hz)."""
        self._step = STEP * clock // CLOCK
        self._waiting: deque[Press] = deque()
        self._press: Press | None = None
        self._begun, self._sent, self._ends = 0, 0, 0

    @property
    def busy(self) -> bool:
        """Whether a key is pressed or waits."""
        return self._press is not None or bool(self._waiting)

    def press(self, digit: str, seconds: float = 0.1) -> None:
        """Press a key when those before it are through. Raises ValueError for none, or when too many wait."""
        if len(digit) != 1 or digit not in DIGITS:
            raise ValueError(f"digit must be one of {DIGITS}, not {digit!r}")
        if not SHORTEST <= seconds <= LONGEST:
            raise ValueError(f"seconds must be between {SHORTEST} and {LONGEST}, not {seconds!r}")
        if len(self._waiting) >= MAX_QUEUE:
            raise ValueError(f"at most {MAX_QUEUE} keys may wait to be pressed")
        self._waiting.append(Press(digit, seconds))

    def pull(self, timestamp: int) -> EventPacket | None:
        """What leaves at this tick (`timestamp`: of the sound that would); None: sound may. Call it at every tick."""
        if self._press is None:
            if not self._waiting:
                return None
            self._press = self._waiting.popleft()
            self._begun, self._sent, self._ends = timestamp, 0, 0
        first = self._sent == 0
        code = DIGITS.index(self._press.digit)
        whole = max(1, round(self._press.seconds * 50)) * self._step
        self._sent = min(whole, self._sent + self._step)
        flags = VOLUME
        if self._sent == whole:
            flags |= _END
            self._ends += 1
        begun = self._begun
        if self._ends == REPEATS:
            # The repeated ends are a pause of 40 ms, long enough for those who turn events into tones again.
            self._press = None
        return EventPacket(_EVENT.pack(code, flags, min(self._sent, _SEGMENT)), begun, first)
