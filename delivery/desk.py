"""The desk: one a room. Turns what the scheduler asks for into channel calls and ledger writes, in that order.

A result that any process puts into the ledger is picked up here, spoken when the scheduler says so, and written down
as heard when the receipts say so. If another process takes the room over, the desk falls silent (`lost` is set).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from delivery.ledger import Delivery, Entry, FencedError, Ledger, LedgerError, Move, SpeakAs, Status
from delivery.message import Message
from delivery.scheduler import Scheduler
from delivery.signals import (
    Action,
    Ask,
    Audience,
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
from delivery.words import Verbatim, Words
from voice.channel import Channel, Utterance
from voice.events import Deafened, Event, Joined, Left, SpeakingHeard, TurnEnded
from voice.floor import FloorChanged

log = logging.getLogger("sottovoce.desk")

RETRY = 1.0
"""Seconds until something that failed (the ledger, a wording) is tried again."""
REFRESH = 5.0
"""Seconds after which the table is read again without a hint: the hint may be lost, the table is the truth."""
ENDED = 1024
"""Ids of ended deliveries that are remembered, so that a read of the table that was under way revives none."""
WORDING_TIMEOUT = 10.0
"""Seconds an agent may take to put a delivery into words; after that it is read out as it stands."""


class Refuse(Exception):  # noqa: N818 - it is an answer, not an error
    """Raised by a hook: this delivery shall not be spoken; the message is the reason."""


Before = Callable[[Delivery], Awaitable[str]]
"""Called before a delivery is first spoken; returns what shall be said, or raises `Refuse`."""
After = Callable[[Settled], Awaitable[None]]
"""Called when a delivery came to its end."""
Watcher = Callable[[Delivery, Status, str, int], None]
"""Told of every step in a delivery's life: (delivery, status, reason, heard characters)."""


async def unchanged(delivery: Delivery) -> str:
    """What is delivered is what is said."""
    return delivery.content


async def unnoticed(settled: Settled) -> None:
    """Nobody asked."""


class Desk:
    """Use as `async with`: inside, the room's open deliveries are being delivered over `channel`."""

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
        spoken: Callable[[Utterance, Message | None], None] | None = None,
    ) -> None:
        """`spoken` is told of every utterance the desk begins (None for the message: an opener)."""
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
        self._scheduler = Scheduler()
        self._events: deque[tuple[SchedulerEvent | None, float]] = deque()
        self._handling = False
        self._hearing: set[str] = set()
        self._utterances: dict[str, Utterance] = {}
        self._messages: dict[str, str] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._ended: deque[str] = deque(maxlen=ENDED)
        self._writes: asyncio.Queue[Record | Settled | Interrupted] = asyncio.Queue()
        self._stale = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._group: asyncio.TaskGroup
        self._unlisten: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._unlisten = [self._channel.listen(self._hear), self._ledger.subscribe(self._notice)]
        self._hearing = set(self._channel.callers)
        now = self._loop.time()
        self._handle(Audience(frozenset(self._hearing)), now)
        self._handle(FloorMoved(self._channel.floor), now)
        self._stale.set()
        self._tasks = [self._group.create_task(self._write()), self._group.create_task(self._refresh())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stop in self._unlisten:
            stop()
        if self._timer is not None:
            self._timer.cancel()
        if kind is None:
            await self._writes.join()
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def cancel(self, id: str) -> None:
        """The delivery is not wanted any more; if it is being spoken, it stops."""
        self._handle(Withdrawn(id), self._loop.time())

    def carry(self, id: str, heard: bool | None = None) -> None:
        """The agent's reply carries the delivery; `heard` (at the reply's end): whether it was heard whole."""
        self._handle(Carried(id, heard), self._loop.time())

    def reason(self, id: str) -> str:
        """Why the delivery waits ("": it is being spoken, or is not here)."""
        return self._scheduler.reason(id) if self._scheduler.known(id) else ""

    # -- what happens

    def _hear(self, event: Event | FloorChanged, at: float) -> None:
        match event:
            case FloorChanged(view):
                self._handle(FloorMoved(view), at)
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
        if room in (self.room, "*"):
            self._stale.set()

    def _tick(self) -> None:
        self._handle(None, self._loop.time())

    def _handle(self, event: SchedulerEvent | None, at: float) -> None:
        """Hand an event to the scheduler and do what it asks; events that this causes wait their turn."""
        self._events.append((event, at))
        if self._handling or self.lost.is_set():
            return
        self._handling = True
        try:
            while self._events:
                event, at = self._events.popleft()
                actions = self._scheduler.expire(at) if event is None else self._scheduler.handle(event, at)
                for action in actions:
                    self._do(action)
        finally:
            self._handling = False
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._scheduler.deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._tick)

    # -- what is to be done

    def _do(self, action: Action) -> None:
        match action:
            case Speak(message):
                self._speak(message)
            case Stop(message, reason):
                if utterance := self._utterances.get(message):
                    self._channel.stop(utterance, reason)
            case Ask():
                opener = self._channel.say(self._words.opener())
                if self._spoken:
                    self._spoken(opener, None)
            case Fold(delivery):
                taken = self._words.fold([delivery])
                self._handle(FoldAnswered(delivery.id, taken), self._loop.time())
            case Prepare(delivery, wording):
                self._group.create_task(self._prepare(delivery, wording))
            case Record() | Settled() | Interrupted():
                self._writes.put_nowait(action)

    def _speak(self, message: Message) -> None:
        utterance = self._channel.say(message.text, to=message.to, over=message.over)
        self._utterances[message.id] = utterance
        self._messages[utterance.id] = message.id
        if self._spoken:
            self._spoken(utterance, message)
        self._group.create_task(self._follow(message, utterance))

    async def _follow(self, message: Message, utterance: Utterance) -> None:
        await utterance
        del self._utterances[message.id], self._messages[utterance.id]
        cut = "unconfirmed" if not utterance.confirmed else (utterance.interrupted_by or "")
        self._handle(SpeechOver(message.id, utterance.heard_chars, utterance.complete, cut), self._loop.time())

    async def _prepare(self, delivery: Delivery, wording: str | None) -> None:
        try:
            if wording is None:
                wording = await self._wording(delivery)
            await self._ledger.move(self.room, self._epoch, [Move(delivery.id, Status.RESERVED, wording=wording)])
        except Refuse as refusal:
            self._handle(Refused(delivery.id, str(refusal)), self._loop.time())
        except FencedError as error:
            self._lose(error)
        except Exception as error:
            log.warning("room %s: delivery %s is not ready: %s", self.room, delivery.id, error)
            now = self._loop.time()
            self._handle(NotReady(delivery.id, now + RETRY), now)
        else:
            self._watch(delivery, Status.RESERVED)
            self._handle(Ready(delivery.id, wording), self._loop.time())

    async def _wording(self, delivery: Delivery) -> str:
        """What is to be spoken, settled once. An agent that fails or dawdles does not keep a result back."""
        text = await self._before(delivery)
        if delivery.speak_as is SpeakAs.AGENT and text == delivery.content:
            try:
                async with asyncio.timeout(WORDING_TIMEOUT):
                    text = "".join([piece async for piece in self._words.word([delivery])])
            except Exception as error:
                log.warning("room %s: delivery %s is read out as it stands: %r", self.room, delivery.id, error)
        if not text.strip():
            raise Refuse("there is nothing to say")
        return text

    # -- the ledger

    async def _refresh(self) -> None:
        """Pick up what any process has put into the ledger for this room."""
        while True:
            try:
                async with asyncio.timeout(REFRESH):
                    await self._stale.wait()
            except TimeoutError:
                pass
            self._stale.clear()
            try:
                entries = await self._ledger.entries(self.room, [Status.QUEUED])
            except LedgerError as error:
                log.warning("room %s: cannot read the ledger, trying again: %s", self.room, error)
                await asyncio.sleep(RETRY)
                self._stale.set()
                continue
            for entry in entries:
                self._submit(entry)

    def _submit(self, entry: Entry) -> None:
        delivery = entry.delivery
        if delivery.id in self._deliveries or delivery.id in self._ended:
            return
        self._deliveries[delivery.id] = delivery
        try:
            strategy = read(delivery.strategy)
        except ValueError as error:
            self._writes.put_nowait(Record((Move(delivery.id, Status.DEAD, reason=str(error)),)))
            return
        self._watch(delivery, Status.QUEUED, heard=entry.heard_chars)
        self._handle(Submitted(entry, strategy), self._loop.time())

    async def _write(self) -> None:
        """Write the scheduler's records in order; what follows from one happens once it is durable."""
        while True:
            item = await self._writes.get()
            try:
                match item:
                    case Record(moves):
                        await self._record(moves)
                    case Interrupted(delivery, heard, _, cut):
                        self._watch(delivery, Status.QUEUED, cut, len(heard))
                    case Settled():
                        await self._settle(item)
            finally:
                self._writes.task_done()

    async def _record(self, moves: tuple[Move, ...]) -> None:
        while not self.lost.is_set():
            try:
                await self._ledger.move(self.room, self._epoch, moves)
            except FencedError as error:
                self._lose(error)
            except LedgerError as error:
                log.warning("room %s: cannot write the ledger, trying again: %s", self.room, error)
                await asyncio.sleep(RETRY)
            else:
                for move in moves:
                    if move.status is Status.SPEAKING and (delivery := self._deliveries.get(move.id)):
                        self._watch(delivery, Status.SPEAKING, heard=move.heard_chars or 0)
                return

    async def _settle(self, settled: Settled) -> None:
        if self.lost.is_set():
            return
        self._deliveries.pop(settled.delivery.id, None)
        self._ended.append(settled.delivery.id)
        self._watch(settled.delivery, settled.status, settled.reason, len(settled.heard))
        try:
            await self._after(settled)
        except Exception:
            log.exception("room %s: the hook after delivery %s failed", self.room, settled.delivery.id)

    def _watch(self, delivery: Delivery, status: Status, reason: str = "", heard: int = 0) -> None:
        if self._watcher is not None:
            self._watcher(delivery, status, reason, heard)

    def _lose(self, error: FencedError) -> None:
        """Another process owns the room: fall silent, write nothing more."""
        log.warning("room %s: %s", self.room, error)
        self.lost.set()
        for utterance in list(self._utterances.values()):
            self._channel.stop(utterance, "lost")
