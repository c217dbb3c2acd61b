"""A room: caller, eyes, mouth, and an agent that answers; the same for every policy but for how it gives way.

The real `voice.ear.Ear` and `voice.floor.Floor` stand between the eyes and everybody; events go round as in
`voice.watch.Watch`, the agent's doings are those of `voice.exchange.Exchange` and of the runtime's conversation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Protocol

from tests.bench.floor.caller import Caller, Voice
from tests.bench.floor.eyes import Eyes, Judge, NoJudge
from tests.bench.floor.mouth import SYNTHESIS, Mouth, Utterance
from tests.bench.floor.talk import Call, ReplyPlan, Response, Result
from tests.bench.floor.timeline import Alarm, Timeline, Timer
from voice.backchannels import is_backchannel, takes_floor
from voice.ear import Ear
from voice.ear_signals import Conclude, EarAction, EarInput, Listen, Restart, VoiceOff, VoiceOn
from voice.events import (
    Event,
    Joined,
    ReplySettled,
    SpeechStarted,
    Turn,
    TurnDropped,
    TurnEnded,
    WordsHeard,
)
from voice.exchange import AFTERMATH
from voice.floor import (
    Blocker,
    Floor,
    FloorAction,
    FloorChanged,
    FloorState,
    FloorView,
    PlayoutUnconfirmed,
    ReplyOverdue,
)

ROOM, CALLER = "room", "caller"
_HOLDS = (Blocker.CALLER_SPEAKING, Blocker.CALLER_PAUSED)


@dataclass(frozen=True, slots=True)
class GiveWay:
    """How an agent's speech gives way to a voice that lasts `after` seconds.

    `words`: our own manner instead, which pauses at speech and lets its words decide; `pauses`: and speaks in no pause
    of a turn either. `resume`: seconds without words after which a cut is taken back (None: a cut is a cut).
    """

    after: float = 0.0
    words: bool = False
    pauses: bool = True
    resume: float | None = None


OURS = GiveWay(words=True)


class Policy(Protocol):
    """Decides when results are spoken. It sees events and changes of the floor, never the caller."""

    give_way: GiveWay

    def enter(self, room: Room) -> None: ...
    def submit(self, result: Result) -> None: ...
    def hear(self, event: Event | FloorChanged | VoiceOn | VoiceOff) -> None: ...
    def over(self, utterance: Utterance) -> None: ...
    def waiting(self, id: str) -> bool: ...


class Seated(Protocol):
    """A caller, as their room sees them; `speaking` and `paused` are the truth, for the metrics only."""

    voices: list[Voice]

    @property
    def speaking(self) -> bool: ...
    @property
    def paused(self) -> bool: ...
    def hear_start(self, response: Response, at: float, seconds: float, resumed: bool) -> None: ...
    def hear_silence(self, response: Response, ended: bool, question: bool) -> None: ...


class Room:
    """One call under one policy. After `run`, `said` and `caller.voices` tell what was."""

    def __init__(self, call: Call, policy: Policy, judge: Judge | NoJudge) -> None:
        self.time = Timeline()
        self.call, self.policy = call, policy
        self.said: list[Utterance] = []
        self.onsets: list[Onset] = []
        self.voice = False
        self.voice_since = self.voice_until = -1e9
        """As the detector has it."""
        self._ids = count()
        self._turns = count()
        self._results_said: dict[str, int] = {}
        self.ear = Ear(CALLER, lambda: f"t{next(self._turns)}", judge.endpointer())
        self.floor = Floor()
        self.eyes = Eyes(self.time, call, judge, self._perceive)
        self.other_speaks = False
        """Somebody else in the agent's place (recordings)."""
        self.caller = self._seat_caller()
        self.mouth = Mouth(self.time, self.caller, self.feed, self._over, self._begins)
        self._ear_alarm = Alarm(self.time, self.ear.deadline, lambda due: self._act(self.ear.expire(due)))
        self._floor_alarm = Alarm(self.time, self.floor.deadline, self._expire)
        self._events: list[Event] = []
        self._pumping = False
        self._takers = self._nods = False
        self._stated_at = float("-inf")
        self._reply: Utterance | None = None
        self._replies = 0
        self._give_way: Timer | None = None
        self._hearing_words = False
        policy.enter(self)
        self.feed(Joined(CALLER))
        for result in call.results:
            self.time.at(result.arrives, partial(policy.submit, result))

    def _seat_caller(self) -> Seated:
        return Caller(self.time, self.call, self.eyes.sound, self.eyes.hush)

    def run(self) -> None:
        self.time.run(self.call.length)

    # -- for the policy

    @property
    def now(self) -> float:
        return self.time.now

    @property
    def agent_audible(self) -> bool:
        """The agent is at the caller's ear."""
        return self.other_speaks or self.mouth.audible

    @property
    def view(self) -> FloorView:
        return self.floor.view

    def say(
        self,
        words: tuple[tuple[str, int], ...],
        *,
        message: str | None = None,
        over: bool = False,
        ahead: bool = False,
        making: float = 0.0,
    ) -> Utterance:
        """Say `words`, of which each is a word of a result; `making`: seconds a model thinks about it first."""
        first = next((id for id, _ in words if id), "")
        now = self.time.now
        utterance = Utterance(
            f"u{next(self._ids)}",
            words,
            self._response(first),
            now,
            now + making + SYNTHESIS,
            over=over,
            exempt=over,
            message=message,
        )
        self.said.append(utterance)
        self.mouth.say(utterance, ahead)
        return utterance

    def may_fold(self) -> bool:
        """The agent's reply is being made, and none of it is on its way to the ear."""
        reply = self._reply
        return reply is not None and not reply.done and self.now < reply.made_at - SYNTHESIS

    # -- what happens

    def feed(self, event: Event) -> None:
        self._events.append(event)
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._events:
                self._take(self._events.pop(0))
        finally:
            self._pumping = False
        self._floor_alarm.set()

    def _take(self, event: Event) -> None:
        now = self.time.now
        before = self.floor.view
        actions = self.floor.handle(event, now)
        self._react(event, before)
        self.policy.hear(event)
        self._carry_out(actions)

    def _expire(self, due: float) -> None:
        self._pumping = True
        try:
            self._carry_out(self.floor.expire(due))
            while self._events:
                self._take(self._events.pop(0))
        finally:
            self._pumping = False

    def _carry_out(self, actions: list[FloorAction]) -> None:
        for action in actions:
            match action:
                case FloorChanged():
                    self._govern()
                    self.policy.hear(action)
                case ReplyOverdue(turn):
                    waiting = [u for u in self.mouth.queue if u.reply_to == turn.id]
                    self.mouth.cut(waiting, "failed")
                    self.feed(ReplySettled(turn.id))
                case PlayoutUnconfirmed(id):
                    raise AssertionError(f"the mouth did not say how {id} ended")
                case _:
                    pass

    def _perceive(self, event: EarInput) -> None:
        if isinstance(event, VoiceOn):
            self.voice, self.voice_since = True, self.now
        elif isinstance(event, VoiceOff):
            self.voice, self.voice_until = False, self.now
        self._act(self.ear.handle(event, self.now))
        if isinstance(event, VoiceOn | VoiceOff):
            self.policy.hear(event)
            self._watch_voice()
        self._ear_alarm.set()

    def _act(self, actions: list[EarAction]) -> None:
        for action in actions:
            match action:
                case Listen(since):
                    self.eyes.recogniser.listen(since)
                case Conclude():
                    self.eyes.recogniser.conclude()
                case Restart():
                    pass
                case _:
                    self.feed(action)

    # -- as voice.exchange.Exchange

    def _react(self, event: Event, before: FloorView) -> None:
        match event:
            case SpeechStarted():
                self._nods = False
                self.ear.answering = self._answers(before)
            case WordsHeard(_, text):
                self._hearing_words = True
                goes_on = self._nods and not takes_floor(text)
                self._nods = self.ear.sure and not self.ear.answering and (goes_on or is_backchannel(text))
                if self._ours and not self._takers and self._counts(text):
                    self._takers = True
                    self.mouth.interrupt("caller")
            case TurnEnded(turn):
                self._takers = self._nods = self._hearing_words = False
                if self._ours and (self.policy.give_way.pauses or self._overlapped(turn)):
                    self.mouth.interrupt("caller")
                elif self.policy.give_way.resume is not None and self.mouth.held:
                    self._reconsider(True)
            case TurnDropped():
                self._takers = self._nods = self._hearing_words = False
            case _:
                pass
        self._govern()
        if isinstance(event, TurnEnded):
            self._answer(event.turn)

    @property
    def _ours(self) -> bool:
        return self.policy.give_way.words

    def _counts(self, text: str) -> bool:
        return self.ear.sure and (takes_floor(text) or (self.ear.answering and is_backchannel(text)))

    def _answers(self, before: FloorView) -> bool:
        if before.blocker is Blocker.QUESTION:
            return True
        current = self.mouth.current
        if current is not None:
            return self.mouth.asking(current)
        return before.state is not FloorState.AGENT_OWES and self.now >= self._stated_at + AFTERMATH

    def _govern(self) -> None:
        if self._ours:
            held = self.floor.view.blocker in (_HOLDS if self.policy.give_way.pauses else _HOLDS[:1])
            self.mouth.hold(held, self._takers and held, held and self._nods)

    def _overlapped(self, turn: Turn) -> bool:
        current = self.mouth.current
        return current is not None and current.started is not None and current.started < turn.ended

    def _watch_voice(self) -> None:
        """How others give way: to a voice of some length."""
        way = self.policy.give_way
        if way.words:
            return
        if self._give_way is not None:
            self._give_way.cancel()
        if self.voice:
            self._hearing_words = False
            self._give_way = self.time.after(way.after, self._yield)

    def _yield(self) -> None:
        way = self.policy.give_way
        if way.resume is None:
            self.mouth.cut(list(self.mouth.queue), "caller")
            return
        self.mouth.hold(True, False)
        self._give_way = self.time.after(way.resume, self._reconsider)

    def _reconsider(self, taken: bool = False) -> None:
        """Without words it was a false interruption."""
        if self._give_way is not None:
            self._give_way.cancel()
        if taken or self._hearing_words:
            self.mouth.cut(list(self.mouth.queue), "caller")
        self.mouth.hold(False, False)

    # -- as the runtime's conversation

    def _answer(self, turn: Turn) -> None:
        if self._reply is not None and not self._reply.done:
            self.mouth.cut([self._reply], "superseded")
        plan = self._plan()
        words = tuple(("", 0) for _ in range(plan.words))
        reply = Utterance(
            f"u{next(self._ids)}",
            words,
            self.call.on_reply[self._replies % len(self.call.on_reply)],
            self.now,
            self.now + plan.delay,
            reply_to=turn.id,
            question=plan.question,
        )
        self._replies += 1
        self._reply = reply
        self.said.append(reply)
        self.mouth.say(reply)

    def _plan(self) -> ReplyPlan:
        return self.call.replies[self._replies % len(self.call.replies)]

    def _response(self, result: str) -> Response:
        """What the caller does on this telling of the result."""
        if not result:
            return self.call.on_reply[(self._replies + 31) % len(self.call.on_reply)]
        told = self._results_said.get(result, 0)
        self._results_said[result] = told + 1
        return self.call.on_result[(int(result[1:]) * 4 + min(told, 3)) % len(self.call.on_result)]

    def _over(self, utterance: Utterance) -> None:
        if utterance.started is not None:
            self._stated_at = float("-inf") if utterance.question else self.now
        self.policy.over(utterance)

    def _begins(self, utterance: Utterance) -> None:
        """The first sample of an utterance is at the ear."""
        if utterance.reply_to is None:
            owed = self._reply is not None and not self._reply.done and utterance is not self._reply
            self.onsets.append(Onset(utterance, self.now, self.caller.speaking, self.caller.paused, owed))


@dataclass(frozen=True, slots=True)
class Onset:
    """The first sample of a delivery, with what is said before it, and the truth about the caller at that moment."""

    utterance: Utterance
    at: float
    speaking: bool
    paused: bool
    owed: bool
    """The reply to their last turn had not been spoken."""
