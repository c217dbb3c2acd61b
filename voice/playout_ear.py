"""One ear of a playout: what it was sent, what it has heard, and when it will have heard the rest. Sans-I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from voice.leg import RATE

EPSILON = 1e-3
"""A thousandth of a sample: what adding up seconds in floating point may cost."""


@dataclass(slots=True)
class PlayoutEar:
    """One listener of one utterance. `jitter` is in seconds, all else in samples, but `anchor` (seconds, loop time)."""

    jitter: float
    receipts: bool
    counts: bool
    """What it heard says what was heard."""
    stream: int = 0
    """The unbroken piece of playout that it is sent now (0: none yet)."""
    base: int = 0
    """Place in the utterance at which that stream begins."""
    anchor: float = 0.0
    """When the stream's first sample was sent."""
    sent: int = 0
    """Samples of the stream that were sent."""
    played: int = 0
    """Samples of the stream that it has heard."""
    flushed: bool = True
    """It has thrown away what it had not played."""
    reached: int = 0
    """Place in the utterance up to which it has heard everything."""
    earlier: dict[int, int] = field(default_factory=dict)
    """Where its earlier streams began, for receipts that come late."""

    def at(self, samples: int) -> float:
        """When it has heard `samples` of its stream, by the clock."""
        return self.anchor + self.jitter + samples / RATE

    def hear(self, samples: int) -> None:
        """It has heard `samples` of its stream; more than it was sent is not believed."""
        self.played = max(self.played, min(samples, self.sent))
        self.reached = max(self.reached, self.base + self.played)

    @property
    def silent(self) -> bool:
        """It has heard, or thrown away, all that it was sent."""
        return self.flushed or self.played >= self.sent

    def begin(self, stream: int, base: int, now: float) -> None:
        """A new stream begins."""
        if self.stream:
            self.earlier[self.stream] = self.base
        self.stream, self.base, self.anchor = stream, base, now
        self.sent = self.played = 0
        self.flushed = False

    def receive(self, stream: int, samples: int, flushed: bool) -> None:
        """A receipt came. One for a stream that is not this utterance's is ignored."""
        if stream == self.stream:
            self.hear(samples)
            self.flushed = self.flushed or flushed
        elif (base := self.earlier.get(stream)) is not None:
            self.reached = max(self.reached, base + min(samples, self.base - base))

    def reckon(self, now: float) -> None:
        """Without receipts the clock says what it has heard."""
        if not self.receipts and not self.flushed:
            self.hear(math.floor((now - self.anchor - self.jitter) * RATE + EPSILON))
