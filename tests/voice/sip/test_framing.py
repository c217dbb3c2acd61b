from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.voice.sip.exchange import request, response
from tests.voice.sip.mutations import mutated
from voice.sip.framing import PING, Frames
from voice.sip.malformed import Malformed
from voice.sip.message import MAX_HEAD, MAX_MESSAGE, Headers, Request, parse

INVITE = bytes(request())
BODY = bytes(
    Request(Headers(request("INFO").headers), body=b"\r\n\r\nSignal=5\r\n\r\n", method="INFO", uri=request().uri)
)
BUSY = bytes(response(request(), 486))
GOOD = [INVITE, BODY, BUSY]


def fed(frames: Frames, *pieces: bytes) -> list[bytes]:
    return [message for piece in pieces for message in frames.feed(piece)]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(GOOD), max_size=4), st.lists(st.integers(0, 2000), max_size=8))
def test_messages_are_the_same_however_the_stream_is_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(messages)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    frames = Frames()
    assert fed(frames, *(stream[a:b] for a, b in pairwise(places))) == messages
    assert len(frames) == 0


def test_messages_come_byte_by_byte() -> None:
    stream = b"".join(GOOD)
    assert fed(Frames(), *(stream[at : at + 1] for at in range(len(stream)))) == GOOD


def test_the_length_is_read_however_it_is_written() -> None:
    for line in (b"Content-Length: 16", b"l:16", b"CONTENT-LENGTH \t:  16  ", b"Content-Length:\r\n 16"):
        data = BODY.replace(b"Content-Length: 16", line)
        assert line in data
        assert fed(Frames(), data + INVITE) == [data, INVITE]
        assert parse(data).body == parse(BODY).body


@pytest.mark.parametrize(
    "stream",
    [PING, PING + INVITE, b"\r\n" * 30_000],
)
def test_a_keep_alive_is_told_once(stream: bytes) -> None:
    found = fed(Frames(), stream)
    assert found == ([PING, INVITE] if INVITE in stream else [PING])


def test_a_keep_alive_is_known_in_pieces() -> None:
    frames = Frames()
    assert fed(frames, INVITE, b"\r", b"\n", b"\r") == [INVITE]
    assert fed(frames, b"\n") == [PING]
    assert fed(frames, INVITE) == [INVITE]


def test_single_empty_lines_before_a_message_are_no_keep_alive() -> None:
    assert fed(Frames(), b"\r\n" + INVITE + b"\r\n", INVITE) == [INVITE, INVITE]


@pytest.mark.parametrize(
    "length", [b"", b"Content-Length: 1\r\nl: 1\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999\r\n",
               b"Content-Length:\r\n", b"Content-Length: 1 2\r\n", b"Content-Length: \xb2\r\n"],
)  # fmt: skip
def test_a_message_without_an_end_breaks_the_stream_behind_the_good_ones(length: bytes) -> None:
    frames = Frames()
    found: list[bytes] = []
    with pytest.raises(Malformed):
        found.extend(frames.feed(BUSY + INVITE.replace(b"Content-Length: 0\r\n", length) + BUSY))
    assert found == [BUSY]
    assert len(frames) == 0
    with pytest.raises(Malformed):
        fed(frames, BUSY)


def test_a_head_without_an_end_is_not_waited_for() -> None:
    frames = Frames()
    assert fed(frames, b"a" * (MAX_HEAD + 3)) == []
    with pytest.raises(Malformed, match="empty line"):
        fed(frames, b"a")


def test_a_message_that_is_too_long_is_not_waited_for() -> None:
    fits = BODY.replace(b"Content-Length: 16", b"Content-Length: 65200")
    frames = Frames()
    assert fed(frames, fits) == []
    with pytest.raises(Malformed) as error:
        fed(Frames(), fits.replace(b"65200", b"%d" % MAX_MESSAGE))
    assert error.value.status == 513


def test_whatever_comes_is_a_message_as_it_is_read_or_breaks_the_stream() -> None:
    random = Random(7)
    for _ in range(400):
        data, frames = mutated(random.choice(GOOD), random, GOOD), Frames()
        try:
            found = [message for message in fed(frames, data[:50], data[50:], INVITE) if message != PING]
        except Malformed:
            continue
        assert sum(len(message) for message in found) + len(frames) <= len(data) + len(INVITE)
        for message in found:
            try:
                read = parse(message)
            except Malformed:
                continue
            assert message.endswith(read.body)
