"""G.711, both laws, by tables: exact, without memory, and over any array, so that all calls may be done in one go."""

from __future__ import annotations

from typing import Final

import numpy as np

from voice.rtp.coder import Octets, Samples

RATE = 8000
QUIET = 64
"""Mean magnitude under which a frame counts as silence (-54 dBFS): a frame of it may be left out or doubled unheard."""
_BIAS = 132
_LOUDEST_MU = 32635


class G711:
    """One of the two laws. It remembers nothing: `MU_LAW` and `A_LAW` serve every call."""

    def __init__(self, decoding: Samples, encoding: Octets) -> None:
        self.rate: Final = RATE
        self.decoding, self.encoding = decoding, encoding
        self.silence: Final = int(encoding[0])
        """The byte that is no sound."""
        self._loudness = np.abs(decoding.astype(np.int32))

    def decode(self, payload: bytes) -> Samples:
        return self.decoding[np.frombuffer(payload, np.uint8)]

    def encode(self, samples: Samples) -> bytes:
        return self.encoded(samples).tobytes()

    def decoded(self, octets: Octets) -> Samples:
        """The same for an array of any shape."""
        return self.decoding[octets]

    def encoded(self, samples: Samples) -> Octets:
        """The same for an array of any shape."""
        return self.encoding[samples.view(np.uint16)]

    def quiet(self, payload: bytes) -> bool:
        """Whether nobody would miss it."""
        return not payload or int(self._loudness[np.frombuffer(payload, np.uint8)].sum()) < QUIET * len(payload)


def _mu_law() -> G711:
    """G.711 table 2: a bias makes the segments' bounds powers of two; all bits are sent inverted."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS << ((code >> 4) & 7)) - _BIAS
    decoding = np.where(code & 0x80, -magnitude, magnitude)
    sample = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int64)
    biased = np.minimum(np.where(sample < 0, ~sample, sample), _LOUDEST_MU) + _BIAS
    segment = np.frexp(biased.astype(np.float64))[1] - 8
    code = np.where(sample < 0, 0x80, 0) | (segment << 4) | ((biased >> (segment + 3)) & 0x0F)
    return G711(decoding.astype(np.int16), (~code & 0xFF).astype(np.uint8))


def _a_law() -> G711:
    """G.711 table 1: the two lowest segments are alike; every other bit is sent inverted."""
    code = np.arange(256) ^ 0x55
    segment = (code >> 4) & 7
    magnitude = ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment > 0, magnitude + 256 << np.maximum(segment - 1, 0), magnitude)
    decoding = np.where(code & 0x80, magnitude, -magnitude)
    sample = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int64)
    steps = np.where(sample < 0, ~sample, sample) >> 4
    segment = np.maximum(np.frexp(steps.astype(np.float64))[1] - 4, 0)
    code = np.where(sample < 0, 0, 0x80) | (segment << 4) | ((steps >> np.maximum(segment - 1, 0)) & 0x0F)
    return G711(decoding.astype(np.int16), (code ^ 0x55).astype(np.uint8))


MU_LAW: Final = _mu_law()
A_LAW: Final = _a_law()
