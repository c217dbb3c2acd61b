"""Replies: what a model says and calls of its own accord, handed to whoever is making an utterance of it, in order.

The floor stays the authority. The rulings:

- What the model says after a turn belongs to that turn's reply, and waits until that is asked for.
- What it says when no reply is owed (its greeting, after a result that came late, a second reply) is said as an
  utterance of its own, after what is being said: `unasked` is called, and is to have one made.
- What it says to a turn that we dropped (an "mm-hm") or that is not answered (a hook refused it, a human has the
  conversation) is not heard, and it is told so; unless the model had been cut short by that very "mm-hm": then it is
  the rest of what it was saying.
- What it began before a caller's turn ended is stale when that turn cuts it: it is dropped wherever it waits.
- A function that it calls is run in any case: callers who cut in stop no work.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from voice.provider_error import Cause, ProviderError
from voice.realtime.link import Link
from voice.realtime.session import FunctionCalled
from voice.realtime.take import Take

log = logging.getLogger("sottovoce.realtime")

TOGETHER = 0.05
"""Seconds within which functions that are called one after the other count as called at once."""
STALLED = 20.0
"""Seconds without a word or a sound in the middle of what it says, after which a model is given up."""
MAX_WAITING = 10_000
"""Most words and calls that wait for somebody to read them."""
NOBODY = "error: nobody can do that here"


class Voice:
    """Whoever makes an utterance of what the model says. `turn`: the caller's turn that it answers; `reading`: the
    reply in it, while that is read."""

    turn: str | None = None
    reading: Reading | None = None
    has_read: bool = False

    def take_up(self, take: Take) -> None:
        """The sound of this take is the utterance's next."""
        raise NotImplementedError

    def handed(self, take: Take) -> None:
        """Words of this take were handed to whoever makes the utterance's text."""
        raise NotImplementedError


@dataclass(eq=False, slots=True)
class Reading:
    """One reply as it is read. `turns`: how many turns of callers had ended, the last of them the one it answers."""

    turns: int
    goes_on: bool = False
    """A function was called: what the model says next belongs to it."""
    told: int = 0
    """What was there when the model was told what its functions came to."""
    called: bool = False
    take: Take | None = None
    taken: set[Take] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Event:
    number: int
    turns: int
    what: Take | FunctionCalled
    text: str | None = None
    """Words of the take; None: it begins, or it has ended."""
    ended: bool = False

    def of(self, takes: set[Take]) -> bool:
        """It belongs to one of these."""
        return isinstance(self.what, Take) and self.what in takes


VOICE: ContextVar[Voice | None] = ContextVar("sottovoce_voice", default=None)
"""Who makes the utterance for which text is being read in this task."""


class Replies:
    """Of one channel. `patience`: seconds after which a model that is silent has nothing to say."""

    def __init__(self, link: Link, patience: float) -> None:
        self._link = link
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._events: deque[_Event] = deque()
        self._count = 0
        self._news = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._reading: Reading | None = None
        self._turns = 0
        self._awaited: dict[str, int] = {}
        """Turns whose replies have not been asked for, with their numbers."""
        self._missed: dict[str, ProviderError] = {}
        """Turns of which the model knows nothing any more."""
        self._unwanted_until = float("-inf")
        """What the model begins to say until then is an answer that nobody wants."""
        self._results: dict[str, str] = {}
        """What functions came to of which the model is not told yet."""
        self._asked: int | None = None
        """Somebody was asked to make an utterance of what waits, after so many turns."""
        self._passed_over = False
        """An utterance that was to be made of it was cut before it was begun; the floor has not changed since."""
        self._error: ProviderError | None = None
        self.may: Callable[[], bool] = lambda: True
        """Whether anything could be heard now: somebody is there, and no caller speaks."""
        self.unasked: Callable[[], bool] = lambda: False
        """Called when the model says something, or calls a function, while no reply is owed; False: nobody wants it."""

    # -- for whoever makes the utterance's text

    async def reply(self) -> AsyncGenerator[str | FunctionCalled, None]:
        """What the model says next, in pieces. It ends where the reply does, or after the functions that it calls: when
        these have been run (`result`), it is to be asked again.

        To be read only in the making of an utterance (`channel.say`). Raises ProviderError when the session is lost.
        """
        voice = VOICE.get()
        if voice is None:
            raise RuntimeError("what the model says can be read only by the text of an utterance: channel.say(...)")
        reading = await self._begun(voice)
        last = ""
        while (event := await self._next(reading)) is not None:
            match event.what:
                case FunctionCalled() as call:
                    yield call
                    while (more := await self._called_too()) is not None:
                        yield more
                    reading.goes_on = reading.called = True
                    return
                case Take() as take if event.text is not None:
                    voice.handed(take)
                    yield (" " if _apart(last, event.text) else "") + event.text
                    last = event.text
                case Take() as take if event.ended:
                    reading.take = None
                    if take.error is not None:
                        raise take.error
                    if take.cut or not reading.goes_on:
                        return
                case Take() as take:
                    reading.take = take
                    reading.taken.add(take)
                    reading.goes_on = reading.goes_on and event.number < reading.told
                    voice.take_up(take)

    def result(self, call: str, text: str) -> None:
        """What a function came to. The model is told when the reply goes on, or is over."""
        if self._reading is None:
            self._link.answer(call, text)
        else:
            self._results[call] = text

    def close(self, voice: Voice, *, cut: bool) -> None:
        """The utterance is made, or (`cut`) not to be heard: what it left unread is others', or nobody's."""
        reading, voice.reading = voice.reading, None
        if reading is None or reading is not self._reading:
            return
        self._events = deque(event for event in self._events if not event.of(reading.taken))
        if cut:
            if reading.take is not None:
                reading.take.dropped = True
            self._drop(lambda take: take.turns <= reading.turns)
        self._reading = None
        self._answer()
        self._free.set()
        self._offer()

    # -- what happens in the session

    def began(self, take: Take) -> None:
        """The model says something of its own."""
        take.turns = self._turns
        if not self._wanted():
            self._unwanted_until = float("-inf")
            self._link.cut(take, "")
            return
        self._put(take)

    def worded(self, take: Take, text: str) -> None:
        """The next words of it."""
        if take.line is None and not take.dropped:
            self._put(take, text)

    def finished(self, take: Take) -> None:
        """It is over."""
        if take.line is None and not take.dropped:
            self._put(take, ended=True)

    def called(self, call: FunctionCalled) -> None:
        """It calls a function."""
        if self._wanted():
            self._put(call)
        else:
            self._link.answer(call.id, NOBODY)

    def lost(self, error: ProviderError) -> None:
        """The session is lost: nothing more comes of what was under way in it."""
        self._results.clear()
        self._events = deque(event for event in self._events if isinstance(event.what, Take))
        if not self._events:
            self._missed.update(dict.fromkeys(self._awaited, error))
        if self._reading is not None:
            self._error = error
            self._news.set()

    # -- what callers do

    def owe(self, turn: str) -> None:
        """A caller's turn has ended."""
        if not self._awaited and self._reading is None:
            self._drop(lambda take: True)  # it was begun before that
        self._turns += 1
        self._awaited[turn] = self._turns
        self._unwanted_until = float("-inf")

    def settle(self, turn: str) -> None:
        """Nothing (more) is to be said to this turn."""
        self._missed.pop(turn, None)
        if turn in self._awaited:
            del self._awaited[turn]
            if not self._awaited and self._reading is None:
                self.refuse()

    def refuse(self) -> None:
        """What the model says to what it has just heard is not wanted."""
        last = self._link.newest
        if last is not None and last.cut and last.turns == self._turns and not self._events:
            return  # it goes on with what it was saying
        if not self._drop(lambda take: take.turns <= self._turns):
            self._unwanted_until = self._loop.time() + self._patience
        for event in self._events:
            if isinstance(event.what, FunctionCalled):
                self._link.answer(event.what.id, NOBODY)
        self._events.clear()

    def pass_over(self) -> None:
        """The utterance that was to be made of what the model says unasked was cut before it was begun."""
        if self._asked is not None:
            turns, self._asked, self._passed_over = self._asked, None, True
            self._drop(lambda take: take.turns <= turns)

    def reconsider(self) -> None:
        """The floor has changed: what waits may be wanted now."""
        self._passed_over = False
        self._offer()

    # -- inside

    def _put(self, what: Take | FunctionCalled, text: str | None = None, *, ended: bool = False) -> None:
        if len(self._events) >= MAX_WAITING:
            log.error("nobody reads what the model says; %r is dropped", text or what)
            return
        self._count += 1
        turns = what.turns if isinstance(what, Take) else self._turns
        self._events.append(_Event(self._count, turns, what, text, ended))
        self._news.set()
        self._offer()

    def _wanted(self) -> bool:
        return self._reading is not None or self._loop.time() >= self._unwanted_until

    def _offer(self) -> None:
        """If nobody is going to ask for what waits, somebody has to be asked to."""
        owed = self._reading is not None or self._awaited or self._asked is not None
        if self._events and not owed and not self._passed_over and self.may():
            self._asked = self._turns
            if not self.unasked():
                self._asked = None
                self.refuse()

    def _drop(self, stale: Callable[[Take], bool]) -> bool:
        """Nobody is to hear these takes; whether there were any."""
        takes = {e.what for e in self._events if isinstance(e.what, Take) and stale(e.what)}
        for take in takes:
            self._link.cut(take, "")
        self._events = deque(event for event in self._events if not event.of(takes))
        return bool(takes)

    async def _begun(self, voice: Voice) -> Reading:
        """The reading of this utterance; its turn comes when the one before is over."""
        if voice.reading is None:
            while self._reading is not None:
                self._free.clear()
                await self._free.wait()
            turn, voice.has_read = voice.turn or "", True
            voice.reading = self._reading = Reading(self._awaited.pop(turn, self._turns))
            self._asked = self._error = None
            error = self._missed.pop(turn, self._link.error)
            if error is not None and not self._events:
                raise error
        reading = voice.reading
        if reading.called:
            self._answer()
            reading.called, reading.told = False, self._count + 1
        return reading

    def _answer(self) -> None:
        results, self._results = self._results, {}
        for call, text in results.items():
            self._link.answer(call, text)

    async def _next(self, reading: Reading) -> _Event | None:
        """What comes next in this reply; None: nothing does."""
        while not self._events:
            if self._error is not None:
                raise self._error
            self._news.clear()
            take = reading.take
            before = take.samples if take else 0
            try:
                async with asyncio.timeout(STALLED if take else self._patience):
                    await self._news.wait()
            except TimeoutError:
                if take is None:
                    return None
                if take.samples == before:
                    raise ProviderError("the realtime model", Cause.TIMEOUT, "it stopped in mid-reply") from None
        event = self._events[0]
        if event.turns > reading.turns and reading.take is None:
            return None  # that belongs to a later turn
        return self._events.popleft()

    async def _called_too(self) -> FunctionCalled | None:
        """Another function that is called at the same time."""
        if not self._events:
            self._news.clear()
            try:
                async with asyncio.timeout(TOGETHER):
                    await self._news.wait()
            except TimeoutError:
                return None
        if not self._events or not isinstance(call := self._events[0].what, FunctionCalled):
            return None
        self._events.popleft()
        return call


def _apart(before: str, text: str) -> bool:
    """Whether a blank is missing between whole sentences."""
    return before[-1:] in tuple(".!?…:;,") and text[:1].isalpha()
