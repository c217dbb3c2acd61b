"""A Take: one stretch of what a model says, its sound and its words as they come, whoever listens and when."""

from __future__ import annotations

import asyncio

from voice.leg import RATE

LONGEST = 600.0
"""Seconds of sound in one take; what comes beyond is dropped: a model that speaks for so long has lost its way."""


class Take:
    """Filled by whoever follows the session; `sound` is read by one who plays it, and ends with None.

    `line`: the id of the injected line that is spoken; None: it is the model's own. `turns`: how many turns of callers
    had ended when it began.
    """

    def __init__(self, line: str | None = None, turns: int = 0) -> None:
        self.line = line
        self.turns = turns
        self.sound: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.samples = 0
        self.ended = False
        self.cut = False
        """The model was cut short in it."""
        self.dropped = False
        """Nobody is to hear it: what more comes of it is ignored."""
        self.error: Exception | None = None
        """It broke off."""

    def add(self, pcm: bytes) -> None:
        """More of its sound."""
        if not self.ended and not self.dropped and self.samples < LONGEST * RATE:
            self.samples += len(pcm) // 2
            self.sound.put_nowait(pcm)

    def end(self, *, cut: bool = False, error: Exception | None = None) -> None:
        """Nothing more comes of it. Ending it twice does nothing."""
        if not self.ended:
            self.ended, self.cut, self.error = True, cut, error
            self.sound.put_nowait(None)
