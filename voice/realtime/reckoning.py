"""Reckoning: which words of an utterance were heard when a model makes its sound, and says nothing of their times.

The words of a stretch share its sound in proportion to their length. While it is still being made, or when it was cut
short, the pace of what the same voice said before is taken instead: words may come long before their sound, or after.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from voice.leg import RATE
from voice.marks import Marks

PACE = 12.0
"""Characters a second, blanks and all, until it is known better: 130 words a minute. Most voices are faster: rather a
word twice than not at all."""
_TOKEN = re.compile(r"\S+")


@dataclass(slots=True)
class Pace:
    """How fast a voice speaks, by what it has said."""

    _chars: float = 10 * PACE
    _seconds: float = 10.0

    def note(self, chars: int, samples: int) -> None:
        """It said so much in so many samples."""
        self._chars += chars
        self._seconds += samples / RATE

    def samples(self, chars: int) -> int:
        """How long it takes for so much."""
        return round(chars * self._seconds / self._chars * RATE)


@dataclass(slots=True)
class Stretch:
    """A stretch of sound: where in the text its words stand, and from which sample to which it goes (None: unknown)."""

    pace: Pace
    words: list[tuple[int, int]] = field(default_factory=list)
    """From which character of the text to which each word goes."""
    begin: int | None = None
    end: int | None = None
    short: bool = False
    """Its sound ends before its words do."""

    @property
    def chars(self) -> int:
        """How much it says, with a blank after each word."""
        return sum(last - first + 1 for first, last in self.words)

    def learn(self) -> None:
        """It is all there: how fast the voice is, is known better."""
        if self.words and self.begin is not None and self.end is not None and not self.short:
            self.pace.note(self.chars, self.end - self.begin)

    def ends(self) -> list[tuple[int, int, int]]:
        """(first sample, last sample, characters of the text) of each word."""
        if self.begin is None or not self.words:
            return []
        total = self.chars
        there = 0 if self.end is None else self.end - self.begin
        samples = there if self.end is not None and not self.short else max(there, self.pace.samples(total))
        places, done = [], 0
        for first, last in self.words:
            start = self.begin + samples * done // total
            done += last - first + 1
            places.append((start, self.begin + samples * done // total, last))
        return places


@dataclass(slots=True)
class Reckoning(Marks):
    """The marks of an utterance in stretches, in the order in which they are played."""

    _stretches: list[Stretch] = field(default_factory=list)

    def play(self, stretch: Stretch, sample: int) -> None:
        """The sound of a stretch begins at `sample` of the utterance."""
        stretch.begin = sample
        self._stretches.append(stretch)
        self._reckon()

    def read(self, stretch: Stretch, text: str, char: int) -> None:
        """More of its words: `text`, which begins at `char` of the utterance's text."""
        for found in _TOKEN.finditer(text):
            first, last = char + found.start(), char + found.end()
            if stretch.words and stretch.words[-1][1] == first:  # the rest of a word
                first = stretch.words.pop()[0]
            stretch.words.append((first, last))
        self._reckon()

    def close(self, stretch: Stretch, sample: int, *, short: bool = False) -> None:
        """Its sound ends at `sample`; `short`: before its words do, most likely."""
        stretch.end, stretch.short = sample, short
        self._reckon()

    def _reckon(self) -> None:
        self._starts, self._ends, self._chars = [], [], []
        known = 0
        for stretch in self._stretches:
            for start, end, chars in stretch.ends():
                known = max(known, chars)
                self._starts.append(start)
                self._ends.append(end)
                self._chars.append(known)
