"""The seam to the agent: how a delivery is put into words. The default reads it out as it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from delivery.ledger import Delivery


class Words(Protocol):
    """Whoever talks with the caller. The runtime injects it; `delivery` knows no agents."""

    def word(self, deliveries: Sequence[Delivery], resume_from: str = "") -> AsyncIterator[str]:
        """Put the deliveries into the agent's own words; `resume_from` is what the caller heard of them before."""
        ...

    def fold(self, deliveries: Sequence[Delivery]) -> bool:
        """Take them into the reply that is being made? False: too late, they stay queued.

        Of none at all: whether the reply's first words are not on their way yet.
        """
        ...

    def opener(self) -> str:
        """About a second of words that ask for the floor."""
        ...


class Verbatim:
    """Reads deliveries out word for word and never folds."""

    async def word(self, deliveries: Sequence[Delivery], resume_from: str = "") -> AsyncIterator[str]:
        """The contents, one after the other."""
        for delivery in deliveries:
            yield delivery.content

    def fold(self, deliveries: Sequence[Delivery]) -> bool:
        """Never."""
        return False

    def opener(self) -> str:
        """Asks for the floor."""
        return "I have something for you."
