"""Standby: whose turn it is, and what the log is told of it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from voice import clock
from voice.backoff import Backoff
from voice.breaker import MOST_ASKED
from voice.provider_error import MAX_DETAIL, Cause, ProviderError
from voice.standby import MOST, QUIET, Standby

DOWN = ProviderError("x", Cause.SERVER, "it is on fire", status=500)


class Provider:
    def __init__(self, name: str) -> None:
        self.name = name

    def work(self) -> None: ...


def standby(*names: str, failures: int = 2) -> Standby[Provider]:
    return Standby("worker", [Provider(name) for name in names], "work", failures=failures, pause=5.0)


def test_the_first_that_is_allowed_is_chosen() -> None:
    two = standby("one", "two", failures=1)
    assert two.choose(0.0) == 0
    assert two.choose(0.0, {0}) == 1
    two.failed(0, DOWN, 0.0)
    assert (two.choose(0.0), two.choose(0.0, before=1), two.spare(0.0, {1})) == (1, None, None)
    assert two.choose(5.0) == 0
    assert two.choose(5.0) == 1, "one tries whether it works; the others do not wait for that"
    two.worked(0, 6.0)
    assert two.choose(6.0) == 0


def test_the_log_is_told_of_a_fall_once_and_of_the_recovery(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    two = standby("one", "two")
    for second in range(30):
        two.failed(0, DOWN, float(second), 1)
    two.worked(0, 30.0)
    two.worked(0, 31.0)
    assert caplog.messages == [
        "worker one failed: server error (500): it is on fire; two is asked instead",
        "worker one works again, after 30 s and 30 failures",
    ]


def test_the_log_is_told_less_and_less_of_one_that_stays_down_and_no_more_of_one_that_flutters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = standby("one")
    for second in range(3600):
        one.failed(0, DOWN, float(second))
    assert 3 <= len(caplog.records) <= 8
    assert "times in" in caplog.messages[-1]
    assert "no other is left" in caplog.messages[-1]
    caplog.clear()
    for second in range(3600, 7200, 2):
        one.failed(0, DOWN, float(second))
        one.worked(0, second + 1.0)
    assert len(caplog.records) <= 2 * 3600 / QUIET + 1


def test_an_error_that_is_no_providers_is_shown_with_where_it_came_from(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise TypeError("no such argument")
    except TypeError as error:
        standby("one").failed(0, error, 0.0)
    assert "no such argument" in caplog.text
    caplog.clear()
    standby("one").failed(0, DOWN, 0.0)
    assert "Traceback" not in caplog.text


def test_the_error_of_all_is_short_and_says_whether_it_may_pass() -> None:
    many = standby(*(f"provider {n}" for n in range(MOST)))
    key = ProviderError("x", Cause.KEY, "y" * 300)
    error = many.error(dict.fromkeys(range(MOST), key))
    assert len(error.detail) <= MAX_DETAIL
    assert (error.cause, error.transient) == (Cause.KEY, False)
    assert many.error({0: key, 1: DOWN}).transient
    two = standby("one", "two", failures=1)
    two.failed(1, DOWN, 0.0)
    assert "two: left alone for 4 s, it failed before" in str(two.error({0: key}, 1.0))
    assert two.error({0: key}, 1.0).transient


def test_what_would_help_is_said_and_the_name_of_one_that_is_alone_only_once() -> None:
    key = ProviderError("one", Cause.KEY, "no key is set", fix="set ONE_KEY")
    assert str(standby("one").error({0: key})) == "one: key refused; no key is set; fix: set ONE_KEY"
    assert str(standby("one", "two").error({0: key, 1: key})).endswith(
        "two: key refused: no key is set; fix: set ONE_KEY"
    )


def test_the_log_says_what_would_help(caplog: pytest.LogCaptureFixture) -> None:
    key = ProviderError("one", Cause.KEY, "no key is set", fix="set ONE_KEY")
    one = standby("one")
    one.set_aside(0, key)
    one.failed(0, key, 0.0)
    assert [message.count("; fix: set ONE_KEY") for message in caplog.messages] == [1, 1]


def test_one_that_is_left_alone_is_told_of_also_when_nobody_waits_any_more(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        two = standby("one", "two", failures=1)
        request = two.request(Backoff())
        assert await request.next() == 0
        with pytest.raises(TimeoutError):  # whoever asked goes away in the pause before the next try
            async with asyncio.timeout(0.01):
                await request.retry(DOWN)
        assert two.choose(clock.now()) == 1

    clock.run(main())
    (message,) = caplog.messages
    assert message.endswith("; two is asked instead")


def test_a_request_waits_for_who_is_left_alone_for_a_moment_and_not_for_longer() -> None:
    async def main() -> None:
        one = standby("one")
        one.failed(0, ProviderError("x", Cause.RATE, retry_after=2.0), 0.0)
        request = one.request(Backoff())
        assert await request.next() == 0
        assert 2.0 <= clock.now() <= 2.4
        one.failed(0, ProviderError("x", Cause.RATE, retry_after=MOST_ASKED), clock.now())
        with pytest.raises(ProviderError, match="one: left alone for 3600 s"):
            await one.request(Backoff()).next()
        await asyncio.sleep(0)

    clock.run(main())


@pytest.mark.parametrize("cause", [Cause.KEY, Cause.MISSING])
def test_a_request_waits_for_nobody_who_is_left_alone_for_good(cause: Cause) -> None:
    async def scene() -> None:
        one, two = standby("one"), standby("one", "two", failures=1)
        one.failed(0, ProviderError("x", cause), clock.now())
        two.failed(0, ProviderError("x", cause), clock.now())
        two.failed(1, DOWN, clock.now())
        begun = clock.now()
        with pytest.raises(ProviderError, match="one: left alone for 5 s"):
            await one.request(Backoff()).next()
        assert clock.now() == begun
        await two.request(Backoff()).next()
        assert clock.now() >= begun + 5.0, "what is wrong with the other may pass"

    clock.run(scene())
