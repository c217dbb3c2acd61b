"""A speech: a stretch of a caller's voice on its way to a transcript, first in the grammar, then in the open language.

Works in a thread, one step at a time; between steps the stream that owns it feeds it and finds it seats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from voice.leg import RATE
from voice.stt.recognizer import Final, Hearing, Partial
from voice.stt.sphinx.decoder import Decoder, Guess
from voice.stt.sphinx.grammar import Grammar

LONGEST_RETRY = 8 * RATE * 2
"""Bytes of a rejected speech that the open language is tried on: 8 s, which take about 1 s of work."""
CERTAIN = -25.0
"""A score from which on a sentence of the grammar is as certain as can be (the best of clear speech reach it)."""
GUESSED = 0.45
"""The most confidence of what was understood outside a grammar."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How speech is judged: the score under which a grammar's sentence is rejected, and whether to guess then."""

    threshold: float
    open_vocabulary: bool


@dataclass(slots=True)
class Speech:
    """One stretch of speech. `grammar` None: in the open language from the beginning."""

    grammar: Grammar | None
    manner: Manner
    means: str
    """The caller's cepstral means, before and after."""
    pending: bytearray = field(default_factory=bytearray)
    """Audio that has not been taken."""
    ended: bool = False
    """No more audio comes."""
    retrying: bool = False
    """The grammar rejected it: it wants a seat at the open language."""
    _heard: bytearray = field(default_factory=bytearray)
    _begun: bool = False
    _partial: Partial = field(default_factory=lambda: Partial(""))

    @property
    def open(self) -> bool:
        """It is for the open language now."""
        return self.grammar is None or self.retrying

    def advance(self, decoder: Decoder, pcm: bytes, ended: bool) -> Hearing | None:
        """Decode `pcm`, and conclude if that was all. None: nothing new, or another seat is wanted (`retrying`)."""
        if pcm:
            if not self._begun:
                decoder.begin(self.grammar, self.means)
                self._begun = True
            decoder.feed(pcm)
            if self.grammar and self.manner.open_vocabulary:
                self._heard += pcm[: LONGEST_RETRY - len(self._heard)]
        if not self._begun:
            return Final("", 0.0) if ended else None
        return self._conclude(decoder) if ended else self._news(decoder.guess())

    def retry(self, decoder: Decoder) -> Final:
        """Decode what the grammar rejected in the open language."""
        decoder.begin(None, self.means)
        decoder.feed(bytes(self._heard))
        guess, _ = decoder.finish()
        if not guess.text:
            return Final("", 0.0)
        return Final(guess.text, _guessed(guess), rejected=True)

    def _news(self, guess: Guess) -> Partial | None:
        complete = guess.sentence and guess.score >= self.manner.threshold
        partial = Partial(guess.text, complete)
        if partial == self._partial:
            return None
        self._partial = partial
        return partial

    def _conclude(self, decoder: Decoder) -> Final | None:
        guess, self.means = decoder.finish()
        if self.grammar is None:
            return Final(guess.text, _guessed(guess) if guess.text else 0.0)
        if guess.sentence and guess.score >= self.manner.threshold:
            return Final(guess.text, _certainty(guess.score, self.manner.threshold))
        if self.manner.open_vocabulary:
            self.retrying = True
            return None
        return Final(guess.text, 0.1 if guess.text else 0.0, rejected=bool(guess.text))


def _certainty(score: float, threshold: float) -> float:
    """Confidence of a sentence of the grammar: 0.5 at the threshold, 1 from `CERTAIN` on."""
    return 0.5 + 0.5 * min(1.0, (score - threshold) / max(1.0, CERTAIN - threshold))


def _guessed(guess: Guess) -> float:
    """Confidence of what is not in a grammar: the chance of the text a word, and always under 0.5."""
    return GUESSED * min(1.0, math.exp(guess.posterior / max(1, len(guess.text.split()))))
