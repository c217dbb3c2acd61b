"""G.722 at 64 kbit/s: sound of 7 kHz in the bytes of a telephone call. Needs the G722 wheel (`sottovoce[sip]`).

Its RTP clock says 8000 Hz, half its true rate, for historical reasons (RFC 3551 section 4.5.2): a byte is a tick.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from voice.rtp.coder import Samples

RATE = 16_000
BITS = 64_000


class G722:
    """Both directions of one call. Raises ImportError that names the extra where the wheel is missing."""

    def __init__(self) -> None:
        try:
            from G722 import G722 as Wheel  # noqa: N811 - the library's name
        except ImportError as missing:
            raise ImportError("G.722 needs the G722 library: pip install 'sottovoce[sip]'") from missing
        self.rate: Final = RATE
        self._encoder, self._decoder = Wheel(RATE, BITS), Wheel(RATE, BITS)

    def encode(self, samples: Samples) -> bytes:
        """A byte for every two samples. Raises ValueError for an odd number of them."""
        if len(samples) % 2:
            raise ValueError(f"samples must be an even number of them, not {len(samples)}")
        return bytes(self._encoder.encode(samples))

    def decode(self, payload: bytes) -> Samples:
        return np.frombuffer(self._decoder.decode(payload), np.int16)
