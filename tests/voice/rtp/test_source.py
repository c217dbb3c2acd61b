"""Sound is taken from where it was agreed, or from where the same caller truly is; nobody can aim us at others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.rtp.packet import Rtp
from voice.rtp.source import PROOF, SILENCE, Latch, sendable, unmapped

PHONE, OURS = ("198.51.100.7", 4000), "203.0.113.1"
HIDDEN, ROUTER = ("192.168.1.20", 4000), ("198.51.100.9", 61_000)
STRANGER = ("198.51.100.66", 4000)


def packet(sequence: int, ssrc: int = 1) -> Rtp:
    return Rtp(0, sequence % 65536, sequence * 160, ssrc, bytes(160))


def prove(latch: Latch, source: tuple[str, int], now: float, first: int = 65_534, count: int = PROOF) -> list[bool]:
    return [latch.accept(packet(first + n, ssrc=9), source, now) for n in range(count)]


def test_the_agreed_address_is_heard_and_a_stranger_never() -> None:
    latch = Latch(PHONE, OURS, 0.0)
    assert latch.accept(packet(1), PHONE, 0.1)
    assert latch.accept(packet(2), ("::ffff:198.51.100.7", 4000), 0.1)
    assert not any(prove(latch, STRANGER, 20.0, count=100))
    assert latch.address == PHONE


def test_another_port_of_the_same_host_is_followed_once_it_has_proved_itself() -> None:
    latch = Latch(PHONE, OURS, 0.0)
    assert prove(latch, (PHONE[0], 4444), 0.1) == [False] * (PROOF - 1) + [True]
    assert latch.address == (PHONE[0], 4444)


def test_a_caller_behind_nat_is_followed_and_nobody_takes_its_place_while_it_speaks() -> None:
    latch = Latch(HIDDEN, OURS, 0.0)
    assert prove(latch, ROUTER, 0.1)[-1]
    assert not any(prove(latch, STRANGER, 0.2, count=50))
    assert latch.accept(packet(9), ROUTER, 1.0)
    assert not any(prove(latch, STRANGER, 1.0 + SILENCE - 0.1, count=50))
    # Its router gave it another port after a while of silence.
    assert prove(latch, (ROUTER[0], 61_999), 1.0 + SILENCE)[-1]


def test_between_two_of_one_private_network_nothing_is_hidden() -> None:
    latch = Latch(HIDDEN, "192.168.1.2", 0.0)
    assert not any(prove(latch, ("192.168.1.66", 4000), 9.0, count=50))


@pytest.mark.parametrize("sequences", [[1, 1, 1, 1, 1, 1], [1, 50, 99, 150, 200, 250], [6, 5, 4, 3, 2, 1]])
def test_packets_that_are_not_in_sequence_prove_nothing(sequences: list[int]) -> None:
    latch = Latch(HIDDEN, OURS, 0.0)
    assert not any(latch.accept(packet(n), ROUTER, 0.1) for n in sequences)


def test_packets_of_several_streams_prove_nothing() -> None:
    latch = Latch(HIDDEN, OURS, 0.0)
    assert not any(latch.accept(packet(n, ssrc=n % 2), ROUTER, 0.1) for n in range(20))


def test_the_agreed_one_speaking_breaks_a_proof() -> None:
    latch = Latch(PHONE, OURS, 0.0)
    prove(latch, (PHONE[0], 4444), 0.1, count=PROOF - 1)
    latch.accept(packet(1), PHONE, 0.1)
    assert not latch.accept(packet(65_534 + PROOF, ssrc=9), (PHONE[0], 4444), 0.1)


def test_who_holds_the_key_is_believed_at_once() -> None:
    latch = Latch(PHONE, OURS, 0.0, authenticated=True)
    assert latch.accept(packet(1), ROUTER, 0.1)
    assert latch.address == ROUTER


def test_an_address_named_anew_counts_and_the_same_one_changes_nothing() -> None:
    latch = Latch(HIDDEN, OURS, 0.0)
    prove(latch, ROUTER, 0.1)
    latch.agreed(HIDDEN, 1.0)
    assert latch.address == ROUTER
    latch.agreed(PHONE, 2.0)
    assert latch.address == PHONE


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3), st.booleans(), st.floats(0, 2)), max_size=60))
def test_a_public_caller_is_only_ever_followed_to_its_own_host(packets: list[tuple[int, int, bool, float]]) -> None:
    latch, now = Latch(PHONE, OURS, 0.0), 0.0
    for sequence, ssrc, stranger, later in packets:
        now += later
        latch.accept(packet(sequence, ssrc), STRANGER if stranger else (PHONE[0], 4000 + ssrc), now)
        assert latch.address[0] == PHONE[0]


@pytest.mark.parametrize(
    ("address", "ours", "may"),
    [
        (PHONE, OURS, True),
        (HIDDEN, OURS, True),
        (("2001:db8::7", 4000), "2001:db8::1", True),
        (("127.0.0.1", 4000), "127.0.0.1", True),
        (("127.0.0.1", 4000), "0.0.0.0", True),
        (("127.0.0.1", 20_000), "0.0.0.0", False),
        (("127.0.0.1", 4000), OURS, False),
        (("::ffff:127.0.0.1", 4000), OURS, False),
        (("::1", 4000), "2001:db8::1", False),
        ((OURS, 20_000), OURS, False),
        ((OURS, 4000), OURS, True),
        (("0.0.0.0", 4000), OURS, False),
        (("255.255.255.255", 4000), OURS, False),
        (("239.1.2.3", 4000), OURS, False),
        (("ff02::1", 4000), "2001:db8::1", False),
        ((PHONE[0], 0), OURS, False),
        (("a.example", 4000), OURS, False),
    ],
)
def test_nobody_can_aim_us_at_others(address: tuple[str, int], ours: str, may: bool) -> None:
    assert sendable(address, ours, {20_000}) is may


def test_mapped_addresses_are_shown_as_themselves() -> None:
    assert unmapped("::ffff:192.0.2.1") == "192.0.2.1"
    assert unmapped("2001:db8::1") == "2001:db8::1"
