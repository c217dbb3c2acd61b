"""What every way to write sound for the wire promises: samples at its own rate to bytes, and back.

Samples are numpy arrays of int16. Taking them from and to the house's 16 kHz is done for all calls together, elsewhere.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
Octets = NDArray[np.uint8]


class Coder(Protocol):
    """One direction pair of one call: it may remember (G.722 does), so a call has its own."""

    rate: int
    """Samples a second that it takes and gives (Hz)."""

    def encode(self, samples: Samples) -> bytes:
        """The samples as they go over the wire."""
        ...

    def decode(self, payload: bytes) -> Samples:
        """The samples in a payload. Never raises, whatever the bytes."""
        ...
