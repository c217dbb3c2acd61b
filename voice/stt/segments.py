"""Segments: one speech, out of the segments in which a streaming recogniser tells it; and when its last word is said.

Such recognisers cut speech up as they like: some finals come while the caller still speaks, the last one soon after the
speech has been declared over, or never, when all was told before. Sans-I/O; times are seconds of the caller's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from voice.stt.recognizer import EagerEnd, Final, Hearing, Partial, Resumed


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a recogniser is waited for, seconds.

    `answer`: for what is known to come: words of which only a guess is there, or all of them where it guesses nothing.
    `lag`: for words of which nothing is known yet: speech takes so long to it, and its answer back. `settle`: for a
    second final after the first one that followed the end.
    """

    answer: float = 1.5
    lag: float = 0.3
    settle: float = 0.1


@dataclass(slots=True)
class Segments:
    """One speech. `guesses`: the recogniser gives interim results. `exact`: it answers the end with one last final."""

    patience: Patience = field(default_factory=Patience)
    guesses: bool = True
    exact: bool = False
    asked: float | None = None
    """When the speech was declared over."""
    started: bool = False
    """The recogniser says that it hears speech."""
    _finals: list[Final] = field(default_factory=list)
    _interim: Final | None = None
    """The words that are not final yet."""
    _stopped: bool = False
    """The recogniser says that the speech is over, and has heard no other since."""
    _eager: str | None = None
    _last: float = float("-inf")
    """When the last final came."""

    @property
    def text(self) -> str:
        """All that has been understood."""
        return " ".join(part.text for part in self._parts())

    @property
    def over(self) -> bool:
        """The recogniser itself has said that the speech is over, and all its words."""
        return self._stopped and bool(self._finals) and self._interim is None

    @property
    def outstanding(self) -> bool:
        """Something is still to come from the recogniser, as far as one can know."""
        return self._interim is not None or (not self._finals and (self.started or not self.guesses))

    @property
    def due(self) -> float | None:
        """When it is over, if nothing more comes; None before it was declared over."""
        if self.asked is None:
            return None
        if self.outstanding:
            return self.asked + self.patience.answer
        if self.over:
            return self.asked
        if self._last >= self.asked:
            return self._last + (0.0 if self.exact else self.patience.settle)
        return self.asked + self.patience.lag

    def start(self) -> Iterator[Hearing]:
        """The recogniser hears speech."""
        self.started, self._stopped = True, False
        yield from self._resume("")

    def stop(self) -> None:
        """The recogniser hears no more speech."""
        self._stopped = True

    def guess(self, text: str, confidence: float = 1.0) -> Iterator[Hearing]:
        """An interim result, of the present segment."""
        if not text:
            return
        self._interim, self._stopped = Final(text, confidence), False
        yield from self._resume(self.text)
        yield Partial(self.text)

    def foresee(self, text: str, confidence: float = 1.0) -> Iterator[Hearing]:
        """The recogniser believes that the speech is about over."""
        if text:
            self._interim, self._stopped = Final(text, confidence), False
        if self.text and self._eager is None:
            self._eager = self.text
            yield EagerEnd(self.text)

    def settle(self, text: str, confidence: float, now: float) -> Iterator[Hearing]:
        """A final result, of the present segment; empty: there were no words in it."""
        self._interim = None
        if text:
            self._finals.append(Final(text, confidence))
        self._last = now
        yield from self._resume(self.text)
        if text:
            yield Partial(self.text)

    def final(self) -> Final:
        """The whole of it: its words, and their confidence, each word counting the same."""
        parts = list(self._parts())
        if len(parts) == 1:
            return parts[0]
        words = sum(len(part.text.split()) for part in parts)
        sure = sum(part.confidence * len(part.text.split()) for part in parts)
        return Final(self.text, sure / words if words else 1.0)

    def _parts(self) -> Iterator[Final]:
        yield from self._finals
        if self._interim is not None:
            yield self._interim

    def _resume(self, text: str) -> Iterator[Hearing]:
        """Other words than those with which the end was foreseen: it has not come."""
        if self._eager is not None and text != self._eager:
            self._eager = None
            yield Resumed()
