"""Voice activity detection, one provider a file."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from voice import providers

if TYPE_CHECKING:
    from voice.check import Check
    from voice.vad.detector import VoiceDetector

CANDIDATES = ("voice.vad.silero:Silero", "voice.vad.webrtc:WebRtc")
"""Best first. Silero calls 6-16 % of room noise speech where the WebRTC detector calls 53-88 % so (speech notes)."""


def candidates() -> list[Check]:
    """What each provider says of this machine, best first."""
    return [check for _, check in providers.checks(CANDIDATES)]


@functools.cache
def default() -> VoiceDetector:
    """The best detector that works here, one a process. Raises NoProviderError with every candidate's fix."""
    detector: VoiceDetector = providers.first_usable(CANDIDATES, "voice activity detection")()
    return detector
