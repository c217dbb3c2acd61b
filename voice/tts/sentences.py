"""Sentences: cuts a text where a speaker would breathe, so that an engine which plans ahead begins sooner."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile(r"""(?<=[.!?…])["'”’)\]]*\s+(?=[^\sa-z])|\n+""")
_NOT_AN_END = re.compile(r"(?:^|[\s(])(?:[A-Z]|[Mm]rs?|[Mm]s|[Dd]r|[Ss]t|[Pp]rof|[JjSs]r|vs|e\.g|i\.e|approx)\.$")


def sentences(text: str, longest: int) -> Iterator[tuple[int, int]]:
    """Where the sentences of `text` begin and end, without the space between; none is over `longest` characters.

    A longer one is cut at a comma, or at a space, or through a word that is itself too long.
    """
    start = 0
    for end in [*(match.end() for match in _END.finditer(text)), len(text)]:
        if end < len(text) and _NOT_AN_END.search(text[start:end].rstrip()):
            continue
        while end - start > longest:
            cut = start + _cut(text[start : start + longest])
            yield from _trimmed(text, start, cut)
            start = cut
        yield from _trimmed(text, start, end)
        start = end


def _cut(text: str) -> int:
    """How much of a text that is too long to take."""
    for separators in (",;:", " \t\n"):
        at = max(text.rfind(each) for each in separators)
        if at > len(text) // 2:
            return at + 1
    return len(text)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    inner = text[start:end].strip()
    if inner:
        begin = text.index(inner, start)
        yield begin, begin + len(inner)
