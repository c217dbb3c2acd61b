"""Breaker: a provider that keeps failing is left alone for a while, so that callers need not wait for it in vain.

Sans-I/O: times are seconds of the event loop's clock. Closed, it lets everything through; after `failures` in a row it
is open and lets nothing through; when its pause is over one request may try (half open), and the next pause is twice as
long if that fails too (M. Nygard, Release It!, 2007: "Circuit Breaker").
"""

from __future__ import annotations

from dataclasses import dataclass

from voice.provider_error import Cause, ProviderError

MOST_ASKED = 3600.0
"""Seconds: the longest pause that a provider may ask for; a quota that ends next month may be raised today."""


@dataclass(slots=True)
class Breaker:
    """One provider's. It opens at once for what will not pass by itself: a refused key, a missing package.

    A refused request says nothing of the provider: the next caller's may be a better one.
    """

    failures: int = 3
    pause: float = 5.0
    """Seconds of the first pause."""
    longest: float = 120.0
    """Seconds of the longest pause; one that the provider asks for (`retry_after`) may be longer (MOST_ASKED)."""
    _failed: int = 0
    _pause: float = 0.0
    _since: float = 0.0
    _until: float | None = None
    _trying: float | None = None
    """When the request began that tries whether it works again."""

    def __post_init__(self) -> None:
        if not isinstance(self.failures, int) or isinstance(self.failures, bool) or not 1 <= self.failures <= 100:
            raise ValueError(f"Breaker.failures must be a whole number from 1 to 100, not {self.failures!r}")
        for name in ("pause", "longest"):
            if not 0 < getattr(self, name) <= MOST_ASKED:
                raise ValueError(f"Breaker.{name} must be seconds over 0, at most 3600, not {getattr(self, name)!r}")

    @property
    def _lapse(self) -> float:
        return self._pause or self.pause

    def ready(self, now: float) -> bool:
        """Whether a request could be made; unlike `allows` it takes nobody's place."""
        if self._until is None or now < self._since:  # another loop's clock: what was learnt there is forgotten
            return True
        return now >= self._until and (self._trying is None or not 0 <= now - self._trying < self._lapse)

    def allows(self, now: float) -> bool:
        """Whether a request may be made; in half open only the first that asks, until it is told how that went.

        One of which nothing is told for as long as the last pause is not waited for any longer.
        """
        if now < self._since:
            self.worked()
        if not self.ready(now):
            return False
        if self._until is not None:
            self._trying = now
        return True

    def opens_at(self, now: float) -> float:
        """When the next request may be made (`now`, or later)."""
        return now if self._until is None or now < self._since else max(self._until, now)

    def worked(self) -> None:
        """A request succeeded."""
        self._failed, self._pause, self._since, self._until, self._trying = 0, 0.0, 0.0, None, None

    def dropped(self, began: float) -> None:
        """The request that was allowed at `began` was given up before it was known how it goes: another may try."""
        if self._trying == began:
            self._trying = None

    def failed(self, now: float, error: Exception | None = None) -> None:
        """A request failed. Of those that were under way when it opened, none makes the pause longer."""
        if now < self._since:
            self.worked()
        known = error if isinstance(error, ProviderError) else None
        if known and known.cause is Cause.REQUEST:
            self._trying = None
            return
        self._failed += 1
        asked = min(known.retry_after or 0.0, MOST_ASKED) if known else 0.0
        if self._until is not None and now < self._until:
            self._until = max(self._until, now + asked)
            return
        for_good = known is not None and not known.transient
        if self._failed >= self.failures or for_good:
            self._pause = min(self._pause * 2 or self.pause, self.longest)
        elif not asked:
            return
        self._since, self._trying = now, None
        self._until = now + max(self._pause, asked)
