"""The seam for voice activity detectors: one shared model a process, a little state a caller."""

from __future__ import annotations

from typing import Protocol

from voice.check import Check


class DetectorStream(Protocol):
    """One caller's ear for voice. Cheap enough to call in the event loop (well under a millisecond a window)."""

    def probability(self, pcm: bytes) -> float:
        """How likely it is (0 to 1) that the newest audio is speech.

        `pcm` is 20 ms of 16 kHz 16-bit mono; a model with another window buffers and repeats its last answer.
        """
        ...


class VoiceDetector(Protocol):
    """A provider: loads its model once a process, opens a stream a caller."""

    name: str
    threshold: float
    """Probability from which on a window counts as speech."""

    async def prepare(self) -> None:
        """Load what is slow to load, off the loop. Calling it twice does nothing."""
        ...

    def stream(self) -> DetectorStream: ...

    @classmethod
    def check(cls) -> Check:
        """Whether it can work here, and if not, what is missing and how to get it. Imports no vendor."""
        ...
