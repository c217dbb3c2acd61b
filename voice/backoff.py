"""Backoff: whether a failed request is made again, and after how long; bounded in tries and in time, with jitter.

The waits double and are drawn at random, so that a thousand calls that failed together do not come back together
("full jitter": M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015; here a half is kept so that a
provider that is down is never asked again at once).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from voice.provider_error import ProviderError


@dataclass(frozen=True, slots=True)
class Backoff:
    """At most `tries` requests in all; the waits begin at about `first` seconds and are at most `longest`.

    `patience`: seconds after the first request in which another may still begin. Who waits on the telephone has less
    than a background job; where a provider asks for a longer pause than that, there is no other try.
    """

    tries: int = 3
    first: float = 0.3
    longest: float = 4.0
    patience: float = 8.0

    def __post_init__(self) -> None:
        if not isinstance(self.tries, int) or isinstance(self.tries, bool) or not 1 <= self.tries <= 20:
            raise ValueError(f"Backoff.tries must be a whole number from 1 to 20, not {self.tries!r}")
        for name in ("first", "longest", "patience"):
            if not 0 < getattr(self, name) <= 600:
                raise ValueError(f"Backoff.{name} must be seconds over 0, at most 600, not {getattr(self, name)!r}")

    def pause(self, tried: int, spent: float, error: Exception) -> float | None:
        """Seconds to wait before the next request, after `tried` failed ones (1 or more) that took `spent` seconds in
        all; None: give up. Only errors of a provider that may pass are tried again."""
        if tried >= self.tries or not isinstance(error, ProviderError) or not error.transient:
            return None
        wait = min(self.first * 2.0 ** (tried - 1), self.longest)
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, keeps no secret)
        wait = max(wait, error.retry_after or 0.0)
        return wait if spent + wait <= self.patience else None
