"""Voices for test callers, and a second pair of ears: what they say is made by flite, what was heard is transcribed."""

from __future__ import annotations

import asyncio
import functools

import pytest

from voice.leg import RATE
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Final, Hints
from voice.tts.espeak import Espeak
from voice.tts.flite import Flite


def speaker() -> Flite | Espeak:
    """A caller's voice that the embedded recogniser understands well (see the speech notes)."""
    if Flite.check().usable:
        return Flite()
    if Espeak.check().usable:
        return Espeak(voice="en-us+f2")
    pytest.skip(f"no voice for a test caller: {Flite.check().detail}; {Espeak.check().detail}")


@functools.cache
def speech(text: str) -> bytes:
    """`text` as 16 kHz PCM, with a little silence around it."""

    async def make() -> bytes:
        voice = speaker()
        await voice.prepare()
        return b"".join([chunk.pcm async for chunk in voice.synthesize(text)])

    return silence(0.1) + asyncio.run(make()) + silence(0.1)


def silence(seconds: float) -> bytes:
    """Nothing, at 16 kHz."""
    return bytes(2 * round(seconds * RATE))


def transcript(pcm: bytes) -> str:
    """What is said in `pcm` (16 kHz), by the embedded recogniser's open language: it is not told what to expect."""

    async def listen() -> str:
        ears = Pocketsphinx()
        await ears.prepare()
        stream = ears.stream(Hints())
        stream.begin()
        stream.push(pcm)
        stream.end()
        try:
            async for hearing in stream:
                if isinstance(hearing, Final):
                    return hearing.text
        finally:
            await stream.aclose()
        return ""

    return asyncio.run(listen())
