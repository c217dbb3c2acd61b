"""Text to speech, one provider a file; names are imported when they are first used."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from voice import providers
from voice.lazy import lazily

if TYPE_CHECKING:
    from voice.check import Check
    from voice.tts.deepgram import Deepgram
    from voice.tts.espeak import Espeak
    from voice.tts.fallback import FallbackSynthesizer
    from voice.tts.flite import Flite
    from voice.tts.livekit import LiveKitTTS
    from voice.tts.pipecat import PipecatTTS
    from voice.tts.synthesizer import Synthesizer

CLOUD = ("voice.tts.deepgram:Deepgram",)
"""Best first; each is used when its package is installed and its key is set."""
EMBEDDED = ("voice.tts.flite:Flite", "voice.tts.espeak:Espeak")
"""Best first; one of them speaks where there is no cloud, and when it fails."""
CANDIDATES = CLOUD + EMBEDDED

_HOMES = {
    "Deepgram": "deepgram",
    "Espeak": "espeak",
    "FallbackSynthesizer": "fallback",
    "Flite": "flite",
    "LiveKitTTS": "livekit",
    "PipecatTTS": "pipecat",
}

__all__ = [
    "Deepgram",
    "Espeak",
    "FallbackSynthesizer",
    "Flite",
    "LiveKitTTS",
    "PipecatTTS",
    "candidates",
    "default",
]


__getattr__ = lazily(__name__, _HOMES)


def candidates() -> list[Check]:
    """What each provider says of this machine, best first."""
    return [check for _, check in providers.checks(CANDIDATES)]


def default() -> Synthesizer:
    """What speaks best here, one a process: a cloud with its key, and what is embedded to fall back on.

    Raises NoProviderError with every candidate's fix.
    """
    return _made(*providers.in_order(CLOUD, EMBEDDED, "speech synthesis"))


@functools.cache
def _made(*chosen: str) -> Synthesizer:
    made: list[Synthesizer] = [providers.load(dotted)() for dotted in chosen]
    if chosen[0] in EMBEDDED:
        return made[0]
    from voice.tts.fallback import FallbackSynthesizer

    return FallbackSynthesizer(made)
