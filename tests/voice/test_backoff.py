"""Backoff: bounded in tries and in time, spread by chance, and as patient as the provider asks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.backoff import Backoff
from voice.provider_error import Cause, ProviderError

SECONDS = st.floats(0.001, 600)
BACKOFFS = st.builds(Backoff, tries=st.integers(1, 20), first=SECONDS, longest=SECONDS, patience=SECONDS)
PASSING = [cause for cause in Cause if ProviderError("acme", cause).transient]


def failed(cause: Cause = Cause.SERVER, after: float | None = None) -> ProviderError:
    return ProviderError("acme", cause, retry_after=after)


@given(BACKOFFS, st.integers(1, 30), st.floats(0, 700), st.sampled_from(PASSING), st.none() | st.floats(0, 700))
def test_a_pause_keeps_all_bounds(
    backoff: Backoff, tried: int, spent: float, cause: Cause, after: float | None
) -> None:
    pause = backoff.pause(tried, spent, failed(cause, after))
    if pause is None:
        most = max(min(backoff.first * 2.0 ** (tried - 1), backoff.longest), after or 0.0)
        assert tried >= backoff.tries or spent + most > backoff.patience
    else:
        assert tried < backoff.tries
        assert spent + pause <= backoff.patience
        assert pause >= (after or 0.0)
        assert after or pause <= backoff.longest


def test_the_waits_grow_and_are_never_the_same() -> None:
    backoff = Backoff(tries=20, first=1.0, longest=4.0, patience=600)
    for tried, most in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0), (19, 4.0)):
        waits = {backoff.pause(tried, 0.0, failed()) for _ in range(50)}
        assert len(waits) == 50
        assert all(wait is not None and most / 2 <= wait <= most for wait in waits)


@pytest.mark.parametrize(
    "error", [failed(Cause.KEY), failed(Cause.REQUEST), failed(Cause.MISSING), TypeError("a bug"), OSError("gone")]
)
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    assert Backoff().pause(1, 0.0, error) is None


def test_a_longer_pause_than_there_is_patience_for_is_not_waited_out() -> None:
    assert Backoff(patience=8.0).pause(1, 0.0, failed(Cause.RATE, 8.5)) is None
    assert Backoff(patience=8.0).pause(1, 0.0, failed(Cause.RATE, 7.5)) == 7.5
    assert Backoff(patience=8.0).pause(1, 1.0, failed(Cause.RATE, 7.5)) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("tries", 0), ("tries", 21), ("tries", True), ("tries", 1.5)]
    + [(field, value) for field in ("first", "longest", "patience") for value in (0, -1, 601, float("nan"))],
)
def test_bad_numbers_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Backoff\.{field} must be"):
        Backoff(**{field: value})
