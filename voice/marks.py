"""Marks: which sample of an utterance's audio belongs to which character of its text. Word ends only.

A word ends where the next one begins, the last of a sentence where the sentence's audio ends: so a word counts as heard
when nothing of it can be missing. Where a synthesizer gives no marks, its words share the sentence's audio in
proportion to their length, as soon as the sentence is made.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

_TOKEN = re.compile(r"\S+")


@dataclass(slots=True)
class Marks:
    """Positions are samples from the beginning of the utterance, characters count from the beginning of its text."""

    _starts: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _chars: list[int] = field(default_factory=list)
    _open: tuple[int, int] | None = None
    """Where the last word begins (sample) and up to where it has been heard when it is over (characters)."""
    _segment: tuple[str, int, int] = ("", 0, 0)
    _marked: bool = False

    def begin(self, text: str, char: int, sample: int) -> None:
        """A sentence begins: `text`, which begins at `char` of the utterance's text, at `sample`."""
        self._segment = (text, char, sample)
        self._marked = False

    def add(self, start: int, end: int, sample: int) -> None:
        """Word `text[start:end]` of the sentence begins at `sample`. What makes no sense is ignored."""
        text, char, begin = self._segment
        if not 0 <= start < end <= len(text):
            return
        if self._marked and self._open and (sample < self._open[0] or char + start < self._open[1]):
            return  # out of order, or a part of the same word ("well-known")
        self._close_word(max(sample, begin))
        self._open = (max(sample, begin), char + _token_end(text, end))
        self._marked = True

    def end(self, sample: int) -> None:
        """The sentence's audio ends at `sample`."""
        text, char, begin = self._segment
        if not self._marked:
            tokens = [m.span() for m in _TOKEN.finditer(text)]
            total, done = sum(b - a + 1 for a, b in tokens), 0
            for a, b in tokens:
                at = begin + (sample - begin) * done // total
                self._close_word(at)
                self._open = (at, char + b)
                done += b - a + 1
        self._close_word(sample)

    def heard(self, position: int) -> int:
        """Characters of the text that have been heard when the samples before `position` have."""
        words = bisect_right(self._ends, position)
        return self._chars[words - 1] if words else 0

    def resume_at(self, position: int) -> int:
        """The first sample of the word that is not wholly heard at `position` (never later than `position`)."""
        words = bisect_right(self._ends, position)
        if words < len(self._starts):
            return min(self._starts[words], position)
        return min(self._open[0], position) if self._open else position

    def next_end(self, position: int) -> int | None:
        """The first end of a word after `position`, if it is known."""
        words = bisect_right(self._ends, position)
        return self._ends[words] if words < len(self._ends) else None

    def _close_word(self, sample: int) -> None:
        if self._open is not None:
            start, chars = self._open
            self._starts.append(start)
            self._ends.append(max(sample, start))
            self._chars.append(chars)
            self._open = None


def _token_end(text: str, end: int) -> int:
    """The end of the word with the punctuation that clings to it."""
    while end < len(text) and not text[end].isspace():
        end += 1
    return end
