"""eSpeak NG: first audio in a millisecond, on every platform, from a process of its own.

The library is GPLv3, so it never enters this process: `espeak_worker.py` runs it, and is started with the first text,
started again when it dies, and killed at exit. It comes from the package `espeakng-loader`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from voice.check import Check
from voice.leg import RATE
from voice.tts.booth import Booth, Emit, short_enough
from voice.tts.espeak_worker import NUMBER, PAIR, SPEAK
from voice.tts.synthesizer import SpeechChunk, WordMark
from voice.tts.words import Words
from voice.worker import Worker, WorkerDiedError

if TYPE_CHECKING:
    from voice.audio import Resampler

PATIENCE = 10.0
"""Seconds without a word from the process after which it is taken for dead; it needs milliseconds."""
TRIES = 2
"""How often a text is tried before its first audio: once more, by a new process, when the old one died."""
SPEEDS = range(80, 451)
"""Words a minute that eSpeak NG speaks."""


class EspeakError(RuntimeError):
    """eSpeak NG refused a text or a voice; the message is its own."""


@functools.cache
def _booth() -> Booth:
    return Booth("espeak")


class _Process:
    """The worker, whichever is alive. Used in the booth's thread only."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._numbers = itertools.count()
        self.rate = 0
        """Hz of the audio it makes."""

    @property
    def pid(self) -> int | None:
        """Its process number, None when it does not run."""
        return self._worker.pid if self._worker and self._worker.alive else None

    def start(self) -> Worker:
        """The worker, started if it does not run. Raises WorkerDiedError."""
        worker = self._worker
        if worker is None or not worker.alive:
            worker = Worker("voice.tts.espeak_worker")
            _, content = worker.receive(PATIENCE)
            (self.rate,) = NUMBER.unpack(content)
            self._worker = worker
        return worker

    def speak(self, text: str, voice: str, speed: int, listener: _Reading, emit: Emit) -> None:
        """Say one text and return when the process is free again. Raises WorkerDiedError, EspeakError."""
        worker = self.start()
        number = next(self._numbers) % 2**32
        name = voice.encode()
        worker.send(b"S", SPEAK.pack(number, speed, len(name)) + name + text.encode())
        wanted = True
        while True:
            kind, content = worker.receive(PATIENCE)
            if kind == b"E":
                if error := content[NUMBER.size :].decode():
                    raise EspeakError(error)
                return
            if wanted and not listener.take(content, self.rate, emit):
                wanted = False
                worker.send(b"C", NUMBER.pack(number))


_process = _Process()


class Espeak:
    """The provider. All of them in a process share one worker. Raises ValueError for a speed it does not know.

    `voice` is one of eSpeak NG's names; `en-us+f2` is the one that a speech recogniser understands best (97 % of a
    grammar's sentences, where others give 20-37 %). `speed` is in words a minute.
    """

    name = "espeak"

    def __init__(self, voice: str = "en-us+f2", speed: int = 160) -> None:
        if speed not in SPEEDS:
            raise ValueError(f"speed must be {SPEEDS[0]} to {SPEEDS[-1]} words a minute, not {speed!r}")
        if not 0 < len(voice.encode()) < 256:
            raise ValueError(f"voice must be the name of one of eSpeak NG's voices, not {voice!r}")
        self.voice, self.speed = voice, speed

    async def prepare(self) -> None:
        """Start the process (0.1 s). Raises WorkerDiedError when it cannot run."""
        await _booth().do(_load)

    def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speak `text`; closing the iterator stops it at the next chunk. Raises ValueError when it is over long."""
        reading = _Reading(short_enough(text).replace("\0", " "), self.voice, self.speed)
        return _booth().speak([None] if reading.words else [], reading.read)

    @classmethod
    def check(cls) -> Check:
        """Whether the package that carries the library is installed."""
        if find_spec("espeakng_loader") is None:
            return Check(cls.name, False, "espeakng-loader is not installed", "pip install 'sottovoce[espeak]'")
        return Check(cls.name, True, "eSpeak NG, in a process of its own")


def _load() -> None:
    from voice import audio  # noqa: F401 (numpy, loaded here so that the first text need not)

    _process.start()


class _Reading:
    """One text being read: how much of its audio and words has been given. Lives in the booth's thread."""

    def __init__(self, text: str, voice: str, speed: int) -> None:
        self._text, self._voice, self._speed = text, voice, speed
        self.words = Words(text)
        self._resampler: Resampler | None = None
        self._given = False

    def read(self, _: None, emit: Emit) -> None:
        """Speak it, again if the process dies before it said anything."""
        for tries in range(1, TRIES + 1):
            try:
                return _process.speak(self._text, self._voice, self._speed, self, emit)
            except WorkerDiedError:
                if self._given or tries == TRIES:
                    raise
        return None

    def take(self, content: bytes, rate: int, emit: Emit) -> bool:
        """Pass on a message of audio; whether to go on."""
        if self._resampler is None:
            from voice.audio import Resampler

            self._resampler = Resampler(rate, RATE)
        _, count = PAIR.unpack_from(content)
        words = [PAIR.unpack_from(content, PAIR.size * (1 + each)) for each in range(count)]
        found = (self.words.mark(index, sample / rate) for index, sample in words)
        marks: tuple[WordMark, ...] = tuple(mark for mark in found if mark)
        pcm = self._resampler.process(content[PAIR.size * (1 + count) :])
        self._given = True
        return emit(SpeechChunk(pcm, marks)) if pcm or marks else True
