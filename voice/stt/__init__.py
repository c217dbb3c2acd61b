"""Speech to text, one provider a file; names are imported when they are first used."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from voice import providers
from voice.lazy import lazily

if TYPE_CHECKING:
    from voice.check import Check
    from voice.stt.deepgram import Deepgram
    from voice.stt.deepgram_flux import DeepgramFlux
    from voice.stt.fallback import FallbackRecognizer
    from voice.stt.livekit import LiveKitSTT
    from voice.stt.pipecat import PipecatSTT
    from voice.stt.pocketsphinx import Pocketsphinx
    from voice.stt.recognizer import SpeechRecognizer

CLOUD = ("voice.stt.deepgram:Deepgram",)
"""Best first; each is used when its package is installed and its key is set."""
EMBEDDED = ("voice.stt.pocketsphinx:Pocketsphinx",)
"""Best first; one of them hears where there is no cloud, and when it fails."""
CANDIDATES = CLOUD + EMBEDDED

_HOMES = {
    "Deepgram": "deepgram",
    "DeepgramFlux": "deepgram_flux",
    "FallbackRecognizer": "fallback",
    "LiveKitSTT": "livekit",
    "PipecatSTT": "pipecat",
    "Pocketsphinx": "pocketsphinx",
}

__all__ = [
    "Deepgram",
    "DeepgramFlux",
    "FallbackRecognizer",
    "LiveKitSTT",
    "PipecatSTT",
    "Pocketsphinx",
    "candidates",
    "default",
]


__getattr__ = lazily(__name__, _HOMES)


def candidates() -> list[Check]:
    """What each provider says of this machine, best first."""
    return [check for _, check in providers.checks(CANDIDATES)]


def default() -> SpeechRecognizer:
    """What hears best here, one a process: a cloud with its key, and what is embedded to fall back on.

    Raises NoProviderError with every candidate's fix.
    """
    return _made(*providers.in_order(CLOUD, EMBEDDED, "speech recognition"))


@functools.cache
def _made(*chosen: str) -> SpeechRecognizer:
    made: list[SpeechRecognizer] = [providers.load(dotted)() for dotted in chosen]
    if chosen[0] in EMBEDDED:
        return made[0]
    from voice.stt.fallback import FallbackRecognizer

    return FallbackRecognizer(made)
