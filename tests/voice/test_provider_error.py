"""ProviderError: what it tells people and programs, and that it cannot be made to tell too much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.provider_error import MAX_DETAIL, Cause, ProviderError, cause_of, retry_after

NEVER = {Cause.KEY, Cause.REQUEST, Cause.MISSING}


def test_the_message_names_provider_cause_status_detail_and_fix() -> None:
    error = ProviderError("acme", Cause.KEY, "no such key", fix="set ACME_KEY", status=401)
    assert str(error) == "acme: key refused (401); no such key; fix: set ACME_KEY"
    assert str(ProviderError("acme", Cause.ANSWER)) == "acme: answer not understood"


@pytest.mark.parametrize("cause", [c for c in Cause if c not in (Cause.REQUEST, Cause.ANSWER, Cause.MISSING)])
def test_what_can_be_mended_in_general_says_how(cause: Cause) -> None:
    assert "; fix: " in str(ProviderError("acme", cause))


@given(st.text(max_size=2000), st.sampled_from(list(Cause)))
def test_the_detail_is_one_short_line(detail: str, cause: Cause) -> None:
    error = ProviderError("acme", cause, detail)
    assert len(error.detail) <= MAX_DETAIL
    assert error.detail in " ".join(detail.split())
    assert len(str(error).splitlines()) == 1
    assert error.transient is (cause not in NEVER)


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (400, Cause.REQUEST),
        (401, Cause.KEY),
        (402, Cause.KEY),
        (403, Cause.KEY),
        (404, Cause.REQUEST),
        (408, Cause.TIMEOUT),
        (413, Cause.REQUEST),
        (429, Cause.RATE),
        (500, Cause.SERVER),
        (503, Cause.OVERLOAD),
        (504, Cause.TIMEOUT),
        (529, Cause.OVERLOAD),
        (599, Cause.SERVER),
    ],
)
def test_what_a_status_means(status: int, cause: Cause) -> None:
    assert cause_of(status) is cause
    error = ProviderError.of_status("acme", status, headers={"Retry-After": "7"})
    assert (error.cause, error.status) == (cause, status)
    assert error.retry_after == (7.0 if status in (429, 503, 529) else None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"RETRY-AFTER": " 3 "}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
    ],
)
def test_how_long_a_provider_wants_to_be_left_alone(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("asked", [-1.0, float("inf"), float("nan")])
def test_a_pause_that_is_none_is_not_kept(asked: float) -> None:
    assert ProviderError("acme", Cause.RATE, retry_after=asked).retry_after is None
