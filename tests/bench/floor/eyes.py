"""The eyes of every policy: a voice detector that is late, loses voices and hears some, a recogniser that needs time,
and an endpointer that is sometimes wrong. What comes out of here is all that anybody learns about the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.bench.floor.caller import Kind, Voice
from tests.bench.floor.talk import Call, Senses
from tests.bench.floor.timeline import Timeline, Timer
from voice.ear_signals import EarInput, VoiceOff, VoiceOn
from voice.endpointing import FixedSilence
from voice.stt.recognizer import EagerEnd, Final, Partial

PARTIAL_DELAY = 0.2
"""Seconds from the end of a word to the partial transcript that has it."""
FINAL_DELAY = 0.1
"""Seconds from the end of a turn, as noticed, to its final transcript."""
PACE = 2.7
"""Words a second of the caller."""
LINE = 0.05
"""Seconds of the way between the room and the caller, each way."""
_TELL = [
    "could",
    "you",
    "also",
    "tell",
    "me",
    "how",
    "that",
    "would",
    "work",
    "for",
    "the",
    "two",
    "of",
    "us",
    "next",
    "week",
]
_URGENT = ["wait", *_TELL]
_MISHEARD, _UNHEARD = 0.03, 0.07


@dataclass(frozen=True, slots=True)
class Judge:
    """An endpointer by its stated rates. `miss`: share of real ends it does not see; `false`: share of mid-turn pauses
    (those that last until it has thought) that it takes for ends. `silence`: after so long (seconds) it is over anyway.
    """

    miss: float
    false: float
    silence: float = 1.6
    """A twentieth of the pauses within a turn are longer than 1.55 s."""

    @property
    def name(self) -> str:
        return f"miss {self.miss:.0%}, false alarm {self.false:.0%}"

    def endpointer(self) -> FixedSilence:
        return FixedSilence(silence=self.silence, complete=0.25)


@dataclass(frozen=True, slots=True)
class NoJudge:
    """No endpointer: only silence ends a turn."""

    name: str = "none"
    silence: float = 0.6

    def endpointer(self) -> FixedSilence:
        return FixedSilence(silence=self.silence)


class Recogniser:
    """Hears the words of the caller's voice, each some time after it was said."""

    def __init__(self, time: Timeline, tell: Callable[[EarInput], None]) -> None:
        self._time, self._tell = time, tell
        self._spoken: list[tuple[float, str]] = []
        self._since: float | None = None

    def word(self, word: str) -> None:
        self._spoken.append((self._time.now - PARTIAL_DELAY, word))
        if self._since is not None:
            self._tell(Partial(self._text))

    def listen(self, since: float) -> None:
        self._since = since
        self._spoken = [(end, word) for end, word in self._spoken if end > since]
        if self._spoken:
            self._time.after(0.0, lambda: self._tell(Partial(self._text)))

    def conclude(self) -> None:
        self._time.after(FINAL_DELAY, self._answer)
        self._since = None

    def _answer(self) -> None:
        self._tell(Final(self._text))

    @property
    def _text(self) -> str:
        return " ".join(word for _, word in self._spoken)


class Eyes:
    """Between the caller and a room. `tell` takes what an `Ear` takes."""

    def __init__(self, time: Timeline, call: Call, judge: Judge | NoJudge, tell: Callable[[EarInput], None]) -> None:
        self._time, self._call, self._judge, self._tell = time, call, judge, tell
        self.recogniser = Recogniser(time, tell)
        self._sources: set[object] = set()
        self._rows = 0
        self._row: dict[int, Senses] = {}
        self._shown: dict[int, list[Timer]] = {}
        self._words_due: dict[int, list[Timer]] = {}
        self._thinking: Timer | None = None
        for noise in call.noises:
            time.at(noise.starts, partial(self._on, noise))
            time.at(noise.starts + noise.lasts, partial(self._off, noise))
            if noise.word:
                time.at(noise.starts + 0.3 + PARTIAL_DELAY, lambda: self.recogniser.word("the"))

    # -- the caller's voice

    def sound(self, voice: Voice) -> None:
        self._rows += 1
        row = self._row[id(voice)] = self._call.senses[self._rows % len(self._call.senses)]
        if self._thinking is not None:
            self._thinking.cancel()
        begins = voice.starts + LINE + row.onset
        timers = [self._time.at(begins, lambda: self._on(voice))]
        for at, lasts in row.dips:
            if row.onset < at and at + lasts < voice.ends - voice.starts:
                start = voice.starts + LINE + at
                timers.append(self._time.at(start, lambda: self._off(voice)))
                timers.append(self._time.at(start + lasts, lambda: self._on(voice)))
        self._shown[id(voice)] = timers
        self._words_due[id(voice)] = [
            self._time.at(voice.starts + end + LINE + PARTIAL_DELAY, partial(self.recogniser.word, word))
            for end, word in self._words(voice)
        ]

    def hush(self, voice: Voice) -> None:
        row = self._row.pop(id(voice))
        over = self._time.now + LINE
        for timers, limit in ((self._shown, over), (self._words_due, over + PARTIAL_DELAY)):
            for timer in timers.pop(id(voice)):
                if timer.when > limit:
                    timer.cancel()
        shown = max(over + row.hangover, voice.starts + LINE + row.onset)
        self._time.at(shown, lambda: self._off(voice))
        if isinstance(self._judge, Judge):
            real = voice.last
            ends = row.judgement >= self._judge.miss if real else row.judgement < self._judge.false
            if ends:
                self._thinking = self._time.at(shown + row.thinking, self._judged)

    def _judged(self) -> None:
        if not self._sources:
            self._tell(EagerEnd(self.recogniser._text))

    @staticmethod
    def _words(voice: Voice) -> list[tuple[float, str]]:
        """The words of a stretch, with the seconds into it at which each ends. Later ones are told in handfuls: they
        only show that the caller goes on."""
        lasts = voice.ends - voice.starts
        if voice.kind is Kind.ACKNOWLEDGEMENT:
            return [(lasts, "okay")]
        if voice.kind is Kind.BACKCHANNEL:
            if voice.heard_as < _MISHEARD:
                return [(lasts, "home")]
            return [] if voice.heard_as < _UNHEARD else [(lasts, "mm-hm")]
        said = _URGENT if voice.urgent else _TELL
        count = max(int(lasts * PACE), 1)
        told = [n for n in range(1, count + 1) if n <= 3 or n % 10 == 0 or n == count]
        begun = 0
        words = []
        for n in told:
            words.append((min(n / PACE, lasts), " ".join(said[i % len(said)] for i in range(begun, n))))
            begun = n
        return words

    # -- the detector

    def _on(self, source: object) -> None:
        was = bool(self._sources)
        self._sources.add(id(source))
        if not was:
            self._tell(VoiceOn())

    def _off(self, source: object) -> None:
        if id(source) in self._sources:
            self._sources.discard(id(source))
            if not self._sources:
                self._tell(VoiceOff())
