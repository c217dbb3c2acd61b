"""Breaker: a provider that keeps failing is left alone for a while, so that callers need not wait for it in vain.

Sans-I/O: times are seconds of the event loop's clock. Closed, it lets everything through; after `failures` in a row it
is open and lets nothing through; when its pause is over one request may try (half open), and the next pause is twice as
long if that fails too (M. Nygard, Release It!, 2007: "Circuit Breaker").
"""

from __future__ import annotations

from dataclasses import dataclass

from voice.provider_error import ProviderError


@dataclass(slots=True)
class Breaker:
    """One provider's. It opens at once for what will not pass by itself: a refused key, a missing package."""

    failures: int = 3
    pause: float = 5.0
    """Seconds of the first pause."""
    longest: float = 120.0
    """Seconds of the longest pause; one that the provider asks for (`retry_after`) may be longer."""
    _failed: int = 0
    _pause: float = 0.0
    _since: float = 0.0
    _until: float | None = None
    _trying: float | None = None
    """When the request began that tries whether it works again."""

    def allows(self, now: float) -> bool:
        """Whether a request may be made; in half open only the first that asks, until it is told how that went."""
        if self._until is None or now < self._since:  # another loop's clock: what was learnt there is forgotten
            return True
        if now < self._until or (self._trying is not None and 0 <= now - self._trying < self._pause):
            return False
        self._trying = now
        return True

    def opens_at(self, now: float) -> float:
        """When the next request may be made (`now`, or later)."""
        return now if self._until is None or now < self._since else max(self._until, now)

    def worked(self) -> None:
        """A request succeeded."""
        self._failed, self._pause, self._until, self._trying = 0, 0.0, None, None

    def failed(self, now: float, error: Exception | None = None) -> None:
        """A request failed."""
        self._failed += 1
        asked = error.retry_after if isinstance(error, ProviderError) else None
        for_good = isinstance(error, ProviderError) and not error.transient
        if self._failed < self.failures and not for_good and not asked:
            return
        self._pause = min(self._pause * 2 or self.pause, self.longest)
        self._since, self._trying = now, None
        self._until = now + max(self._pause, asked or 0.0)
