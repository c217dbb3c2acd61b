"""About: which of several pieces of work somebody means by a few words, as in "cancel the one about boats".

A model gives the words as it understood them, so they need not be those of the work: "boat" is found in "boats". Plain
counting, no language model: it must be instant, and the same every time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_FILLING = "about all and any for from its one our task that the thing this what with work a an in it my of on or to"
FILLING = frozenset(re.findall(r"\w+", _FILLING))
"""Words that say nothing about which work is meant."""
SHORTEST = 3
"""Letters of the shortest word that is found also with an ending."""
ENDING = 2
"""Most letters of an ending."""


def meant(about: str, items: Sequence[T], text: Callable[[T], str]) -> list[T]:
    """Those of the items whose text fits best, in their order: at least a third of what was said, by letters.

    All of them when nothing was said that could tell them apart.
    """
    wanted = [word for word in _words(about) if word not in FILLING]
    if not wanted:
        return list(items)
    enough = sum(map(len, wanted)) / 3
    scores = [_score(wanted, set(_words(text(item)))) for item in items]
    best = max(scores, default=0)
    return [item for item, score in zip(items, scores, strict=True) if score == best >= enough]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _score(wanted: Sequence[str], there: set[str]) -> int:
    """How much of it is there: the letters of the words, since long words tell more than short ones."""
    return sum(len(word) for word in wanted if any(_alike(word, other) for other in there))


def _alike(one: str, other: str) -> bool:
    """The same word, or one is the other with a short ending."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    return len(short) >= SHORTEST and len(long) - len(short) <= ENDING and long.startswith(short)
