"""Pipecat services for tests, real subclasses of its own: they understand words hidden in samples, and speak by Flite.

Import it after `voice.pipecat.load`, which knows the warnings of Pipecat's import.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, ClassVar

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterimTranscriptionFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService, STTService
from pipecat.services.tts_service import TTSService
from pipecat.utils.errors import ErrorCategory

from tests.voice import doubles
from voice.clock import now
from voice.leg import FRAME_BYTES, RATE
from voice.tts.flite import Flite
from voice.tts.synthesizer import SpeechChunk, Synthesizer


class WordsHeard:
    """Finds the words whose last frame it is given; frames are cut anew, at the sound after silence."""

    def __init__(self) -> None:
        self.rest = b""

    def take(self, pcm: bytes) -> list[str]:
        self.rest += pcm
        words = []
        while len(self.rest) >= FRAME_BYTES:
            frame, self.rest = self.rest[:FRAME_BYTES], self.rest[FRAME_BYTES:]
            word, last = doubles.word_of(frame)
            if last and word and word != "<noise>":
                words.append(word)
        return words


class Streaming(STTService):
    """Transcribes while it is given audio. `finalizes`: it says which transcript is the last; else it gives each word
    once and for all after it has heard `lag` bytes of silence.
    """

    def __init__(self, *, finalizes: bool = True, latency: float = 1.0, fails: Exception | None = None) -> None:
        super().__init__(settings=STTSettings(model=None, language=None), ttfs_p99_latency=latency)
        self.finalizes, self.fails = finalizes, fails
        self.ear, self.words = WordsHeard(), [""]
        self.pushed = 0
        self.frames: list[str] = []
        self.stopped = False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        self.pushed += len(audio)
        if self.fails is not None:
            await self.push_error("it said token=abc123", self.fails, category=ErrorCategory.RATE_LIMIT)
            return
        quiet = not any(audio)
        new = self.ear.take(audio)
        if new:
            self.words += new
            yield InterimTranscriptionFrame(" ".join(self.words).strip(), "", "")
        elif quiet and not self.finalizes and len(self.words) > 1:
            yield self.transcript()

    def transcript(self) -> TranscriptionFrame:
        text, self.words = " ".join(self.words).strip(), [""]
        return TranscriptionFrame(text, "", "", finalized=self.finalizes)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(type(frame).__name__)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self.ear = WordsHeard()
        elif isinstance(frame, VADUserStoppedSpeakingFrame) and self.finalizes:
            await self.push_frame(self.transcript())

    async def cleanup(self) -> None:
        self.stopped = True
        await super().cleanup()


class Segmented(SegmentedSTTService):
    """Is given a whole stretch of speech at a time."""

    def __init__(self) -> None:
        super().__init__(settings=STTSettings(model=None, language=None), ttfs_p99_latency=1.0)

    @property
    def wants_wav_segments(self) -> bool:
        return False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        if words := WordsHeard().take(audio):
            yield TranscriptionFrame(" ".join(words), "", "")


class Remembering(Flite):
    """Makes a text once a run; it takes a pass of the loop a chunk."""

    made: ClassVar[dict[str, list[SpeechChunk]]] = {}

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechChunk]:
        if text not in self.made:
            self.made[text] = [chunk async for chunk in super().synthesize(text)]
        for chunk in self.made[text]:
            await asyncio.sleep(0)
            yield chunk


class Spoken(TTSService):
    """Speaks by a synthesizer of ours at `rate`, in pieces of so many bytes. `words`: it tells their times.

    `refuses` texts that contain that. `made` counts the chunks, `stopped` says that nothing of it is left.
    """

    made = 0

    def __init__(
        self,
        synthesizer: Synthesizer | None = None,
        *,
        rate: int = RATE,
        piece: int = 0,
        words: bool = True,
        refuses: str = "",
    ) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            push_text_frames=not words,
            sample_rate=rate,
            settings=TTSSettings(model=None, voice=None, language=None),
        )
        self.synthesizer = synthesizer or Remembering()
        self.piece, self.words, self.refuses = piece, words, refuses
        self.texts: list[str] = []
        self.stopped = self.broken_off = False
        self.stopped_at = 0.0

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        from voice.audio import Resampler

        self.texts.append(text)
        if self.refuses and self.refuses in text:
            error = ConnectionError("wss://example.com?token=abc123")
            yield ErrorFrame("it said token=abc123", exception=error, category=ErrorCategory.CONNECTIVITY)
            return
        resampler, pcm = Resampler(RATE, self.sample_rate), b""
        try:
            async with aclosing(self.synthesizer.synthesize(text)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    if self.words and chunk.marks:
                        times = [(text[mark.start : mark.end], mark.at) for mark in chunk.marks]
                        await self.add_word_timestamps(times, context_id)
                    Spoken.made += 1
                    pcm += resampler.process(chunk.pcm)
                    if len(pcm) >= self.piece:
                        yield TTSAudioRawFrame(pcm, self.sample_rate, 1, context_id=context_id)
                        pcm = b""
            yield TTSAudioRawFrame(pcm + resampler.flush(), self.sample_rate, 1, context_id=context_id)
        except (GeneratorExit, asyncio.CancelledError):
            self.broken_off, self.stopped_at = True, now()
            raise

    async def cleanup(self) -> None:
        self.stopped = True
        await super().cleanup()


class Failing(Streaming):
    """Cannot connect."""

    async def setup(self, setup: Any) -> None:
        await super().setup(setup)
        await self.push_error("no", PermissionError("key=abc123"), category=ErrorCategory.AUTHENTICATION)

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
