"""One ear of a playout: streams one after the other, receipts on time, late, too large, or none."""

from __future__ import annotations

import pytest

from voice.playout_ear import PlayoutEar


def ear(receipts: bool = True) -> PlayoutEar:
    """An ear that was sent 1000 samples of stream 1, from the beginning."""
    made = PlayoutEar(jitter=0.1, receipts=receipts, counts=True)
    made.begin(1, 0, 5.0)
    made.sent = 1000
    return made


def test_when_it_hears_what() -> None:
    assert ear().at(0) == pytest.approx(5.1)
    assert ear().at(1600) == pytest.approx(5.2)


def test_receipts_say_what_it_has_heard() -> None:
    listener = ear()
    assert not listener.silent
    listener.receive(1, 400, False)
    assert (listener.played, listener.reached, listener.silent) == (400, 400, False)
    listener.receive(1, 300, False)
    assert listener.played == 400
    listener.receive(1, 10**9, False)
    assert (listener.played, listener.silent) == (1000, True)


def test_a_flush_silences_it() -> None:
    listener = ear()
    listener.receive(1, 400, True)
    assert (listener.reached, listener.silent) == (400, True)


def test_late_receipts_count_up_to_where_the_next_stream_began() -> None:
    listener = ear()
    listener.begin(2, 1000, 6.0)
    listener.sent = 500
    listener.receive(1, 700, False)
    assert (listener.reached, listener.played) == (700, 0)
    listener.receive(1, 10**9, True)
    assert (listener.reached, listener.flushed) == (1000, False)
    listener.receive(2, 100, False)
    assert listener.reached == 1100


def test_receipts_for_others_are_ignored() -> None:
    listener = ear()
    listener.receive(7, 900, True)
    assert (listener.reached, listener.flushed) == (0, False)


def test_without_receipts_the_clock_decides() -> None:
    listener = ear(receipts=False)
    for now, heard in ((5.0, 0), (5.1, 0), (5.15, 800), (5.12, 800), (9.0, 1000)):
        listener.reckon(now)
        assert listener.reached == heard


@pytest.mark.parametrize("flushed", [True, False])
def test_with_receipts_it_does_not(flushed: bool) -> None:
    listener = ear(receipts=not flushed)
    listener.flushed = flushed
    listener.reckon(9.0)
    assert listener.reached == 0
