"""A synthesizer over several: where one fails, the next speaks on, and no word is lost; rather is one said twice.

Before the first audio of a text the next simply has all of it. After that the rest is spoken by the next, from the word
at which the first was: known by its marks, or reckoned by a slow clock where it gives none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from voice.backoff import Backoff
from voice.cancellation import cancelled_here
from voice.check import Check
from voice.leg import RATE
from voice.making import close
from voice.patience import Patience
from voice.provider_error import Cause, ProviderError
from voice.standby import Standby
from voice.tts.booth import short_enough
from voice.tts.synthesizer import SpeechChunk, Synthesizer, WordMark

STALL = 2.0
"""Seconds without audio after which the next is asked: two may stall in a row within the five that `voice.making`
waits; streaming voices begin within half a second."""
LONGEST = 4.7
"""Seconds without audio after which all are given up, whoever is asked: just before `voice.making` gives up the
sentence, which does not know that another try may help."""
PATIENCE = Backoff(tries=2, first=0.3, longest=1.0, patience=3.5)
"""How often all of them are asked once more for a text."""
CUT = 0.1
"""Seconds: marks are about so exact; a word that began less than this before the end of the audio may not have."""
FASTEST = 40.0
"""Letters a second that no voice speaks (hurried ones speak 25): who claims to be done sooner has broken off."""
_WORD = re.compile(r"\S+")


@dataclass(slots=True)
class _Part:
    """What one provider speaks: the text from character `start` on; its audio follows `before` bytes of others'."""

    start: int
    before: int
    text: str
    """All of it, not only from `start` on."""
    after: float = 0.0
    """When the last word of others' began that is marked; marks never go back."""
    bytes: int = 0
    marks: list[WordMark] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.bytes / 2 / RATE

    @property
    def base(self) -> float:
        """Seconds of audio before it."""
        return self.before / 2 / RATE

    def take(self, chunk: SpeechChunk) -> SpeechChunk:
        """The chunk with its marks where they are in the whole text."""
        self.bytes += len(chunk.pcm)
        if chunk.marks and (self.start or self.before):
            marks = tuple(
                WordMark(self.start + m.start, self.start + m.end, max(self.base + m.at, self.after))
                for m in chunk.marks
            )
            chunk = replace(chunk, marks=marks)
        self.marks += chunk.marks
        return chunk

    def reached(self) -> int:
        """The character from which on another must speak, so that no word is lost."""
        begun = [m.start for m in self.marks if m.at <= self.base + self.seconds - CUT]
        if self.marks:
            return max(min(max(begun, default=self.start), len(self.text)), self.start)
        left, at = self.seconds, self.start
        for word in _WORD.finditer(self.text, self.start):
            at = word.start()
            left -= _slowly(word.group())
            if left < 0:
                break
        return at

    def reckoned(self, end: int) -> tuple[WordMark, ...]:
        """Marks for its words before character `end`, where it gave none: they share its time by their length."""
        words = [word.span() for word in _WORD.finditer(self.text, self.start, end)]
        total, done, marks = sum(b - a + 1 for a, b in words), 0, []
        for a, b in words:
            marks.append(WordMark(a, b, max(self.base + self.seconds * done / total, self.after)))
            done += b - a + 1
        return tuple(marks)

    def broken_off(self) -> bool:
        """It ended, but that cannot have been all."""
        letters = sum(map(str.isalnum, self.text[self.start :]))
        return letters > 0 and (not self.bytes or self.seconds < (letters - 8) / FASTEST)


class FallbackSynthesizer:
    """`providers` in order of preference, one or more; their breakers are shared by all rooms.

    `stall`: seconds without audio that count as a failure. `failures`, `pause`, `longest`: see `voice.breaker.Breaker`.
    Raises ValueError and TypeError naming what is wrong.
    """

    def __init__(
        self,
        providers: Sequence[Synthesizer],
        *,
        stall: float = STALL,
        backoff: Backoff = PATIENCE,
        failures: int = 3,
        pause: float = 5.0,
        longest: float = 120.0,
    ) -> None:
        if not 0 < stall <= 60:
            raise ValueError(f"stall must be seconds over 0, at most 60, not {stall!r}")
        self._standby = Standby("synthesizer", providers, "synthesize", failures=failures, pause=pause, longest=longest)
        self._stall = stall
        self._backoff = backoff
        self.name = self._standby.name

    def __repr__(self) -> str:
        return f"FallbackSynthesizer({self.name})"

    @property
    def providers(self) -> tuple[Synthesizer, ...]:
        """What it is made of, in order of preference."""
        return self._standby.providers

    async def prepare(self) -> None:
        """Make all ready; one that cannot be is done without. Raises ProviderError when none can be."""
        await self._standby.prepare()

    async def aclose(self) -> None:
        """Close those that can be."""
        await self._standby.aclose()

    @classmethod
    def check(cls) -> Check:
        """It works as far as those it is made of do."""
        return Check("fallback", True, "falls from one synthesizer to the next")

    def synthesize(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        """Speak it by the first that can. Raises ValueError for too long a text; what is returned raises ProviderError,
        naming all, when none can."""
        return self._synthesize(short_enough(text))

    async def _synthesize(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        request = self._standby.request(self._backoff)
        part, fallen = _Part(0, 0, text), False
        now = asyncio.get_running_loop().time
        since = now()
        while True:
            which = await request.next()
            left = since + max(LONGEST, self._stall) - now()
            try:
                async with aclosing(self._speak(which, part, min(self._stall, left))) as chunks:
                    async for chunk in chunks:
                        yield chunk
                        since = now()
            except _TooLateError:
                request.dropped()
                raise request.error() from None
            except Exception as error:
                request.failed(error)
            except BaseException:  # nobody listens any more
                (request.worked if part.bytes else request.dropped)()
                raise
            else:
                request.worked()
                if fallen and not part.marks:
                    yield SpeechChunk(b"", part.reckoned(len(text)))
                return
            if part.bytes:
                reached = part.reached()
                odd = (part.before + part.bytes) % 2
                marks = () if part.marks else part.reckoned(reached)
                if odd or marks:
                    yield SpeechChunk(bytes(odd), marks)
                after = max((mark.at for mark in (*part.marks, *marks)), default=part.after)
                part, fallen = _Part(reached, part.before + part.bytes + odd, text, after), True

    async def _speak(self, which: int, part: _Part, first: float) -> AsyncGenerator[SpeechChunk, None]:
        """One provider's go, which has `first` seconds to begin. Raises ProviderError when it stalls or breaks off,
        _TooLateError when it had less time than it needs to stall, and what it raises."""
        name = self._standby.name_of(which)
        chunks: AsyncIterator[SpeechChunk] = self._standby.providers[which].synthesize(part.text[part.start :])
        try:
            async with Patience() as patience:
                seconds = first
                while (chunk := await self._next(chunks, patience, name, seconds)) is not None:
                    yield part.take(chunk)
                    seconds = self._stall
            if part.broken_off():
                if not part.bytes:  # it may be the text, in a script that it cannot read: no other room is to suffer
                    raise ProviderError(name, Cause.REQUEST, "it made no audio of the text")
                raise ProviderError(name, Cause.ANSWER, f"it ended after {part.seconds:.1f} s")
        finally:
            await close(chunks)

    async def _next(
        self, chunks: AsyncIterator[SpeechChunk], patience: Patience, name: str, seconds: float
    ) -> SpeechChunk | None:
        """The next chunk; None at the end."""
        try:
            return await patience.wait(_some(chunks), seconds)
        except TimeoutError:
            if patience.over:
                if seconds < self._stall:
                    raise _TooLateError from None
                raise ProviderError(name, Cause.TIMEOUT, f"no audio for {self._stall:g} s") from None
            raise
        except asyncio.CancelledError:
            if cancelled_here():
                raise
            raise ProviderError(name, Cause.ANSWER, "it was cancelled") from None


class _TooLateError(Exception):
    """Nobody waits for the sentence any longer; who was asked last did nothing wrong yet."""


async def _some(chunks: AsyncIterator[SpeechChunk]) -> SpeechChunk | None:
    """The next chunk that has something in it: empty ones keep nobody waiting."""
    async for chunk in chunks:
        if chunk.pcm or chunk.marks:
            return chunk
    return None


def _slowly(word: str) -> float:
    """Seconds in which a slow voice says a word: half a second for one of five letters is 120 words a minute, where
    books are read at 150 to 160; a figure is a word of its own."""
    letters = sum(c.isalpha() for c in word)
    figures = sum((not c.isalpha() and c.isalnum()) or c in "$€£%&@+=" for c in word)
    pause = 0.6 if word[-1] in ".!?…" else 0.3 if word[-1] in ",;:—–" else 0.0
    return max(0.1 + 0.08 * letters + 0.35 * figures, 0.3) + pause
