"""Speech to text, one provider a file."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from voice import providers

if TYPE_CHECKING:
    from voice.check import Check
    from voice.stt.recognizer import SpeechRecognizer

CANDIDATES = ("voice.stt.pocketsphinx:Pocketsphinx",)
"""Best first. A provider that needs a key goes before this; its `check()` passes when the key is set."""


def candidates() -> list[Check]:
    """What each provider says of this machine, best first."""
    return [check for _, check in providers.checks(CANDIDATES)]


@functools.cache
def default() -> SpeechRecognizer:
    """The best recogniser that works here, one a process. Raises NoProviderError with every candidate's fix."""
    recognizer: SpeechRecognizer = providers.first_usable(CANDIDATES, "speech recognition")()
    return recognizer
