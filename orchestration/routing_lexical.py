"""The lexical index: how alike two sentences look, by their words and parts of words. It knows no meaning.

"My bill is wrong" is like "the bills are wrong", and not at all like "I was charged twice". It needs no model, no
network and no dependency, and always says the same. A sentence is a set of words and of trigrams of their letters; what
few examples have weighs more (tf-idf with set weights; Salton and Buckley 1988, doi:10.1016/0306-4573(88)90021-0), and
sentences are compared by the cosine of their weights. Trigrams find "invoices" by "invoice", and slips of the pen.
Where no blanks stand between words, as in Chinese, it finds little but the same sentence again.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

MAX_READ = 300
"""Most characters of a text that are looked at, 20 seconds of talk: its beginning says what it is about."""
PART = 0.4
"""What a trigram weighs beside a word that is as rare."""
_WORD = re.compile(r"\w+")


class LexicalIndex:
    """Some examples, ready to be compared with."""

    def __init__(self, examples: Sequence[str]) -> None:
        read = [_features(example) for example in examples]
        known = Counter(feature for features in read for feature in features)
        self._rarity = {feature: math.log((1 + len(read)) / count) for feature, count in known.items()}
        self._unknown = math.log(1 + len(read))
        self._count = len(read)
        self._where: dict[str, list[tuple[int, float]]] = {}
        for place, features in enumerate(read):
            weights = {feature: self._weight(feature, part) for feature, part in features.items()}
            length = _length(weights.values())
            for feature, weight in weights.items():
                self._where.setdefault(feature, []).append((place, weight / length))

    def similarities(self, text: str) -> list[float]:
        """How like each example a text is, 0 (nothing in common) to 1 (the same words)."""
        found = [0.0] * self._count
        weights = {feature: self._weight(feature, part) for feature, part in _features(text).items()}
        for feature, weight in weights.items():
            for place, other in self._where.get(feature, ()):
                found[place] += weight * other
        length = _length(weights.values())
        return [min(1.0, each / length) for each in found]

    def _weight(self, feature: str, part: float) -> float:
        return part * self._rarity.get(feature, self._unknown)


def _features(text: str) -> dict[str, float]:
    """The words, and the trigrams of words with their ends marked, each with what it weighs.

    A dict and no set: its order is the text's, so sums come out the same in every process.
    """
    features: dict[str, float] = {}
    for word in _WORD.findall(unicodedata.normalize("NFKC", text[:MAX_READ]).casefold()):
        if word in features:
            continue
        features[word] = 1.0
        marked = f"<{word}>"
        for at in range(len(marked) - 2):
            features.setdefault(marked[at : at + 3], PART)
    return features


def _length(weights: Iterable[float]) -> float:
    return math.sqrt(sum(weight * weight for weight in weights)) or 1.0  # of nothing: there is nothing to divide
