"""The lexicon: how English words are pronounced, from the dictionary of the package and from what the user adds.

The dictionary (CMUdict, 135,000 entries) stays one block of 3 MB that is searched by halves; as Python strings it would
be 25 MB, and inside a decoder about as much for every one of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_CONSONANTS = (*"BDFGKLMNPRSTVWYZ", "CH", "DH", "HH", "JH", "NG", "SH", "TH", "ZH")
PHONES = frozenset((*_VOWELS, *_CONSONANTS))
"""The phones of CMUdict (ARPAbet without stress)."""

_STRESS = re.compile(r"(?<=[A-Z])[012]\b")


class Lexicon:
    """Pronunciations by word, lower case. `words` are the user's, as "P OW S T G R EH S"; they win.

    Raises OSError when the dictionary cannot be read and ValueError, naming the word, for phones there are not.
    """

    def __init__(self, dictionary: Path, words: Mapping[str, str]) -> None:
        self._entries = b"\n" + dictionary.read_bytes().rstrip() + b"\n"
        self._added = {word.lower(): (_checked(word, phones),) for word, phones in words.items()}

    def pronunciations(self, word: str) -> tuple[str, ...]:
        """The ways to say `word`, the commonest first; empty when it is not known."""
        word = word.lower()
        return self._added.get(word) or tuple(self._look_up(word.encode()))

    def _look_up(self, word: bytes) -> list[str]:
        found = []
        at = self._find(word)
        while 0 < at < len(self._entries):
            end = self._entries.find(b"\n", at)
            head, _, phones = self._entries[at:end].partition(b" ")
            if _bare(head) != word:
                break
            found.append(phones.strip().decode())
            at = end + 1
        return found

    def _find(self, word: bytes) -> int:
        """Where the first entry of `word` begins; 0 when there is none."""
        begin = bisect_left(range(len(self._entries) - 1), word, key=self._word_at) + 1
        if self._entries.startswith(word + b" ", begin):
            return begin
        # One edition of the dictionary has two words out of order: a look through all of it takes a millisecond.
        return self._entries.find(b"\n" + word + b" ") + 1

    def _word_at(self, position: int) -> bytes:
        """The word of the line that `position` (or the line break there) begins or lies in."""
        begin = self._entries.rfind(b"\n", 0, position + 1) + 1
        return _bare(self._entries[begin : self._entries.find(b" ", begin)])


def _bare(head: bytes) -> bytes:
    """A word without the number of its variant: "record(2)" is "record"."""
    return head.partition(b"(")[0]


def _checked(word: str, phones: str) -> str:
    said = _STRESS.sub("", phones.upper()).split()
    unknown = [phone for phone in said if phone not in PHONES]
    if not said or unknown or not word.strip() or len(word.split()) > 1:
        why = f"there is no phone {unknown[0]!r}" if unknown else "one word and at least one phone are needed"
        raise ValueError(f"words[{word!r}] = {phones!r}: {why}; phones are ARPAbet, as in 'P OW S T G R EH S'")
    return " ".join(said)
