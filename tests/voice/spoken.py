"""Real speech for tests: sentences spoken by a synthetic voice that a recogniser understands, made once a run."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

import pytest

from voice.audio import silence
from voice.tts.espeak import Espeak
from voice.tts.flite import Flite
from voice.tts.synthesizer import Synthesizer

VOICES = ("slt", "rms")
"""flite's; where it is not installed, eSpeak's one good voice speaks for both."""


async def audio(synthesizer: Synthesizer, text: str) -> bytes:
    """All of a text's audio."""
    return b"".join([chunk.pcm async for chunk in synthesizer.synthesize(text)])


@functools.cache
def said(text: str, voice: str = "slt", before: float = 0.3, after: float = 0.4) -> bytes:
    """`text` as a caller says it, with so many seconds of silence around it. Skips where nothing can speak."""
    if Flite.check().usable:
        synthesizer: Synthesizer = Flite(voice)
    elif Espeak.check().usable:
        synthesizer = Espeak()
    else:
        pytest.skip(f"nothing here can speak for a caller: {Flite.check().fix}, or {Espeak.check().fix}")
    with ThreadPoolExecutor(1) as thread:  # a loop may be running in this one
        speech = thread.submit(asyncio.run, audio(synthesizer, text)).result()
    return silence(before) + speech + silence(after)


def frames(pcm: bytes) -> list[bytes]:
    """The audio in frames of 20 ms; the last one is filled up."""
    return [pcm[at : at + 640].ljust(640, b"\0") for at in range(0, len(pcm), 640)]
