"""What Anthropic's models cost, as published on 21 November 2026; `Anthropic(prices=...)` adds to that.

From the pages "Pricing" of each model: https://platform.claude.com/docs/en/models/haiku-5-5/overview (and sonnet-5-5,
opus-5-5). Those of other models are not known here: their requests have no cost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestration.usage import Price

PRICES: Mapping[str, Price] = {
    "claude-haiku-5-5": Price(0.10, 0.50, 0.01, 0.125, 0.20, beyond=100_000, times=5.0),
    "claude-sonnet-5-5": Price(2.0, 10.0, 0.20, 2.50, 4.0),
    "claude-opus-5-5": Price(4.0, 20.0, 0.20, 5.0, 8.0),
}


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """The model's, by its name, with or without the date of a snapshot; None: it is not known."""
    return prices.get(model) or prices.get(re.sub(r"-20\d{6}$", "", model))
