"""Speaking: what is said, one utterance after the other, to all who hear; silent at once when a caller takes the floor.

A caller's voice pauses us; what it turns out to be decides: words cut what we say and everything behind it, a noise or
an "mm-hm" lets us go on from the same word. Every utterance ends, and says how.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from voice.alarm import Alarm
from voice.events import Event, ReplySettled, SpeakingEnded, SpeakingPlanned, Turn
from voice.leg import FRAME_SAMPLES
from voice.playout import LEAD, Clear, Finish, Over, Playout, PlayoutAction, Send
from voice.utterance import SpokenUtterance


class Outlet(Protocol):
    """A listener's end of the line, as the speaker sees it. Nothing here blocks or raises."""

    @property
    def receipts(self) -> bool:
        """Whether it says what was played."""
        ...

    @property
    def jitter(self) -> float:
        """Seconds it holds back before it plays."""
        ...

    def send(self, utterance: SpokenUtterance, sending: Send) -> None: ...
    def finish(self, finishing: Finish) -> None: ...
    def clear(self, clearing: Clear) -> None: ...


class Work(Protocol):
    """The making of an utterance's text and sound: `voice.making.Making`, or another."""

    demand: asyncio.Event
    """Set when some of the sound has been sent."""

    async def run(self) -> None:
        """Make all of it. Returns when that is done, or failed (`utterance.failed`)."""
        ...


Make = Callable[[SpokenUtterance, Callable[[int], None]], Work]
"""Sets to work on an utterance; the function is to be told of each stretch of sound that can be played (samples)."""


class Speaker:
    """The queue of utterances, and the outlets by caller. `feed` takes its events, `ended` each one that is over."""

    def __init__(
        self,
        make: Make,
        feed: Callable[[Event], None],
        ended: Callable[[SpokenUtterance], None],
        group: asyncio.TaskGroup,
        *,
        lead: float = LEAD,
        frame: int = FRAME_SAMPLES,
    ) -> None:
        """`make` sets to work on an utterance's sound. `lead` (seconds) and `frame` (samples): see `Playout`."""
        self._make_sound = make
        self._feed = feed
        self._ended = ended
        self._group = group
        self._lead, self._frame = lead, frame
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._ring)
        self._streams = itertools.count(1)
        self._outlets: dict[str, Outlet] = {}
        self._queue: deque[SpokenUtterance] = deque()
        self._making: dict[str, tuple[Work, asyncio.Task[None]]] = {}
        self._todo: deque[tuple[SpokenUtterance, PlayoutAction]] = deque()
        self._working = self._ungoverned = False
        self._held = self._nods = False
        self._taker: str | None = None

    @property
    def current(self) -> SpokenUtterance | None:
        """What is being said, paused, or about to be said."""
        return self._queue[0] if self._queue else None

    def reply_to(self, turn: Turn) -> SpokenUtterance | None:
        """What is being said, or waits to be said, in reply to `turn`."""
        return next((u for u in self._queue if u.reply_to is not None and u.reply_to.id == turn.id), None)

    def playout(self, id: str, to: str | None) -> Playout:
        """A playout for a new utterance."""
        return Playout(id, self._streams.__next__, to, lead=self._lead, frame=self._frame)

    # -- what to say

    def say(self, utterance: SpokenUtterance) -> None:
        """Say it after the others; one `ahead` before those that have not begun, one with `over` at once."""
        current = self.current
        if not utterance.ahead or current is None:
            self._queue.append(utterance)
        elif current.playout.begun:
            self._queue.insert(1, utterance)
            if utterance.over:
                self._cut([current], "over")
        else:
            self._do(current, current.playout.pause(self._loop.time()))
            self._queue.appendleft(utterance)
        self._feed(SpeakingPlanned(utterance.id))
        self._govern()

    def stop(self, utterance: SpokenUtterance, reason: str) -> None:
        """Cut this one."""
        if not utterance.done:
            self._cut([utterance], reason)

    def interrupt(self, by: str) -> None:
        """A caller takes the floor: cut what is being said and all that waits; except what was meant to be said over
        them, and replies to others that have not begun: those are still wanted."""
        if (current := self.current) and not current.exempt:
            self._cut([u for u in self._queue if not u.exempt and not self._awaited(u, by)], by)

    def forsake(self, caller: str) -> None:
        """A caller is gone: replies to them that have not begun need not be said."""
        mine = [u for u in self._queue if u.reply_to is not None and u.reply_to.caller == caller]
        self._cut([u for u in mine if not u.playout.begun], "hang_up")

    def unconfirmed(self, id: str) -> None:
        """No receipt came for this utterance: it is given up."""
        for utterance in [u for u in self._queue if u.id == id]:
            utterance.confirmed = False
            self._cut([utterance], None)

    def hold(self, held: bool, taker: str | None = None, *, nods: bool = False) -> None:
        """Whether a caller holds the floor now; `taker`: and who of them has said real words; `nods`: and has only
        shown that they listen, so that what has begun goes on."""
        if (held, taker, nods) == (self._held, self._taker, self._nods):
            return
        if held and not self._held:
            for utterance in self._queue:
                utterance.exempt = utterance.exempt and not utterance.playout.begun
        self._held, self._taker, self._nods = held, taker, nods
        self._govern()

    def close(self) -> None:
        """The channel closes: everything ends, answered or not."""
        self._alarm.set(None)
        for utterance in list(self._queue):
            utterance.cut_by = utterance.cut_by or "hang_up"
            self._finish(utterance, complete=False)

    # -- who hears it

    def open(self, caller: str, outlet: Outlet) -> None:
        """A caller hears from now on."""
        self._outlets[caller] = outlet
        if current := self.current:
            self._do(current, current.playout.open_ear(caller, outlet.jitter, outlet.receipts, self._loop.time()))

    def shut(self, caller: str) -> None:
        """A caller hears no more."""
        self._outlets.pop(caller, None)
        current = self.current
        self._cut([u for u in self._queue if self._loses_ear(u, caller)], "hang_up")
        if current is not None:
            self._do(current, current.playout.close_ear(caller, self._loop.time()))

    def receive(self, caller: str, stream: int, samples: int, flushed: bool) -> None:
        """A receipt from a caller's ear."""
        if current := self.current:
            self._do(current, current.playout.receive(caller, stream, samples, flushed, self._loop.time()))

    # -- inside

    @staticmethod
    def _awaited(utterance: SpokenUtterance, by: str) -> bool:
        """Somebody else than this caller waits for it, and has not heard anything of it."""
        turn = utterance.reply_to
        return turn is not None and turn.caller != by and not utterance.playout.begun

    def _loses_ear(self, utterance: SpokenUtterance, caller: str) -> bool:
        """Without this caller nobody hears it for whom it is meant. Who comes late hears it, but not from the start."""
        if not self._outlets or utterance.to == caller:
            return True
        return utterance.playout.begun and utterance.playout.followers <= {caller}

    def _govern(self) -> None:
        """Begin, pause or go on with what is first in the queue."""
        self._ungoverned = True
        self._work()

    def _decide(self) -> None:
        current = self.current
        if current is None:
            return
        if not self._outlets or current.to not in (None, *self._outlets):
            self._cut([current], "hang_up")
            return
        for utterance in itertools.islice(self._queue, 2):
            self._make(utterance)
        playout, now = current.playout, self._loop.time()
        if not self._held or current.exempt or (self._nods and playout.begun):
            for caller, outlet in self._outlets.items():
                if not playout.begun and caller not in playout.ears:
                    self._do(current, playout.open_ear(caller, outlet.jitter, outlet.receipts, now))
            current.due.set()
            self._do(current, playout.play(now))
        else:
            current.due.clear()
            self._do(current, playout.pause(now))
            if self._taker is not None:
                self.interrupt(self._taker)

    def _make(self, utterance: SpokenUtterance) -> None:
        """Set to work on it."""
        if utterance.id in self._making:
            return

        def made(samples: int) -> None:
            self._do(utterance, utterance.playout.make(samples, self._loop.time()))

        async def work() -> None:
            await making.run()
            if not utterance.done:
                self._do(utterance, utterance.playout.end(self._loop.time()))

        making = self._make_sound(utterance, made)
        self._making[utterance.id] = (making, self._group.create_task(work(), name=f"making {utterance.id}"))

    def _cut(self, utterances: Iterable[SpokenUtterance], reason: str | None) -> None:
        for utterance in utterances:
            utterance.cut_by = utterance.cut_by or reason
            if utterance.id in self._making:
                self._making[utterance.id][1].cancel()
            self._do(utterance, utterance.playout.cut(self._loop.time()))

    def _ring(self) -> None:
        if current := self.current:
            self._do(current, current.playout.expire(self._loop.time()))

    def _do(self, utterance: SpokenUtterance, actions: Iterable[PlayoutAction]) -> None:
        """Carry out what a playout asks for; what that causes comes after it."""
        self._todo.extend((utterance, action) for action in actions)
        self._work()

    def _work(self) -> None:
        """Do what there is to do, unless that is being done further up the stack."""
        if self._working:
            return
        self._working = True
        try:
            while self._todo or self._ungoverned:
                if self._todo:
                    self._act(*self._todo.popleft())
                else:
                    self._ungoverned = False
                    self._decide()
        finally:
            self._working = False
        self._alarm.set(self.current.playout.deadline() if self.current else None)

    def _act(self, utterance: SpokenUtterance, action: PlayoutAction) -> None:
        match action:
            case Send(ear=ear):
                if outlet := self._outlets.get(ear):
                    outlet.send(utterance, action)
                if utterance.id in self._making:
                    self._making[utterance.id][0].demand.set()
            case Finish(ear=ear):
                if outlet := self._outlets.get(ear):
                    outlet.finish(action)
            case Clear(ear=ear):
                if outlet := self._outlets.get(ear):
                    outlet.clear(action)
            case Over(complete):
                self._finish(utterance, complete=complete)
                self._govern()
            case _:
                self._feed(action)

    def _finish(self, utterance: SpokenUtterance, *, complete: bool) -> None:
        """It is over: say so, and go on with the next."""
        if utterance not in self._queue:
            return
        self._queue.remove(utterance)
        if work := self._making.pop(utterance.id, None):
            work[1].cancel()
        utterance.finish(self._loop.time(), complete=complete)
        if utterance.complete and utterance.asks:  # what only wanted to be ahead of a reply does not follow a question
            self._cut([u for u in self._queue if u.ahead and not u.over], "question")
        self._ended(utterance)
        if utterance.reply_to is not None and self.reply_to(utterance.reply_to) is None:
            self._feed(ReplySettled(utterance.reply_to.id))
        self._feed(SpeakingEnded(utterance.id, question=utterance.complete and utterance.asks))
