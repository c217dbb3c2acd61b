"""The sound of LiveKit's plugins, in whatever they make it, as ours: 16 kHz, 16-bit mono."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voice.leg import RATE

if TYPE_CHECKING:
    from livekit.rtc import AudioFrame

    from voice.audio import Resampler


class Sound:
    """One stretch of it, piece by piece."""

    def __init__(self) -> None:
        self._resampler: Resampler | None = None

    def take(self, frame: AudioFrame) -> bytes:
        """What can be told after this frame: its first channel, resampled."""
        if self._resampler is None:
            from voice.audio import Resampler

            self._resampler = Resampler(frame.sample_rate, RATE)
        samples = memoryview(frame.data).cast("B").cast("h")[: frame.samples_per_channel * frame.num_channels]
        return self._resampler.process(samples[:: frame.num_channels].tobytes())

    def rest(self) -> bytes:
        """What follows the last frame."""
        return self._resampler.flush() if self._resampler is not None else b""
