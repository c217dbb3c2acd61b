"""Each press is told once, whatever is lost, repeated or out of order; what we press is understood by ourselves."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.rtp.dtmf import DIGITS, MAX_QUEUE, EventPacket, Keys, KeySender, Press, Way, info, read_info

FIRST_SECOND = 4_294_966_000
"""So that timestamps begin anew soon."""


def packets(digits: str, seconds: float = 0.1) -> list[EventPacket]:
    """The event packets of some presses, as they leave."""
    sender = KeySender()
    for digit in digits:
        sender.press(digit, seconds)
    sent = []
    timestamp = FIRST_SECOND
    while sender.busy:
        packet = sender.pull(timestamp % 2**32)
        assert packet is not None
        sent.append(packet)
        timestamp += 160
    return sent


def told(sent: list[EventPacket]) -> str:
    keys = Keys()
    heard = (keys.event(each.payload, each.timestamp, n * 0.02) for n, each in enumerate(sent))
    return "".join(digit for digit in heard if digit)


def test_what_is_sent_is_what_the_rfc_draws() -> None:
    sent = packets("5", 0.06)
    assert [each.payload.hex() for each in sent] == ["050a00a0", "050a0140", "058a01e0", "058a01e0", "058a01e0"]
    assert [each.timestamp for each in sent] == [FIRST_SECOND] * 5
    assert [each.marker for each in sent] == [True, False, False, False, False]


def test_every_key_arrives_in_order_and_the_same_one_as_often_as_it_was_pressed() -> None:
    assert told(packets(DIGITS)) == DIGITS
    assert told(packets("1155#", 0.04)) == "1155#"


@settings(max_examples=60)
@given(st.text(DIGITS, min_size=1, max_size=8), st.integers(0, 2**32), st.floats(0.04, 0.3))
def test_loss_and_repetition_and_disorder_leave_each_press_once(digits: str, seed: int, seconds: float) -> None:
    random = Random(seed)
    sent = packets(digits, seconds)
    by_press: dict[int, list[EventPacket]] = {}
    for each in sent:
        by_press.setdefault(each.timestamp, []).append(each)
    kept = []
    for number, group in enumerate(by_press.values()):
        some = random.sample(group, random.randint(1, len(group)))
        # Out of order within the press; its last packets may come after the first ones of the next.
        kept += [(number + random.random() * 1.2, each) for each in some for _ in range(random.randint(1, 3))]
    first_of: dict[int, str] = {}
    for _, each in sorted(kept, key=lambda one: one[0]):
        first_of.setdefault(each.timestamp, DIGITS[each.payload[0]])
    heard = told([each for _, each in sorted(kept, key=lambda one: one[0])])
    assert heard == "".join(first_of.values())
    assert sorted(heard) == sorted(digits)


def test_a_key_held_for_very_long_is_one_press() -> None:
    keys = Keys()
    first = [keys.event(bytes([5, 10, 0xFF, 0xFF]), 1000, 8.0), keys.event(bytes([5, 10, 0, 160]), 66_535, 8.2)]
    assert first == ["5", None]
    assert keys.event(bytes([5, 0x8A, 1, 64]), 66_535, 8.3) is None
    assert keys.event(bytes([5, 10, 0, 160]), 70_000, 8.9) == "5"


def test_a_press_that_comes_two_ways_counts_once_and_two_by_one_way_twice() -> None:
    keys = Keys()
    assert keys.event(bytes([7, 10, 0, 160]), 1, 1.0) == "7"
    assert keys.pressed("7", Way.INFO, 1.1) is None
    assert keys.pressed("8", Way.INFO, 1.1) == "8"
    assert keys.pressed("8", Way.INFO, 1.2) == "8"
    assert keys.pressed("7", Way.SOUND, 1.3) == "7"
    keys.restart()
    assert keys.event(bytes([7, 10, 0, 160]), 1, 2.0) == "7"


@given(st.lists(st.tuples(st.binary(max_size=8), st.integers(0, 2**32 - 1)), max_size=20))
def test_whatever_comes_as_an_event_never_raises(events: list[tuple[bytes, int]]) -> None:
    keys = Keys()
    for payload, timestamp in events:
        digit = keys.event(payload, timestamp, 0.0)
        assert digit is None or digit == DIGITS[payload[0]]


@pytest.mark.parametrize(
    ("kind", "body", "press"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", Press("5", 0.16)),
        ("Application/DTMF-Relay;x=y", b"signal= *\nduration= 250", Press("*", 0.25)),
        ("application/dtmf-relay", b"Signal=11\r\nDuration=99999\r\n", Press("#", 5.0)),
        ("application/dtmf-relay", b"Signal=d\rDuration=1", Press("D", 0.04)),
        ("application/dtmf", b"#", Press("#", 0.1)),
        ("application/dtmf", b" 10\r\n", Press("*", 0.1)),
        ("application/dtmf", b"12", None),
        ("application/dtmf", b"", None),
        ("application/dtmf-relay", b"Duration=100\r\n", None),
        ("application/dtmf-relay", b"Signal=\xff\r\n", None),
        ("application/dtmf-relay", b"Signal=5\r\n" + b" " * 300, None),
        ("text/plain", b"5", None),
    ],
)
def test_keys_in_info_bodies(kind: str, body: bytes, press: Press | None) -> None:
    assert read_info(kind, body) == press


def test_our_info_is_read_by_ourselves() -> None:
    for digit in DIGITS:
        assert read_info(*info(Press(digit, 0.12))) == Press(digit, 0.12)


def test_what_is_no_key_is_refused_and_the_queue_ends() -> None:
    sender = KeySender()
    for digit in ("", "12", "x"):
        with pytest.raises(ValueError, match="digit"):
            sender.press(digit)
    for seconds in (0.0, 6.0, float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            sender.press("1", seconds)
    for _ in range(MAX_QUEUE):
        sender.press("1")
    with pytest.raises(ValueError, match="wait"):
        sender.press("1")
    assert KeySender().pull(0) is None
