"""Providers: which of several implementations of one seam works here, in order of preference, and what would help.

A candidate is a dotted name, `package.module:Class`. Its module must load without its vendor and its class must have a
`check()`; both hold for every provider in the house, so looking at all of them costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from voice.check import Check


class NoProviderError(RuntimeError):
    """None of the providers of a part of the house can work on this machine. The message lists each and its fix."""


def load(dotted: str) -> Any:
    """The class that `dotted` ("package.module:Class") names."""
    module, _, name = dotted.partition(":")
    return getattr(import_module(module), name)


def checks(candidates: Sequence[str]) -> Iterator[tuple[Any, Check]]:
    """Every candidate's class with its own word on whether it can work here, in order."""
    for dotted in candidates:
        provider = load(dotted)
        yield provider, provider.check()


def usable(candidates: Sequence[str]) -> list[str]:
    """Those that can work here, in order."""
    return [dotted for dotted in candidates if load(dotted).check().usable]


def first_usable(candidates: Sequence[str], what: str) -> Any:
    """The first candidate's class that can work here. Raises NoProviderError; `what` names the part in its message."""
    refused = []
    for provider, check in checks(candidates):
        if check.usable:
            return provider
        refused.append(f"  {check.name}: {check.detail}" + (f" (fix: {check.fix})" if check.fix else ""))
    raise NoProviderError("\n".join([f"nothing on this machine can do {what}:", *refused]))


def in_order(cloud: Sequence[str], embedded: Sequence[str], what: str) -> list[str]:
    """Every cloud that can be used here, then the best that is embedded. Raises NoProviderError when there is none."""
    chosen = [*usable(cloud), *usable(embedded)[:1]]
    if not chosen:
        first_usable([*cloud, *embedded], what)
    return chosen
