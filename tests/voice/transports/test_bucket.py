from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voice.transports.bucket import Bucket


def test_a_burst_passes_and_then_the_rate() -> None:
    bucket = Bucket(rate=2.0, burst=3.0)
    assert [bucket.take(10.0) for _ in range(5)] == [True, True, True, False, False]
    assert not bucket.take(10.4)
    assert bucket.take(10.5)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.floats(0.0, 0.5), max_size=60))
def test_no_more_passes_than_burst_and_rate_allow(pauses: list[float]) -> None:
    bucket, now, passed = Bucket(rate=4.0, burst=5.0), 0.0, 0
    for pause in pauses:
        now += pause
        passed += bucket.take(now)
        assert passed <= 5.0 + 4.0 * now + 1e-6
