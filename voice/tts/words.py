"""Words: where the words of a text stand, to turn an engine's "I am at character 17 now" into marks of whole words."""

from __future__ import annotations

import re
from bisect import bisect_right

from voice.tts.synthesizer import WordMark

_WORD = re.compile(r"\S*[^\W_]\S*")
_EDGES = "\"'“”„‘’‚«»‹›()[]{}<>.,;:!?…¿¡*_~`-–—"
"""Punctuation that is no part of the word it touches; `$`, `%` and `+` are."""


class Words:
    """The words of one text. A word is what stands between spaces, without the punctuation around it."""

    def __init__(self, text: str) -> None:
        found = list(_WORD.finditer(text))
        self._begins = [word.start() for word in found]
        self._spans = [
            (word.end() - len(word.group().lstrip(_EDGES)), word.start() + len(word.group().rstrip(_EDGES)))
            for word in found
        ]
        self._next = 0
        self._at = 0.0

    def __len__(self) -> int:
        return len(self._spans)

    def mark(self, index: int, at: float) -> WordMark | None:
        """The mark of the word at character `index`, which begins `at` seconds into the audio.

        None when there is no word, or when it or a later one was marked before: an engine says "10:30" in two words and
        "well-known" in two, but it is one word of the text. Marks never go back, neither in the text nor in time.
        """
        number = bisect_right(self._begins, index) - 1
        if number < self._next:
            return None
        self._next = number + 1
        self._at = max(self._at, at)
        start, end = self._spans[number]
        return WordMark(start, end, self._at)
