"""Any synthesizer that Pipecat has a service for: `PipecatTTS(lambda: CartesiaTTSService(api_key=...))`.

Services stay connected: a text takes one that is free, or a new one, and gives it back. A text that is broken off
interrupts its service, as Pipecat's own pipelines do when the caller speaks. Words are marked where the service tells
their times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from voice import pipecat
from voice.check import Check
from voice.leg import RATE
from voice.provider_error import ProviderError
from voice.tts.booth import short_enough
from voice.tts.synthesizer import SpeechChunk, WordMark
from voice.tts.words import Words

if TYPE_CHECKING:
    from pipecat.frames.frames import Frame, TTSAudioRawFrame
    from pipecat.services.tts_service import TTSService

    from voice.audio import Resampler

HOUR = 3_600_000_000_000
"""Nanoseconds from the clock of one text to that of the next: word times are counted from the full hour."""
KEEP = 60.0
"""Seconds a service that nobody needs is kept; some providers bill open connections, most close idle ones."""


class PipecatTTS:
    """The provider. `factory` makes a new `TTSService` each time (a class will do). `name`: what it is called in errors
    and logs. `keep`: seconds a free service stays connected.

    Raises TypeError for a service instead of a factory.
    """

    name = "pipecat"
    remote = True

    def __init__(self, factory: Callable[[], TTSService], *, name: str = "pipecat", keep: float = KEEP) -> None:
        pipecat.refuse_what_cannot_be_called(factory, "PipecatTTS(lambda: CartesiaTTSService(...))")
        if not 0 <= keep <= 3600:
            raise ValueError(f"keep must be seconds between 0 and 3600, not {keep!r}")
        self._factory = factory
        self.name, self.keep = name, keep
        self._speakers: WeakKeyDictionary[asyncio.AbstractEventLoop, set[_Speaker]] = WeakKeyDictionary()

    async def prepare(self) -> None:
        """Import Pipecat, in a thread (1 s). Raises ProviderError naming what is missing."""
        await pipecat.prepare(self.name)
        from voice import audio  # noqa: F401 (numpy, loaded here so that the first sentence need not)

    def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speak `text`; closing the iterator interrupts the service. Raises ValueError when it is over long.

        The iteration raises ProviderError, and TypeError when `factory` makes something else than a TTSService.
        """
        return self._speak(short_enough(text))

    @classmethod
    def check(cls) -> Check:
        """Whether the package is installed."""
        return pipecat.check(cls.name, "Pipecat's synthesizers")

    async def aclose(self) -> None:
        """Stop and disconnect all services of this event loop; a further text makes a new one."""
        await asyncio.gather(*(speaker.aclose() for speaker in self._here()))

    async def _speak(self, text: str) -> AsyncGenerator[SpeechChunk]:
        if not len(Words(text)):
            return
        speaker = self._take()
        chunks = speaker.say(text)
        try:
            while (chunk := await chunks.get()) is not None:
                if isinstance(chunk, ProviderError):
                    raise chunk from None
                yield chunk
        finally:
            speaker.leave()

    def _here(self) -> set[_Speaker]:
        return self._speakers.setdefault(asyncio.get_running_loop(), set())

    def _take(self) -> _Speaker:
        """A speaker that is free, or a new one."""
        speakers = self._here()
        found = next((speaker for speaker in speakers if speaker.free), None)
        return found or _Speaker(self, speakers)

    def make(self) -> TTSService:
        """A new service of the factory's."""
        from pipecat.services.tts_service import TTSService

        service = self._factory()
        if not isinstance(service, TTSService):
            raise TypeError(f"factory must make a TTSService of Pipecat's, not {type(service).__name__}")
        return service


class _Speaker:
    """A service that speaks one text after the other. It is free when that has ended, or was swept away."""

    def __init__(self, provider: PipecatTTS, speakers: set[_Speaker]) -> None:
        vendor = pipecat.load(provider.name)
        self._loop = asyncio.get_running_loop()
        self._provider, self._speakers = provider, speakers
        self._text: _Text | None = None
        self._spoken = ""
        """The context of the last text: what comes of it late is not for the next."""
        self._behind: Frame | None = None
        """What was put in behind the text; a text of which no end is told ends when it comes out."""
        self._interruption: Frame | None = None
        """Until it comes out, nothing new may be put in: it could be swept away."""
        self._retiring: asyncio.TimerHandle | None = None
        self._host = vendor.Host(provider.name, provider.make(), self._take, self._fail)
        self._vendor = vendor
        speakers.add(self)
        self._host.when_stopped(lambda: speakers.discard(self))

    @property
    def free(self) -> bool:
        """It can be given a text."""
        return self._text is None and self._interruption is None and not self._host.over

    def say(self, text: str) -> asyncio.Queue[SpeechChunk | ProviderError | None]:
        """Speak `text`: its chunks, then None; or an error."""
        from pipecat.frames.frames import TTSSpeakFrame

        if self._retiring is not None:
            self._retiring.cancel()
        self._host.clock.now += HOUR
        self._text = _Text(text, self._host.clock.now)
        self._behind = self._vendor.Behind()
        self._host.put(TTSSpeakFrame(text), self._behind)
        return self._text.chunks

    def leave(self) -> None:
        """Nobody listens any more."""
        from pipecat.frames.frames import InterruptionFrame

        text, self._text = self._text, None
        self._retiring = self._loop.call_later(self._provider.keep, self._host.close)
        if text is None or text.over:
            return
        if text.context:
            self._spoken = text.context
            self._interruption = InterruptionFrame()
            self._host.put(self._interruption)
        else:  # before there is sound, an interruption could overtake the text in the pipeline
            self._host.close()

    async def aclose(self) -> None:
        """Stop the service."""
        if self._retiring is not None:
            self._retiring.cancel()
        if self._text is not None:
            self._text.end(None)
        await self._host.aclose()

    def _fail(self, error: ProviderError) -> None:
        if self._text is not None:
            self._text.end(error)

    def _take(self, frame: Frame) -> None:
        from pipecat.frames import frames

        if frame is self._interruption:
            self._interruption = None
        text, context = self._text, getattr(frame, "context_id", None)
        if text is None or text.over or (context and context == self._spoken):
            return
        match frame:
            case frames.TTSAudioRawFrame():
                text.context = text.context or context or "unnamed"
                text.hear(frame)
            case frames.TTSTextFrame() if frame.pts is not None:
                text.mark(frame.text, frame.pts)
            case frames.TTSStoppedFrame() if text.context:
                self._end(text)
            case _ if frame is self._behind:
                self._end(text)

    def _end(self, text: _Text) -> None:
        self._spoken = text.context
        text.end(None)


class _Text:
    """One text being spoken, from `hour` of its service's clock on."""

    def __init__(self, text: str, hour: int) -> None:
        self.chunks: asyncio.Queue[SpeechChunk | ProviderError | None] = asyncio.Queue()
        self.context = ""
        self.over = False
        self._text, self._words = text, Words(text)
        self._hour, self._last = hour, -1
        self._found = 0
        self._resampler: Resampler | None = None
        self._half = b""

    def hear(self, frame: TTSAudioRawFrame) -> None:
        """Some audio, at any rate."""
        from voice.audio import Resampler

        size = 2 * max(1, frame.num_channels)
        audio = self._half + frame.audio
        whole = len(audio) - len(audio) % size
        pcm, self._half = _mono(audio[:whole], frame.num_channels), audio[whole:]
        if frame.sample_rate != RATE:
            if self._resampler is None or self._resampler.from_rate != frame.sample_rate:
                self._resampler = Resampler(frame.sample_rate, RATE)
            pcm = self._resampler.process(pcm)
        if pcm:
            self.chunks.put_nowait(SpeechChunk(pcm))

    def mark(self, word: str, at: int) -> None:
        """The service says that `word` begins at that time of its clock. What it guesses has the time of the last."""
        index = self._text.find(word.strip(), self._found)
        if index < 0 or at < self._hour or at <= self._last or not word.strip():
            return
        self._found, self._last = index + len(word.strip()), at
        mark: WordMark | None = self._words.mark(index, (at - self._hour) / 1e9)
        if mark is not None:
            self.chunks.put_nowait(SpeechChunk(b"", (mark,)))

    def end(self, error: ProviderError | None) -> None:
        """Nothing follows."""
        if self.over:
            return
        self.over = True
        if error is None and self._resampler is not None and (rest := self._resampler.flush()):
            self.chunks.put_nowait(SpeechChunk(rest))
        self.chunks.put_nowait(error)


def _mono(pcm: bytes, channels: int) -> bytes:
    """All channels as one."""
    if channels <= 1:
        return pcm
    import numpy as np

    return bytes(np.frombuffer(pcm, "<i2").reshape(-1, channels).mean(axis=1).astype("<i2").tobytes())
