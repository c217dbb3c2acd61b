"""Speeches on their way to Deepgram: what is to be sent, what is kept to be sent again, and what was heard of each.

Sans-I/O. Whatever is cut off, when, and however late results come: each speech that was begun has one `Final`, its
sound is kept until Deepgram has settled what was said in it, and nothing of one speech gets into the next. To that end
they are sent one after the other: the next one's sound waits for the last one's `Final`, a fraction of a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from voice.leg import RATE
from voice.stt.recognizer import EagerEnd, Final, Hearing, Partial, Resumed

SECOND = 2 * RATE
"""Bytes."""
LONGEST = 120 * SECOND
"""Bytes of sound that are kept at most: the ear's longest turn."""
LEAST = SECOND // 10
"""Bytes under which a speech is not sent: nothing can be understood in 0.1 s, and the smallest piece that is worth a
message has 20 ms (Deepgram recommends 20 to 250)."""
MOST = SECOND // 4
"""Bytes sent at a time."""
TAIL = 1.0
"""Seconds at the end of a speech that may go without a result: interim results come every second, and a caller's turn
ends in silence."""
ANSWER = 0.8
"""Seconds for the answer to a `Conclude`, or for more news on the way to it; twice that is less than the ear waits."""
NO_ANSWER = 0.35
"""Seconds for it where all was settled before: Deepgram need not answer when there is nothing left to finalise."""
MUTE = 5.0
"""Seconds in which something must be said of as much sound: nova does so every second, Flux every 0.25 s, whether there
are words or not."""
_SLACK = 0.02
"""Seconds by which times may differ: they are rounded."""


@dataclass(frozen=True, slots=True)
class Media:
    """Send this sound."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Conclude:
    """Ask for the end of the speech whose sound was all sent."""


@dataclass(frozen=True, slots=True)
class Configure:
    """Change the key terms, for the sound that follows."""

    keyterms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """`start` and `end`: seconds of the connection's sound."""

    text: str
    confidence: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment:
    """What was heard from `start` to `end`, seconds of the connection's sound.

    `settled`: it will not change. `answer`: it answers a `Conclude`.
    """

    text: str
    confidence: float
    words: tuple[Word, ...]
    start: float
    end: float
    settled: bool = False
    answer: bool = False


@dataclass(frozen=True, slots=True)
class TurnNews:
    """What Flux says of the turn number `turn`: all its `text` so far. `end`: seconds of sound it has listened to."""

    event: str
    turn: int
    text: str
    confidences: tuple[float, ...]
    end: float


@dataclass(slots=True)
class Speech:
    """From a `begin` to its `Final`. Places are bytes of the present connection's sound."""

    keyterms: tuple[str, ...]
    audio: bytearray = field(default_factory=bytearray)
    """What would be sent again."""
    ended: bool = False
    opened: bool = False
    """Its sound is being sent on this connection, from the place `begun` on; `audio` begins at the place `at`."""
    begun: int = 0
    at: int = 0
    sent: int = 0
    """How much of `audio` was sent."""
    late: int = 0
    """Where the sound ends that was not sent as it came, but later: the connection was not open, or slow."""
    resting: bool = False
    """A turn of Flux's ended before that place: the speech may go on after it."""
    concluded: bool = False
    cuts: int = 0
    """How often its end was not answered."""
    known: float = 0.0
    """Seconds of the connection's sound up to which something was said about it."""
    settled: list[str] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    open_text: str = ""
    open_confidences: list[float] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(text for text in (*self.settled, self.open_text) if text)

    @property
    def until(self) -> float:
        """Seconds of the connection's sound at which what was sent of it ends."""
        return (self.at + self.sent) / SECOND

    def final(self) -> Final:
        marks = self.confidences + self.open_confidences
        text = self.text
        confidence = sum(marks) / len(marks) if text and marks else 1.0
        return Final(text, min(max(confidence, 0.0), 1.0))


class Speeches:
    """Those of one caller that have no `Final` yet. `configurable`: key terms can be changed while connected."""

    def __init__(self, keyterms: Sequence[str] = (), *, configurable: bool = False, longest: int = LONGEST) -> None:
        self.keyterms = tuple(keyterms)
        """Those of the next speech."""
        self.progress = 0
        """Grows with every `Final`, and with all sound that is settled."""
        self._configurable = configurable
        self._longest = longest
        self._queue: deque[Speech] = deque()
        self._place = 0
        """Bytes sent on this connection."""
        self._connected_terms = self.keyterms
        self._left = False
        """The last speech was ended by the other side: what still comes of it is ignored."""

    @property
    def waiting(self) -> bool:
        """There is a speech without its `Final`."""
        return bool(self._queue)

    @property
    def asked(self) -> bool:
        """The end of a speech was asked for and is not answered."""
        return bool(self._queue) and self._queue[0].concluded

    # -- the caller's side

    def begin(self) -> None:
        """Raises RuntimeError before the `end` of the last one."""
        if self._queue and not self._queue[-1].ended:
            raise RuntimeError("begin() was called twice without end()")
        self._left = False
        self._queue.append(Speech(self.keyterms))

    def push(self, pcm: bytes) -> None:
        """Raises RuntimeError before `begin`, ValueError for half a sample."""
        if len(pcm) % 2:
            raise ValueError(f"pcm must be whole 16-bit samples, not {len(pcm)} bytes")
        if speech := self._current("push"):
            speech.audio += pcm
            self._bound()

    def end(self) -> list[Hearing]:
        """Raises RuntimeError before `begin`. Returns the `Final` of what is too short to be sent."""
        if speech := self._current("end"):
            speech.ended = True
        return self._skip()

    def _current(self, what: str) -> Speech | None:
        if self._queue and not self._queue[-1].ended:
            return self._queue[-1]
        if self._left:
            return None
        raise RuntimeError(f"{what}() was called before begin()")

    def _bound(self) -> None:
        """Keep no more than is allowed; the oldest goes first."""
        excess = sum(len(speech.audio) for speech in self._queue) - self._longest
        for speech in self._queue:
            if excess <= 0:
                return
            drop = min(excess, len(speech.audio))
            self._forget(speech, drop)
            excess -= drop

    def _forget(self, speech: Speech, size: int) -> None:
        """It will not be sent again."""
        del speech.audio[:size]
        if size > speech.sent:
            speech.at, speech.sent = self._place, 0
        else:
            speech.at += size
            speech.sent -= size

    # -- the connection's side

    def connected(self, keyterms: Sequence[str]) -> list[Hearing]:
        """A new connection, opened with these key terms: what is not settled is sent again.

        Returns the `Final` of a speech of which nothing is left to send.
        """
        self._place = 0
        self._connected_terms = tuple(keyterms)
        for speech in self._queue:
            speech.opened = speech.concluded = speech.resting = False
            speech.begun = speech.at = speech.sent = 0
            speech.known = 0.0
            speech.open_text, speech.open_confidences = "", []
        return self._skip()

    def take(self) -> Media | Conclude | Configure | None:
        """What is to be sent next; None: nothing before something happens."""
        if not self._queue:
            return None
        speech = self._queue[0]
        if not speech.opened:
            if len(speech.audio) < LEAST:
                return None
            if self._configurable and speech.keyterms != self._connected_terms:
                self._connected_terms = speech.keyterms
                return Configure(speech.keyterms)
            speech.opened, speech.begun, speech.at = True, self._place, self._place
            speech.late = self._place + len(speech.audio)
            speech.known = self._place / SECOND
        pcm = bytes(speech.audio[speech.sent : speech.sent + MOST])
        if pcm:
            speech.sent += len(pcm)
            self._place += len(pcm)
            return Media(pcm)
        if speech.ended and not speech.concluded:
            speech.concluded = True
            return Conclude()
        return None

    @property
    def settled(self) -> bool:
        """The end of a speech was asked for, when all but a tail without words was settled."""
        if not self.asked:
            return False
        speech = self._queue[0]
        some = speech.at > speech.begun or bool(speech.settled)
        return some and not speech.open_text and speech.until - speech.at / SECOND <= TAIL

    @property
    def mute(self) -> bool:
        """Nothing was said of much of the sound of a speech that goes on."""
        return self._going_on and self._queue[0].until - self._queue[0].known >= MUTE - _SLACK

    @property
    def _going_on(self) -> bool:
        return bool(self._queue) and self._queue[0].opened and not self._queue[0].concluded

    @property
    def patience(self) -> float | None:
        """Seconds from the last news on in which there is to be more; None: nothing need be said."""
        if self.asked:
            return NO_ANSWER if self.settled else ANSWER
        return MUTE if self._going_on else None

    def overdue(self) -> list[Hearing] | None:
        """There was no more news. The end of a speech was asked for: its `Final` by what is known.

        None: too little is known, the connection is dead and the speech must be sent again. Unless all was `settled`,
        the connection is of no more use in any case: the answer may still come.
        """
        if not self.asked:
            return None if self.mute else []
        speech = self._queue[0]
        speech.cuts += 1
        heard_of = speech.known > speech.begun / SECOND
        missing = speech.until - speech.known
        if missing <= TAIL and (heard_of or speech.cuts > 1):
            return self._finish()
        return None

    def _head(self, end: float) -> Speech | None:
        """The speech that a result up to `end` is about; None: one that has its `Final` already."""
        if not self._queue or not self._queue[0].opened:
            return None
        speech = self._queue[0]
        if end <= speech.begun / SECOND + _SLACK:
            return None
        speech.known = max(speech.known, min(end, speech.until))
        return speech

    def _settle(self, speech: Speech, end: float) -> None:
        """The sound up to there is done with."""
        if (done := min(round(end * RATE) * 2 - speech.at, speech.sent)) > 0:
            self._forget(speech, done)
            self.progress += 1

    def _finish(self) -> list[Hearing]:
        """The first speech has its `Final`."""
        speech = self._queue.popleft()
        self._left = not speech.ended and not self._queue
        self.progress += 1
        return [speech.final(), *self._skip()]

    def _skip(self) -> list[Hearing]:
        """The finals of what comes next and is too short to be sent."""
        finals: list[Hearing] = []
        while self._queue and (first := self._queue[0]).ended and not first.opened and len(first.audio) < LEAST:
            finals.append(self._queue.popleft().final())
        return finals


class NovaSpeeches(Speeches):
    """Results come in segments, each revised until it is settled; then its sound need not be kept."""

    def hear(self, segment: Segment) -> list[Hearing]:
        """A result has come."""
        speech = self._head(segment.end)
        if speech is None:
            return []
        before = speech.text
        self._write(speech, segment)
        if segment.answer and speech.concluded:
            return self._finish()
        return [Partial(speech.text)] if speech.text and speech.text != before else []

    def _write(self, speech: Speech, segment: Segment) -> None:
        begun = speech.begun / SECOND
        text, words = segment.text, segment.words
        if segment.start < begun - _SLACK and words:  # its beginning belongs to the speech before
            words = tuple(word for word in words if (word.start + word.end) / 2 >= begun)
            text = " ".join(word.text for word in words)
        marks = [word.confidence for word in words] or ([segment.confidence] if text else [])
        if not segment.settled:
            speech.open_text, speech.open_confidences = text, marks
            return
        speech.open_text, speech.open_confidences = "", []
        if text:
            speech.settled.append(text)
            speech.confidences += marks
        self._settle(speech, segment.end)


class FluxSpeeches(Speeches):
    """Results are of turns, which Flux ends by itself. Their text may change to the end, so their sound is kept."""

    def __init__(self, keyterms: Sequence[str] = (), *, configurable: bool = True, longest: int = LONGEST) -> None:
        super().__init__(keyterms, configurable=configurable, longest=longest)
        self._over = -1
        """The last turn of this connection that is over."""

    def connected(self, keyterms: Sequence[str]) -> list[Hearing]:
        """See `Speeches.connected`."""
        self._over = -1
        return super().connected(keyterms)

    def hear(self, news: TurnNews) -> list[Hearing]:
        """Something has come of a turn."""
        speech = self._head(news.end) if news.turn > self._over else None
        if news.event == "EndOfTurn":
            self._over = max(self._over, news.turn)
        if speech is None:
            return []
        before = speech.text
        speech.open_text, speech.open_confidences = news.text, list(news.confidences)
        if len(speech.audio) - speech.sent >= MOST:
            speech.late = speech.at + len(speech.audio)
        caught_up = news.end >= speech.late / SECOND - _SLACK
        if news.event == "EndOfTurn" and not caught_up:
            return self._rest(speech, news.end)
        if news.event == "EndOfTurn" or (speech.resting and caught_up and not news.text):
            return self._finish()
        speech.resting = speech.resting and not news.text
        text = speech.text
        match news.event:
            case "EagerEndOfTurn":
                return [EagerEnd(text)] if caught_up else []
            case "TurnResumed":
                return [Resumed(), Partial(text)]
        return [Partial(text)] if text and text != before else []

    def _rest(self, speech: Speech, end: float) -> list[Hearing]:
        """A turn ended in sound that is sent after: what the caller has said since then belongs to this speech."""
        if speech.open_text:
            speech.settled.append(speech.open_text)
            speech.confidences += speech.open_confidences
        speech.open_text, speech.open_confidences, speech.resting = "", [], True
        self._settle(speech, end)
        return [Partial(speech.text)] if speech.text else []
