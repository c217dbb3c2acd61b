"""Playout: one utterance on its way to the ears, in samples and seconds, without the audio itself. Sans-I/O, no clock.

Audio leaves at the pace at which it is heard, at most `lead` seconds ahead of that (beyond what an ear's jitter buffer
holds back), so that it can be silenced at once. What was heard is what the receipts say; an ear that gives none is
reckoned by the clock. A pause goes on from the beginning of the word that was not wholly heard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from voice.events import SpeakingHeard, SpeakingPaused, SpeakingScheduled, SpeakingStarted
from voice.leg import FRAME_SAMPLES, RATE
from voice.marks import Marks
from voice.playout_ear import EPSILON, PlayoutEar

LEAD = 0.06
"""Seconds that audio may leave ahead of the ear, beyond the jitter buffer; the house plan's figure."""
FLUSH = 0.5
"""Seconds that an ear may take to say where it fell silent; then its last receipt must do."""
_SOON = 0.5
"""Seconds before the announced end within which a later end is announced, while more is being made."""
_STEP = 0.25
"""Seconds by which an end must be later to be announced then."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send `samples` of the utterance's audio, from `source` on, to `ear`, as `position` onward of its `stream`."""

    ear: str
    stream: int
    position: int
    source: int
    samples: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing follows in the stream after `samples`."""

    ear: str
    stream: int
    samples: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Silence the stream at the ear."""

    ear: str
    stream: int


@dataclass(frozen=True, slots=True)
class Over:
    """The utterance is over at the last ear; `complete`: all of it was played there."""

    complete: bool


PlayoutAction = Send | Finish | Clear | SpeakingScheduled | SpeakingStarted | SpeakingHeard | SpeakingPaused | Over


class _Phase(Enum):
    SILENT = auto()
    """Nothing is at the ears: not begun, paused, or waiting for audio."""
    FLOWING = auto()
    FLUSHING = auto()
    """Told to fall silent; the ears have not all answered."""
    OVER = auto()


class _Wish(Enum):
    PAUSE = auto()
    PLAY = auto()
    CUT = auto()


@dataclass(slots=True)
class Playout:
    """The state machine of utterance `id`. Call `expire` when `deadline()` has come.

    `next_stream` numbers streams. `to`: whose ear says what was heard (None: all who hear from the beginning). `lead`
    is in seconds (infinite: send what there is), `frame` in samples. Begins paused: nothing is sent before `play`.
    """

    id: str
    next_stream: Callable[[], int]
    to: str | None = None
    lead: float = LEAD
    frame: int = FRAME_SAMPLES
    marks: Marks = field(default_factory=Marks)
    started: float | None = None
    """When the first sample was at an ear."""
    chars: int = 0
    """Characters of the text that have been heard."""
    _now: float = float("-inf")
    _phase: _Phase = _Phase.SILENT
    _wish: _Wish = _Wish.PAUSE
    _ears: dict[str, PlayoutEar] = field(default_factory=dict)
    _made: int = 0
    _all_made: bool = False
    _base: int = 0
    _head: int = 0
    """Place in the utterance up to which audio was sent."""
    _anchor: float = 0.0
    """When the audio at `_base` was due to leave."""
    _audible: bool = False
    _finished: bool = False
    _flush_by: float = 0.0
    _until: float = float("-inf")

    @property
    def ears(self) -> frozenset[str]:
        """Who hears it."""
        return frozenset(self._ears)

    @property
    def begun(self) -> bool:
        """Some of it has been sent."""
        return self._head > 0

    @property
    def followers(self) -> frozenset[str]:
        """Those who hear it whose ears say what was heard."""
        return frozenset(name for name, ear in self._ears.items() if ear.counts)

    @property
    def made(self) -> int:
        """Samples that there are."""
        return self._made

    @property
    def whole(self) -> bool:
        """Nothing more will be made."""
        return self._all_made

    @property
    def ahead(self) -> float:
        """Seconds of audio that are made and not sent."""
        return (self._made - self._head) / RATE

    def reached(self, ear: str | None = None) -> int:
        """Place in the utterance up to which `ear` (None: every ear that counts) has heard it, in samples."""
        if ear is not None:
            return self._ears[ear].reached if ear in self._ears else 0
        return min((e.reached for e in self._ears.values() if e.counts), default=0)

    # -- what happens. Each returns what follows, oldest first.

    def open_ear(self, ear: str, jitter: float, receipts: bool, now: float) -> list[PlayoutAction]:
        """Somebody hears from now on. Who comes when it has begun hears the rest, and does not count for `chars`."""
        counts = not self.begun and self.to in (None, ear)
        self._ears[ear] = PlayoutEar(jitter, receipts, counts, base=self._head, reached=self._head)
        if self._phase is _Phase.FLOWING and not self._finished:
            self._ears[ear].begin(self.next_stream(), self._head, now)
        return self.expire(now)

    def close_ear(self, ear: str, now: float) -> list[PlayoutAction]:
        """Somebody hears no more; what they heard before, they heard."""
        actions = self.expire(now)
        if self._ears.pop(ear, None):
            self._advance(now, actions)
        return actions

    def make(self, samples: int, now: float) -> list[PlayoutAction]:
        """There are `samples` more to play."""
        self._made += samples
        return self.expire(now)

    def end(self, now: float) -> list[PlayoutAction]:
        """Nothing more will be made."""
        self._all_made = True
        return self.expire(now)

    def play(self, now: float) -> list[PlayoutAction]:
        """Begin, or go on."""
        return self._want(_Wish.PLAY, now)

    def pause(self, now: float) -> list[PlayoutAction]:
        """Fall silent for now."""
        return self._want(_Wish.PAUSE, now)

    def cut(self, now: float) -> list[PlayoutAction]:
        """Fall silent for good; `Over` follows when the ears have answered."""
        return self._want(_Wish.CUT, now)

    def receive(self, ear: str, stream: int, samples: int, flushed: bool, now: float) -> list[PlayoutAction]:
        """A receipt: `samples` of `stream` have been heard there. Receipts for other utterances are ignored."""
        self._now = max(now, self._now)
        if listener := self._ears.get(ear):
            listener.receive(stream, samples, flushed)
        return self.expire(now)

    def expire(self, now: float) -> list[PlayoutAction]:
        """Do what time asks for."""
        actions: list[PlayoutAction] = []
        self._now = max(now, self._now)
        self._advance(self._now, actions)
        return actions

    def deadline(self) -> float | None:
        """When `expire` must be called next, if nothing happens before."""
        return min((d for d in self._deadlines() if d > self._now), default=None)

    # -- inside

    def _want(self, wish: _Wish, now: float) -> list[PlayoutAction]:
        actions = self.expire(now)
        if self._wish is not _Wish.CUT:
            self._wish = wish
        self._advance(self._now, actions)
        return actions

    def _deadlines(self) -> Iterator[float]:
        if self._phase is _Phase.FLUSHING:
            yield self._flush_by
        if self._phase is not _Phase.FLOWING:
            return
        sent = self._head - self._base
        if self._sendable() and self.lead != math.inf:
            yield self._anchor + (sent + self._sendable()) / RATE - self.lead
        for ear in self._ears.values():
            if not ear.sent:
                continue
            if not self._audible:
                yield ear.anchor + ear.jitter
            if not self._finished:
                yield ear.at(ear.sent)
            if not ear.receipts:
                end = self.marks.next_end(max(ear.reached, ear.base + ear.played))
                if end is not None and end <= ear.base + ear.sent:
                    yield ear.at(end - ear.base)
                yield ear.at(ear.sent)

    def _advance(self, now: float, actions: list[PlayoutAction]) -> None:
        while True:
            before = (self._phase, self._head, self._finished)
            for ear in self._ears.values():
                ear.reckon(now)
            self._step(now, actions)
            if (self._phase, self._head, self._finished) == before:
                break

    def _step(self, now: float, actions: list[PlayoutAction]) -> None:
        match self._phase:
            case _Phase.FLOWING if not self._ears:
                self._phase = _Phase.SILENT
            case _Phase.FLOWING if self._wish is not _Wish.PLAY:
                self._notice(now, actions)
                self._silence(now, actions)
            case _Phase.FLOWING:
                self._flow(now, actions)
                self._notice(now, actions)
                self._run_dry(now, actions)
            case _Phase.FLUSHING:
                self._notice(now, actions)
                if all(e.silent for e in self._ears.values()) or now >= self._flush_by:
                    self._fall_silent(actions)
            case _Phase.SILENT:
                self._rest(now, actions)
            case _Phase.OVER:
                pass

    def _rest(self, now: float, actions: list[PlayoutAction]) -> None:
        """Nothing is at the ears: end, begin or go on."""
        if self._wish is _Wish.CUT:
            self._be_over(False, actions)
        elif self._all_made and self._head >= self._made and (self._ears or not self._made):
            self._be_over(self.reached() >= self._made, actions)
        elif self._wish is _Wish.PLAY and self._sendable() and self._ears:
            self._phase, self._finished = _Phase.FLOWING, False
            self._base, self._anchor, self._until = self._head, now, float("-inf")
            for ear in self._ears.values():
                ear.begin(self.next_stream(), self._base, now)

    def _sendable(self) -> int:
        """How many samples could be sent next."""
        rest = self._made - self._head
        if self.lead == math.inf:
            return rest
        return self.frame if rest >= self.frame else (rest if self._all_made else 0)

    def _flow(self, now: float, actions: list[PlayoutAction]) -> None:
        """Send what is due."""
        self._catch_up(now)
        while (samples := self._sendable()) and not self._finished:
            sent = self._head - self._base
            played = (now - self._anchor) * RATE
            if sent + samples > played + self.lead * RATE + EPSILON:
                break
            for name, ear in self._ears.items():
                if not ear.sent:
                    if sent < played - EPSILON:
                        continue  # who comes late begins with what is due now, not with what was
                    ear.base, ear.anchor = self._head, now
                actions.append(Send(name, ear.stream, ear.sent, self._head, samples))
                ear.sent += samples
            self._head += samples
        self._schedule(actions)

    def _catch_up(self, now: float) -> None:
        """Where sound is late, the ears have stood still: what follows is that much later."""
        ends = [e.at(e.sent) for e in self._ears.values() if e.sent]
        if self._sendable() and ends and now > max(ends):
            late = now - (self._head - self._base) / RATE - self._anchor
            self._anchor += late
            for ear in self._ears.values():
                ear.anchor += late

    def _schedule(self, actions: list[PlayoutAction]) -> None:
        if not self._ears:
            return
        until = max(e.at(self._made - e.base) for e in self._ears.values())
        step = EPSILON / RATE if self._all_made else _STEP
        if until > self._until + step and (self._all_made or self._until < self._now + _SOON):
            self._until = until
            actions.append(SpeakingScheduled(self.id, until))

    def _run_dry(self, now: float, actions: list[PlayoutAction]) -> None:
        """All has been sent that there is: is it for good, does more come in time, has it been heard?"""
        if self._sendable() and not self._finished:
            return
        done = self._all_made and self._head >= self._made
        dry = all(now >= e.at(e.sent) - EPSILON / RATE for e in self._ears.values())
        if not self._finished and (done or dry):
            self._finished = True
            actions.extend(Finish(name, e.stream, e.sent) for name, e in self._ears.items() if e.sent)
        if not self._finished:
            return
        if all(e.silent for e in self._ears.values()):
            self._fall_silent(actions)
        elif self._sendable():
            self._phase = _Phase.SILENT  # more has come: it follows in a new stream, unheard receipts or not

    def _silence(self, now: float, actions: list[PlayoutAction]) -> None:
        """Clear the ears."""
        self._phase, self._flush_by = _Phase.FLUSHING, now + FLUSH
        for name, ear in self._ears.items():
            if ear.sent:
                actions.append(Clear(name, ear.stream))
            if not ear.receipts:
                ear.flushed = True

    def _fall_silent(self, actions: list[PlayoutAction]) -> None:
        """The ears hear nothing now."""
        flushing, self._phase = self._phase is _Phase.FLUSHING, _Phase.SILENT
        for ear in self._ears.values():
            ear.flushed = True
        if flushing and self._ears:
            counting = [e.reached for e in self._ears.values() if e.counts] or [e.reached for e in self._ears.values()]
            position = min(counting)
            done = self._all_made and position >= self._made
            self._head = self._made if done else self._aligned(self.marks.resume_at(position))
        if self._all_made and self._head >= self._made:
            self._be_over(self.reached() >= self._made, actions)
        elif self._audible and self._wish is not _Wish.CUT:
            self._audible = False
            actions.append(SpeakingPaused(self.id))

    def _aligned(self, position: int) -> int:
        """Whole frames before `position`, so that the rest is whole frames too."""
        return position if self.lead == math.inf else position // self.frame * self.frame

    def _be_over(self, complete: bool, actions: list[PlayoutAction]) -> None:
        self._phase, self._audible = _Phase.OVER, False
        actions.append(Over(complete))

    def _notice(self, now: float, actions: list[PlayoutAction]) -> None:
        """What has come to the ears, in the order in which it came."""
        ears = [e for e in self._ears.values() if e.sent]
        flowing = self._phase is _Phase.FLOWING
        at_ear = any(e.played or (flowing and now >= e.anchor + e.jitter - EPSILON / RATE) for e in ears)
        if not self._audible and at_ear:
            self._audible = True
            self.started = now if self.started is None else self.started
            actions.append(SpeakingStarted(self.id))
        self._count(actions)

    def _count(self, actions: list[PlayoutAction]) -> None:
        chars = self.marks.heard(self.reached())
        if chars > self.chars:
            self.chars = chars
            actions.append(SpeakingHeard(self.id, chars))
