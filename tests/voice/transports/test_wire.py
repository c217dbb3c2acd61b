from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voice.leg import FRAME_BYTES
from voice.transports import wire
from voice.transports.wire import Kind, WireError

PCM = bytes(range(256)) * 2 + bytes(128)
JOIN: dict[str, Any] = {"type": "join", "protocol": 1, "room": "lobby", "name": "Ann"}


def frame(sequence: int = 0, pcm: bytes = PCM) -> bytes:
    return wire.HEADER.pack(Kind.MICROPHONE, 0, 0, 0, sequence) + pcm


def refusal(data: str | bytes | dict[str, Any]) -> str:
    with pytest.raises(WireError) as caught:
        wire.parse(json.dumps(data) if isinstance(data, dict) else data)
    assert caught.value.message
    return caught.value.code


def test_the_layout_is_what_the_page_relies_on() -> None:
    assert wire.HEADER.size == 12
    assert len(PCM) == FRAME_BYTES
    assert wire.audio(Kind.AGENT, 7, 640, b"\1\2") == bytes([2, 0, 0, 0, 7, 0, 0, 0, 128, 2, 0, 0, 1, 2])
    assert wire.parse(bytes([1] + 7 * [0] + [5, 0, 0, 0]) + PCM) == wire.Voice(5, PCM)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type":"played","stream":3,"samples":640}', wire.Receipt(3, 640)),
        ('{"type":"played","stream":3,"samples":640,"flushed":true}', wire.Receipt(3, 640, flushed=True)),
        ('{"type":"ping","t":1.5}', wire.Ping(1.5)),
        ('{"type":"pong","t":2}', wire.Pong(2.0)),
        ('{"type":"audio","prebuffer":0.06,"latency":0.02}', wire.Audio(0.06, 0.02)),
        ('{"type":"leave","later":"more"}', wire.Leave()),
        ('{"type":"join","protocol":1,"room":"a.b-c_1","name":" Änn "}', wire.Join("a.b-c_1", "Änn")),
        (
            '{"type":"join","protocol":1,"room":"x","name":"B","token":"t","prebuffer":0.1,"latency":0.02}',
            wire.Join("x", "B", "t", 0.1, 0.02),
        ),
    ],
)
def test_what_a_page_may_say(text: str, message: wire.Message) -> None:
    assert wire.parse(text) == message


@pytest.mark.parametrize("size", [0, 1, 11])
def test_a_message_shorter_than_its_header(size: int) -> None:
    assert refusal(bytes(size)) == "bad_frame"


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES - 1, FRAME_BYTES - 2, FRAME_BYTES + 1, 100_000])
def test_a_frame_of_another_length(size: int) -> None:
    assert refusal(frame(pcm=bytes(size))) == "bad_frame"


@pytest.mark.parametrize(
    "header", [(2, 0, 0, 0, 0), (0, 0, 0, 0, 0), (1, 1, 0, 0, 0), (1, 0, 9, 0, 0), (1, 0, 0, 4, 0)]
)
def test_a_header_that_a_page_does_not_send(header: tuple[int, ...]) -> None:
    assert refusal(wire.HEADER.pack(*header) + PCM) == "bad_frame"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"join"', "[" * 4000, '{"type":"ping","t":' + "9" * 4000])
def test_text_that_is_no_json_object(text: str) -> None:
    assert refusal(text) in ("bad_json", "bad_field")


@pytest.mark.parametrize("type", [None, "welcome", "", 3, ["join"], {"a": 1}])
def test_an_unknown_type(type: object) -> None:
    assert refusal({"type": type}) == "unknown_type"


def test_text_that_is_too_long() -> None:
    assert refusal('{"type":"leave","x":"' + "x" * wire.MAX_TEXT + '"}') == "too_big"


@pytest.mark.parametrize("value", [-1, 2**32, 1.0, True, None, "3", [1]])
@pytest.mark.parametrize("field", ["stream", "samples"])
def test_a_receipt_with_a_number_that_is_none(field: str, value: object) -> None:
    assert refusal({"type": "played", "stream": 1, "samples": 1} | {field: value}) == "bad_field"


@pytest.mark.parametrize("text", ['"NaN"', "NaN", "Infinity", "1e400", "-1e400", "true", "null", "[]"])
def test_a_time_that_is_none(text: str) -> None:
    assert refusal(f'{{"type":"ping","t":{text}}}') == "bad_field"


@pytest.mark.parametrize("value", [-0.1, 5.1, "0.1", True])
def test_a_latency_that_nobody_believes(value: object) -> None:
    assert refusal({"type": "audio", "prebuffer": 0.04, "latency": value}) == "bad_field"
    assert refusal(JOIN | {"prebuffer": value}) == "bad_field"


def test_flushed_must_be_true_or_false() -> None:
    assert refusal({"type": "played", "stream": 1, "samples": 1, "flushed": 1}) == "bad_field"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"protocol": 2}, "bad_protocol"),
        ({"protocol": True}, "bad_protocol"),
        ({"protocol": None}, "bad_protocol"),
        *(({"room": room}, "bad_room") for room in ("", "../etc", "a b", "-a", "x" * 65, "é", 3, None, "a\n")),
        *(
            ({"name": name}, "bad_name")
            for name in ("", "   ", "x" * 41, "a\x00b", "a\nb", "\u202eab", "\ud800", 3, None)
        ),
        *(({"token": token}, "bad_token") for token in ("", "x" * 129, "é", 3, "a\nb", ["t"])),
    ],
)
def test_a_join_that_cannot_be(change: dict[str, Any], code: str) -> None:
    assert refusal(JOIN | change) == code


@given(st.binary(max_size=800) | st.text(max_size=300))
@example(b"\x01")
def test_garbage_raises_nothing_but_a_wire_error(data: str | bytes) -> None:
    with contextlib.suppress(WireError):
        wire.parse(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ("stream", "samples", "flushed", "t", "prebuffer", "latency", "protocol", "room", "name", "token")
TYPES = ("join", "audio", "played", "ping", "pong", "leave", "welcome")


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_well_formed_nonsense_raises_nothing_but_a_wire_error(type: str, fields: dict[str, Any]) -> None:
    try:
        message = wire.parse(json.dumps({**JOIN, **fields, "type": type}))
    except WireError:
        return
    if isinstance(message, wire.Join):
        assert message.name.isprintable()
        assert 0 < len(message.name) <= wire.MAX_NAME
        assert 0 <= message.prebuffer <= wire.MAX_HOLD
    elif isinstance(message, wire.Receipt):
        assert 0 <= message.samples < 2**32


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=40).map(lambda b: b + b))
def test_sound_goes_out_whole(stream: int, position: int, pcm: bytes) -> None:
    message = wire.audio(Kind.PEER, stream, position, pcm)
    assert struct.unpack_from("<BBHII", message) == (3, 0, 0, stream, position)
    assert message[12:] == pcm


@pytest.mark.parametrize(("stream", "position", "pcm"), [(-1, 0, b""), (0, 2**32, b""), (2**32, 0, b""), (0, 0, b"x")])
def test_sound_that_the_wire_cannot_carry(stream: int, position: int, pcm: bytes) -> None:
    with pytest.raises(ValueError, match="must"):
        wire.audio(Kind.AGENT, stream, position, pcm)


def test_control_messages_survive_any_text() -> None:
    text = wire.control("panel", kind="words", payload={"text": "\ud800 é \u2028"})
    assert text.isascii()
    assert json.loads(text) == {"type": "panel", "kind": "words", "payload": {"text": "\ud800 é \u2028"}}
    with pytest.raises(ValueError):
        wire.control("ping", t=float("nan"))


@given(st.text())
def test_a_reason_fits_a_close_frame(reason: str) -> None:
    assert len(wire.clip(reason.encode(errors="ignore").decode()).encode()) <= 123


def test_frames_are_taken_once_and_in_order() -> None:
    numbers = wire.Sequence()
    for sequence in (0, 1, 5, 6):
        numbers.take(sequence)
    for sequence in (6, 2, 0):
        with pytest.raises(WireError) as caught:
            numbers.take(sequence)
        assert caught.value.code == "out_of_order"
    numbers.take(7 + wire.MAX_GAP)
    with pytest.raises(WireError):
        numbers.take(9 + 2 * wire.MAX_GAP)
    numbers.take(8 + wire.MAX_GAP)


@given(st.lists(st.integers(0, 5000)))
def test_what_is_taken_always_grows(sequences: list[int]) -> None:
    numbers, taken = wire.Sequence(), [-1]
    for sequence in sequences:
        try:
            numbers.take(sequence)
        except WireError:
            assert sequence <= taken[-1] or sequence > taken[-1] + wire.MAX_GAP
        else:
            assert sequence > taken[-1]
            taken.append(sequence)
