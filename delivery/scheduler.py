"""The scheduler: of a room's deliveries, which is spoken when. Sans-I/O: events in, actions out, no clock, no loop.

One at a time, in order of priority and arrival, re-deciding at every change of the floor. A delivery is made ready
(its wording settled and reserved in the ledger) while its buffer runs, so that at the edge it only has to be spoken.
Times are seconds of the caller's clock; `deadline()` says when `expire` must be called next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from delivery.draft import Drafts
from delivery.ledger import Move, OnInterrupt, SpeakAs, Status
from delivery.line import Line
from delivery.pending import Next, Pending, Spoken
from delivery.replies import Replies
from delivery.signals import (
    Action,
    Audience,
    Begun,
    Carried,
    FloorMoved,
    FoldAnswered,
    Heard,
    Interrupted,
    NotReady,
    Ready,
    Record,
    Refused,
    SchedulerEvent,
    Settled,
    SpeechOver,
    Stop,
    Submitted,
    TurnOver,
    Withdrawn,
)
from voice.floor import Blocker, FloorState, FloorView

PAUSE = 1.0
"""Seconds until what failed, or was turned away before its first word, is spoken again; four times that after each
further failure, so that a voice that is away for some seconds does not use up all tries."""
VOICELESS = "voiceless"
"""A cut: no provider of a voice works just now. It says nothing against a delivery, which stays owed."""
LONGEST_PAUSE = 60.0
"""Seconds until what was voiceless is tried again, at most; they double from `PAUSE` on."""
MOST_VOICELESS = 100
"""How often that does not count: for an hour and a half. After that it may be the text that no voice can speak."""
_SOON = frozenset({FloorState.AGENT_OWES, FloorState.AGENT_AUDIBLE})
"""The floor may open soon, by our own doing."""
_OURS = frozenset({"priority", "over", "cancelled", "superseded", "expired"})
"""Cuts that the scheduler asked for."""
_LATE = "late"
"""It was to come before a reply, which was on its way to the ear already."""
_UNCOUNTED = _OURS | {"hang_up", "stopped", VOICELESS}
"""Cuts that say nothing against a delivery: they do not count towards setting it aside."""
_BROKEN = frozenset({"failed", "unconfirmed"})
"""Nobody cut it; the voice failed, or its receipts did not come."""


@dataclass(slots=True)
class Scheduler:
    """One room's. `tries`: how often a delivery may be cut or fail before it is set aside as dead.

    `opening` is said before what asks for the floor, `resuming` before what goes on after it was cut.
    """

    opening: str = "I have something for you. "
    resuming: str = "As I was saying: "
    tries: int = 3
    record_every: float = 0.5
    """Seconds between writes of what has been heard so far; the house plan's figure."""
    _line: Line = field(default_factory=Line)
    _replies: Replies = field(init=False)
    _drafts: Drafts = field(init=False)
    _pending: dict[str, Pending] = field(default_factory=dict)
    _topics: dict[tuple[str, str | None], dict[str, Pending]] = field(default_factory=dict)
    """What is pending, by topic and addressee."""

    def __post_init__(self) -> None:
        self._replies = Replies(self._line)
        self._drafts = Drafts(self.opening, self.resuming)

    def handle(self, event: SchedulerEvent, now: float) -> list[Action]:
        """Take in what happened at `now`; returns what to do, in this order."""
        actions: list[Action] = []
        self._line.pass_time(now)
        self._expire(actions)
        self._apply(event, actions)
        self._advance(actions)
        return actions

    def expire(self, now: float) -> list[Action]:
        """The deadline has come."""
        actions: list[Action] = []
        self._line.pass_time(now)
        self._advance(actions)
        return actions

    def deadline(self) -> float | None:
        """When `expire` must be called, if nothing happens before."""
        return self._line.deadline()

    def known(self, id: str) -> bool:
        """Whether the delivery is here, waiting or being spoken."""
        return id in self._pending

    def reason(self, id: str) -> str:
        """Why a delivery that is here is not being spoken now: a floor blocker, `buffer`, `queue`, ... or ""."""
        return self._line.reason(self._pending[id])

    # -- events

    def _apply(self, event: SchedulerEvent, actions: list[Action]) -> None:
        match event:
            case FloorMoved(view):
                self._move_floor(view, actions)
            case Heard(message, chars):
                self._progress(message, chars, actions)
            case Begun(message):
                self._begin(message)
            case SpeechOver():
                self._end(event, actions)
            case Submitted():
                self._submit(event, actions)
            case Audience(callers):
                self._line.listened_to_by(callers)
            case TurnOver():
                self._replies.want_floor(actions)
            case Withdrawn(id):
                self._withdraw(id, actions)
            case Carried():
                self._carry(event, actions)
            case FoldAnswered(ids, taken):
                items = [self._pending[id] for id in ids if id in self._pending]
                self._replies.answer([i for i in items if not i.message], taken, actions)
            case Ready() | NotReady() | Refused():
                self._answer(event, actions)

    def _submit(self, event: Submitted, actions: list[Action]) -> None:
        entry = event.entry
        if entry.delivery.id in self._pending or entry.status.terminal:
            return
        item = Pending.of(entry, event.strategy, self._line.now)
        self._pending[item.id] = item
        self._line.add(item)
        if (topic := _topic(item)) is not None:
            same = self._topics.setdefault(topic, {})
            same[item.id] = item
            self._supersede(same, actions)
        self._settle_carried(item.id, actions)
        if item.id in self._pending and item.told(item.heard):
            self._settle(item, Status.HEARD, "", actions)
        if item.id in self._pending:
            self._replies.offer(item, actions)
            if self._line.floor.state in _SOON:
                self._foresee(actions)

    def _supersede(self, topic: dict[str, Pending], actions: list[Action]) -> None:
        """Of the unspoken deliveries of a topic to the same ear only the newest stays."""
        newest = max(topic.values(), key=lambda i: i.seq)
        why = f"by {newest.id}"
        for item in list(topic.values()):
            if item is newest:
                continue
            if item.message:
                self._unwant(item, Status.SUPERSEDED, why, actions)
            elif self._line.carried.get(item.id, True) is None:
                item.end_as = item.end_as or (Status.SUPERSEDED, why)
            else:
                self._settle(item, Status.SUPERSEDED, why, actions)

    def _carry(self, event: Carried, actions: list[Action]) -> None:
        self._line.carry(event.id, event.heard, self._pending.get(event.id))
        if event.heard is False and event.id not in self._pending:
            del self._line.carried[event.id]
        self._settle_carried(event.id, actions)

    def _settle_carried(self, id: str, actions: list[Action]) -> None:
        """What the reply carried was heard with it, or is owed like anything else."""
        item, heard = self._pending.get(id), self._line.carried.get(id)
        if item is None or item.message or heard is None:
            return
        del self._line.carried[id]
        self._replies.failed(item)
        if heard:
            item.wording = item.text  # whatever was being made of it
            self._hear(item, actions)
        elif item.end_as:
            self._settle(item, *item.end_as, actions)

    def _withdraw(self, id: str, actions: list[Action]) -> None:
        item = self._pending.get(id)
        if item is not None and item.message is not None:
            item.end_as = None
            self._unwant(item, Status.CANCELLED, "cancelled", actions)
        elif item is not None:
            self._settle(item, Status.CANCELLED, "cancelled", actions)

    def _answer(self, event: Ready | NotReady | Refused, actions: list[Action]) -> None:
        item = self._pending.get(event.id)
        if item is None or item.message:
            return
        match event:
            case Ready(wording=wording):
                item.ready, item.preparing, item.wording = True, False, wording
            case NotReady(retry_at=retry_at, fault=fault):
                item.preparing = False
                if not fault:
                    self._line.hold(item, retry_at)
                elif not self._given_up(item, fault, actions):
                    self._line.hold(item, max(retry_at, self._after_pause(item)))
                    actions.append(Record((Move(item.id, Status.QUEUED, reason=fault, attempt=True),)))
            case Refused(reason=reason):
                self._settle(item, Status.REFUSED, reason, actions)

    def _move_floor(self, view: FloorView, actions: list[Action]) -> None:
        before, self._line.floor = self._line.floor.state, view
        taken = view.state is FloorState.USER_HOLDS and view.blocker is not Blocker.QUESTION
        if taken or view.state is FloorState.EMPTY:
            self._replies.forgo()
        elif view.state in _SOON and before is not view.state:
            self._foresee(actions)
        elif view.state is FloorState.OPEN:
            self._replies.over(before)

    # -- deciding

    def _expire(self, actions: list[Action]) -> None:
        """What waits too long ends; what is in a message and has not begun by now is not begun."""
        for item in self._line.expired():
            why = f"not spoken within {item.delivery.ttl:g} s"
            if item.message is None:
                self._settle(item, Status.EXPIRED, why, actions)
            elif not self._line.spoken[item.message].reached(item.id):
                self._unwant(item, Status.EXPIRED, why, actions)

    def _advance(self, actions: list[Action]) -> None:
        """Speak what is due, and make ready what soon will be."""
        self._expire(actions)
        for item in self._line.choose():
            self._settle(item, Status.DEAD, item.broken, actions)
        self._cut_in(actions)
        head, due = self._line.head, self._line.due
        if head is None or due is None:
            return
        together = self._line.together(head)
        if due > self._line.now or not head.ready:
            for item in together:
                actions += item.prepare(self._line.now)
            if all(item.ready for item in together):
                self._drafts.write(together)
        elif self._drafts.has(together):
            self._speak(together, actions)
        elif not any(item.preparing for item in together):
            self._speak([item for item in together if item.ready], actions)

    def _foresee(self, actions: list[Action]) -> None:
        """An agent's own words take time to make: longer than a buffer. Have what comes next put into them by then."""
        for item in self._line.coming():
            if item.delivery.speak_as is SpeakAs.AGENT:
                actions += item.prepare(self._line.now)

    def _speak(self, items: list[Pending], actions: list[Action]) -> None:
        line = self._line
        for other in line.spoken.values():
            self._stop(other, "over", actions)
        draft = self._drafts.take(items)
        message = draft.speak.message.id
        line.spoken[message] = draft.spoken(line.now)
        line.begin(items, message)
        actions += (draft.speak, draft.record)

    def _stop(self, spoken: Spoken, reason: str, actions: list[Action]) -> None:
        if not spoken.stopping:
            spoken.stopping = True
            actions.append(Stop(spoken.message.id, reason))

    def _cut_in(self, actions: list[Action]) -> None:
        """A delivery of higher priority does not wait until a lower one of ours has been read out."""
        if self._line.floor.state is not FloorState.AGENT_AUDIBLE or not self._line.spoken:
            return
        item = self._line.urgent()
        if item is None:
            return
        actions += item.prepare(self._line.now)
        if item.ready:
            self._line.hurry(item, Next.URGENT)
            for spoken in self._line.spoken.values():
                self._stop(spoken, "priority", actions)

    # -- what was heard

    def _begin(self, id: str) -> None:
        if spoken := self._line.spoken.get(id):
            spoken.begun = True

    def _progress(self, id: str, chars: int, actions: list[Action]) -> None:
        """Write what has been heard, now and then, and at once what has been heard whole."""
        spoken = self._line.spoken.get(id)
        if spoken is None or chars <= spoken.chars:
            return
        spoken.chars, spoken.begun = chars, True
        for part in spoken.message.parts[:-1]:
            if chars >= part.end and part.delivery in self._pending:
                self._hear(self._pending[part.delivery], actions)
        self._stop_if_unwanted(spoken, actions)
        if self._line.now < spoken.recorded + self.record_every:
            return
        spoken.recorded = self._line.now
        begun = [p for p in spoken.message.parts if p.delivery in self._pending and chars > p.start]
        if begun:
            moves = (Move(p.delivery, Status.SPEAKING, heard_chars=p.heard(chars)) for p in begun)
            actions.append(Record(tuple(moves)))

    def _unwant(self, item: Pending, status: Status, reason: str, actions: list[Action]) -> None:
        """It is in a message: it ends when that does, or before it is begun."""
        assert item.message is not None
        item.end_as = item.end_as or (status, reason)
        self._stop_if_unwanted(self._line.spoken[item.message], actions)

    def _stop_if_unwanted(self, spoken: Spoken, actions: list[Action]) -> None:
        """Stop at what was cancelled, and before what else is not wanted; what stands before it is still said."""
        for part in spoken.message.parts:
            item = self._pending.get(part.delivery)
            if item is None:
                continue
            if item.end_as and (item.end_as[0] is Status.CANCELLED or not spoken.reached(item.id)):
                self._stop(spoken, item.end_as[0].value, actions)
            return

    def _end(self, event: SpeechOver, actions: list[Action]) -> None:
        spoken = self._line.spoken.pop(event.message, None)
        if spoken is None:
            return
        chars = max(event.chars, spoken.chars)
        for part in spoken.message.parts:
            item = self._pending.get(part.delivery)
            if item is None:
                continue
            heard = part.heard(chars)
            if event.complete or item.told(heard):
                self._hear(item, actions)
            else:
                self._cut(item, heard, event.cut or "unknown", actions)
            self._settle_carried(part.delivery, actions)

    def _cut(self, item: Pending, heard: int, cut: str, actions: list[Action]) -> None:
        """It was not heard whole: it ends, or the rest of it waits again."""
        begun, item.heard = heard > item.heard, heard
        if cut == VOICELESS:
            item.voiceless += 1
            cut = cut if item.voiceless <= MOST_VOICELESS else "failed"
        by_caller = begun and cut not in _UNCOUNTED and cut not in _BROKEN
        counted = by_caller or cut in _BROKEN
        if item.end_as is not None:
            self._settle(item, *item.end_as, actions)
        elif by_caller and item.delivery.on_interrupt is OnInterrupt.DROP:
            self._settle(item, Status.DROPPED, cut, actions)
        elif not (counted and self._given_up(item, cut if cut in _BROKEN else f"interrupted by {cut}", actions)):
            self._requeue(item, cut, counted, begun, actions)

    def _requeue(self, item: Pending, cut: str, counted: bool, begun: bool, actions: list[Action]) -> None:
        """What was not heard of it is owed."""
        if cut == VOICELESS:
            item.retry_at = self._line.now + min(PAUSE * 2.0 ** min(item.voiceless - 1, 10), LONGEST_PAUSE)
        elif cut in _BROKEN:
            item.retry_at = self._after_pause(item)
        elif counted:
            item.yields = True
        elif not begun and cut not in _OURS and cut != _LATE:
            item.retry_at = self._line.now + PAUSE
        heard = item.text[: item.heard]
        if item.delivery.on_interrupt is OnInterrupt.REPEAT:
            item.heard = 0
        self._line.add(item)
        if cut == _LATE:
            self._line.hurry(item, Next.LATE)
        move = Move(item.id, Status.QUEUED, heard_chars=item.heard, reason=cut, attempt=counted)
        actions.append(Record((move,)))
        actions.append(Interrupted(item.delivery, heard, item.text[item.heard :], cut))

    def _given_up(self, item: Pending, why: str, actions: list[Action]) -> bool:
        """Count a try that came to nothing; after the last the delivery is set aside."""
        item.attempts += 1
        if item.attempts < self.tries:
            return False
        self._settle(item, Status.DEAD, f"given up after {item.attempts} tries: {why}", actions, attempt=True)
        return True

    def _after_pause(self, item: Pending) -> float:
        return self._line.now + PAUSE * 4.0 ** (item.attempts - 1)

    def _hear(self, item: Pending, actions: list[Action]) -> None:
        item.heard = len(item.text)
        self._settle(item, Status.HEARD, "", actions)

    def _settle(
        self, item: Pending, status: Status, reason: str, actions: list[Action], *, attempt: bool = False
    ) -> None:
        del self._pending[item.id]
        if (topic := _topic(item)) is not None:
            self._topics[topic].pop(item.id)
            if not self._topics[topic]:
                del self._topics[topic]
        self._line.carried.pop(item.id, None)
        self._line.remove(item)
        text, heard = item.text, item.heard
        move = Move(item.id, status, wording=item.wording, heard_chars=heard, reason=reason, attempt=attempt)
        actions.append(Record((move,)))
        waited = self._line.now - item.arrived
        actions.append(Settled(item.delivery, status, reason, text[:heard], text[heard:], waited, item.waits))


def _topic(item: Pending) -> tuple[str, str | None] | None:
    """Of deliveries that share it only the newest is spoken."""
    topic = item.delivery.supersedes
    return None if topic is None else (topic, item.delivery.to)
