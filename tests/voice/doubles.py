"""Doubles of the seams, for tests: a leg with a player at its far end, and providers that really work on the samples.

Words travel in the sound: the first sample of a frame says which word of `LEXICON` it belongs to, the second whether
the word ends with it. So what a recogniser "understands" and what an ear "hears" is what was in the frames.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from voice.channel import Caller
from voice.check import Check
from voice.leg import FRAME_BYTES, FRAME_SAMPLES, FRAME_SECONDS, RATE, Frame, LegEvent, Played
from voice.stt.recognizer import Final, Hearing, Hints, Partial
from voice.tts.synthesizer import SpeechChunk, WordMark

LEXICON: list[str] = ["", "<noise>"]
NOISE = 1
QUIET = bytes(FRAME_BYTES)
WORD_FRAMES = 15
"""A word lasts 0.3 s."""


def number(word: str) -> int:
    if word not in LEXICON:
        LEXICON.append(word)
    return LEXICON.index(word)


def sound(word: int, last: bool, loud: int = 4000) -> bytes:
    """A frame of a word; loudness swings, as a voice's does."""
    body = (loud, -loud) * (FRAME_SAMPLES // 2 - 1)
    return struct.pack(f"<{FRAME_SAMPLES}h", word, int(last), *body)


def spoken(text: str, frames: int = WORD_FRAMES) -> list[bytes]:
    """The frames of a text."""
    words = [number(word) for word in text.split()]
    return [sound(w, i == frames - 1, 4000 if i % 5 else 1500) for w in words for i in range(frames)]


def noise(seconds: float) -> list[bytes]:
    return [sound(NOISE, False)] * round(seconds / FRAME_SECONDS)


def quiet(seconds: float) -> list[bytes]:
    return [QUIET] * round(seconds / FRAME_SECONDS)


def word_of(pcm: bytes) -> tuple[str, bool]:
    """Which word a frame belongs to, and whether the word ends with it."""
    word, last = struct.unpack_from("<2h", pcm)
    return LEXICON[word], bool(last)


class Vad:
    """Everything loud is a voice. `fail` raises that at each call, while there are calls to fail."""

    name = "test detector"
    threshold = 0.5

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures

    async def prepare(self) -> None: ...

    def stream(self) -> Vad:
        return self

    def probability(self, pcm: bytes) -> float:
        if self.failures:
            self.failures -= 1
            raise OSError("the detector broke")
        return 1.0 if max(pcm[5:50:2]) > 2 and pcm != QUIET else 0.0

    @classmethod
    def check(cls) -> Check:
        return Check(cls.name, True, "")


class Recognizer:
    """Understands what was said, `delay` seconds later. `mute`: never gives a final; `broken` streams raise at once."""

    name = "test recogniser"
    endpoints = False
    fits_grammar = True

    def __init__(
        self,
        delay: float = 0.0,
        *,
        confidence: float = 1.0,
        rejected: bool = False,
        mute: bool = False,
        broken: int = 0,
    ) -> None:
        self.delay, self.confidence, self.rejected, self.mute, self.broken = delay, confidence, rejected, mute, broken
        self.streams: list[RecognizerStream] = []
        self.complete: set[str] = set()

    async def prepare(self) -> None: ...

    def stream(self, hints: Hints) -> RecognizerStream:
        stream = RecognizerStream(self, hints)
        self.streams.append(stream)
        return stream

    @classmethod
    def check(cls) -> Check:
        return Check(cls.name, True, "")


class RecognizerStream:
    def __init__(self, recognizer: Recognizer, hints: Hints) -> None:
        self.recognizer, self.hints = recognizer, hints
        self.words: list[str] = []
        self.frames: list[bytes] = []
        self.begun = self.ended = 0
        self.closed = False
        self._results: asyncio.Queue[Hearing | Exception] = asyncio.Queue()
        if recognizer.broken:
            recognizer.broken -= 1
            self._results.put_nowait(OSError("the recogniser broke"))

    def begin(self) -> None:
        assert self.begun == self.ended
        self.begun += 1
        self.words, self.frames = [], []

    def push(self, pcm: bytes) -> None:
        assert self.begun == self.ended + 1, "audio outside a stretch of speech"
        self.frames.append(pcm)
        word, last = word_of(pcm)
        if last and word and word != "<noise>":
            self.words.append(word)
            text = " ".join(self.words)
            self._answer(Partial(text, text in self.recognizer.complete))

    def end(self) -> None:
        assert self.begun == self.ended + 1
        self.ended += 1
        if not self.recognizer.mute:
            text = " ".join(self.words)
            self._answer(Final(text, self.recognizer.confidence, self.recognizer.rejected and bool(text)))

    def expect(self, hints: Hints) -> None:
        self.hints = hints

    def _answer(self, hearing: Hearing) -> None:
        asyncio.get_running_loop().call_later(self.recognizer.delay, self._results.put_nowait, hearing)

    def fail(self) -> None:
        self._results.put_nowait(OSError("the recogniser broke"))

    def __aiter__(self) -> AsyncIterator[Hearing]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Hearing]:
        while True:
            result = await self._results.get()
            if isinstance(result, Exception):
                raise result
            yield result

    async def aclose(self) -> None:
        self.closed = True


class Synthesizer:
    """A word takes 0.3 s, a sentence `delay` s more. One that contains `fail` fails, one with `stall` never comes."""

    name = "test voice"

    def __init__(self, delay: float = 0.0, *, marks: bool = True, fail: str = "", stall: str = "") -> None:
        self.delay, self.marks, self.fail, self.stall = delay, marks, fail, stall
        self.texts: list[str] = []

    async def prepare(self) -> None: ...

    async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        self.texts.append(text)
        await asyncio.sleep(self.delay)
        if self.fail and self.fail in text:
            raise OSError("the voice broke")
        if self.stall and self.stall in text:
            await asyncio.sleep(1e6)
        at, start = 0.0, 0
        for word in text.split():
            start = text.index(word, start)
            mark = WordMark(start, start + len(word.rstrip(".,?!")), at)
            yield SpeechChunk(b"".join(spoken(word)), (mark,) if self.marks else ())
            at += WORD_FRAMES * FRAME_SECONDS
            start += len(word)

    @classmethod
    def check(cls) -> Check:
        return Check(cls.name, True, "")


@dataclass
class _Stream:
    """What a far end's player has of one stream: when each frame is played."""

    begun: float
    frames: list[tuple[float, bytes]] = field(default_factory=list)
    finish: int | None = None
    cleared: float | None = None

    def played(self, now: float) -> int:
        now = now if self.cleared is None else min(now, self.cleared)
        samples = 0
        for at, _ in self.frames:
            samples += min(max(round((now - at) * RATE), 0), FRAME_SAMPLES)
        return samples


class FakeLeg:
    """A caller's leg whose far end holds the sound back for `jitter` seconds, plays it, and says so every 60 ms."""

    def __init__(
        self,
        name: str,
        *,
        receipts: bool = True,
        jitter: float = 0.04,
        network: float = 0.0,
        silent: bool = False,
    ) -> None:
        """`network`: seconds a message takes each way. `silent`: the far end sends no receipts though it promised."""
        self.caller = Caller(name, name)
        self.receipts, self.jitter, self.network, self.silent = receipts, jitter, network, silent
        self.hung_up = False
        self.streams: dict[int, _Stream] = {}
        self.most_ahead = 0.0
        self.cleared: list[float] = []
        self.panel: list[tuple[str, Any]] = []
        self.peers: list[tuple[str, bytes]] = []
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[LegEvent | Exception | None] = asyncio.Queue()
        self._reporting: dict[int, int] = {}

    # the room's side

    async def incoming(self) -> AsyncIterator[LegEvent]:
        while (event := await self._inbox.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def send(self, pcm: bytes, *, stream: int, position: int) -> None:
        assert len(pcm) == FRAME_BYTES
        now = self._loop.time() + self.network
        known = self.streams.get(stream)
        if known is None:
            known = self.streams[stream] = _Stream(now + self.jitter)
            self._report(stream)
        assert known.finish is None, "sound after the end of its stream"
        assert known.cleared is None, "sound in a stream that was silenced"
        assert position == len(known.frames) * FRAME_SAMPLES
        last = known.frames[-1][0] + FRAME_SECONDS if known.frames else known.begun
        known.frames.append((max(now, last), pcm))
        ahead = (len(known.frames) * FRAME_SAMPLES - known.played(now)) / RATE
        self.most_ahead = max(self.most_ahead, ahead)

    def finish(self, stream: int, samples: int) -> None:
        known = self.streams[stream]
        assert samples == len(known.frames) * FRAME_SAMPLES
        known.finish = samples
        done = max(known.frames[-1][0] + FRAME_SECONDS, self._loop.time())
        self._loop.call_at(done, self._receipt, stream)

    def clear(self, stream: int) -> None:
        self.cleared.append(self._loop.time())
        self._loop.call_later(self.network, self._silence, stream)

    def send_peer(self, pcm: bytes, caller: str) -> None:
        self.peers.append((caller, pcm))

    def send_panel(self, kind: str, payload: Any) -> None:
        self.panel.append((kind, payload))

    # the far end

    def _report(self, stream: int) -> None:
        known = self.streams[stream]
        if known.cleared is None and (known.finish is None or known.played(self._loop.time()) < known.finish):
            self._receipt(stream)
            self._loop.call_later(0.06, self._report, stream)

    def _receipt(self, stream: int, flushed: bool = False) -> None:
        if self.receipts and not self.silent:
            played = Played(stream, self.streams[stream].played(self._loop.time()), flushed)
            self._loop.call_later(self.network, self._inbox.put_nowait, played)

    def _silence(self, stream: int) -> None:
        if stream in self.streams and self.streams[stream].cleared is None:
            self.streams[stream].cleared = self._loop.time()
            self._receipt(stream, flushed=True)

    # the test's side

    def heard(self) -> list[tuple[float, str]]:
        """The words whose sound was played to their end, with the time of that end."""
        now, words = self._loop.time(), []
        for known in self.streams.values():
            until = now if known.cleared is None else known.cleared
            for at, pcm in known.frames:
                word, last = word_of(pcm)
                if last and word and at + FRAME_SECONDS <= until + 1e-6:
                    words.append((at + FRAME_SECONDS, word))
        return words

    @property
    def text(self) -> str:
        return " ".join(word for _, word in self.heard())

    def sounding(self, at: float) -> bool:
        """Whether the agent was audible at that time."""
        for known in self.streams.values():
            for begin, _ in known.frames:
                if begin <= at < begin + FRAME_SECONDS and (known.cleared is None or at < known.cleared):
                    return True
        return False

    def last_sound(self) -> float:
        """When the ear last heard the agent."""
        ends = []
        for known in self.streams.values():
            for at, _ in known.frames:
                end = at + FRAME_SECONDS
                ends.append(end if known.cleared is None else min(end, known.cleared))
        return max(ends)

    def put(self, event: LegEvent | Exception) -> None:
        self._inbox.put_nowait(event)

    async def play(self, frames: Iterable[bytes]) -> None:
        """Speak: a frame every 20 ms."""
        at = self._loop.time()
        for pcm in frames:
            self.put(Frame(pcm))
            at += FRAME_SECONDS
            await sleep_until(at)

    async def say(self, text: str, silence: float = 0.0) -> None:
        await self.play([*spoken(text), *quiet(silence)])

    def end(self, *, hung_up: bool) -> None:
        self.hung_up = hung_up
        self._inbox.put_nowait(None)


async def sleep_until(when: float) -> None:
    loop = asyncio.get_running_loop()
    come = loop.create_future()
    loop.call_at(when, come.set_result, None)
    await come


def log_of(channel: Any) -> list[tuple[float, Any]]:
    """All that a channel tells from now on, with the times."""
    told: list[tuple[float, Any]] = []
    channel.listen(lambda event, at: told.append((at, event)))
    return told


def times_of(told: list[tuple[float, Any]], kind: type | Callable[[Any], bool]) -> list[float]:
    """When something of this kind was told."""
    return [at for at, event in told if (isinstance(event, kind) if isinstance(kind, type) else kind(event))]
