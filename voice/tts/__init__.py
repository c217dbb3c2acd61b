"""Text to speech, one provider a file."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from voice import providers

if TYPE_CHECKING:
    from voice.check import Check
    from voice.tts.synthesizer import Synthesizer

CANDIDATES = ("voice.tts.flite:Flite", "voice.tts.espeak:Espeak")
"""Best first. A provider that needs a key goes before these; its `check()` passes when the key is set."""


def candidates() -> list[Check]:
    """What each provider says of this machine, best first."""
    return [check for _, check in providers.checks(CANDIDATES)]


@functools.cache
def default() -> Synthesizer:
    """The best synthesizer that works here, one a process. Raises NoProviderError with every candidate's fix."""
    synthesizer: Synthesizer = providers.first_usable(CANDIDATES, "speech synthesis")()
    return synthesizer
