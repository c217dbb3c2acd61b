"""A packet is read as it was written, whatever else it carries; what is none is refused, and never raises."""

from __future__ import annotations

import struct
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.voice.rtp.mutations import mutated
from voice.rtp.packet import MAX_BYTES, SEQUENCES, TIMESTAMPS, Rtp, distance, is_rtcp, parse

PLAIN = Rtp(8, 65_535, 4_294_967_295, 0xDEADBEEF, b"sound" * 32, marker=True)
KINDS = st.integers(0, 127).filter(lambda kind: not 64 <= kind < 96)
"""RTCP's second byte is a marked payload type of 64 to 95, which no call uses (RFC 5761)."""
PACKETS = st.builds(
    Rtp,
    KINDS,
    st.integers(0, SEQUENCES - 1),
    st.integers(0, TIMESTAMPS - 1),
    st.integers(0, TIMESTAMPS - 1),
    st.binary(max_size=400),
    st.booleans(),
)


@settings(max_examples=100)
@given(PACKETS, st.integers(0, 15), st.none() | st.integers(0, 40), st.integers(0, 255))
def test_a_packet_is_read_as_it_was_written_whatever_else_is_in_it(
    packet: Rtp, sources: int, extension: int | None, padding: int
) -> None:
    plain = bytes(packet)
    assert parse(plain) == packet
    first = 0x80 | sources | (0x10 if extension is not None else 0) | (0x20 if padding else 0)
    more = b"\x01\x02\x03\x04" * sources
    if extension is not None:
        more += struct.pack("!HH", 0xBEDE, extension) + b"\xff" * 4 * extension
    end = bytes(padding - 1) + bytes([padding]) if padding else b""
    assert parse(bytes([first]) + plain[1:12] + more + plain[12:] + end) == packet


def test_what_was_written_is_what_the_rfc_draws() -> None:
    assert bytes(Rtp(0, 1, 160, 0x01020304, b"\xff")) == bytes.fromhex("8000 0001 000000a0 01020304 ff")
    assert bytes(Rtp(101, 65_537, TIMESTAMPS + 1, 1, b"", marker=True)) == bytes.fromhex("80e5 0001 00000001 00000001")
    with pytest.raises(ValueError, match="kind"):
        bytes(Rtp(128, 1, 1, 1, b""))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(PLAIN)[:11],
        b"\x00" + bytes(PLAIN)[1:],
        b"\x40" + bytes(PLAIN)[1:],
        b"\xc0" + bytes(PLAIN)[1:],
        b"\x80\xc8" + bytes(PLAIN)[2:],
        b"\x8f" + bytes(PLAIN)[1:20],
        b"\x90" + bytes(PLAIN)[1:14],
        b"\x90" + bytes(PLAIN)[1:12] + b"\xbe\xde\xff\xff" + bytes(100),
        b"\xa0" + bytes(PLAIN)[1:12] + b"\x00\x00",
        b"\xa0" + bytes(PLAIN)[1:12] + b"\x00\x04",
        bytes(PLAIN) + bytes(MAX_BYTES),
    ],
)
def test_what_is_no_packet_is_refused(data: bytes) -> None:
    assert parse(data) is None


def test_reports_are_told_from_sound() -> None:
    assert is_rtcp(bytes.fromhex("80c8 0006") + bytes(24))
    assert not is_rtcp(bytes.fromhex("80c8"))
    assert not is_rtcp(bytes(PLAIN))


def test_mutated_packets_never_raise_and_never_grow() -> None:
    random = Random(6)
    read = 0
    for _ in range(2000):
        data = mutated(bytes(PLAIN), random)
        packet = parse(data)
        if packet is not None:
            read += 1
            assert len(packet.payload) <= len(data) - 12
            assert parse(bytes(packet)) in (packet, None)
    assert 500 < read < 2000


@given(st.integers(0, SEQUENCES - 1), st.integers(-32_768, 32_767))
def test_distance_goes_over_the_end_of_the_numbers(start: int, step: int) -> None:
    assert distance((start + step) % SEQUENCES, start, SEQUENCES) == step
