from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.leg import Played
from voice.transports.receipts import MAX_STREAMS, Receipts
from voice.transports.wire import Receipt, WireError


def refusal(receipts: Receipts, receipt: Receipt) -> str:
    with pytest.raises(WireError) as caught:
        receipts.check(receipt)
    return caught.value.code


def test_a_receipt_for_what_was_sent_is_a_fact() -> None:
    receipts = Receipts()
    receipts.sent(1, 640)
    assert receipts.check(Receipt(1, 320)) == Played(1, 320)
    assert receipts.check(Receipt(1, 640)) == Played(1, 640)
    assert receipts.check(Receipt(1, 640)) == Played(1, 640)


def test_nothing_beyond_what_was_sent_was_played() -> None:
    receipts = Receipts()
    receipts.sent(1, 640)
    assert refusal(receipts, Receipt(1, 641)) == "played_beyond"
    assert refusal(receipts, Receipt(2, 0)) == "unknown_stream"
    assert receipts.check(Receipt(1, 640)) == Played(1, 640)


def test_playing_does_not_go_back() -> None:
    receipts = Receipts()
    receipts.sent(1, 640)
    receipts.check(Receipt(1, 600))
    assert refusal(receipts, Receipt(1, 599)) == "out_of_order"


def test_silence_is_reported_once_and_only_when_wanted() -> None:
    receipts = Receipts()
    receipts.sent(1, 640)
    assert refusal(receipts, Receipt(1, 100, flushed=True)) == "not_cleared"
    assert not receipts.silenced(1)
    receipts.cleared(1)
    assert receipts.silenced(1)
    assert receipts.check(Receipt(1, 200)) == Played(1, 200)
    assert receipts.check(Receipt(1, 300, flushed=True)) == Played(1, 300, flushed=True)
    assert refusal(receipts, Receipt(1, 300)) == "out_of_order"
    assert refusal(receipts, Receipt(1, 300, flushed=True)) == "out_of_order"


def test_a_stream_that_was_cleared_before_it_was_sent() -> None:
    receipts = Receipts()
    receipts.cleared(9)
    assert receipts.check(Receipt(9, 0, flushed=True)) == Played(9, 0, flushed=True)


def test_old_streams_are_forgotten() -> None:
    receipts = Receipts()
    for stream in range(MAX_STREAMS + 1):
        receipts.sent(stream, 320)
    assert refusal(receipts, Receipt(0, 1)) == "unknown_stream"
    assert receipts.check(Receipt(MAX_STREAMS, 320)) == Played(MAX_STREAMS, 320)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2000), st.booleans(), st.sampled_from("scp"))))
def test_what_is_believed_was_sent_and_only_grows(steps: list[tuple[int, int, bool, str]]) -> None:
    receipts, sent, played = Receipts(), dict.fromkeys(range(4), -1), dict.fromkeys(range(4), 0)
    for stream, samples, flushed, what in steps:
        if what == "s":
            receipts.sent(stream, samples)
            sent[stream] = max(sent[stream], samples)
        elif what == "c":
            receipts.cleared(stream)
            sent[stream] = max(sent[stream], 0)
        else:
            try:
                fact = receipts.check(Receipt(stream, samples, flushed))
            except WireError:
                continue
            assert played[stream] <= fact.samples <= sent[stream]
            played[stream] = fact.samples
