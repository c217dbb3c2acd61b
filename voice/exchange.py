"""The exchange: what every channel does alike. Turns are taken, utterances said, and both give way to each other.

It knows no audio: a channel puts callers on it (`enter`), tells it what they do, and gives it a way to make sound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from voice.backchannels import is_backchannel, takes_floor
from voice.channel import APOLOGY, UNHEARD, Caller, Capabilities, Listener, Text, Utterance, random_id
from voice.ear import Ear
from voice.events import (
    Deafened,
    Deafness,
    Dropped,
    Event,
    Joined,
    Left,
    ReplySettled,
    SpeechStarted,
    Turn,
    TurnDropped,
    TurnEnded,
    WordsHeard,
)
from voice.floor import (
    Blocker,
    CallerGone,
    FloorAction,
    FloorChanged,
    FloorState,
    FloorTimes,
    FloorView,
    PlayoutUnconfirmed,
    ReplyOverdue,
)
from voice.leg import FRAME_SAMPLES
from voice.making import Making, Synthesize
from voice.playout import LEAD
from voice.speaking import Make, Outlet, Speaker
from voice.utterance import SpokenUtterance
from voice.watch import Watch

log = logging.getLogger("sottovoce.channel")

REGRET = 20.0
"""Seconds between two times that a caller is told that they are not understood."""
AFTERMATH = 2.0
"""Seconds after a statement of ours in which a mere "okay" only acknowledges it."""
_TALKS = (Blocker.CALLER_SPEAKING, Blocker.CALLER_PAUSED)
_HOLDS = (*_TALKS, Blocker.DIGITS)


class Exchange:
    """Implements `voice.channel.Channel`. Use as `async with`; tasks live in its group, and end with it."""

    capabilities = Capabilities()

    def __init__(
        self,
        *,
        times: FloorTimes | None = None,
        apology: str = APOLOGY,
        new_id: Callable[[str], str] = random_id,
        lead: float = LEAD,
        frame: int = FRAME_SAMPLES,
    ) -> None:
        """`apology` is said when a reply fails or does not come in time ("": nothing is). `new_id(kind)` names turns
        and utterances. `lead` and `frame`: see `Playout`."""
        self._times = times or FloorTimes()
        self._apology = apology
        self._new_id = new_id
        self._pace = (lead, frame)
        self._callers: dict[str, Caller] = {}
        self._ears: dict[str, Ear] = {}
        self._takers: dict[str, None] = {}
        self._talking: dict[str, bool] = {}
        """Callers whose turn is not over; True: no more was heard of it than that they listen."""
        self._turns: asyncio.Queue[Turn | None] = asyncio.Queue()
        self._reading = False
        self._open = False
        self._stated_at = float("-inf")
        """When a statement of ours was last played out."""
        self._regretted: dict[str, float] = {}
        """When callers were last told that they are not understood."""
        self._excused: set[str] = set()
        """Turns whose reply failed, while we apologise for it."""
        self._loop: asyncio.AbstractEventLoop
        self._group: asyncio.TaskGroup
        self._watch: Watch
        self._speaker: Speaker

    def _synthesizer(self) -> Synthesize:
        """How this channel makes sound of a sentence."""
        raise NotImplementedError

    def _maker(self) -> Make:
        """Who makes the sound of utterances."""
        synthesize = self._synthesizer()
        return lambda utterance, made: Making(utterance, synthesize, made)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        owns_turns = self.capabilities.owns_turns
        self._watch = Watch(self._times, self._react, self._follow, owns_turns=owns_turns)
        lead, frame = self._pace
        self._speaker = Speaker(self._maker(), self._watch.feed, self._ended, self._group, lead=lead, frame=frame)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._speaker.close()
        self._watch.close()
        self._turns.put_nowait(None)
        if not isinstance(error, asyncio.CancelledError):
            kind = error = trace = None  # the group would wrap what is raised inside `async with` in a group of its own
        await self._group.__aexit__(kind, error, trace)

    # -- voice.channel.Channel

    @property
    def floor(self) -> FloorView:
        """The floor as it stands now."""
        self._check_open()
        return self._watch.view

    @property
    def callers(self) -> Mapping[str, Caller]:
        """Who is in the room, by id."""
        return self._callers

    async def turns(self) -> AsyncIterator[Turn]:
        """The callers' turns as they end, until the channel is closed. Raises RuntimeError for a second reader."""
        if self._reading:
            raise RuntimeError("the turns of a channel have one reader; listen() serves any number of others")
        self._reading = True
        try:
            while (turn := await self._turns.get()) is not None:
                yield turn
            self._turns.put_nowait(None)
        finally:
            self._reading = False

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` every event and every change of the floor."""
        self._check_open()
        return self._watch.listen(listener)

    def say(
        self,
        text: Text,
        *,
        reply_to: Turn | None = None,
        to: str | None = None,
        over: bool = False,
        ahead: bool = False,
    ) -> Utterance:
        """Say `text` after what is being said now; see `voice.channel.Channel.say`."""
        self._check_open()
        id = self._new_id("utterance")
        playout = self._speaker.playout(id, to)
        utterance = SpokenUtterance(id, text, playout, reply_to=reply_to, to=to, over=over, ahead=ahead)
        self._speaker.say(utterance)
        return utterance

    def stop(self, utterance: Utterance, reason: str = "stopped") -> None:
        """Cut `utterance` at the ear."""
        if self._open and isinstance(utterance, SpokenUtterance):
            self._speaker.stop(utterance, reason)

    def settle(self, turn: Turn) -> None:
        """There is nothing (more) to say to `turn`."""
        if self._open:
            self._watch.feed(ReplySettled(turn.id))

    def send_panel(self, kind: str, payload: Mapping[str, Any], to: str | None = None) -> None:
        """Show something to those who can see: nobody, unless the channel says otherwise."""

    # -- for those who bring callers: who is there, and what they do

    def tell(self, event: Event) -> None:
        """A caller did something. Once the channel is closed nobody is left to be told."""
        if self._open:
            self._watch.feed(event)

    def receive(self, caller: str, stream: int, samples: int, flushed: bool) -> None:
        """A receipt came: the caller's ear has had `samples` of audio stream `stream`."""
        self._speaker.receive(caller, stream, samples, flushed)

    def enter(self, caller: Caller, ear: Ear, outlet: Outlet) -> None:
        """A caller is in the room and hears."""
        self._callers[caller.id] = caller
        self._ears[caller.id] = ear
        self._speaker.open(caller.id, outlet)
        self._watch.feed(Joined(caller.id))

    def hear_again(self, caller: str, outlet: Outlet) -> None:
        """A caller who did not hear for a while does again."""
        self._speaker.open(caller, outlet)
        self._watch.feed(Joined(caller))

    def deafen(self, caller: str, why: Deafness) -> None:
        """A caller is in the room but does not hear."""
        self._watch.feed(Deafened(caller, why))

    def leave(self, caller: str) -> None:
        """A caller is gone for good."""
        if caller in self._callers:
            self._watch.feed(Left(caller))

    # -- what follows from what happens

    def _react(self, event: Event, before: FloorView) -> None:
        match event:
            case SpeechStarted(caller):
                self._talking[caller] = False
                if ear := self._ears.get(caller):
                    ear.answering = self._answers(before)
            case WordsHeard(caller, text):
                self._notice_nod(caller, text)
                if caller not in self._takers and self._counts(caller, text):
                    self._takers[caller] = None
                    self._speaker.interrupt(caller)
            case TurnEnded(turn):
                self._forget_words(turn.caller)
                self._speaker.interrupt(turn.caller)
                self._turns.put_nowait(turn)
            case TurnDropped(caller, why):
                self._forget_words(caller)
                if why is Dropped.UNHEARD:
                    self._regret(caller)
            case Left(caller) | Deafened(caller):
                self._forget_words(caller)
                self._speaker.shut(caller)
                if isinstance(event, Left):
                    self._speaker.forsake(caller)
                    self._callers.pop(caller, None)
                    self._regretted.pop(caller, None)
                    self._ears.pop(caller, None)
            case _:
                pass
        self._govern()

    def _regret(self, caller: str) -> None:
        """No recogniser works: a caller who speaks is told so, now and then, so that they do not talk to nobody."""
        now = self._loop.time()
        if self._apology and caller in self._callers and now >= self._regretted.get(caller, float("-inf")) + REGRET:
            self._regretted[caller] = now
            self.say(UNHEARD, to=caller)

    def _forget_words(self, caller: str) -> None:
        self._takers.pop(caller, None)
        self._talking.pop(caller, None)

    def _notice_nod(self, caller: str, text: str) -> None:
        """As soon as a voice is known to say "mm-hm" there is no reason to be silent for it any longer."""
        ear = self._ears.get(caller)
        if ear is not None and ear.in_turn and caller in self._talking:
            goes_on = self._talking[caller] and not takes_floor(text)  # "yeah" may yet become "yeah, I see"
            self._talking[caller] = ear.sure and not ear.answering and (goes_on or is_backchannel(text))

    def _counts(self, caller: str, text: str) -> bool:
        """Whether these words take the floor; what is not sure yet is left to the end of the turn."""
        ear = self._ears.get(caller)
        return ear is not None and ear.sure and (takes_floor(text) or (ear.answering and is_backchannel(text)))

    def _answers(self, before: FloorView) -> bool:
        """Whether a mere "yeah" that begins now would be an answer."""
        if before.blocker is Blocker.QUESTION:
            return True
        current = self._speaker.current
        if current is not None:
            return current.started is not None and current.asking
        owed = before.state is FloorState.AGENT_OWES
        return not owed and self._loop.time() >= self._stated_at + AFTERMATH

    def _govern(self) -> None:
        """Let the speaker know who has the floor."""
        view = self._watch.view
        taker = next(iter(self._takers), None) if view.blocker in _TALKS else None
        nods = view.blocker in _TALKS and bool(self._talking) and all(self._talking.values())
        self._speaker.hold(view.blocker in _HOLDS, taker, nods=nods)

    def _follow(self, action: FloorAction) -> None:
        match action:
            case FloorChanged():
                self._govern()
            case PlayoutUnconfirmed(utterance):
                log.warning("no receipt came for utterance %s: what was heard of it is not known", utterance)
                self._speaker.unconfirmed(utterance)
            case CallerGone(caller):
                self.leave(caller)
            case ReplyOverdue(turn):
                self._excuse(turn)

    def _excuse(self, turn: Turn) -> None:
        """The reply to a turn did not come in time."""
        log.warning("no reply to turn %s came in time", turn.id)
        if reply := self._speaker.reply_to(turn):
            self._speaker.stop(reply, "failed")
        elif not self._apologize(turn):
            self._watch.feed(ReplySettled(turn.id))

    def _ended(self, utterance: SpokenUtterance) -> None:
        """An utterance is over; a reply that failed is apologised for, which takes its place, but only once."""
        if utterance.started is not None:
            self._stated_at = float("-inf") if utterance.asks else self._loop.time()
        if (turn := utterance.reply_to) is None:
            return
        if turn.id in self._excused:
            self._excused.discard(turn.id)
        elif utterance.interrupted_by == "failed" and self._open:
            self._apologize(turn)

    def _apologize(self, turn: Turn) -> bool:
        """Say sorry instead of the reply. False: nobody wants to, or is there to hear it."""
        if not self._apology or turn.caller not in self._callers:
            return False
        self._excused.add(turn.id)
        self.say(self._apology, reply_to=turn, to=turn.caller)
        return True

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("the channel is not open: use it inside `async with channel:`")
