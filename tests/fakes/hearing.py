"""What a fake recognition server hears in the sound it is sent: an `Ear` a connection, chosen by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.voice.doubles import LEXICON, NOISE, word_of
from voice.audio import level
from voice.leg import FRAME_BYTES, FRAME_SECONDS, RATE
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Final, Hints, Partial

LOUD = -45.0
"""Decibels below full scale from which sound is a voice, for ears that know no words."""


@dataclass(frozen=True, slots=True)
class Word:
    """Heard from `start` to `end`, seconds of the connection's sound."""

    text: str
    start: float
    end: float


class Ear(Protocol):
    """One connection's. Its sound comes in whole samples of 16 kHz, 16 bits, in any pieces."""

    @property
    def heard(self) -> float:
        """Seconds of sound so far."""
        ...

    @property
    def silent(self) -> float:
        """Seconds of silence at its end."""
        ...

    def push(self, pcm: bytes) -> None: ...

    async def words(self, settle: bool = False) -> list[Word]:
        """All words since they were settled last; `settle`: they are final, and those that come are new ones."""
        ...

    async def aclose(self) -> None: ...


MakeEar = Callable[[], Ear]


class _Frames:
    """Cuts the sound into frames and notes where it is silent."""

    def __init__(self) -> None:
        self._rest = b""
        self.heard = 0.0
        self.silent = 0.0
        self._frames = 0

    def push(self, pcm: bytes) -> None:
        self._rest += pcm
        self.heard += len(pcm) / 2 / RATE
        while len(self._rest) >= FRAME_BYTES:
            frame, self._rest = self._rest[:FRAME_BYTES], self._rest[FRAME_BYTES:]
            self._frames += 1
            quiet = level(frame) < LOUD
            self.silent = self.silent + FRAME_SECONDS if quiet else 0.0
            self.take(frame, self._frames * FRAME_SECONDS)

    def take(self, frame: bytes, end: float) -> None:
        """A frame whose sound ends at `end` seconds."""
        raise NotImplementedError

    async def aclose(self) -> None: ...


class HiddenWords(_Frames):
    """The words that `tests.voice.doubles.spoken` hides in the samples: each is heard when its last frame has come."""

    def __init__(self) -> None:
        super().__init__()
        self._words: list[Word] = []
        self._start = 0.0
        self._word = ""

    def take(self, frame: bytes, end: float) -> None:
        number = int.from_bytes(frame[:2], "little")
        word, last = word_of(frame) if NOISE < number < len(LEXICON) else ("", False)
        if word != self._word:
            self._word, self._start = word, end - FRAME_SECONDS
        if word and last:
            self._words.append(Word(word, self._start, end))
            self._word = ""

    async def words(self, settle: bool = False) -> list[Word]:
        words = self._words
        if settle:
            self._words = []
        return words


class Scripted(_Frames):
    """Says what a script says, whatever was said: a text for each stretch that is settled with a voice in it."""

    def __init__(self, texts: Iterable[str]) -> None:
        super().__init__()
        self._texts = iter(texts)
        self._voiced: list[float] = []

    def take(self, frame: bytes, end: float) -> None:
        if not self.silent:
            self._voiced.append(end)

    async def words(self, settle: bool = False) -> list[Word]:
        if not settle or not self._voiced:
            return []
        start, end = self._voiced[0] - FRAME_SECONDS, self._voiced[-1]
        self._voiced = []
        return spread(next(self._texts, "").split(), start, end)


class Sphinx(_Frames):
    """Real speech, as PocketSphinx understands it. Give all connections one prepared provider."""

    def __init__(self, provider: Pocketsphinx, hints: Hints) -> None:
        super().__init__()
        self._stream = provider.stream(hints)
        self._begun = False
        self._text = ""
        self._since = 0.0
        self._news = asyncio.ensure_future(self._take_news())
        self._final: asyncio.Future[str] | None = None

    def take(self, frame: bytes, end: float) -> None:
        if not self._begun and not self.silent:
            self._begun, self._text, self._since = True, "", end - FRAME_SECONDS
            self._stream.begin()
        if self._begun:
            self._stream.push(frame)

    async def words(self, settle: bool = False) -> list[Word]:
        text = self._text
        if settle and self._begun:
            self._begun = False
            self._final = asyncio.get_running_loop().create_future()
            self._stream.end()
            text = await self._final
        return spread(text.split(), self._since, max(self.heard - self.silent, self._since)) if text else []

    async def aclose(self) -> None:
        self._news.cancel()
        await asyncio.wait([self._news])
        await self._stream.aclose()

    async def _take_news(self) -> None:
        async for hearing in self._stream:
            if isinstance(hearing, Partial):
                self._text = hearing.text
            elif isinstance(hearing, Final) and self._final is not None:
                self._text = ""
                self._final.set_result("" if hearing.rejected else hearing.text)


def spread(texts: Sequence[str], start: float, end: float) -> list[Word]:
    """The words, evenly over that time."""
    step = (end - start) / max(len(texts), 1)
    return [Word(text, start + step * i, start + step * (i + 1)) for i, text in enumerate(texts)]
