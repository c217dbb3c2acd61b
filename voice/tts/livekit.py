"""LiveKit's synthesizers: any `livekit.agents` TTS plugin as a voice of ours, at 16 kHz, stopped with the iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from voice import livekit
from voice.check import Check
from voice.livekit_sound import Sound
from voice.tts.booth import short_enough
from voice.tts.synthesizer import SpeechChunk, WordMark
from voice.tts.words import Words

if TYPE_CHECKING:
    from livekit import rtc
    from livekit.agents import tts as plugins

WHAT = "LiveKit's TTS plugins"


class LiveKitTTS:
    """The provider: `LiveKitTTS(elevenlabs.TTS())`. Each text is a request of its own, made once.

    `timeout`: seconds to connect, and between pieces of audio. Word marks are given where the plugin knows them
    (`aligned_transcript`). Raises TypeError for what is no TTS, ValueError for a `timeout` that is none.
    """

    name = "livekit"
    remote = True

    def __init__(self, tts: plugins.TTS[Any], *, timeout: float = livekit.CONNECT) -> None:
        self.name = livekit.named(tts, "tts", "synthesize", "prewarm")
        self._tts = tts
        self._timeout = livekit.seconds("timeout", timeout)
        self._home = livekit.Home(self.name)

    def __repr__(self) -> str:
        return f"LiveKitTTS({self.name!r})"

    async def prepare(self) -> None:
        """Let the plugin open its connection, if it does so ahead."""
        from voice import audio  # noqa: F401 (numpy, loaded here so that the first sentence need not)

        self._home.call(self._tts.prewarm)

    def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speak `text`. Iterating raises ProviderError. Raises ValueError when it is over long."""
        return self._speak(short_enough(text))

    async def aclose(self) -> None:
        """Close the plugin and its connections. Whether it can be used again is the plugin's affair; most can."""
        await self._home.aclose(self._tts.aclose)

    @classmethod
    def check(cls) -> Check:
        """Whether livekit-agents is installed."""
        return livekit.check(cls.name, WHAT)

    async def _speak(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        words = Words(text)
        if not len(words):
            return
        aligner, sound = _Aligner(text, words), Sound()
        stream: plugins.ChunkedStream | None = None
        try:
            stream = self._home.call(self._tts.synthesize, text, conn_options=livekit.at_once(self._timeout))
            while (frame := await self._next(stream)) is not None:
                yield SpeechChunk(sound.take(frame), tuple(aligner.marks(_timed(frame))))
            if rest := sound.rest():
                yield SpeechChunk(rest)
        except Exception as error:
            raise livekit.failure(self.name, error) from None
        finally:
            if stream is not None:
                await livekit.stop(stream, self.name)

    async def _next(self, stream: plugins.ChunkedStream) -> rtc.AudioFrame | None:
        async with asyncio.timeout(self._timeout):
            made = await anext(stream, None)
        return made.frame if made is not None else None


class _Aligner:
    """The times a plugin gives to pieces of a text, as marks of its words."""

    def __init__(self, text: str, words: Words) -> None:
        self._text, self._words = text, words
        self._at = 0

    def marks(self, pieces: Iterable[tuple[str, float]]) -> Iterator[WordMark]:
        for piece, at in pieces:
            begin = self._text.find(piece, self._at)
            if begin < 0:  # it has read something out in other words
                continue
            self._at = begin + len(piece)
            if (mark := self._words.mark(begin, at)) is not None:
                yield mark


def _timed(frame: rtc.AudioFrame) -> Iterator[tuple[str, float]]:
    """The pieces of text whose audio is about here, each with the time it begins."""
    from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

    for piece in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT) or ():
        bare = piece.strip()
        if any(c.isalnum() for c in bare) and isinstance(piece.start_time, float | int):
            yield bare, max(0.0, float(piece.start_time))
