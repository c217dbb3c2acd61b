"""The desk: one a room. Turns what the scheduler asks for into channel calls and ledger writes, in that order.

A result that any process puts into the ledger is picked up here, spoken when the scheduler says so, and written down
as heard when the receipts say so. If another process takes the room over, the desk falls silent (`lost` is set).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from delivery.hints import EVERYWHERE
from delivery.ledger import Delivery, Entry, FencedError, Ledger, LedgerError, Move, Status
from delivery.message import Message
from delivery.pending import UNATTENDED
from delivery.scheduler import VOICELESS, Scheduler
from delivery.signals import (
    Action,
    Audience,
    Begun,
    Carried,
    FloorMoved,
    Fold,
    FoldAnswered,
    Heard,
    Interrupted,
    NotReady,
    Prepare,
    Ready,
    Record,
    Refused,
    SchedulerEvent,
    Settled,
    Speak,
    SpeechOver,
    Stop,
    Submitted,
    TurnOver,
    Withdrawn,
)
from delivery.strategies import read
from delivery.wording import Before, Refuse, unchanged, worded
from delivery.words import Verbatim, Words
from delivery.writer import RETRY, Note, Writer
from voice.alarm import Alarm
from voice.channel import Channel, Utterance
from voice.events import Deafened, Event, Joined, Left, SpeakingHeard, SpeakingStarted, TurnEnded
from voice.floor import Blocker, FloorChanged, FloorState, FloorView

log = logging.getLogger("sottovoce.desk")

__all__ = ["After", "Before", "Desk", "Refuse", "Watcher", "unchanged", "unnoticed"]

REFRESH = 5.0
"""Seconds after which the table is read again without a hint: the hint may be lost, the table is the truth."""
CLOSING = 2.0
"""Seconds a closing desk gives the voice, the ledger and the hooks to finish; what is missed then is owed again."""
LIMIT = 1000
"""Most open deliveries of a room that are read at once."""

After = Callable[[Settled], Awaitable[None]]
"""Called when a delivery came to its end."""
Watcher = Callable[[Delivery, Status, str, int], None]
"""Told of every step in a delivery's life: (delivery, status, reason, heard characters)."""

T = TypeVar("T")


async def unnoticed(settled: Settled) -> None:
    """Nobody asked."""


def always() -> bool:
    """Nobody else can take the room."""
    return True


class Desk:
    """Use as `async with`: inside, the room's open deliveries are being delivered over `channel`.

    At its end it falls silent at once; what was heard until then is written down.
    """

    def __init__(
        self,
        room: str,
        epoch: int,
        channel: Channel,
        ledger: Ledger,
        *,
        words: Words | None = None,
        before: Before = unchanged,
        after: After = unnoticed,
        watcher: Watcher | None = None,
        spoken: Callable[[Utterance, Message], None] | None = None,
        held: Callable[[], bool] = always,
        when_lost: Callable[[], None] | None = None,
    ) -> None:
        """`spoken` is told of every utterance the desk begins.

        `held` says whether the room is surely still ours; while it is not, nothing is begun. `when_lost` is called when
        `lost` is set.
        """
        self.room = room
        self.lost = asyncio.Event()
        self._epoch = epoch
        self._channel = channel
        self._ledger = ledger
        self._words = words or Verbatim()
        self._before = before
        self._after = after
        self._watcher = watcher
        self._spoken = spoken
        self._held = held
        self._when_lost = when_lost
        self._scheduler = Scheduler(opening=f"{self._guarded(self._words.opener, Verbatim().opener())} ")
        self._events: deque[tuple[SchedulerEvent | None, float]] = deque()
        self._handling = False
        self._hearing: set[str] = set()
        self._utterances: dict[str, Utterance] = {}
        self._messages: dict[str, str] = {}
        self._deliveries: dict[str, Delivery] = {}
        """Those that were picked up, until their end is durable."""
        self._ended: set[str] = set()
        """Those whose end became durable while the table was being read: that reading may still show them as queued."""
        self._wordings: dict[str, str] = {}
        """What hook and agent made of a delivery that could not be reserved yet: they are asked once."""
        self._writer = Writer(room, epoch, ledger, self._note, self._lose)
        self._stale = asyncio.Event()
        self._group: asyncio.TaskGroup
        self._unlisten: list[Callable[[], None]] = []
        self._preparing: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()
        self._after_hooks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._ring)
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._unlisten = [self._channel.listen(self._hear), self._ledger.subscribe(self._notice, moves=False)]
        now, floor = self._loop.time(), self._channel.floor
        self._hearing = set() if floor.state is FloorState.EMPTY else set(self._channel.callers)
        self._handle(Audience(frozenset(self._hearing)), now)
        self._handle(FloorMoved(floor), now)
        self._stale.set()
        self._writing = self._group.create_task(self._writer.run())
        self._reading = self._group.create_task(self._refresh())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stop in self._unlisten:
            stop()
        try:
            if not self.lost.is_set() and not self._writing.done() and not self._writing.cancelling():
                await self._finish()
        finally:
            self._alarm.set(None)
            for task in (*self._preparing, *self._following, *self._after_hooks, self._writing, self._reading):
                task.cancel()
            if not isinstance(error, asyncio.CancelledError):
                kind = error = trace = None  # the group would wrap what is raised inside `async with` in a group
            await self._group.__aexit__(kind, error, trace)

    def carry(self, id: str, heard: bool | None = None) -> None:
        """The agent's reply carries the delivery; `heard` (at the reply's end): whether it was heard whole."""
        self._handle(Carried(id, heard), self._loop.time())

    def reason(self, id: str) -> str:
        """Why the delivery waits ("": it is being spoken, or is not here)."""
        return self._scheduler.reason(id) if self._scheduler.known(id) else ""

    def delivery(self, id: str) -> Delivery | None:
        """A delivery that the desk has picked up and that is not over."""
        return self._deliveries.get(id)

    async def _finish(self) -> None:
        """Fall silent, and write down what was heard until then."""
        now = self._loop.time()
        self._handle(FloorMoved(FloorView(FloorState.EMPTY, Blocker.NOBODY, now)), now)
        self._hush("stopped")
        try:
            async with asyncio.timeout(CLOSING):
                while self._following:
                    await asyncio.wait(self._following)
                await self._writer.join()
                while self._after_hooks:
                    await asyncio.wait(self._after_hooks)
        except TimeoutError:
            log.warning("room %s: closed before all was written; what was not is owed again", self.room)

    # -- what happens

    def _hear(self, event: Event | FloorChanged, at: float) -> None:
        match event:
            case FloorChanged(view):
                self._handle(FloorMoved(view), at)
            case SpeakingStarted(utterance):
                if message := self._messages.get(utterance):
                    self._handle(Begun(message), at)
            case SpeakingHeard(utterance, chars):
                if message := self._messages.get(utterance):
                    self._handle(Heard(message, chars), at)
            case TurnEnded():
                self._handle(TurnOver(), at)
            case Joined(caller):
                self._hearing.add(caller)
                self._handle(Audience(frozenset(self._hearing)), at)
            case Left(caller) | Deafened(caller):
                self._hearing.discard(caller)
                self._handle(Audience(frozenset(self._hearing)), at)
            case _:
                pass

    def _notice(self, room: str) -> None:
        if room in (self.room, EVERYWHERE):
            self._stale.set()

    def _ring(self) -> None:
        due = self._scheduler.deadline()
        now = self._loop.time()
        self._handle(None, now if due is None else max(now, due))

    def _handle(self, event: SchedulerEvent | None, at: float) -> None:
        """Hand an event to the scheduler and do what it asks; events that this causes wait their turn."""
        if self.lost.is_set():
            return
        self._events.append((event, at))
        if self._handling:
            return
        self._handling = True
        try:
            while self._events and not self.lost.is_set():
                event, at = self._events.popleft()
                actions = self._scheduler.expire(at) if event is None else self._scheduler.handle(event, at)
                for action in actions:
                    self._do(action)
        finally:
            self._handling = False
        self._alarm.set(self._scheduler.deadline())

    # -- what is to be done

    def _do(self, action: Action) -> None:
        match action:
            case Speak(message):
                self._speak(message)
            case Stop(message, reason):
                if utterance := self._utterances.get(message):
                    self._channel.stop(utterance, reason)
            case Fold(deliveries):
                taken = self._guarded(lambda: self._words.fold(deliveries), False)
                self._handle(FoldAnswered(tuple(d.id for d in deliveries), taken), self._loop.time())
            case Prepare(delivery, wording):
                self._start(self._preparing, self._prepare(delivery, wording))
            case Record() | Settled() | Interrupted():
                self._writer.put(action)

    def _start(self, among: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    def _guarded(self, ask: Callable[[], T], otherwise: T) -> T:
        """What others say; if they fail, the room's deliveries go on."""
        try:
            return ask()
        except Exception:
            log.exception("room %s: whoever was asked or told failed", self.room)
            return otherwise

    def _speak(self, message: Message) -> None:
        if not self._held():  # this process stood still, or the ledger is away: another may speak it
            return self._handle(SpeechOver(message.id, 0, False, "lapsed"), self._loop.time())
        owed = not message.over and self._channel.floor.blocker is Blocker.REPLY
        if owed and not self._guarded(lambda: self._words.fold(()), False):  # the reply is on its way: not behind it
            return self._handle(SpeechOver(message.id, 0, False, "late"), self._loop.time())
        utterance = self._channel.say(message.text, to=message.to, over=message.over, ahead=owed)
        self._utterances[message.id] = utterance
        self._messages[utterance.id] = message.id
        self._start(self._following, self._follow(message, utterance))
        if spoken := self._spoken:
            self._guarded(lambda: spoken(utterance, message), None)
        return None

    async def _follow(self, message: Message, utterance: Utterance) -> None:
        await utterance
        del self._utterances[message.id], self._messages[utterance.id]
        cut = "unconfirmed" if not utterance.confirmed else (utterance.interrupted_by or "")
        if cut == "failed" and getattr(utterance, "voiceless", False):  # only what makes sound can be that
            cut = VOICELESS
        self._handle(SpeechOver(message.id, utterance.heard_chars, utterance.complete, cut), self._loop.time())

    def _hush(self, reason: str) -> None:
        for utterance in list(self._utterances.values()):
            self._channel.stop(utterance, reason)

    async def _prepare(self, delivery: Delivery, wording: str | None) -> None:
        """Settle what is to be spoken, and reserve the delivery."""
        id = delivery.id
        wording = wording or self._wordings.get(id)
        try:
            if wording is None:
                wording = await worded(delivery, self._before, self._words)
        except Refuse as refusal:
            return self._handle(Refused(id, _printable(refusal)), self._loop.time())
        except Exception as error:
            return self._not_ready(delivery, error, f"{type(error).__name__}: {_printable(error)}")
        try:
            over = await self._ledger.move(self.room, self._epoch, [Move(id, Status.RESERVED, wording=wording)])
        except FencedError as error:
            return self._lose(error)
        except LedgerError as error:
            self._wordings[id] = wording
            return self._not_ready(delivery, error)
        except ValueError as error:
            return self._not_ready(delivery, error, _printable(error))
        self._wordings.pop(id, None)
        if over:
            return self._handle(Withdrawn(id), self._loop.time())
        if self._scheduler.known(id):
            self._watch(delivery, Status.RESERVED)
        return self._handle(Ready(id, wording), self._loop.time())

    def _not_ready(self, delivery: Delivery, error: Exception, fault: str = "") -> None:
        log.warning("room %s: delivery %s is not ready: %r", self.room, delivery.id, error)
        now = self._loop.time()
        self._handle(NotReady(delivery.id, now + RETRY, fault), now)

    # -- the ledger

    async def _refresh(self) -> None:
        """Pick up what any process has put into the ledger for this room."""
        while not self.lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH):
                    await self._stale.wait()
            self._stale.clear()
            self._ended.clear()
            try:
                entries = await self._ledger.entries(self.room, limit=LIMIT)
            except Exception as error:
                log.warning("room %s: cannot read the ledger, trying again: %r", self.room, error)
                await asyncio.sleep(RETRY)
                self._stale.set()
                continue
            self._compare(entries)

    def _compare(self, entries: list[Entry]) -> None:
        """Take up what is new, and let go of what another process cancelled."""
        for entry in entries:
            if entry.unwanted:
                self._handle(Withdrawn(entry.delivery.id), self._loop.time())
            elif entry.status is Status.QUEUED:
                self._submit(entry)
        if len(entries) < LIMIT:
            for id in self._deliveries.keys() - {entry.delivery.id for entry in entries}:
                self._handle(Withdrawn(id), self._loop.time())

    def _submit(self, entry: Entry) -> None:
        delivery = entry.delivery
        if delivery.id in self._deliveries or delivery.id in self._ended:
            return None
        self._deliveries[delivery.id] = delivery
        try:
            strategy = read(delivery.strategy)
        except Exception as error:
            return self._reject(entry, Status.DEAD, _printable(error))
        self._handle(Submitted(entry, strategy), self._loop.time())
        return self._watch(delivery, Status.QUEUED, heard=entry.heard_chars)

    def _reject(self, entry: Entry, status: Status, reason: str) -> None:
        """It ends before it has begun."""
        text = entry.delivery.content if entry.wording is None else entry.wording
        heard, rest = text[: entry.heard_chars], text[entry.heard_chars :]
        self._writer.put(Record((Move(entry.delivery.id, status, reason=reason),)))
        waits = {UNATTENDED: entry.age}
        self._writer.put(Settled(entry.delivery, status, reason, heard, rest, entry.age, waits))

    def _note(self, note: Note) -> None:
        """This is durable now."""
        match note:
            case Record(moves):
                for move in moves:
                    if move.status is Status.SPEAKING and (delivery := self._deliveries.get(move.id)):
                        self._watch(delivery, Status.SPEAKING, heard=move.heard_chars or 0)
            case Interrupted(delivery, heard, _, cut):
                self._watch(delivery, Status.QUEUED, cut, len(heard))
            case Settled(delivery, status, reason, heard):
                self._deliveries.pop(delivery.id, None)
                self._wordings.pop(delivery.id, None)
                self._ended.add(delivery.id)
                self._watch(delivery, status, reason, len(heard))
                self._start(self._after_hooks, self._tell_after(note))

    async def _tell_after(self, settled: Settled) -> None:
        try:
            await self._after(settled)
        except Exception:
            log.exception("room %s: the hook after delivery %s failed", self.room, settled.delivery.id)

    def _watch(self, delivery: Delivery, status: Status, reason: str = "", heard: int = 0) -> None:
        if watcher := self._watcher:
            self._guarded(lambda: watcher(delivery, status, reason, heard), None)

    def _lose(self, error: FencedError) -> None:
        """Another process owns the room: fall silent, write nothing more."""
        if not self.lost.is_set():
            log.warning("room %s: %s", self.room, error)
            self.lost.set()
            self._hush("lost")
            if self._when_lost:
                self._when_lost()


def _printable(error: Exception) -> str:
    """What an error says, as text that can be stored."""
    return str(error).encode(errors="replace").decode()
