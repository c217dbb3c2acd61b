"""A jitter buffer: packets in as the network brings them, 20 ms out at every tick; held back no longer than needed.

How long: as late as 95 of 100 packets of the last seconds came after the quickest of them, 20 to 200 ms; more at once,
less by 20 ms every 2 s. Longer and shorter is done in silence where there is any soon. What comes later than that is
given up: it never makes the call lag. For codecs of one byte a tick of their clock (G.711, G.722), in packets of any
length.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from voice.rtp.packet import SEQUENCES, TIMESTAMPS, distance

CLOCK = 8000
"""Ticks a second: of G.711, and of G.722 too (RFC 3551 section 4.5.2)."""
STEP = CLOCK // 50
"""Ticks (and bytes) in what is taken at once: 20 ms."""
LEAST, MOST = STEP, 10 * STEP
"""How much may be held back."""
FALL_EVERY = 2.0
"""Seconds between two steps of holding back less."""
PATIENCE = 0.5
"""Seconds that a change of length waits for silence."""
MEMORY = 250
"""Packets whose lateness is remembered: 5 s of them."""
RECKON_EVERY = 25
MISORDER = 100
"""A jump in sequence beyond which it is another stream (RFC 3550 A.1 has the same number)."""
ASTRAY = CLOCK
"""Ticks off the clock beyond which it is: a PBX that held the call comes back like that."""
RATE_LIMIT = 200
"""Packets a second that are taken."""
GIVE_UP = 5
"""Ticks without a packet after which nothing is said to be lost: the other end is silent, or gone."""
_RING = 1 << 14
_SEEN = 256
_EMPTY, _SOUND, _PAUSE = 0, 1, 2


class Placed(Enum):
    """What became of a packet."""

    PLACED = auto()
    LATE = auto()
    """Its time is over, or it is a stray one of another stream."""
    DUPLICATE = auto()
    RESTARTED = auto()
    """Another stream has begun (two of its packets came in order); what was held of the old one is gone."""
    FLOOD = auto()
    """More than `RATE_LIMIT` packets in this second."""


@dataclass(frozen=True, slots=True)
class Slot:
    """20 ms of sound as it was sent, or None. `lost`: there was some, or it is late; else the other end sent none."""

    payload: bytes | None
    lost: bool = False


class Quiet(Protocol):
    """Whether 20 ms of sound could be left out or doubled unheard."""

    def __call__(self, payload: bytes, /) -> bool:
        """True: nobody would miss it."""
        ...


_NOTHING: Final = Slot(None)
_LOST: Final = Slot(None, lost=True)


class JitterBuffer:
    """The buffer of one stream. `put` each packet with its time of arrival; `take` once every 20 ms (loop seconds)."""

    def __init__(self, quiet: Quiet = lambda _payload: False) -> None:
        self.lost, self.late = 0, 0
        """Times that sound was missing; packets that came too late."""
        self._quiet = quiet
        self._target = LEAST
        self._fallen = 0.0
        self._second, self._packets = 0.0, 0
        self._stray: int | None = None
        self._fresh()

    def _fresh(self) -> None:
        self._ring, self._marks = bytearray(_RING), bytearray(_RING)
        self._sequence, self._timestamp = -1, 0
        """Of the newest packet, counted on without beginning anew."""
        self._seen, self._ends = [-1] * _SEEN, [0] * _SEEN
        self._transits: list[float] = []
        self._floor = 0.0
        self._arrivals = 0
        self._cursor, self._top = 0, 0
        self._playing = False
        self._dry = 0
        self._paused = -1
        """Where sound ends for what is no sound; nothing is missing behind it until more has come."""
        self._unfit_since: float | None = None

    @property
    def depth(self) -> float:
        """Seconds that are held back: how long after the quickest packet's way sound is taken."""
        return self._target / CLOCK

    def restart(self) -> None:
        """Another stream follows (a new SSRC): forget the old one, but not how unsteady the way is."""
        self._fresh()

    def put(self, sequence: int, timestamp: int, payload: bytes, now: float) -> Placed:
        """A packet has come. More than a second of sound in one is cut off."""
        if self._floods(now):
            return Placed.FLOOD
        payload = payload[:CLOCK]
        if self._sequence < 0:
            self._begin(sequence, timestamp, now)
        number = self._sequence + distance(sequence, self._sequence % SEQUENCES, SEQUENCES)
        begin = self._timestamp + distance(timestamp, self._timestamp % TIMESTAMPS, TIMESTAMPS)
        transit = now * CLOCK - begin
        if abs(number - self._sequence) > MISORDER or abs(transit - self._floor) > ASTRAY:
            if self._stray != sequence:
                self._stray = (sequence + 1) % SEQUENCES
                return Placed.LATE
            self._fresh()
            self._begin(sequence, timestamp, now)
            self._store(self._sequence, self._timestamp, payload)
            self._note(now * CLOCK - self._timestamp, now)
            return Placed.RESTARTED
        self._stray = None
        if self._seen[number % _SEEN] == number:
            return Placed.DUPLICATE
        self._note(transit, now)
        placed = self._store(number, begin, payload)
        if number > self._sequence:
            self._sequence, self._timestamp = number, begin
        return placed

    def skip(self, sequence: int, now: float) -> Placed:
        """A packet of the stream that is no sound (a key, comfort noise) has come: it is not missing."""
        if self._floods(now):
            return Placed.FLOOD
        if self._sequence < 0:
            return Placed.PLACED
        number = self._sequence + distance(sequence, self._sequence % SEQUENCES, SEQUENCES)
        if abs(number - self._sequence) > MISORDER:
            return Placed.LATE
        if self._seen[number % _SEEN] == number:
            return Placed.DUPLICATE
        before = (number - 1) % _SEEN
        if self._seen[before] == number - 1:
            self._seen[number % _SEEN], self._ends[number % _SEEN] = number, self._ends[before]
            self._paused = self._ends[before]
        self._sequence = max(self._sequence, number)
        return Placed.PLACED

    def take(self, now: float) -> Slot:
        """The 20 ms whose time has come."""
        if self._sequence < 0:
            return _NOTHING
        behind = now * CLOCK - self._floor - self._cursor
        if not self._playing:
            if behind < self._target:
                return _NOTHING
            self._playing = True
        over = behind - self._target
        if over > MOST:
            self._skip(int(over))
        elif over > STEP:
            if self._may_change(now, must=over > STEP * 3 // 2):
                self._skip(STEP)
        elif over < -STEP // 4:
            if self._may_change(now, must=True):
                return self._stretched()
        else:
            self._unfit_since = None
        return self._next()

    def _begin(self, sequence: int, timestamp: int, now: float) -> None:
        """Numbers are counted from one round up, so that what came before the first packet is not below nothing."""
        self._sequence, self._timestamp = sequence + SEQUENCES, timestamp + TIMESTAMPS
        self._floor = now * CLOCK - self._timestamp
        self._cursor = self._top = self._timestamp
        self._stray = None

    def _floods(self, now: float) -> bool:
        if now - self._second >= 1:
            self._second, self._packets = now, 0
        self._packets += 1
        return self._packets > RATE_LIMIT

    def _note(self, transit: float, now: float) -> None:
        """How long this packet took, against the others."""
        transits = self._transits
        if len(transits) < MEMORY:
            transits.append(transit)
        else:
            transits[self._arrivals % MEMORY] = transit
        self._arrivals += 1
        self._floor = min(self._floor, transit)
        if self._arrivals % RECKON_EVERY == 0 or self._arrivals in (5, 10, 15):
            self._reckon(now)

    def _reckon(self, now: float) -> None:
        ordered = sorted(self._transits)
        # A way that became longer is no reason to hold back more than before once the quick packets are forgotten.
        longer = max(0, int((ordered[0] - self._floor) // STEP) * STEP)
        self._floor = ordered[0]
        late = ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)] - ordered[0]
        wanted = min(MOST, max(LEAST, -int(-late // STEP) * STEP))
        self._target = max(wanted, self._target - longer)
        if wanted == self._target:
            self._fallen = now
        elif now - self._fallen >= FALL_EVERY:
            self._target, self._fallen = self._target - STEP, now

    def _store(self, number: int, begin: int, payload: bytes) -> Placed:
        end = begin + len(payload)
        self._seen[number % _SEEN], self._ends[number % _SEEN] = number, end
        if not self._playing and begin < self._cursor and self._cursor - begin <= MOST:
            self._cursor = begin
        if end <= self._cursor or end > self._cursor + _RING:
            self.late += 1
            self._dry = 0
            return Placed.LATE
        before = (number - 1) % _SEEN
        if self._seen[before] == number - 1 and self._ends[before] < begin:
            self._write(max(self._ends[before], self._cursor), begin, None)
        self._write(begin, end, payload)
        self._top = max(self._top, end)
        return Placed.PLACED

    def _write(self, begin: int, end: int, payload: bytes | None) -> None:
        """Into the ring: sound, or that none was sent. What is before the cursor is left out."""
        if begin < self._cursor:
            if payload is not None:
                payload = payload[self._cursor - begin :]
            begin = self._cursor
        if end <= begin:
            return
        mark = bytes([_PAUSE if payload is None else _SOUND])
        at, length = begin % _RING, end - begin
        first = min(length, _RING - at)
        self._marks[at : at + first] = mark * first
        self._marks[: length - first] = mark * (length - first)
        if payload is not None:
            self._ring[at : at + first] = payload[:first]
            self._ring[: length - first] = payload[first:]

    def _next(self) -> Slot:
        """What stands at the cursor, which goes on."""
        marks, sound = self._at_cursor(self._marks), self._at_cursor(self._ring)
        more = self._top > self._cursor
        self._skip(STEP)
        if marks.count(_SOUND) == STEP:
            self._dry = 0
            return Slot(sound)
        if _PAUSE in marks or (not more and self._paused == self._top):
            return _NOTHING
        if not more:
            self._dry += 1
            if self._dry > GIVE_UP:
                return _NOTHING
        self.lost += 1
        return _LOST

    def _at_cursor(self, ring: bytearray) -> bytes:
        at = self._cursor % _RING
        if at + STEP <= _RING:
            return bytes(ring[at : at + STEP])
        return bytes(ring[at:] + ring[: at + STEP - _RING])

    def _skip(self, ticks: int) -> None:
        """The cursor goes on; what it passes is forgotten."""
        clear = min(ticks, _RING)
        at = self._cursor % _RING
        first = min(clear, _RING - at)
        self._marks[at : at + first] = bytes(first)
        self._marks[: clear - first] = bytes(clear - first)
        self._cursor += ticks

    def _may_change(self, now: float, must: bool) -> bool:
        """Whether this is the place to leave out or put in 20 ms: no sound, silence, or it `must` and has waited."""
        if self._unfit_since is None or not must:
            self._unfit_since = now
        waited = now - self._unfit_since >= PATIENCE
        if waited or not self._whole() or self._quiet(self._at_cursor(self._ring)):
            self._unfit_since = None
            return True
        return False

    def _stretched(self) -> Slot:
        """20 ms more than was sent: the quiet again, or something in the manner of what was heard."""
        if self._whole() and self._quiet(sound := self._at_cursor(self._ring)):
            return Slot(sound)
        if _PAUSE in self._at_cursor(self._marks) or self._dry > GIVE_UP:
            return _NOTHING
        return _LOST

    def _whole(self) -> bool:
        return self._at_cursor(self._marks).count(_SOUND) == STEP
