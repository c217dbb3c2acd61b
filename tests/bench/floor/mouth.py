"""The mouth: what the agent says, one utterance after the other, and what of it is at the caller's ear.

As `voice.speaking.Speaker` and `voice.playout.Playout` do it, without the audio: words of equal length at the pace of
the simulated channel, a pause goes on from the word that was not wholly heard. A command reaches the ear after `LINE`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tests.bench.floor.eyes import LINE
from tests.bench.floor.talk import Response
from tests.bench.floor.timeline import Timeline, Timer
from voice.events import (
    Event,
    ReplySettled,
    SpeakingEnded,
    SpeakingPaused,
    SpeakingPlanned,
    SpeakingScheduled,
    SpeakingStarted,
)

WORD = 0.4
"""Seconds a word takes."""
ASKS = 6
"""Words of the question at the end of an utterance."""
SYNTHESIS = 0.15
"""Seconds from a text to its first audio."""


@dataclass(slots=True, eq=False)
class Utterance:
    """Something of ours. `words` are what is said; `said_at` when it was asked for, `made_at` when there is audio."""

    id: str
    words: tuple[tuple[str, int], ...]
    """Of which delivery which word it is ("": no delivery's)."""
    response: Response
    said_at: float
    made_at: float
    reply_to: str | None = None
    question: bool = False
    over: bool = False
    exempt: bool = False
    message: str | None = None
    heard: int = 0
    """Words heard whole."""
    started: float | None = None
    spans: list[tuple[float, float, float]] = field(default_factory=list)
    """From when to when it was at the ear, and when that would have ended by itself."""
    begun: bool = False
    playing: bool = False
    audible: bool = False
    done: bool = False
    cut_by: str | None = None
    allowed: float | None = None
    """From when on its policy let it be spoken (None: at `said_at`)."""

    @property
    def complete(self) -> bool:
        return self.done and self.heard >= len(self.words)


class Ear(Protocol):
    """Who hears it."""

    def hear_start(self, response: Response, at: float, seconds: float, resumed: bool) -> None: ...
    def hear_silence(self, response: Response, ended: bool, question: bool) -> None: ...


class Mouth:
    """`feed` takes the events of playout, `over` each utterance at its end, `begins` each first sample."""

    def __init__(
        self,
        time: Timeline,
        ear: Ear,
        feed: Callable[[Event], None],
        over: Callable[[Utterance], None],
        begins: Callable[[Utterance], None],
    ) -> None:
        self._time, self._ear, self._feed, self._over, self._begins = time, ear, feed, over, begins
        self.queue: list[Utterance] = []
        self.silent_since = float("-inf")
        """When the agent last fell silent at the ear."""
        """The caller was told that more comes than the reply."""
        self._held = self._nods = False
        self._taker = False
        self._timer: Timer | None = None
        self._wake: Timer | None = None
        self._from = 0.0
        self._deciding = self._again = False

    @property
    def current(self) -> Utterance | None:
        return self.queue[0] if self.queue else None

    def asking(self, utterance: Utterance) -> bool:
        """The question in which it ends is being heard."""
        heard = utterance.heard
        if utterance.audible:
            heard += int((self._time.now - self._from) / WORD)
        return utterance.question and utterance.started is not None and heard > len(utterance.words) - ASKS

    @property
    def held(self) -> bool:
        return self._held

    @property
    def audible(self) -> bool:
        return any(u.audible for u in self.queue)

    # -- what to say

    def say(self, utterance: Utterance, ahead: bool = False) -> None:
        """After the others; `ahead`: before what is not yet begun; `over`: at once."""
        current = self.current
        if current is None:
            self.queue.append(utterance)
        elif utterance.over:
            self.queue.insert(1 if current.begun else 0, utterance)
            if current.begun:
                self.cut([current], "over")
        elif ahead and not current.begun:
            self.queue.insert(0, utterance)
        else:
            self.queue.append(utterance)
        self._feed(SpeakingPlanned(utterance.id))
        self.govern()

    def interrupt(self, by: str) -> None:
        if (current := self.current) and not current.exempt:
            self.cut([u for u in self.queue if not u.exempt], by)

    def hold(self, held: bool, taker: bool, nods: bool = False) -> None:
        if (held, taker, nods) == (self._held, self._taker, self._nods):
            return
        if held and not self._held:
            for utterance in self.queue:
                utterance.exempt = utterance.exempt and not utterance.begun
        self._held, self._taker, self._nods = held, taker, nods
        self.govern()

    def cut(self, utterances: list[Utterance], by: str) -> None:
        for utterance in utterances:
            utterance.cut_by = utterance.cut_by or by
            if utterance.playing:
                self._silence(utterance)
            elif not utterance.audible:
                self._finish(utterance)

    # -- inside

    def govern(self) -> None:
        self._again = True
        if self._deciding:
            return
        self._deciding = True
        try:
            while self._again:
                self._again = False
                self._decide()
        finally:
            self._deciding = False

    def _decide(self) -> None:
        current = self.current
        if current is None or current.cut_by is not None:
            return
        if not self._held or current.exempt or (self._nods and current.begun):
            self._play(current)
        elif self._taker:
            self.interrupt("caller")
        elif current.playing:
            self._silence(current)

    def _play(self, utterance: Utterance) -> None:
        if utterance.playing or utterance.audible:
            return
        now = self._time.now
        if now < utterance.made_at:
            if self._wake is None or not self._wake.waits or self._wake.when != utterance.made_at:
                self._wake = self._time.at(utterance.made_at, self.govern)
            return
        utterance.begun = utterance.playing = True
        self._timer = self._time.at(now + LINE, lambda: self._start(utterance))

    def _start(self, utterance: Utterance) -> None:
        """The first sample is at the ear."""
        now, resumed = self._time.now, utterance.started is not None
        self._from = now
        utterance.audible = True
        seconds = (len(utterance.words) - utterance.heard) * WORD
        if not resumed:
            utterance.started = now
            self._begins(utterance)
        utterance.spans.append((now, now + seconds, now + seconds))
        self._timer = self._time.at(now + seconds, lambda: self._end(utterance))
        self._ear.hear_start(utterance.response, utterance.heard * WORD, seconds, resumed)
        self._feed(SpeakingScheduled(utterance.id, now + seconds))
        self._feed(SpeakingStarted(utterance.id))

    def _silence(self, utterance: Utterance) -> None:
        """Clear what is on its way; the ear falls silent a little later."""
        utterance.playing = False
        now = self._time.now
        if not utterance.audible:
            if self._timer is not None:
                self._timer.cancel()
            if utterance.cut_by is not None:
                self._finish(utterance)
            return
        ends = utterance.spans[-1][1]
        if now + LINE < ends:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._time.at(now + LINE, lambda: self._fall_silent(utterance))

    def _fall_silent(self, utterance: Utterance) -> None:
        now = self._time.now
        utterance.heard += int((now - self._from) / WORD + 1e-6)
        utterance.spans[-1] = (self._from, now, utterance.spans[-1][2])
        utterance.audible = False
        self.silent_since = now
        self._ear.hear_silence(utterance.response, False, False)
        if utterance.cut_by is not None:
            self._finish(utterance)
        else:
            self._feed(SpeakingPaused(utterance.id))
            self.govern()

    def _end(self, utterance: Utterance) -> None:
        utterance.heard = len(utterance.words)
        utterance.playing = utterance.audible = False
        self.silent_since = self._time.now
        self._ear.hear_silence(utterance.response, True, utterance.question)
        self._finish(utterance)

    def _finish(self, utterance: Utterance) -> None:
        if utterance.done:
            return
        utterance.done = True
        self.queue.remove(utterance)
        if utterance.reply_to is not None:
            self._feed(ReplySettled(utterance.reply_to))
        self._feed(SpeakingEnded(utterance.id, question=utterance.complete and utterance.question))
        self._over(utterance)
        self.govern()
