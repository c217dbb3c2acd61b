"""The ear of a scripted caller: plays nothing, but knows at every moment what has been heard, and when."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voice.leg import RATE
from voice.playout import Clear, Finish, Send
from voice.utterance import SpokenUtterance

_EPSILON = 1e-3
"""A thousandth of a sample: what adding up seconds in floating point may cost."""


class NotHeardError(AssertionError):
    """A caller did not hear what they were expected to hear."""


@dataclass(slots=True)
class _Span:
    """A stretch of sound: samples of the utterance from `source` on, at the ear from `start` on."""

    stream: int
    source: int
    samples: int
    start: float

    @property
    def end(self) -> float:
        return self.start + self.samples / RATE

    def reached(self, now: float) -> int:
        return self.source + min(max(math.floor((now - self.start) * RATE + _EPSILON), 0), self.samples)


@dataclass(slots=True, eq=False)
class Line:
    """An utterance as one ear heard it."""

    utterance: SpokenUtterance
    _now: Callable[[], float]
    _spans: list[_Span] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Line({self.started:.3f} s, {self.heard!r})" if self._spans else "Line(not heard)"

    @property
    def started(self) -> float:
        """When its first sample was at the ear."""
        return self._spans[0].start

    @property
    def ended(self) -> float | None:
        """When its last sample was at the ear; None before that."""
        return self._spans[-1].end if self.over else None

    @property
    def over(self) -> bool:
        """The ear will hear no more of it."""
        return self.utterance.done and self._spans[-1].end <= self._now() + _EPSILON / RATE

    @property
    def spans(self) -> Sequence[tuple[float, float]]:
        """From when to when it was audible: more than one stretch if it paused."""
        return [(s.start, s.end) for s in self._spans]

    @property
    def text(self) -> str:
        """All of it, heard or not."""
        return self.utterance.text

    @property
    def heard(self) -> str:
        """What has been heard of it up to now, in whole words."""
        playout, reached = self.utterance.playout, self._reached
        if self.utterance.complete or (playout.whole and reached >= playout.made):
            return self.text
        return self.text[: playout.marks.heard(reached)]

    @property
    def interrupted(self) -> bool:
        """It is over, and this ear did not hear all of it."""
        return self.over and self.heard != self.text

    @property
    def _reached(self) -> int:
        now = self._now()
        return max((s.reached(now) for s in self._spans), default=0)

    def next_word(self) -> float:
        """When the next word will have been heard, as far as is known (infinite: it is not)."""
        reached, span = self._reached, self._spans[-1]
        end = self.utterance.playout.marks.next_end(reached)
        if end is None or end > span.source + span.samples:
            return span.end if reached < span.source + span.samples else math.inf
        return span.start + (end - span.source) / RATE

    # -- for the ear

    def play(self, sending: Send, earliest: float) -> None:
        """Sound is on its way: it is heard at `earliest`, or when the stream's sound before it is over."""
        last = self._spans[-1] if self._spans else None
        if last and last.stream == sending.stream and last.end >= earliest:
            last.samples += sending.samples
        else:
            self._spans.append(_Span(sending.stream, sending.source, sending.samples, earliest))

    def silence(self, now: float) -> None:
        """Nothing more is heard of what was sent."""
        for span in self._spans:
            span.samples = span.reached(now) - span.source
        self._spans = [s for s in self._spans if s.samples]


class SimulatedEar:
    """Where the agent's voice arrives: a `voice.speaking.Outlet`. `receipts` and `jitter` hold from the next utterance
    on. With `receipts` the speaker is promised receipts, which never come: a broken transport. Without, it goes by the
    clock, which here is always right.
    """

    def __init__(self, name: str, *, jitter: float = 0.0, receipts: bool = False) -> None:
        self.receipts = receipts
        self.jitter = jitter
        self.lines: list[Line] = []
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._cursor = (0, 0)
        self._news = asyncio.Event()

    def send(self, utterance: SpokenUtterance, sending: Send) -> None:
        """Some of an utterance is on its way."""
        line = self.lines[-1] if self.lines else None
        if line is None or line.utterance is not utterance:
            line = Line(utterance, self._loop.time)
            self.lines.append(line)
        line.play(sending, self._loop.time() + self.jitter)
        self._news.set()

    def finish(self, finishing: Finish) -> None:
        """Nothing follows in a stream."""
        self._news.set()

    def clear(self, clearing: Clear) -> None:
        """Fall silent."""
        self.silence()

    def silence(self) -> None:
        """Nothing more is heard of what was sent."""
        if self.lines:
            self.lines[-1].silence(self._loop.time())
            if not self.lines[-1].spans:
                self.lines.pop()
        self._news.set()

    async def hears(self, text: str, timeout: float = 60.0) -> Line:
        """Wait until this ear has heard `text` (in any case, within one utterance); returns the line it is in.

        Looks at what was heard after the last thing that `hears` found, so the same words are not found twice. Returns
        at the end of the last word. Raises NotHeardError after `timeout` seconds.
        """
        until = self._loop.time() + timeout
        while (line := self._find(text)) is None:
            now = self._loop.time()
            if now >= until:
                heard = "\n".join(f"  {line.started:9.3f} s  {line.heard!r}" for line in self.lines)
                raise NotHeardError(f"{self._name} did not hear {text!r} within {timeout:g} s, only:\n{heard or '  -'}")
            wake = min(until, self.lines[-1].next_word() if self.lines else math.inf)
            self._news.clear()
            timer = self._loop.call_at(wake, self._news.set)
            try:
                await self._news.wait()
            finally:
                timer.cancel()
        return line

    def _find(self, text: str) -> Line | None:
        first, chars = self._cursor
        wanted = text.casefold()
        for number in range(first, len(self.lines)):
            start = chars if number == first else 0
            found = self.lines[number].heard.casefold().find(wanted, start)
            if found >= 0:
                self._cursor = (number, found + len(text))
                return self.lines[number]
        return None
