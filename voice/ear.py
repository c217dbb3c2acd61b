"""The ear: one caller's turns, out of voice activity and what the recogniser makes of it. Sans-I/O, no clock.

A click is no speech; a turn lasts over pauses until the endpointer says that the silence is enough; speech that begins
again before that (or before the recogniser's last word on it) continues the turn. Every turn that began ends, in
`TurnEnded` or `TurnDropped`, whatever the recogniser does or fails to do. Times are seconds of the caller's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from voice.backchannels import is_backchannel, words
from voice.ear_signals import (
    Conclude,
    EarAction,
    EarInput,
    EarTimes,
    Hushed,
    Judged,
    Listen,
    RecognizerLost,
    Restart,
    VoiceMoved,
    VoiceOff,
    VoiceOn,
)
from voice.endpointing import Endpointer, FixedSilence, SoFar
from voice.events import (
    Dropped,
    LevelMoved,
    SpeechStarted,
    SpeechStopped,
    Turn,
    TurnDropped,
    TurnEnded,
    TurnForeseen,
    TurnResumed,
    WordsHeard,
)
from voice.stt.recognizer import EagerEnd, Final, Hearing, Partial, Resumed

GUESSED = 0.3
"""Confidence of a turn for which the recogniser gave no final transcript."""
UNSURE = 0.49
"""The most confidence a rejected transcript can have: by contract under 0.5 was guessed."""


_NOTHING = Partial("")


@dataclass(slots=True)
class _Turn:
    """A turn in progress."""

    started: float
    ended: float
    alive_at: float
    answering: bool = True
    listening: bool = True
    concluded_at: float = 0.0
    pending: int = 0
    """Finals that were asked for and have not come."""
    finals: list[Final] = field(default_factory=list)
    partial: Partial = _NOTHING
    eager: bool = False
    """The recogniser believes that it is about over."""
    over: float | None = None
    """How likely a turn model finds that it is over."""
    id: str = ""
    """Its name, once it needs one."""
    foreseen: str | None = None
    """The words with which it was foreseen to end."""

    @property
    def text(self) -> str:
        return " ".join(t for t in (*(f.text for f in self.finals), self.partial.text) if t.strip())


@dataclass(slots=True)
class Ear:
    """The state machine of caller `caller`. Feed it what happens; call `expire` when `deadline()` has come.

    `answering` may be set by who knows what the agent does, at the latest when `SpeechStarted` comes out: whether a
    mere "yeah" in the turn that begins would be an answer (a turn) or a backchannel (dropped). `new_id` names turns.
    `trusting`: the recogniser's partials are what was said; one that fits all it hears into a grammar only guesses.
    `given`: see `SoFar`.
    `foresees`: somebody wants to know of turns that are most likely over.
    """

    caller: str
    new_id: Callable[[], str]
    endpointer: Endpointer = field(default_factory=FixedSilence)
    times: EarTimes = field(default_factory=EarTimes)
    trusting: bool = True
    given: bool | None = None
    foresees: bool = False
    _now: float = float("-inf")
    _voice: bool = False
    _voice_since: float = 0.0
    _voiced: float = 0.0
    """Seconds of voice before the current stretch that count towards the onset."""
    _voice_until: float = float("-inf")
    _silent_since: float = float("-inf")
    """The end of the last voice that was speech."""
    _speaking: bool = False
    _deafened: bool = False
    """The voice that lasts is noise, until it pauses or its loudness moves."""
    _turn: _Turn | None = None
    _stale: int = 0
    """Finals that may still come and belong to turns that are over."""

    @property
    def answering(self) -> bool:
        """Whether a mere backchannel would be an answer now."""
        return self._turn is None or self._turn.answering

    @answering.setter
    def answering(self, value: bool) -> None:
        if self._turn is not None:
            self._turn.answering = value

    @property
    def sure(self) -> bool:
        """What was heard of the present turn was really said, as far as can be known now."""
        return self._turn is not None and (self.trusting or self._turn.partial.complete)

    @property
    def in_turn(self) -> bool:
        """The caller has begun a turn that is not over."""
        return self._turn is not None

    def deadline(self) -> float | None:
        """When `expire` must be called next, if nothing happens before."""
        return min((d for d in self._deadlines() if d > self._now), default=None)

    def handle(self, event: EarInput, now: float) -> list[EarAction]:
        """Take in what happened at `now`; returns what follows, oldest first."""
        actions = self.expire(now)
        self._now = max(now, self._now)
        match event:
            case VoiceOn():
                self._begin_voice()
            case VoiceOff():
                self._end_voice()
            case VoiceMoved():
                self._move(actions)
            case RecognizerLost():
                self._lose(actions)
            case Hushed():
                self._hush(actions)
            case Judged(over):
                self._judge(over)
            case _:
                self._hear(event, actions)
        self._advance(actions)
        return actions

    def expire(self, now: float) -> list[EarAction]:
        """Carry out the timers due up to `now`, each at its own time."""
        actions: list[EarAction] = []
        while (due := self.deadline()) is not None and due <= now:
            self._now = due
            self._advance(actions)
        return actions

    # -- time

    def _deadlines(self) -> Iterator[float]:
        turn, times = self._turn, self.times
        if self._voice and not self._speaking and not self._deafened:
            yield self._confirmed_at
        if self._speaking and not self._voice:
            yield self._silent_since + times.bridge
        if turn is None:
            return
        if turn.pending and not turn.listening:
            yield turn.concluded_at + times.final
        if turn.listening:
            yield turn.started + times.longest
            if self._speaking and self._voice:
                yield turn.alive_at + times.stuck
            elif not self._voice:
                yield self._ends_at(turn)
                if (foreseeable := self._foreseeable_at(turn)) is not None:
                    yield foreseeable

    @property
    def _confirmed_at(self) -> float:
        return self._voice_since + max(self.times.onset - self._voiced, 0.0)

    def _ends_at(self, turn: _Turn) -> float:
        """When the present silence ends the turn."""
        wait = self.endpointer.wait(self._so_far(turn))
        return self._silent_since + max(wait, self.times.bridge)

    def _so_far(self, turn: _Turn) -> SoFar:
        text = turn.text
        backchannel = not turn.answering and is_backchannel(text)
        length = turn.ended - turn.started
        return SoFar(text, turn.partial.complete, backchannel, length, turn.eager, turn.over, self.given)

    def _foreseeable_at(self, turn: _Turn) -> float | None:
        """When an answer to the turn as it stands may be begun ahead; None: not, or it was."""
        text = turn.text
        if not self.foresees or text == turn.foreseen or not words(text):
            return None
        wait = self.endpointer.foresee(self._so_far(turn))
        return None if wait is None else self._silent_since + max(wait, self.times.bridge)

    def _advance(self, actions: list[EarAction]) -> None:
        """Do what time asks for now."""
        now, times = self._now, self.times
        if self._speaking and not self._voice and now >= self._silent_since + times.bridge:
            self._speaking = False
            actions.append(SpeechStopped(self.caller))
        if self._voice and not self._speaking and not self._deafened and now >= self._confirmed_at:
            self._start(actions)
        turn = self._turn
        if turn is None:
            return
        self._foresee(turn, actions)
        if turn.listening:
            stuck = self._speaking and self._voice and now >= turn.alive_at + times.stuck
            if stuck or now >= turn.started + times.longest:
                self._deafened, self._speaking = self._voice, False
                turn.ended = turn.alive_at
                self._conclude(turn, actions)
            elif not self._voice and now >= self._ends_at(turn):
                self._conclude(turn, actions)
        elif turn.pending and now >= turn.concluded_at + times.final:
            self._stale = 0
            actions.append(Restart())
            self._finish(turn, actions, given_up=True)

    def _foresee(self, turn: _Turn, actions: list[EarAction]) -> None:
        """It may be time to say that the turn is most likely over."""
        at = self._foreseeable_at(turn)
        if at is not None and (turn.eager if self._voice else self._now >= at):
            turn.foreseen = turn.text
            actions.append(TurnForeseen(self._named(turn, 1.0)))

    def _resume(self, turn: _Turn, actions: list[EarAction]) -> None:
        """The turn goes on."""
        turn.eager, turn.over = False, None
        if turn.foreseen is not None:
            turn.foreseen = None
            actions.append(TurnResumed(self.caller))

    def _named(self, turn: _Turn, confidence: float) -> Turn:
        turn.id = turn.id or self.new_id()
        return Turn(turn.id, self.caller, turn.text.strip(), turn.started, turn.ended, confidence)

    # -- voice

    def _begin_voice(self) -> None:
        if self._voice:
            return
        apart = self._now - self._voice_until >= self.times.bridge
        self._voiced = 0.0 if apart else self._voiced
        self._voice, self._voice_since = True, self._now

    def _end_voice(self) -> None:
        if not self._voice:
            return
        self._voice = self._deafened = False
        self._voiced += self._now - self._voice_since
        self._voice_until = self._now
        if self._speaking:
            self._silent_since = self._now
        if self._turn and self._speaking:
            self._turn.ended = self._now

    def _move(self, actions: list[EarAction]) -> None:
        if self._voice and self._deafened:
            self._deafened = False
            self._voice_since, self._voiced = self._now, self.times.onset
        elif self._speaking and self._turn:
            self._turn.alive_at = self._now
            actions.append(LevelMoved(self.caller))

    def _start(self, actions: list[EarAction]) -> None:
        """The voice is speech: a turn begins, or goes on."""
        since = self._voice_since - self._voiced
        self._speaking = True
        if self._turn is None:
            self._turn = _Turn(since, self._now, self._now)
            actions += [SpeechStarted(self.caller), Listen(since)]
            return
        self._turn.alive_at = self._now
        actions.append(SpeechStarted(self.caller))
        self._resume(self._turn, actions)
        if not self._turn.listening:
            self._turn.listening = True
            actions.append(Listen(since))

    # -- words

    def _judge(self, over: float) -> None:
        if self._turn is not None and not self._voice:
            self._turn.over = over

    def _hear(self, hearing: Hearing, actions: list[EarAction]) -> None:
        turn = self._turn
        match hearing:
            case Final():
                self._take_final(hearing, actions)
            case Partial() | EagerEnd() if turn and not self._stale:
                turn.eager = isinstance(hearing, EagerEnd)
                complete = hearing.complete if isinstance(hearing, Partial) else True
                before, turn.partial = turn.text, Partial(hearing.text, complete)
                if words(turn.text) and turn.text != before:
                    turn.alive_at = self._now
                    actions.append(WordsHeard(self.caller, turn.text))
            case Resumed() if turn and not self._stale:
                turn.partial = Partial(turn.partial.text)
                self._resume(turn, actions)
            case _:
                pass

    def _take_final(self, final: Final, actions: list[EarAction]) -> None:
        turn = self._turn
        if self._stale:
            self._stale -= 1
        elif turn is not None:
            turn.finals.append(final)
            turn.partial = _NOTHING
            if turn.pending:
                turn.pending -= 1
            else:
                turn.listening = False
            if not turn.pending and not turn.listening:
                self._finish(turn, actions)

    def _conclude(self, turn: _Turn, actions: list[EarAction]) -> None:
        turn.listening = False
        turn.pending += 1
        turn.concluded_at = self._now
        actions.append(Conclude())

    def _lose(self, actions: list[EarAction]) -> None:
        self._stale = 0
        if turn := self._turn:
            heard = turn.text
            turn.pending = 0
            if turn.listening and self._voice:
                turn.finals, turn.partial = ([Final(heard, GUESSED)] if heard else []), _NOTHING
                actions.append(Listen(self._now))
            else:
                self._finish(turn, actions, given_up=True)

    def _finish(self, turn: _Turn, actions: list[EarAction], given_up: bool = False) -> None:
        """The turn is over: say what it was."""
        self._turn = None
        if self._speaking:
            self._speaking = False
            self._voice_since, self._voiced = self._now, 0.0
        text = turn.text
        if not turn.answering and is_backchannel(text):
            actions.append(TurnDropped(self.caller, Dropped.BACKCHANNEL, text))
        elif not words(text) or self._murmured(turn):
            actions.append(TurnDropped(self.caller, Dropped.NO_WORDS, text))
        else:
            confidence = min(
                (min(f.confidence, UNSURE) if f.rejected else f.confidence for f in turn.finals), default=1.0
            )
            if given_up and (turn.partial.text or not turn.finals):
                confidence = min(confidence, GUESSED)
            actions.append(TurnEnded(self._named(turn, confidence)))

    def _murmured(self, turn: _Turn) -> bool:
        """A short sound that the recogniser could make nothing of, while nobody waited for one."""
        rejected = bool(turn.finals) and all(f.rejected or not words(f.text) for f in turn.finals)
        return rejected and not turn.answering and turn.ended - turn.started < self.times.murmur

    def _hush(self, actions: list[EarAction]) -> None:
        turn = self._turn
        self._voice = self._speaking = self._deafened = False
        self._voice_until, self._voiced = self._now, 0.0
        if turn is None:
            return
        self._turn = None
        self._stale += turn.pending
        if turn.listening:
            self._stale += 1
            actions.append(Conclude())
        actions.append(TurnDropped(self.caller, Dropped.NO_WORDS, turn.text))
