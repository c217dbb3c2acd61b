"""ProviderError: what went wrong at a provider of speech or language, and what to do: never a key, never a header.

Every adapter turns its vendor's errors into this one, so that whoever retries, falls back or apologises need not know
the vendor. It is raised `from None`: vendors put request headers, and so keys, into the errors of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

MAX_DETAIL = 300
"""Most characters that are taken of what a provider says."""


class Cause(StrEnum):
    """What kind of failure it is."""

    KEY = "key refused"
    REQUEST = "request refused"
    RATE = "rate limit"
    OVERLOAD = "overloaded"
    SERVER = "server error"
    NETWORK = "connection lost"
    TIMEOUT = "no answer in time"
    ANSWER = "answer not understood"
    MISSING = "not installed"


_FOR_GOOD = frozenset({Cause.KEY, Cause.REQUEST, Cause.MISSING})
"""Trying the same again would not help."""
_OVERLOADED = frozenset({503, 529})
_FIXES = {
    Cause.KEY: "check the key in the environment",
    Cause.RATE: "ask for a higher limit, or name a second provider to fall back on",
    Cause.OVERLOAD: "wait, or name a second provider to fall back on",
    Cause.SERVER: "look at the provider's status page, or name a second provider to fall back on",
    Cause.NETWORK: "check the network and the base URL",
    Cause.TIMEOUT: "check the network, or allow more time",
}


class ProviderError(RuntimeError):
    """`provider` failed for `cause`; the message names both, what was said of it, and the fix.

    `retry_after`: seconds that the provider asks to be left alone; None: it does not say. `status`: the HTTP status or
    WebSocket close code, if that is known. `logged`: the log knows of it already; whoever gets it need not tell again.
    """

    logged = False

    def __init__(
        self,
        provider: str,
        cause: Cause,
        detail: str = "",
        *,
        fix: str = "",
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.provider, self.cause = provider, cause
        self.detail = " ".join(detail.split())[:MAX_DETAIL]
        self.fix = fix or _FIXES.get(cause, "")
        self.status = status
        self.retry_after = retry_after if retry_after is not None and 0 <= retry_after < float("inf") else None
        what = f"{cause} ({status})" if status is not None else str(cause)
        parts = [f"{provider}: {what}", self.detail, f"fix: {self.fix}" if self.fix else ""]
        super().__init__("; ".join(filter(None, parts)))

    @property
    def transient(self) -> bool:
        """The same request may work at another time."""
        return self.cause not in _FOR_GOOD

    @classmethod
    def of_status(
        cls, provider: str, status: int, detail: str = "", *, headers: Mapping[str, str] | None = None, fix: str = ""
    ) -> ProviderError:
        """What an HTTP status of 400 or more means; `headers` are those of the answer (for `retry-after`)."""
        after = retry_after(headers or {}) if status in (429, *_OVERLOADED) else None
        return cls(provider, cause_of(status), detail, fix=fix, status=status, retry_after=after)


def cause_of(status: int) -> Cause:
    """What kind of failure an HTTP status is (RFC 9110; 529 is Anthropic's "overloaded")."""
    if status in (401, 402, 403):  # 402: its account has no credit left, so that no request of anybody's works
        return Cause.KEY
    if status in (408, 504):
        return Cause.TIMEOUT
    if status == 429:
        return Cause.RATE
    if status in _OVERLOADED:
        return Cause.OVERLOAD
    return Cause.SERVER if status >= 500 else Cause.REQUEST


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds in `retry-after-ms` or `retry-after` (RFC 9110, 10.2.3); a date there is not read: clocks differ."""
    given = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(given[name]) * unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
