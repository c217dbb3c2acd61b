"""WebRTC's voice activity detector: 2 us a frame, nothing to load, but it takes loud noise for speech.

The light fallback. Answers yes or no, as 1.0 or 0.0.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from voice.check import Check
from voice.leg import FRAME_BYTES, RATE
from voice.vad.detector import DetectorStream

if TYPE_CHECKING:
    import webrtcvad

MODE = 3
"""WebRTC's most aggressive mode (0 to 3): the lower ones call still more noise speech."""


class WebRtcStream:
    """One caller's detector; it adapts to the noise it hears."""

    def __init__(self, detector: webrtcvad.Vad) -> None:
        self._detector = detector

    def probability(self, pcm: bytes) -> float:
        """1.0 if the frame holds speech, else 0.0. Raises ValueError unless `pcm` is 20 ms of 16 kHz audio."""
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"pcm must be a frame of {FRAME_BYTES} bytes (20 ms at 16 kHz), not {len(pcm)}")
        return 1.0 if self._detector.is_speech(pcm, RATE) else 0.0


class WebRtc:
    """The provider, from the package `webrtcvad-wheels`."""

    name = "webrtc"
    threshold = 0.5

    async def prepare(self) -> None:
        """Import the extension; there is no model."""
        import webrtcvad  # noqa: F401 (loaded here so that the first stream need not)

    def stream(self) -> DetectorStream:
        """A new caller's ear."""
        import webrtcvad

        return WebRtcStream(webrtcvad.Vad(MODE))

    @classmethod
    def check(cls) -> Check:
        """Whether the extension is installed."""
        if find_spec("webrtcvad") is None:
            return Check(cls.name, False, "webrtcvad is not installed", "pip install webrtcvad-wheels")
        return Check(cls.name, True, "webrtcvad: light, but takes loud noise for speech")
