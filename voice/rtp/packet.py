"""RTP packets (RFC 3550 section 5.1): what strangers send is read or refused, never trusted; what we send is written.

Lists of contributing sources, header extensions and padding are passed over. `parse` never raises.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAX_BYTES = 2048
"""The longest datagram that is read: more than an Ethernet holds, and than any of our codecs needs."""
SEQUENCES = 1 << 16
TIMESTAMPS = 1 << 32
KINDS = 128
"""Payload types."""
_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
_RTCP = range(192, 224)
"""Second bytes that mean RTCP where both come to one port (RFC 5761 section 4)."""


@dataclass(frozen=True, slots=True)
class Rtp:
    """One packet. `kind`: payload type; `timestamp`: in ticks of the codec's clock; `marker`: a talk begins."""

    kind: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def __bytes__(self) -> bytes:
        """As it is sent. Sequence number, timestamp and source are taken modulo their size."""
        if not 0 <= self.kind < KINDS:
            raise ValueError(f"kind must be a payload type below {KINDS}, not {self.kind}")
        second = self.kind | (0x80 if self.marker else 0)
        sequence, timestamp = self.sequence % SEQUENCES, self.timestamp % TIMESTAMPS
        return _HEADER.pack(0x80, second, sequence, timestamp, self.ssrc % TIMESTAMPS) + self.payload


def parse(data: bytes) -> Rtp | None:
    """The packet in a datagram; None: it is none (too short or long, another version, RTCP, parts that do not fit)."""
    if not _HEADER.size <= len(data) <= MAX_BYTES:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2 or second in _RTCP:
        return None
    begin, end = _HEADER.size, len(data)
    if first & 0x3F:
        begin += 4 * (first & 0x0F)
        if first & 0x10:
            begin += _EXTENSION.size
            if begin > end:
                return None
            begin += 4 * _EXTENSION.unpack_from(data, begin - _EXTENSION.size)[1]
        if first & 0x20:
            padding = data[-1]
            if not padding:
                return None
            end -= padding
        if begin > end:
            return None
    return Rtp(second & 0x7F, sequence, timestamp, ssrc, data[begin:end], second >= KINDS)


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram that came to a port for both is RTCP (RFC 5761)."""
    return len(data) >= 8 and data[0] >> 6 == 2 and data[1] in _RTCP


def distance(later: int, earlier: int, size: int) -> int:
    """How far `later` is ahead of `earlier` among numbers that begin anew at `size`: -size/2 up to size/2 - 1."""
    return (later - earlier + size // 2) % size - size // 2
