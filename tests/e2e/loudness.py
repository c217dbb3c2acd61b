"""When somebody is audible in a recording: stretches of sound, found by their loudness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voice.leg import FRAME_SAMPLES, FRAME_SECONDS

LOUD = 150.0
"""Root mean square of a 20 ms frame, of 32,768, from which it counts as sound; synthetic silence has almost none."""


@dataclass(frozen=True)
class Stretch:
    """Sound from `start` to `end`, seconds of the recording."""

    start: float
    end: float


def stretches(pcm: bytes, *, gap: float = 0.4, shortest: float = 0.06) -> list[Stretch]:
    """Where `pcm` (16 kHz) is audible; silences up to `gap` seconds are bridged, clicks below `shortest` left out."""
    samples = np.frombuffer(pcm, np.int16).astype(np.float64)
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    loud = np.sqrt((frames**2).mean(axis=1)) > LOUD
    found: list[Stretch] = []
    for number in np.flatnonzero(loud):
        start, end = number * FRAME_SECONDS, (number + 1) * FRAME_SECONDS
        if found and start - found[-1].end <= gap:
            found[-1] = Stretch(found[-1].start, end)
        else:
            found.append(Stretch(start, end))
    return [s for s in found if s.end - s.start >= shortest]


def cut(pcm: bytes, stretch: Stretch, margin: float = 0.1) -> bytes:
    """The sound of a stretch, with a little around it."""
    start, end = max(stretch.start - margin, 0), stretch.end + margin
    return pcm[2 * round(start * 16_000) : 2 * round(end * 16_000)]
