"""The decoder: what is asked of CMU Sphinx, in whichever way it is reached. Blocks; for one thread at a time.

The model's files come with the package `pocketsphinx`. Settings are the same for every way: no `bestpath` over a
grammar, because its lattice joins words that do not follow each other and then scores the join as silence (found by
reading segmentations: rejection by score has an AUC of .94 with it and 1.0 without, synthetic voices, clean).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from voice.stt.sphinx.grammar import Grammar

UNADAPTED = "40,3,-1"
"""The cepstral means a stranger's channel is assumed to have; the library's own default."""
GRAMMARS = 16
"""Grammars a decoder keeps compiled (a call changes between a few; one of 30 sentences takes about 0.5 MB)."""

Setting = str | bool | int
GRAMMAR_SETTINGS: dict[str, Setting] = {"compallsen": True, "bestpath": False}
"""`compallsen` scores every sound of the language at every instant, so that scores mean the same in every grammar."""
OPEN_SETTINGS: dict[str, Setting] = {"maxhmmpf": 5000, "maxwpf": 10}
"""Narrower beams than the library's: 15 % less work at no loss (WER 11.4 against 12.2 % on 90 synthetic sentences)."""
OPEN = "open"
"""The name of the search over the open language model."""


class SphinxError(RuntimeError):
    """The decoder failed, which its documentation gives no reason for; it is not used again."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What the decoder makes of an utterance so far.

    `score` is how well the sound fits: 0 is perfect, what was said in a grammar scores about -35, what was not about
    -90. It is in units of 1024 times the natural logarithm of 1.0001, per 10 ms. `sentence`: the text is a whole
    sentence of the grammar. `posterior`: natural logarithm of the chance that it is this and no other text of the open
    language, 0 for a grammar.
    """

    text: str
    score: float = float("-inf")
    sentence: bool = False
    posterior: float = 0.0


class Decoder(Protocol):
    """Begin, feed as often as wanted, finish. Beginning again forgets what was not finished. Raises SphinxError."""

    def begin(self, grammar: Grammar | None, means: str) -> None:
        """An utterance begins: in `grammar`, or in the open language, by a caller whose cepstral means are `means`."""
        ...

    def feed(self, pcm: bytes) -> None:
        """More of it, 16 kHz."""
        ...

    def guess(self) -> Guess:
        """What it is so far. In the open language `score` and `posterior` are only known at the end."""
        ...

    def finish(self) -> tuple[Guess, str]:
        """The utterance is over: what it was, and the caller's cepstral means now."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


@dataclass(frozen=True, slots=True)
class Segment:
    """A word of a guess: `frames` are 10 ms each, `score` is their sum."""

    word: str
    frames: int
    score: float

    @property
    def silent(self) -> bool:
        """It is no word of anybody's: silence, noise, or a mark of the decoder's own."""
        return self.word.startswith(("<", "[", "+", "("))


def fit(segments: list[Segment]) -> float:
    """The score of a grammar's guess, per frame.

    The mean of two that err differently: over all frames (which a long silence around the words flatters, and noise
    spoils), and over those from the first word to the last (which a last word that drags on flatters). Separation of
    what is in a grammar from what is not, AUC over 120 sentences of four synthetic voices, whole / inner / mean:
    clean 1.0/.994/1.0, with silence .9997/.984/1.0, telephone band .989/.996/.999, noise at 20 dB .972/.993/.998.
    """
    spoken = [number for number, segment in enumerate(segments) if not segment.silent]
    if not spoken:
        return float("-inf")
    inner = segments[spoken[0] : spoken[-1] + 1]
    return (_mean(segments) + _mean(inner)) / 2


def _mean(segments: list[Segment]) -> float:
    return sum(segment.score for segment in segments) / max(1, sum(segment.frames for segment in segments))


def model() -> Path | None:
    """Where the English model lies, or None when the package is not installed."""
    spec = find_spec("pocketsphinx")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "model" / "en-us"
        if path.is_dir():
            return path
    return None


def installed() -> Path:
    """Like `model`, but raises SphinxError when there is none."""
    path = model()
    if path is None:
        raise SphinxError("pocketsphinx is not installed: pip install 'sottovoce[pocketsphinx]'")
    return path


def settings(open_vocabulary: bool) -> dict[str, Setting]:
    """The settings of a decoder: with the dictionary and model of the open language (100 MB), or without (8 MB)."""
    path = installed()
    found: dict[str, Setting] = {"hmm": str(path / "en-us"), "loglevel": "FATAL"}
    if open_vocabulary:
        return found | {"dict": str(path / "cmudict-en-us.dict")} | OPEN_SETTINGS
    return found | GRAMMAR_SETTINGS
