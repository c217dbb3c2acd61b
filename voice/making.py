"""Making an utterance: its text, as it comes, sentence by sentence to the synthesizer, and the audio to the playout.

What goes wrong here costs the rest of the utterance and is said in the log; what was made before is spoken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from voice.leg import FRAME_SAMPLES, RATE
from voice.provider_error import ProviderError
from voice.sentences import Sentence, Sentences
from voice.tts.synthesizer import WordMark
from voice.utterance import SpokenUtterance

log = logging.getLogger("sottovoce.speaking")

AHEAD = 10.0
"""Seconds of audio that are made ahead of what has been sent."""
SETTLED = 0.1
"""Seconds without more text after which what looks like a whole sentence is taken for one."""
PAUSED = 0.4
"""Seconds without more text after which half a sentence is spoken: a tool is at work, or the model is slow."""
STALLED = 5.0
"""Seconds without audio after which a synthesizer is given up."""
MAX_PIECES = 1024
"""Pieces of text that may wait for the synthesizer; then whoever makes them has to wait."""


@dataclass(frozen=True, slots=True)
class Made:
    """The next `samples` of a sentence's audio. `pcm` may be empty where nobody listens with ears (simulation)."""

    samples: int
    marks: tuple[WordMark, ...] = ()
    pcm: bytes = b""


Synthesize = Callable[[str], AsyncIterator[Made]]


class Making:
    """The work on one utterance. `made(samples)` is called for audio that can be played, `more()` waits for demand."""

    def __init__(self, utterance: SpokenUtterance, synthesize: Synthesize, made: Callable[[int], None]) -> None:
        self._utterance = utterance
        self._synthesize = synthesize
        self._made = made
        self._total = 0
        self._sentences = Sentences()
        self.demand = asyncio.Event()
        """To be set when audio has been sent."""

    async def run(self) -> None:
        """Make all of it. Returns when that is done, or failed (`utterance.failed`)."""
        source = self._utterance.source
        try:
            if isinstance(source, str):
                for sentence in (*self._sentences.push(source), *self._sentences.flush()):
                    await self._speak(sentence)
            else:
                await self._follow(source)
        except Exception as error:
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            self._utterance.failed = True
            known = error if isinstance(error, ProviderError) else None
            self._utterance.voiceless = known is not None and known.transient and not self._total
            cause = known or error.__cause__
            provider = cause if isinstance(cause, ProviderError) else None
            level = logging.DEBUG if provider and provider.logged else logging.ERROR
            trace = None if provider else error
            log.log(level, "utterance %s cannot be made: %s", self._utterance.id, _describe(error), exc_info=trace)

    async def _follow(self, source: AsyncIterator[str]) -> None:
        """Speak a text while it comes in."""
        pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue(MAX_PIECES)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(_read(source, pieces))
            try:
                while (piece := await self._next(pieces)) is not None:
                    if isinstance(piece, Exception):
                        break
                    self._utterance.add_text(piece)
                    for sentence in self._sentences.push(piece):
                        await self._speak(sentence)
                for sentence in self._sentences.flush():
                    await self._speak(sentence)
            finally:
                reader.cancel()
        if isinstance(piece, Exception):
            raise TextError(f"its text broke off: {_describe(piece)}") from piece

    async def _next(self, pieces: asyncio.Queue[str | Exception | None]) -> str | Exception | None:
        """The next piece; when it is long in coming, what waits is spoken meanwhile."""
        while self._sentences.waiting and pieces.empty():
            try:
                async with asyncio.timeout(SETTLED if self._sentences.finished else PAUSED):
                    return await pieces.get()
            except TimeoutError:
                for sentence in self._sentences.flush():
                    await self._speak(sentence)
        return await pieces.get()

    async def _speak(self, sentence: Sentence) -> None:
        """Synthesize one sentence."""
        if not any(c.isalnum() for c in sentence.text):
            return
        utterance, begin = self._utterance, self._total
        while utterance.playout.ahead > AHEAD:
            self.demand.clear()
            await self.demand.wait()
        marks = utterance.playout.marks
        marks.begin(sentence.text, sentence.start, begin)
        chunks = self._synthesize(sentence.text)
        try:
            while (chunk := await _within(STALLED, chunks)) is not None:
                for mark in chunk.marks:
                    marks.add(mark.start, mark.end, begin + round(mark.at * RATE))
                self._add(chunk.samples, chunk.pcm)
        finally:
            await close(chunks)
        if utterance.pcm:
            pad = -self._total % FRAME_SAMPLES
            marks.end(self._total + pad)
            self._add(pad, bytes(2 * pad))
        else:
            marks.end(self._total)
        if self._total == begin:
            raise SynthesisError(f"the synthesizer made no audio of {sentence.text[:60]!r}")
        self._made(0)

    def _add(self, samples: int, pcm: bytes) -> None:
        self._total += samples
        self._utterance.pcm += pcm
        if samples:
            self._made(samples)


class TextError(Exception):
    """Whoever makes the text failed."""


class SynthesisError(Exception):
    """The synthesizer failed."""


async def _read(source: AsyncIterator[str], pieces: asyncio.Queue[str | Exception | None]) -> None:
    """Hand on what comes, and how it ended."""
    try:
        async for piece in source:
            if not isinstance(piece, str):
                raise TypeError(f"a text consists of str, not {type(piece).__name__}")
            await pieces.put(piece)
    except Exception as error:
        await pieces.put(error)
    else:
        await pieces.put(None)
    finally:
        await close(source)


async def _within(seconds: float, chunks: AsyncIterator[Made]) -> Made | None:
    """The next chunk; None at the end."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(chunks, None)
    except TimeoutError as error:
        raise SynthesisError(f"no audio for {seconds:g} s") from error


async def close(iterator: AsyncIterator[Any]) -> None:
    """Stop a generator's work now, not when it is collected."""
    if close := getattr(iterator, "aclose", None):
        await close()


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
