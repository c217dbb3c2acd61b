"""Breaker: closed, open, half open, whatever happens to it in whatever order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voice.breaker import MOST_ASKED, Breaker
from voice.provider_error import Cause, ProviderError

DOWN = ProviderError("acme", Cause.SERVER)
KEY = ProviderError("acme", Cause.KEY)
REQUEST = ProviderError("acme", Cause.REQUEST)


ENDS = ("worked", "failed", "key", "asked", "dropped", "request", "never")


def asked(seconds: float) -> ProviderError:
    return ProviderError("acme", Cause.RATE, retry_after=seconds)


def opened(breaker: Breaker, at: float = 0.0) -> Breaker:
    for _ in range(breaker.failures):
        breaker.failed(at, DOWN)
    return breaker


def test_a_few_failures_in_a_row_open_it() -> None:
    breaker = Breaker(failures=3, pause=5.0)
    for _ in range(2):
        breaker.failed(0.0, DOWN)
    breaker.worked()
    for _ in range(2):
        breaker.failed(0.0, DOWN)
    assert breaker.allows(0.0)
    breaker.failed(0.0, DOWN)
    assert not breaker.allows(4.9)
    assert breaker.opens_at(0.0) == 5.0
    assert breaker.allows(5.0)
    assert not breaker.allows(5.0)


def test_pauses_double_up_to_the_longest_and_begin_anew_when_it_worked() -> None:
    breaker, at = opened(Breaker(pause=5.0, longest=30.0)), 0.0
    for pause in (5.0, 10.0, 20.0, 30.0, 30.0):
        assert breaker.opens_at(at) == at + pause
        at += pause
        assert breaker.allows(at)
        breaker.failed(at, DOWN)
    assert breaker.allows(at + 30.0)
    breaker.worked()
    assert opened(breaker, at).opens_at(at) == at + 5.0


def test_requests_that_were_under_way_when_it_opened_do_not_make_the_pause_longer() -> None:
    breaker = opened(Breaker(pause=5.0))
    for _ in range(100):
        breaker.failed(1.0, DOWN)
    assert breaker.opens_at(1.0) == 5.0
    breaker.failed(1.0, asked(9.0))
    assert breaker.opens_at(1.0) == 10.0


def test_what_will_not_pass_opens_it_at_once_and_a_bad_request_says_nothing_of_it() -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker.failed(0.0, REQUEST)
    assert breaker.ready(0.0)
    breaker.failed(0.0, KEY)
    assert not breaker.ready(0.0)
    assert breaker.allows(5.0)
    breaker.failed(5.0, REQUEST)
    assert breaker.allows(5.0), "a bad request was no answer to whether it works: the next may find out"


def test_a_pause_that_is_asked_for_is_kept_but_no_month() -> None:
    breaker = Breaker(pause=5.0)
    breaker.failed(0.0, asked(1.0))
    assert not breaker.allows(0.9)
    assert breaker.allows(1.0), "one who asks for a second is not left alone for five"
    breaker.worked()
    breaker.failed(0.0, asked(1e9))
    assert breaker.opens_at(0.0) == MOST_ASKED


def test_who_gives_up_makes_room_for_the_next_and_for_nobody_elses() -> None:
    breaker = opened(Breaker(pause=5.0))
    assert breaker.allows(6.0)
    breaker.dropped(0.0)
    assert not breaker.allows(6.0)
    breaker.dropped(6.0)
    assert breaker.allows(6.0)
    assert not breaker.allows(10.9)
    assert breaker.allows(11.0), "who never says how it went is not waited for longer than the pause was"


def test_a_clock_that_begins_anew_begins_anew() -> None:
    breaker = opened(Breaker(), at=1e6)
    assert breaker.allows(0.0)
    assert breaker.opens_at(0.0) == 0.0
    breaker.failed(0.0, DOWN)
    assert breaker.allows(0.0)


@pytest.mark.parametrize(
    ("field", "value"), [("failures", 0), ("failures", True), ("pause", 0), ("pause", 3601), ("longest", float("nan"))]
)
def test_bad_numbers_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Breaker\.{field} must be"):
        Breaker(**{field: value})


class Life(RuleBasedStateMachine):
    """Requests come, and each ends in one of the ways in which requests end; or its end is never told."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(failures=2, pause=4.0, longest=32.0)
        self.opened: float | None = None
        """Since when it has been open without a success; then only probes are allowed."""
        self.probe: float | None = None
        self.asked_until = 0.0

    @rule(seconds=st.floats(0.01, 50))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        end=st.sampled_from(["worked", "failed", "key", "asked", "dropped", "request", "never"]), after=st.floats(0, 90)
    )
    def request(self, end: str, after: float) -> None:
        was_ready = self.breaker.ready(self.now)
        allowed = self.breaker.allows(self.now)
        assert allowed == was_ready
        if not allowed:
            return
        assert self.now >= self.asked_until, "a pause that was asked for was not kept"
        if self.opened is not None:
            assert not self.breaker.ready(self.now), "two probes at once"
            assert not self.breaker.allows(self.now)
        match end:
            case "worked":
                self.breaker.worked()
                self.opened, self.asked_until = None, 0.0
            case "dropped":
                self.breaker.dropped(self.now)
                assert self.breaker.ready(self.now)
            case "request":
                self.breaker.failed(self.now, REQUEST)
                assert self.breaker.ready(self.now)
            case "never":
                pass
            case _:
                error = {"failed": DOWN, "key": KEY, "asked": asked(after)}[end]
                self.breaker.failed(self.now, error)
                if end == "asked":
                    self.asked_until = self.now + after
                if end == "key":
                    assert not self.breaker.ready(self.now)
                if not self.breaker.ready(self.now):
                    self.opened = self.now

    @rule()
    def straggler(self) -> None:
        """One that had begun before fails now."""
        before = self.breaker.opens_at(self.now)
        self.breaker.failed(self.now, DOWN)
        if before > self.now:
            assert self.breaker.opens_at(self.now) == before
        if not self.breaker.ready(self.now):
            self.opened = self.now if self.opened is None else self.opened

    @invariant()
    def it_lets_one_through_after_its_pause(self) -> None:
        longest = max(32.0, 90.0)
        assert self.breaker.opens_at(self.now) - self.now <= longest + 1e-6
        assert self.breaker.ready(max(self.breaker.opens_at(self.now), self.now) + 32.0)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30)
