"""The preferred model: a provider whose key is set, with the app's own model to fall back on; otherwise that itself."""

from __future__ import annotations

from typing import Any

from orchestration.models.model import Model
from voice import providers
from voice.check import Check

CLOUD = ("orchestration.models.anthropic:Anthropic",)
"""Best first; each is used when its package is installed and its key is set."""


def candidates() -> list[Check]:
    """What each provider says of this machine, best first."""
    return [check for _, check in providers.checks(CLOUD)]


def preferred(otherwise: Model, **options: Any) -> Model:
    """The best language model that can be used here, and `otherwise` where there is none or while it fails.

    So an app that is written with a script talks freely as soon as ANTHROPIC_API_KEY is set. `options` go to the
    provider: `preferred(script, model="claude-sonnet-5-5")`. Raises what the provider raises for them.
    """
    found = providers.usable(CLOUD)
    if not found:
        return otherwise
    from orchestration.models.fallback import FallbackModel

    return FallbackModel([*(providers.load(dotted)(**options) for dotted in found), otherwise])
