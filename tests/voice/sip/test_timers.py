from __future__ import annotations

import math

import pytest

from voice.sip.timers import Repeats, Times


def test_the_timers_are_those_of_table_4() -> None:
    times = Times()
    assert (times.b, times.f, times.h, times.j, times.l, times.m, times.d) == (32.0,) * 7
    assert (times.i, times.k, times.c) == (5.0, 5.0, 180.0)


def test_a_slow_network_waits_longer() -> None:
    times = Times(t1=1.0)
    assert (times.b, times.d) == (64.0, 64.0)
    assert Times(t1=0.1).d == 32.0  # "at least 32 seconds"


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_what_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="t2"):
        Times(t2=seconds)


def test_waits_double_up_to_the_longest() -> None:
    repeats, now, waits = Repeats(0.5, 10.0, 4.0), 10.0, []
    for _ in range(6):
        waits.append(repeats.at - now)
        now = repeats.at
        repeats.sent(now)
    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_a_late_timer_makes_no_burst() -> None:
    repeats = Repeats(0.5, 0.0)
    repeats.sent(100.0)
    assert repeats.at == 101.0
