"""A written channel: a room whose callers read and write. One thing after the other, each whole; nothing is cut.

It takes no turns of its own: whoever brings messages feeds them (`take`), and gets what is said through `send`. What
the floor, the desk and the agents see is the same as in a room with voices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from types import TracebackType
from typing import Any, Self

from voice.cancellation import cancelled_here
from voice.channel import APOLOGY, Caller, Capabilities, Listener, Text, random_id
from voice.channel import Utterance as AnyUtterance
from voice.events import (
    Event,
    Joined,
    Left,
    ReplySettled,
    SpeakingEnded,
    SpeakingHeard,
    SpeakingPlanned,
    SpeakingStarted,
    Turn,
    TurnEnded,
)
from voice.floor import FloorAction, FloorTimes, FloorView, ReplyOverdue
from voice.watch import Watch
from voice.written_floor import REPLY, WrittenFloor

log = logging.getLogger("sottovoce.channel")

Sent = Callable[["WrittenUtterance"], Awaitable[None]]
"""Hands on what is said; returns when it is with those who are to read it, raises when it is not. It must come to an
end by itself: what is said next waits for it."""


class WrittenUtterance:
    """See `voice.channel.Utterance`; it is heard when it was sent."""

    def __init__(self, id: str, source: Text, reply_to: Turn | None, to: str | None) -> None:
        self.id = id
        self.reply_to = reply_to
        self.to = to
        self.confirmed = True
        self.started: float | None = None
        self.ended: float | None = None
        self._source = source
        self._text = source if isinstance(source, str) else ""
        self._cut: str | None = None
        self._sent = False
        self._loop = asyncio.get_running_loop()
        self._done = False
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def text(self) -> str:
        return self._text

    @property
    def heard_chars(self) -> int:
        return len(self._text) if self._sent else 0

    @property
    def heard(self) -> str:
        return self._text[: self.heard_chars]

    @property
    def remainder(self) -> str:
        return self._text[self.heard_chars :]

    @property
    def done(self) -> bool:
        return self._done

    @property
    def complete(self) -> bool:
        return self._sent and self._cut is None

    @property
    def interrupted_by(self) -> str | None:
        return self._cut if self.done else None

    def __await__(self) -> Generator[Any, None, WrittenUtterance]:
        if not self._done:
            waiter = self._loop.create_future()  # each its own, so that who gives up stops nobody else
            self._waiting.append(waiter)
            yield from waiter.__await__()
        return self

    # -- for the channel

    @property
    def made(self) -> bool:
        """There is all of its text already."""
        return isinstance(self._source, str)

    async def gather(self) -> None:
        """Have all of its text. Raises what its making raises; what came before stays."""
        if isinstance(self._source, str):
            return
        try:
            async for piece in self._source:
                self._text += piece
        finally:
            if isinstance(self._source, AsyncGenerator):
                await self._source.aclose()

    @property
    def stopped(self) -> bool:
        """Nobody wants it any more."""
        return self._cut not in (None, "failed")

    def fail(self, excuse: str) -> None:
        """It could not be made; what there is of it ends with an excuse."""
        self.cut("failed")
        self._text = f"{self._text.rstrip()} {excuse}".strip()

    def cut(self, why: str) -> None:
        """It does not come to its end; the first reason stays."""
        self._cut = self._cut or why

    def finish(self, *, sent: bool) -> None:
        """It is over."""
        self._sent = sent
        if not sent:
            self.cut("failed")
        self._done = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class WrittenChannel:
    """Implements `voice.channel.Channel`. Use as `async with`; what it does lives in its task group."""

    capabilities = Capabilities()

    def __init__(self, send: Sent, *, reply: float = REPLY, apology: str = APOLOGY) -> None:
        """`apology` is said when a reply fails or does not come within `reply` seconds ("": nothing is)."""
        self._send = send
        self._reply = reply
        self._apology = apology
        self._callers: dict[str, Caller] = {}
        self._waiting: list[WrittenUtterance] = []
        self._current: WrittenUtterance | None = None
        self._gathering: asyncio.Task[None] | None = None
        self._saying: asyncio.Task[None] | None = None
        self._open = True
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop
        self._group: asyncio.TaskGroup
        self._watch: Watch

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._watch = Watch(FloorTimes(), _unmoved, self._follow, floor=WrittenFloor(self._reply))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        if self._end is not None:
            self._end.set()
        while self._waiting:
            self._waiting[0].cut("hang_up")
            self._over(self._waiting.pop(0), sent=False)
        for task in (self._saying, self._gathering):
            if task:
                task.cancel()
        self._watch.close()
        if not isinstance(error, asyncio.CancelledError):
            kind = error = trace = None  # the group would wrap what is raised inside `async with` in a group of its own
        await self._group.__aexit__(kind, error, trace)

    # -- voice.channel.Channel

    @property
    def floor(self) -> FloorView:
        """The floor as it stands now."""
        return self._watch.view

    @property
    def callers(self) -> Mapping[str, Caller]:
        """Who reads, by id."""
        return self._callers

    async def turns(self) -> AsyncIterator[Turn]:
        """None: whoever brings a message sees to its answer. Ends when the channel is closed."""
        self._end = self._end or asyncio.Event()
        if self._open:
            await self._end.wait()
        none: tuple[Turn, ...] = ()
        for turn in none:
            yield turn

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` every event and every change of the floor."""
        return self._watch.listen(listener)

    def say(
        self,
        text: Text,
        *,
        reply_to: Turn | None = None,
        to: str | None = None,
        over: bool = False,
        ahead: bool = False,
    ) -> AnyUtterance:
        """Write `text` after what is being written now; `over` and `ahead`: before what waits."""
        if not self._open:
            raise RuntimeError("the channel is not open: use it inside `async with channel:`")
        utterance = WrittenUtterance(random_id("utterance"), text, reply_to, to)
        if over or ahead:
            self._waiting.insert(0, utterance)
        else:
            self._waiting.append(utterance)
        self._watch.feed(SpeakingPlanned(utterance.id))
        if self._saying is None:
            self._saying = self._group.create_task(self._say_all(), name="what is written")
        return utterance

    def stop(self, utterance: AnyUtterance, reason: str = "stopped") -> None:
        """Not to be written any more; what is on its way to its readers already is."""
        if not isinstance(utterance, WrittenUtterance) or utterance.done:
            return
        if utterance in self._waiting:
            self._waiting.remove(utterance)
            utterance.cut(reason)
            self._over(utterance, sent=False)
        elif utterance is self._current and self._gathering:
            utterance.cut(reason)
            self._gathering.cancel()

    def settle(self, turn: Turn) -> None:
        """There is nothing (more) to say to `turn`."""
        self._watch.feed(ReplySettled(turn.id))

    def send_panel(self, kind: str, payload: Mapping[str, Any], to: str | None = None) -> None:
        """Nobody looks on here."""

    # -- for those who bring callers and messages

    def enter(self, caller: Caller) -> None:
        """Somebody reads from now on."""
        if caller.id not in self._callers:
            self._callers[caller.id] = caller
            self._watch.feed(Joined(caller.id))

    def leave(self, caller: str) -> None:
        """Somebody does not read any more."""
        if self._callers.pop(caller, None):
            self._watch.feed(Left(caller))

    def take(self, turn: Turn) -> None:
        """Somebody wrote: a reply is owed."""
        self.tell(TurnEnded(turn))

    def tell(self, event: Event) -> None:
        """Something happened."""
        if self._open:
            self._watch.feed(event)

    # -- inside

    async def _say_all(self) -> None:
        while self._waiting:
            utterance = self._current = self._waiting.pop(0)
            sent = False
            try:
                sent = await self._say(utterance)
            except asyncio.CancelledError:
                utterance.cut("hang_up")
                raise
            finally:
                self._current = None
                self._over(utterance, sent=sent)
        self._saying = None

    async def _say(self, utterance: WrittenUtterance) -> bool:
        """Whether it was sent, as far as it was made."""
        if not utterance.made:
            await self._make(utterance)
        if utterance.stopped or not utterance.text.strip():
            return not utterance.stopped
        self._watch.feed(SpeakingStarted(utterance.id))
        utterance.started = self._loop.time()
        try:
            await self._send(utterance)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_here():
                raise
            log.warning("utterance %s was not sent: %s", utterance.id, str(error) or type(error).__name__)
            return False
        utterance.ended = self._loop.time()
        self._watch.feed(SpeakingHeard(utterance.id, len(utterance.text)))
        return True

    async def _make(self, utterance: WrittenUtterance) -> None:
        """Have all of its text, in a task that can be broken off. If that fails an excuse is its end."""
        making = self._gathering = self._group.create_task(self._gather(utterance), name=f"making {utterance.id}")
        await asyncio.wait([making])
        self._gathering = None
        if making.cancelled() and not utterance.stopped:
            utterance.fail(self._excuse(utterance))

    async def _gather(self, utterance: WrittenUtterance) -> None:
        try:
            await utterance.gather()
        except Exception as error:
            log.error("utterance %s cannot be made: %s", utterance.id, error, exc_info=error)
            utterance.fail(self._excuse(utterance))

    def _excuse(self, utterance: WrittenUtterance) -> str:
        return self._apology if utterance.reply_to else ""

    def _over(self, utterance: WrittenUtterance, *, sent: bool) -> None:
        utterance.finish(sent=sent)
        if not self._open:
            return
        self._watch.feed(SpeakingEnded(utterance.id))
        if utterance.reply_to:
            self._watch.feed(ReplySettled(utterance.reply_to.id))

    def _follow(self, action: FloorAction) -> None:
        if not isinstance(action, ReplyOverdue):
            return
        log.warning("no reply to turn %s came in time", action.turn.id)
        current = self._current
        if current is not None and current.reply_to == action.turn and self._gathering:
            self._gathering.cancel()


def _unmoved(event: Event, before: FloorView) -> None:
    """A written channel does nothing by itself."""
