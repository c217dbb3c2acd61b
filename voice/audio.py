"""Sound as bytes: 16-bit little-endian mono PCM resampled, measured, mixed; and silence of a given length.

The only file of the house that computes on samples. It needs numpy, so it is imported with the first audio.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from voice.leg import RATE

LOUDEST = 32768
"""The sample value that counts as 0 dBFS."""
FLOOR = -100.0
"""What `level` calls digital silence (dBFS); one bit of noise is at about -90."""

DELAY = 0.0025
"""How far a resampler's output lags (s): half its filter. Shorter, and it cuts more of the upper band."""
ATTENUATION = 80.0
"""What the filter leaves of an alias (dB), by Kaiser's design formula; 70 are promised."""
PRECISION = 20
"""Bits after the point of the filter's coefficients. All sums of products then stay below 2**53, so float64 adds them
exactly and in any order: the output does not depend on how the input was cut."""
FEW_PHASES = 8
"""Phases (outputs before the pattern repeats) up to which it is quicker to work by phase than by block."""
BLOCK = 8192
"""Products made at once: 64 KiB of them, since what is larger is fetched from the system anew each time (600 us)."""
RATES = range(4_000, 192_001)
"""Rates a resampler takes (Hz)."""


def silence(seconds: float) -> bytes:
    """So many seconds of nothing at 16 kHz."""
    return bytes(2 * round(seconds * RATE))


def level(pcm: bytes) -> float:
    """How loud it is: the root mean square in dBFS, where a full-scale square wave is 0 and nothing is `FLOOR`."""
    if not pcm:
        return FLOOR
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    power = float(samples @ samples) / len(samples)
    return max(FLOOR, 10 * math.log10(power / LOUDEST**2)) if power else FLOOR


def mix(frames: Sequence[bytes]) -> bytes:
    """Several voices as one, as long as the longest; where they add up to more than 16 bits hold, they are clipped."""
    if len(frames) == 1:
        return frames[0]
    total = np.zeros(max((len(frame) for frame in frames), default=0) // 2, np.int32)
    for frame in frames:
        samples = np.frombuffer(frame, "<i2")
        total[: len(samples)] += samples
    return _pcm(total)


def _pcm(samples: np.ndarray) -> bytes:
    """The samples as bytes; what 16 bits do not hold is clipped."""
    return bytes(np.clip(samples, -LOUDEST, LOUDEST - 1).astype("<i2").tobytes())


class Resampler:
    """Takes a stream of PCM from one rate (Hz) to another, a polyphase FIR low-pass.

    The output lags by `delay` seconds and does not depend on how the stream is cut into pieces. Anything above half the
    lower rate is at least 70 dB down. One resampler a stream. Raises ValueError for a rate it does not take.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        for name, rate in (("from_rate", from_rate), ("to_rate", to_rate)):
            if rate not in RATES:
                raise ValueError(f"{name} must be between {RATES[0]} and {RATES[-1]} Hz, not {rate!r}")
        common = math.gcd(from_rate, to_rate)
        self._up, self._down = to_rate // common, from_rate // common
        self.from_rate, self.to_rate = from_rate, to_rate
        self.delay = 0.0 if from_rate == to_rate else DELAY
        self._filter = np.zeros((1, 1)) if from_rate == to_rate else _polyphase(from_rate, to_rate)
        self._past = np.zeros(self._filter.shape[1] - 1)
        self._next = 0
        """Upsampled position of the next output, from the first sample that is not in `_past`."""

    def process(self, pcm: bytes) -> bytes:
        """What can be told of the output after `pcm` more. Raises ValueError for half a sample."""
        if len(pcm) % 2:
            raise ValueError(f"pcm must be whole 16-bit samples, not {len(pcm)} bytes")
        if self.from_rate == self.to_rate:
            return pcm
        new = np.frombuffer(pcm, "<i2")
        samples = np.concatenate((self._past, new))
        positions = np.arange(self._next, self._up * len(new), self._down)
        taps = self._filter.shape[1]
        self._next += self._down * len(positions) - self._up * len(new)
        self._past = samples[len(samples) - taps + 1 :]
        if not len(positions):
            return b""
        windows = np.lib.stride_tricks.sliding_window_view(samples, taps)
        sums = np.empty(len(positions))
        if self._up <= FEW_PHASES:
            self._by_phase(positions, windows, sums)
        else:
            self._by_block(positions, windows, sums)
        return _pcm(np.floor(sums / 2**PRECISION + 0.5))

    def _by_phase(self, positions: np.ndarray, windows: np.ndarray, sums: np.ndarray) -> None:
        """All outputs of one phase in one go: their windows lie evenly apart, and nothing is copied."""
        for first, position in enumerate(positions[: self._up]):
            begin, phase = divmod(int(position), self._up)
            out = sums[first :: self._up]
            np.einsum("ij,j->i", windows[begin :: self._down][: len(out)], self._filter[phase], out=out)

    def _by_block(self, positions: np.ndarray, windows: np.ndarray, sums: np.ndarray) -> None:
        """Outputs in a row, each with its own phase."""
        begins, phases = np.divmod(positions, self._up)
        step = max(1, BLOCK // self._filter.shape[1])
        for at in range(0, len(positions), step):
            block = slice(at, at + step)
            np.einsum("ij,ij->i", windows[begins[block]], self._filter[phases[block]], out=sums[block])

    def flush(self) -> bytes:
        """The last `delay` seconds of output, when the input has ended. The resampler is then as new."""
        tail = self.process(bytes(2 * math.ceil(self.delay * self.from_rate)))
        self._past = np.zeros_like(self._past)
        self._next = 0
        return tail


@functools.lru_cache(maxsize=16)
def _polyphase(from_rate: int, to_rate: int) -> np.ndarray:
    """The low-pass as one row of coefficients a phase, in the order of the samples they meet.

    A Kaiser-windowed sinc whose stop band begins at half the lower rate (Kaiser 1974; Oppenheim and Schafer, 7.5).
    """
    up = to_rate // math.gcd(from_rate, to_rate)
    rate = from_rate * up
    half = math.floor(DELAY * rate)
    width = (ATTENUATION - 7.95) / (2 * math.pi * 2.285 * 2 * DELAY)
    cutoff = (min(from_rate, to_rate) - width) / 2
    taps = math.ceil((2 * half + 1) / up)
    times = np.arange(taps * up) - half
    shape = np.where(np.abs(times) <= half, np.sqrt(np.maximum(0.0, 1 - (times / half) ** 2)), np.nan)
    beta = 0.1102 * (ATTENUATION - 8.7)
    window = np.where(np.isnan(shape), 0.0, np.i0(beta * np.nan_to_num(shape)) / np.i0(beta))
    response = window * np.sinc(2 * cutoff * times / rate)
    phases = response.reshape(taps, up).T
    phases /= phases.sum(axis=1, keepdims=True)
    return np.ascontiguousarray(np.round(phases[:, ::-1] * 2**PRECISION))
