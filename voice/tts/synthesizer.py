"""The seam for synthesizers: text in, 16 kHz audio out as it is made, with the times of its words where known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from voice.check import Check


@dataclass(frozen=True, slots=True)
class WordMark:
    """Word `text[start:end]` of the synthesized text begins `at` seconds after the first sample of its audio."""

    start: int
    end: int
    at: float


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """The next piece of audio (16 kHz, 16-bit mono PCM, any length, may be empty) and the marks known so far.

    `marks` are new with this chunk, in order; none at all over a whole text means that the provider cannot tell, and
    word times are then reckoned in proportion to the length of the words.
    """

    pcm: bytes
    marks: tuple[WordMark, ...] = ()


class Synthesizer(Protocol):
    """A provider. Loads its voice once a process; many texts may be synthesized at the same time."""

    name: str

    async def prepare(self) -> None:
        """Load what is slow to load, off the loop. Calling it twice does nothing."""
        ...

    def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speak one sentence or a few (at most some hundred characters); closing the iterator stops the work soon."""
        ...

    @classmethod
    def check(cls) -> Check:
        """Whether it can work here, and if not, what is missing and how to get it. Imports no vendor."""
        ...
