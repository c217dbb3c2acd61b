"""Sentences: parts a text that is still being made into pieces that can be spoken, each as soon as it is whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 240
"""Characters in a piece: a longer sentence is parted at a comma or a space (synthesizers take some hundred)."""

_END = re.compile(r"""[.!?…。！？]+["'”’)\]]*(?=\s)|\n""")
_FINISHED = re.compile(r"""[.!?…:。！？]["'”’)\]]*\s*$""")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|e\.g|i\.e|approx|no|fig|inc|ltd|co|[a-z])\.$", re.IGNORECASE
)
_CLAUSE = re.compile(r"[,;:]\s")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A piece of a text: `text`, which begins at character `start` of the whole. No blanks around it."""

    start: int
    text: str


@dataclass(slots=True)
class Sentences:
    """Takes a text as it comes; gives its sentences in order."""

    _rest: str = ""
    _start: int = 0

    @property
    def finished(self) -> bool:
        """What waits looks like a whole sentence: only its successor is missing to be sure."""
        return bool(_FINISHED.search(self._rest))

    @property
    def waiting(self) -> bool:
        """Something waits that could be spoken."""
        return bool(self._rest.strip())

    def push(self, text: str) -> list[Sentence]:
        """More text; returns what is whole now."""
        self._rest += text
        sentences = []
        while (end := self._boundary()) is not None:
            sentences += self._cut(end)
        return sentences

    def flush(self) -> list[Sentence]:
        """Whatever waits, as it is: nothing may follow, or not soon."""
        sentences = []
        while self._rest.strip():
            end = self._boundary()
            sentences += self._cut(len(self._rest) if end is None else end)
        return sentences

    def _boundary(self) -> int | None:
        """Where the first piece of what waits ends."""
        for end in self._ends():
            if end > LONGEST:
                break
            if self._rest[:end].strip():
                return end
        if len(self._rest) <= LONGEST:
            return None
        clauses = [m.end() for m in _CLAUSE.finditer(self._rest, LONGEST // 3, LONGEST)]
        space = self._rest.rfind(" ", 1, LONGEST)
        return clauses[-1] if clauses else (space if space > 0 else LONGEST)

    def _ends(self) -> Iterator[int]:
        for match in _END.finditer(self._rest):
            if match[0] == "." and _ABBREVIATION.search(self._rest[: match.end()]):
                continue
            yield match.end()

    def _cut(self, end: int) -> list[Sentence]:
        piece, self._rest = self._rest[:end], self._rest[end:]
        start, self._start = self._start, self._start + end
        text = piece.strip()
        return [Sentence(start + len(piece) - len(piece.lstrip()), text)] if text else []
