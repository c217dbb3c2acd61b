"""What is played for sound that was lost: the last period of the voice again, fading to silence within 60 ms.

After the idea of ITU-T G.711 Appendix I (pitch of 66 to 200 Hz by cross-correlation, full loudness for 10 ms, joined to
what follows by a cross-fade), without its delay of 3.75 ms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voice.rtp.coder import Samples

LONGEST, SHORTEST = 1 / 66, 1 / 200
"""Periods of voices (s)."""
COMPARED = 0.02
"""How much is compared to find the period (s)."""
WHOLE = 0.01
"""How long it stays as loud as it was (s)."""
GONE = 0.06
"""When it has faded to nothing (s)."""
JOIN = 0.004
"""Cross-fade to the sound that follows (s)."""
_Floats = NDArray[np.float64]


class Concealer:
    """The ear's memory of one stream, at `rate` (Hz). Every good frame goes through `heard`, in order."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._longest, self._shortest = round(rate * LONGEST), round(rate * SHORTEST)
        self._compared = round(rate * COMPARED)
        self._past: _Floats = np.zeros(self._longest + self._compared)
        self._period: _Floats | None = None
        self._said = 0
        """Samples of it that were played since the sound was lost."""

    def heard(self, samples: Samples) -> Samples:
        """Sound that came, as it is to be played: joined to what was made up before it, if anything was."""
        if self._period is not None:
            join = min(round(self._rate * JOIN), len(samples))
            rise = (np.arange(join) + 0.5) / join
            mixed = samples.astype(np.float64)
            mixed[:join] = mixed[:join] * rise + self._repeated(join) * (1 - rise)
            samples = np.rint(mixed).astype(np.int16)
            self._period = None
        self._past = np.concatenate((self._past, samples.astype(np.float64)))[-len(self._past) :]
        return samples

    def conceal(self, samples: int) -> Samples:
        """So many samples of something in the manner of what was heard last."""
        if self._period is None:
            self._period, self._said = self._last_period(), 0
        return np.rint(self._repeated(samples)).astype(np.int16)

    def _repeated(self, count: int) -> _Floats:
        assert self._period is not None
        at = np.arange(self._said, self._said + count)
        self._said += count
        seconds = at / self._rate
        return self._period[at % len(self._period)] * np.clip((GONE - seconds) / (GONE - WHOLE), 0, 1)

    def _last_period(self) -> _Floats:
        """The last piece of sound that is most like the one before it, its end bent to fit its own beginning."""
        past = self._past
        recent = past[-self._compared :]
        # Windows that begin `longest` down to `shortest` samples before the recent ones.
        older = past[: len(past) - self._shortest]
        likeness = np.correlate(older, recent)
        squares = np.concatenate(([0.0], np.cumsum(older * older)))
        power = squares[self._compared :] - squares[: -self._compared]
        best = int(np.argmax(likeness / np.sqrt(np.maximum(power, 1.0))))
        length = self._longest - best
        period = past[-length:].copy()
        join = length // 4
        rise = (np.arange(join) + 0.5) / join
        period[-join:] = period[-join:] * (1 - rise) + past[-length - join : -length] * rise
        return period
