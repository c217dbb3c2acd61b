"""Keys found in the sound itself, for calls that agreed on no telephone events; all calls in one product of matrices.

Goertzel's filters as the columns of one matrix, over windows of 20 ms every 10 ms. A key sounds for 40 ms or more, with
40 ms of silence or another key behind it (ITU-T Q.24); tones are compared with each other and with all the sound there
is, so that speech presses nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voice.audio import LOUDEST
from voice.rtp.jitter import CLOCK, STEP

LOW = (697.0, 770.0, 852.0, 941.0)
HIGH = (1209.0, 1336.0, 1477.0, 1633.0)
"""Tones of a key's row and column (ITU-T Q.23; Hz)."""
PAD = ("123A", "456B", "789C", "*0#D")
WINDOW, HOP = STEP, STEP // 2
HITS = 3
"""Windows in a row that hear the key before it is one: 35 ms of it."""
MISSES = 3
"""Windows in a row without it before it may be pressed again."""
QUIETEST = -36.0
"""What each of the two tones has at least (dBFS of its power)."""
TWIST, REVERSE_TWIST = 4.0, 8.0
"""How much louder (dB) the high tone may be than the low one, and the other way round (ITU-T Q.24)."""
ALONE = 6.0
"""How much louder (dB) a tone is than the others of its group."""
SHARE = 0.55
"""Part of all the power that the filters find in the two tones: voices have more beside them. Of tones that are 1.5 %
out of tune (Q.24 allows that) they find 0.59."""
_POWER = LOUDEST**2 * 10 ** (QUIETEST / 10)
_DIGITS = np.array([list(row) for row in PAD])
_NONE = -1


def _filters() -> NDArray[np.float32]:
    at = np.arange(WINDOW) / CLOCK
    angles = 2 * np.pi * np.outer(at, np.array(LOW + HIGH))
    # A tone of peak p gives p**2 / 2, its power.
    both: NDArray[np.float64] = np.concatenate((np.cos(angles), np.sin(angles)), axis=1)
    return (both * 2**0.5 / WINDOW).astype(np.float32)


class KeyFinder:
    """Keys in the sound of `rows` calls. A call that comes into a row begins with `reset`."""

    def __init__(self, rows: int) -> None:
        self._filters = _filters()
        self._past = np.zeros((rows, HOP), np.float32)
        self._heard = np.full(rows, _NONE)
        self._hits, self._misses = np.zeros(rows, int), np.zeros(rows, int)
        self._pressed = np.full(rows, _NONE)

    def reset(self, row: int) -> None:
        """Another call has this row."""
        self._past[row] = 0
        self._heard[row] = self._pressed[row] = _NONE
        self._hits[row] = self._misses[row] = 0

    def find(self, frames: NDArray[np.int16]) -> list[tuple[int, str]]:
        """20 ms more of every call (rows of 160 samples at 8 kHz): (row, digit) for each key newly pressed."""
        sound = np.concatenate((self._past, frames.astype(np.float32)), axis=1)
        self._past = sound[:, STEP:]
        count = len(frames)
        windows = np.concatenate((sound[:, :WINDOW], sound[:, HOP : HOP + WINDOW]))
        keys = self._keys(windows)
        return [*self._step(keys[:count]), *self._step(keys[count:])]

    def _keys(self, windows: NDArray[np.float32]) -> NDArray[np.int_]:
        """The key that each window is full of: 4 * row + column, or none."""
        products = windows @ self._filters
        power = products[:, :8] ** 2 + products[:, 8:] ** 2
        everything = np.einsum("ij,ij->i", windows, windows) / WINDOW
        low, high = power[:, :4], power[:, 4:]
        row, column = low.argmax(1), high.argmax(1)
        below, above = np.sort(low, 1), np.sort(high, 1)
        one, two = below[:, 3], above[:, 3]
        alone = 10 ** (ALONE / 10)
        good = (
            (np.minimum(one, two) >= _POWER)
            & (two <= one * 10 ** (TWIST / 10))
            & (one <= two * 10 ** (REVERSE_TWIST / 10))
            & (one >= below[:, 2] * alone)
            & (two >= above[:, 2] * alone)
            & (one + two >= SHARE * everything)
        )
        return np.where(good, 4 * row + column, _NONE)

    def _step(self, keys: NDArray[np.int_]) -> list[tuple[int, str]]:
        """One window more of every call."""
        self._hits = np.where(keys == self._heard, self._hits + 1, 1)
        self._heard = keys
        self._misses = np.where(keys == self._pressed, 0, self._misses + 1)
        self._pressed[self._misses >= MISSES] = _NONE
        new = np.flatnonzero((keys != _NONE) & (self._hits >= HITS) & (keys != self._pressed))
        self._pressed[new] = keys[new]
        self._misses[new] = 0
        return [(int(row), str(_DIGITS.flat[keys[row]])) for row in new]
