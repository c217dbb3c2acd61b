"""The scheduler: of a room's deliveries, which is spoken when. Sans-I/O: events in, actions out, no clock, no loop.

One at a time, in order of priority and arrival, re-deciding at every change of the floor. A delivery is made ready
(its wording settled and reserved in the ledger) while its buffer runs, so that at the edge it only has to be spoken.
Times are seconds of the caller's clock; `deadline()` says when `expire` must be called next.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from delivery.ledger import Delivery, Entry, Move, OnInterrupt, SpeakAs, Status
from delivery.message import Message, Piece, compose
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
from delivery.strategies import Strategy
from voice.floor import Blocker, FloorState, FloorView

NOBODY_YET = FloorView(FloorState.EMPTY, Blocker.NOBODY, 0.0)
BUFFER = "buffer"
QUEUE = "queue"
ADDRESSEE = "addressee_absent"
_UNCOUNTED = frozenset({"hang_up", "priority", "over", "stopped"})
"""Cuts that say nothing against a delivery: they do not count towards setting it aside."""


@dataclass(slots=True, eq=False)
class _Item:
    """A delivery as it waits or is spoken."""

    delivery: Delivery
    strategy: Strategy
    seq: int
    arrived: float
    waits_before: dict[str, float]
    wording: str | None
    heard: int
    attempts: int
    ready: bool = False
    preparing: bool = False
    retry_at: float = float("-inf")
    next: bool = False
    """Spoken as soon as the floor opens, without a buffer: it was folded, asked for the floor, or cut in."""
    message: str | None = None
    end_as: Status | None = None
    """What becomes of it when its speech is cut: it was cancelled or superseded meanwhile."""

    @property
    def order(self) -> tuple[int, int]:
        return (-self.delivery.priority, self.seq)

    @property
    def text(self) -> str:
        return self.delivery.content if self.wording is None else self.wording

    @property
    def expires(self) -> float | None:
        return None if self.delivery.ttl is None or self.message else self.arrived + self.delivery.ttl

    def overdue(self, now: float) -> bool:
        """It has waited so long that the agent may ask for the floor."""
        wait = self.delivery.max_wait
        return wait is not None and now >= self.arrived + wait


@dataclass(slots=True)
class Scheduler:
    """One room's. `tries`: how often a delivery may be cut or fail before it is set aside as dead."""

    resuming: str = "As I was saying: "
    tries: int = 3
    record_every: float = 0.5
    """Seconds between writes of what has been heard so far; the house plan's figure."""
    _now: float = float("-inf")
    _floor: FloorView = NOBODY_YET
    _hearing: frozenset[str] = frozenset()
    _carried: dict[str, bool | None] = field(default_factory=dict)
    _items: dict[str, _Item] = field(default_factory=dict)
    _queue: list[_Item] = field(default_factory=list)
    _speaking: dict[str, Message] = field(default_factory=dict)
    _stopping: set[str] = field(default_factory=set)
    _recorded: dict[str, float] = field(default_factory=dict)
    _waits: dict[str, float] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=count)

    def handle(self, event: SchedulerEvent, now: float) -> list[Action]:
        """Take in what happened at `now`; returns what to do, in this order."""
        actions: list[Action] = []
        self._pass_time(now)
        self._expire(actions)
        self._apply(event, actions)
        self._advance(actions)
        return actions

    def expire(self, now: float) -> list[Action]:
        """The deadline has come."""
        actions: list[Action] = []
        self._pass_time(now)
        self._expire(actions)
        self._advance(actions)
        return actions

    def deadline(self) -> float | None:
        """When `expire` must be called, if nothing happens before."""
        return min((t for t in self._deadlines() if t > self._now), default=None)

    def known(self, id: str) -> bool:
        """Whether the delivery is here, waiting or being spoken."""
        return id in self._items

    def reason(self, id: str) -> str:
        """Why a delivery that is here is not being spoken now: a floor blocker, `buffer`, `queue`, ... or ""."""
        item = self._items[id]
        if item.message:
            return ""
        if item.delivery.to is not None and item.delivery.to not in self._hearing:
            return ADDRESSEE if self._hearing else self._why()
        if self._floor.open and (self._speaking or (self._queue and self._queue[0] is not item)):
            return QUEUE
        return self._why()

    # -- time

    def _why(self) -> str:
        return self._floor.blocker or (QUEUE if self._speaking else BUFFER)

    def _pass_time(self, now: float) -> None:
        """Book the time since the last event on what is waited for; one sum for all, so the cost is the same."""
        if now > self._now:
            if self._now != float("-inf"):
                self._waits[self._why()] = self._waits.get(self._why(), 0.0) + now - self._now
            self._now = now

    def _deadlines(self) -> Iterator[float]:
        for item in self._queue:
            if item.expires is not None:
                yield item.expires
            yield item.retry_at
            if (due := self._due(item)) is not None:
                yield due

    def _expire(self, actions: list[Action]) -> None:
        for item in [i for i in self._queue if i.expires is not None and i.expires <= self._now]:
            self._settle(item, Status.EXPIRED, f"not spoken within {item.delivery.ttl:g} s", actions)

    # -- events

    def _apply(self, event: SchedulerEvent, actions: list[Action]) -> None:
        match event:
            case FloorMoved(view):
                self._move_floor(view, actions)
            case Heard(message, chars):
                self._progress(message, chars, actions)
            case SpeechOver():
                self._end(event, actions)
            case Submitted(entry, strategy):
                self._submit(entry, strategy, actions)
            case Audience(callers):
                self._hearing = callers
            case TurnOver():
                self._ask(actions)
            case Withdrawn(id):
                self._withdraw(id, actions)
            case Carried(id, heard):
                self._carried[id] = heard
                self._settle_carried(id, actions)
            case Ready() | NotReady() | Refused() | FoldAnswered():
                self._answer(event, actions)

    def _submit(self, entry: Entry, strategy: Strategy, actions: list[Action]) -> None:
        delivery = entry.delivery
        if delivery.id in self._items or entry.status.terminal:
            return
        item = _Item(
            delivery=delivery,
            strategy=strategy,
            seq=entry.seq,
            arrived=self._now - entry.age,
            waits_before=dict(self._waits),
            wording=entry.wording,
            heard=entry.heard_chars,
            attempts=entry.attempts,
        )
        self._items[delivery.id] = item
        insort(self._queue, item, key=lambda i: i.order)
        if delivery.supersedes is not None:
            self._supersede(delivery.supersedes, actions)
        self._settle_carried(delivery.id, actions)
        if delivery.id in self._items and not item.message:
            self._offer(item, actions)
            self._cut_in(item, actions)

    def _supersede(self, topic: str, actions: list[Action]) -> None:
        """Of the unspoken deliveries of a topic only the newest stays."""
        same = sorted((i for i in self._items.values() if i.delivery.supersedes == topic), key=lambda i: i.seq)
        for item in same[:-1]:
            if item.message:
                item.end_as = item.end_as or Status.SUPERSEDED
            else:
                self._settle(item, Status.SUPERSEDED, f"by {same[-1].delivery.id}", actions)

    def _settle_carried(self, id: str, actions: list[Action]) -> None:
        """What the reply carried was heard with it, or is owed like anything else."""
        item, heard = self._items.get(id), self._carried.get(id)
        if item is None or item.message or heard is None:
            return
        del self._carried[id]
        if heard:
            self._hear(id, len(item.text), actions)

    def _withdraw(self, id: str, actions: list[Action]) -> None:
        item = self._items.get(id)
        if item is None:
            return
        if item.message:
            item.end_as = Status.CANCELLED
            self._stop(item.message, "cancelled", actions)
        else:
            self._settle(item, Status.CANCELLED, "cancelled", actions)

    def _answer(self, event: Ready | NotReady | Refused | FoldAnswered, actions: list[Action]) -> None:
        item = self._items.get(event.id)
        if item is None:
            return
        match event:
            case Ready(wording=wording):
                item.ready, item.preparing, item.wording = True, False, wording
            case NotReady(retry_at=retry_at):
                item.preparing, item.retry_at = False, retry_at
            case Refused(reason=reason):
                self._settle(item, Status.REFUSED, reason, actions)
            case FoldAnswered(taken=taken):
                item.next = taken and self._floor.state in (FloorState.AGENT_OWES, FloorState.AGENT_AUDIBLE)

    def _move_floor(self, view: FloorView, actions: list[Action]) -> None:
        before, self._floor = self._floor.state, view
        if view.state is before:
            return
        if view.state in (FloorState.USER_HOLDS, FloorState.EMPTY):
            for item in self._queue:
                item.next = False
        elif view.state is FloorState.AGENT_OWES:
            for item in self._queue:
                self._offer(item, actions)

    # -- deciding

    def _due(self, item: _Item) -> float | None:
        """From when on the item may be spoken on the floor as it is (None: not on this floor)."""
        if item.delivery.id in self._carried or (self._speaking and not self._may_cut(item)):
            return None
        if item.delivery.to is not None and item.delivery.to not in self._hearing:
            return None
        if item.next and self._floor.open:
            return self._floor.since
        return item.strategy.when(item.delivery, self._floor, self._now)

    def _may_cut(self, item: _Item) -> bool:
        return item.strategy.talks_over and not any(m.over for m in self._speaking.values())

    def _advance(self, actions: list[Action]) -> None:
        """Speak what is due, and make ready what soon will be."""
        head: _Item | None = None
        for item in self._queue:
            due = self._due(item)
            if due is None:
                continue
            if head is None or (item.strategy.merges and head.strategy.merges and self._same_ear(item, head)):
                self._prepare(item, actions)
                head = head or item
            if due <= self._now and item.ready:
                self._speak(item, actions)
                return

    def _prepare(self, item: _Item, actions: list[Action]) -> None:
        if not item.ready and not item.preparing and item.retry_at <= self._now:
            item.preparing = True
            actions.append(Prepare(item.delivery, item.wording))

    @staticmethod
    def _same_ear(a: _Item, b: _Item) -> bool:
        return a.delivery.to == b.delivery.to

    def _speak(self, head: _Item, actions: list[Action]) -> None:
        items = [head]
        if head.strategy.merges:
            items = [
                i
                for i in self._queue
                if i.ready
                and i.strategy.merges
                and self._same_ear(i, head)
                and (due := self._due(i)) is not None
                and due <= self._now
            ]
        for other in list(self._speaking):
            self._stop(other, "over", actions)
        message = compose(
            f"m{next(self._ids)}",
            [Piece(i.delivery.id, i.text, i.heard) for i in items],
            separator=head.strategy.separator,
            resuming=self.resuming,
            to=head.delivery.to,
            over=head.strategy.talks_over,
        )
        self._speaking[message.id] = message
        self._recorded[message.id] = self._now
        for item in items:
            item.message, item.next = message.id, False
            self._queue.remove(item)
        actions.append(Speak(message))
        actions.append(Record(tuple(Move(i.delivery.id, Status.SPEAKING) for i in items)))

    def _stop(self, message: str, reason: str, actions: list[Action]) -> None:
        if message not in self._stopping:
            self._stopping.add(message)
            actions.append(Stop(message, reason))

    def _offer(self, item: _Item, actions: list[Action]) -> None:
        """A result that lands while a reply is owed may go into it."""
        delivery = item.delivery
        if (
            self._floor.state is FloorState.AGENT_OWES
            and delivery.fold
            and delivery.speak_as is SpeakAs.AGENT
            and not item.strategy.talks_over
            and not item.next
            and (delivery.to is None or delivery.to in self._hearing)
        ):
            actions.append(Fold(delivery))

    def _cut_in(self, item: _Item, actions: list[Action]) -> None:
        """A delivery of higher priority does not wait until a lower one of ours has been read out."""
        if self._floor.state is not FloorState.AGENT_AUDIBLE or item.strategy.talks_over:
            return
        for message in self._speaking.values():
            spoken = [self._items[p.delivery].delivery.priority for p in message.parts if p.delivery in self._items]
            if spoken and item.delivery.priority > max(spoken):
                item.next = True
                self._stop(message.id, "priority", actions)

    def _ask(self, actions: list[Action]) -> None:
        for item in self._queue:
            deaf = item.delivery.to is not None and item.delivery.to not in self._hearing
            if item.overdue(self._now) and not item.next and not deaf:
                item.next = True
                actions.append(Ask())
                return

    # -- what was heard

    def _progress(self, id: str, chars: int, actions: list[Action]) -> None:
        """Write what has been heard, now and then, and at once what has been heard whole."""
        message = self._speaking.get(id)
        if message is None:
            return
        done = [p for p in message.parts[:-1] if chars >= p.end and p.delivery in self._items]
        for part in done:
            self._hear(part.delivery, part.heard(chars), actions)
        if self._now < self._recorded[id] + self.record_every:
            return
        self._recorded[id] = self._now
        moves = tuple(
            Move(p.delivery, Status.SPEAKING, heard_chars=p.heard(chars))
            for p in message.parts
            if p.delivery in self._items and chars > p.start
        )
        if moves:
            actions.append(Record(moves))

    def _hear(self, id: str, chars: int, actions: list[Action]) -> None:
        item = self._items[id]
        item.heard = chars
        self._settle(item, Status.HEARD, "", actions)

    def _end(self, event: SpeechOver, actions: list[Action]) -> None:
        message = self._speaking.pop(event.message, None)
        if message is None:
            return
        self._stopping.discard(event.message)
        self._recorded.pop(event.message, None)
        for part in message.parts:
            item = self._items.get(part.delivery)
            if item is None:
                continue
            heard = len(item.text) if event.complete else part.heard(event.chars)
            if not item.text[heard:].strip():
                self._hear(part.delivery, len(item.text), actions)
            else:
                self._cut(item, heard, event.cut or "unknown", actions)

    def _cut(self, item: _Item, heard: int, cut: str, actions: list[Action]) -> None:
        begun = heard > item.heard
        item.heard = heard
        if item.end_as is not None:
            return self._settle(item, item.end_as, cut, actions)
        if begun and item.delivery.on_interrupt is OnInterrupt.DROP:
            return self._settle(item, Status.DROPPED, cut, actions)
        counted = cut not in _UNCOUNTED and (begun or cut == "failed" or cut == "unconfirmed")
        if counted:
            item.attempts += 1
            if item.attempts >= self.tries:
                why = "failed" if cut == "failed" else "interrupted"
                return self._settle(item, Status.DEAD, f"{why} {item.attempts} times, last by {cut}", actions)
        text, spoken = item.text, item.text[:heard]
        if item.delivery.on_interrupt is OnInterrupt.REPEAT:
            item.heard = 0
        item.message, item.ready = None, True
        insort(self._queue, item, key=lambda i: i.order)
        move = Move(item.delivery.id, Status.QUEUED, heard_chars=item.heard, reason=cut, attempt=counted)
        actions.append(Record((move,)))
        actions.append(Interrupted(item.delivery, spoken, text[item.heard :], cut))
        return None

    def _settle(self, item: _Item, status: Status, reason: str, actions: list[Action]) -> None:
        del self._items[item.delivery.id]
        if item.message is None:
            self._queue.remove(item)
        text = item.text
        waits = {why: t for why, total in self._waits.items() if (t := total - item.waits_before.get(why, 0.0)) > 1e-9}
        counted = status is Status.DEAD
        actions.append(
            Record((Move(item.delivery.id, status, heard_chars=item.heard, reason=reason, attempt=counted),))
        )
        actions.append(
            Settled(
                delivery=item.delivery,
                status=status,
                reason=reason,
                heard=text[: item.heard],
                remainder=text[item.heard :],
                waited=self._now - item.arrived,
                waits=waits,
            )
        )
