"""Flite: streams its audio as it is made, knows where its words are, and stops within a chunk (40 ms of audio).

The library is Debian's `libflite1` (BSD-like licence). It plans a text before it makes the first sample, and cannot be
interrupted there: 3-40 ms for a sentence, 9 s for 3,000 digits, so it is given sentences one by one. Then a second of
speech takes about 10 ms. All its work is done in one thread.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from voice.check import Check
from voice.leg import RATE
from voice.sentences import Sentence, Sentences
from voice.tts import flite_library
from voice.tts.booth import Booth, Emit, short_enough
from voice.tts.flite_library import FliteLibrary, Sound
from voice.tts.letters import Letters
from voice.tts.synthesizer import SpeechChunk, WordMark
from voice.tts.words import Words

if TYPE_CHECKING:
    from voice.audio import Resampler

VOICES = ("slt", "rms", "awb", "kal16", "kal")
"""The voices of Debian's package; `slt` is a woman, the others are men. All but `kal` (8 kHz) are at 16 kHz."""
LEAD = 0.02
"""Seconds of silence left before the first word of a sentence; flite itself gives about 0.2."""


@functools.cache
def _booth() -> Booth:
    return Booth("flite")


@functools.cache
def _library() -> FliteLibrary:
    return FliteLibrary()


class Flite:
    """The provider. All of them in a process share one thread. Raises ValueError for a voice it does not know."""

    name = "flite"

    def __init__(self, voice: str = "slt") -> None:
        if voice not in VOICES:
            raise ValueError(f"voice must be one of {', '.join(VOICES)}, not {voice!r}")
        self.voice = voice

    async def prepare(self) -> None:
        """Load the library and the voice. Raises OSError when they are not installed."""
        await _booth().do(self._load)

    def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speak `text`; closing the iterator stops it at the next chunk. Raises ValueError when it is over long."""
        reading = _Reading(short_enough(text), self.voice)
        return _booth().speak(reading.pieces(), reading.read)

    @classmethod
    def check(cls) -> Check:
        """Whether the library and the default voice are installed."""
        try:
            flite_library.shared("libflite")
            flite_library.shared("libflite_cmu_us_slt")
        except OSError as error:
            if platform.system() != "Linux":
                return Check(cls.name, False, f"nobody ships libflite for {platform.system()}; eSpeak NG does as well")
            return Check(cls.name, False, f"libflite is not installed ({error})", "sudo apt-get install libflite1")
        return Check(cls.name, True, f"libflite with the voices {', '.join(VOICES)}")

    def _load(self) -> None:
        from voice import audio  # noqa: F401 (numpy, loaded here so that the first sentence need not)

        _library()
        flite_library.voice(self.voice)


class _Reading:
    """One text being read: how much of its audio and words has been given. Lives in the booth's thread."""

    def __init__(self, text: str, voice: str) -> None:
        self._text, self._voice = text, voice
        self._words = Words(text)
        self._resampler: Resampler | None = None
        self._given = 0
        """Samples, at the house's rate."""

    def pieces(self) -> Iterator[Sentence]:
        """The sentences that hold a word."""
        sentences = Sentences()
        pieces = (*sentences.push(self._text), *sentences.flush())
        return (piece for piece in pieces if len(Words(piece.text)))

    def read(self, piece: Sentence, emit: Emit) -> None:
        """Synthesize one sentence."""
        letters = Letters(piece.text)
        surplus = 0

        def listen(sound: Sound) -> bool:
            nonlocal surplus
            marks: tuple[WordMark, ...] = ()
            if sound.tokens:
                skipped = max(0.0, sound.tokens[0].at - LEAD)
                surplus = 2 * round(skipped * sound.rate)
                begun = self._given / RATE - skipped
                found = (self._words.mark(piece.start + letters.origin(t.index), begun + t.at) for t in sound.tokens)
                marks = tuple(mark for mark in found if mark)
            pcm, surplus = sound.pcm[surplus:], max(0, surplus - len(sound.pcm))
            return self._give(pcm, sound.rate, marks, emit)

        _library().speak(letters.ascii, flite_library.voice(self._voice)[0], listen)

    def _give(self, pcm: bytes, rate: int, marks: tuple[WordMark, ...], emit: Emit) -> bool:
        if rate != RATE:
            if self._resampler is None:
                from voice.audio import Resampler

                self._resampler = Resampler(rate, RATE)
            pcm = self._resampler.process(pcm)
        self._given += len(pcm) // 2
        return emit(SpeechChunk(pcm, marks)) if pcm or marks else True
