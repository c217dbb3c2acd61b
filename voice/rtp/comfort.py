"""Comfort noise (RFC 3389): the hiss of a quiet room, as loud as the other end says; its colour is left out."""

from __future__ import annotations

import math

import numpy as np

from voice.audio import LOUDEST
from voice.rtp.coder import Samples

PAYLOAD_TYPE = 13
"""What such packets carry as their payload type at 8 kHz (RFC 3551 section 6)."""
LOUDEST_NOISE = 30
"""The loudest that is played (-dBov): a room louder than this is no comfort, but somebody's attack on an ear."""


def noise_level(payload: bytes) -> int | None:
    """How loud a payload wants the noise (-dBov, `LOUDEST_NOISE` to 127, which is silence); None: not said."""
    if not payload or payload[0] > 127:
        return None
    return max(LOUDEST_NOISE, payload[0])


class ComfortNoise:
    """Noise without end. `seed` makes it repeatable."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)

    def make(self, level: int, samples: int) -> Samples:
        """So many samples of white noise at `level` (-dBov: 0 is the power of a full-scale square wave)."""
        if level >= 127:
            return np.zeros(samples, np.int16)
        widest = LOUDEST * 10 ** (-level / 20) * math.sqrt(3)
        noise = self._random.uniform(-widest, widest, samples)
        return np.rint(np.clip(noise, -LOUDEST, LOUDEST - 1)).astype(np.int16)
