"""The line in which a room's deliveries wait: which of them is next, from when on, and what each one waits for.

It answers questions and asks for nothing; what follows from the answers is the scheduler's. Times are loop seconds.
Deliveries that are alike to their strategy wait in one lane, and it is asked once for all of them: how long an answer
takes depends on how many strategies and addressees there are, not on how many deliveries wait.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush, merge
from itertools import count

from delivery.lane import Lane, breath, order
from delivery.pending import ADDRESSEE, SPEAKING, Next, Pending, Spoken
from voice.floor import Blocker, FloorState, FloorView

NOBODY_YET = FloorView(FloorState.EMPTY, Blocker.NOBODY, 0.0)
BUFFER = "buffer"
QUEUE = "queue"
PREPARING = "preparing"
RETRY = "retrying"


@dataclass(slots=True)
class Line:
    """Deliveries in order of priority and arrival, and the room as they see it."""

    now: float = -math.inf
    floor: FloorView = NOBODY_YET
    hearing: frozenset[str] = frozenset()
    carried: dict[str, bool | None] = field(default_factory=dict)
    """What the agent's reply carries (None), or carried (True: it was heard whole)."""
    spoken: dict[str, Spoken] = field(default_factory=dict)
    """The messages at the ear, by id."""
    head: Pending | None = None
    """What is spoken next if the floor stays as it is."""
    _lanes: dict[Hashable, Lane] = field(default_factory=dict)
    _apart: dict[str, Pending] = field(default_factory=dict)
    """What is in a lane of its own only for now."""
    _wake: float = math.inf
    _timed: list[tuple[float, int, Pending]] = field(default_factory=list)
    """A heap of what expires, with its time."""
    _late: list[Pending] = field(default_factory=list)
    """What would have expired if a reply did not carry it."""
    _numbers: Iterator[int] = field(default_factory=count)
    _overdue: float = math.inf
    """Nothing is overdue before."""
    _waits: dict[str, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Pending]:
        return merge(*(lane.items for lane in self._lanes.values()), key=order)

    def add(self, item: Pending) -> None:
        """It waits, from now on."""
        item.message = None
        self._join(item)
        if item.expires < math.inf and not item.timed:
            item.timed = True
            heappush(self._timed, (item.expires, next(self._numbers), item))
        self._overdue = min(self._overdue, item.overdue_from)
        self._book(item)

    def remove(self, item: Pending) -> None:
        """It waits no more: it ended."""
        if item.message is None:
            self._leave(item)
        item.message = item.next = None
        item.wait_for(None, self._waits.copy(), self.now)

    def begin(self, items: Iterable[Pending], message: str) -> None:
        """They are spoken in `message` now."""
        waits = self._waits.copy()
        for item in items:
            self._leave(item)
            item.message, item.next = message, None
            item.wait_for(SPEAKING, waits, self.now)
        self.head = None

    def listened_to_by(self, callers: frozenset[str]) -> None:
        """Who hears has changed."""
        changed, self.hearing = self.hearing ^ callers, callers
        for lane in self._lanes.values():
            if lane.first.delivery.to in changed:
                for item in lane.items:
                    self._book(item)

    def _book(self, item: Pending) -> None:
        item.wait_for(None if self.hears(item) else ADDRESSEE, self._waits.copy(), self.now)

    # -- what makes one unlike the others

    def hurry(self, item: Pending, why: Next | None) -> None:
        """It is spoken as soon as the floor opens, without a buffer (None: with it, like any other)."""
        if item.next is not why:
            item.next = why
            self._move(item)

    def hold(self, item: Pending, until: float) -> None:
        """It is not spoken before."""
        item.retry_at = until
        self._move(item)

    def carry(self, id: str, heard: bool | None, item: Pending | None) -> None:
        """The agent's reply carries it (None), or carried it; `item`: it, if it is here."""
        self.carried[id] = heard
        if item is not None and item.message is None:
            self._move(item)

    def hurried(self, why: Next | None = None) -> list[Pending]:
        """What is spoken without a buffer (`why`: for that reason), in order."""
        items = (lane.first for lane in self._lanes.values())
        return sorted((i for i in items if i.next and why in (None, i.next)), key=order)

    def _join(self, item: Pending) -> None:
        """Put it into its lane."""
        key = self._key(item)
        if key == item.id and item.strategy.impartial:
            self._apart[item.id] = item
        if (lane := self._lanes.get(key)) is None:
            lane = self._lanes[key] = Lane(key)
        lane.put(item)

    def _leave(self, item: Pending) -> None:
        lane = item.lane
        assert lane is not None
        lane.take(item)
        if not lane.items:
            del self._lanes[lane.key]
            self._apart.pop(item.id, None)

    def _move(self, item: Pending) -> None:
        if item.lane is not None and item.lane.key != self._key(item):
            self._leave(item)
            self._join(item)

    def _key(self, item: Pending) -> Hashable:
        """Its lane: all in it are answered alike. What is hurried, held back or carried has one of its own."""
        if not item.strategy.impartial or item.next or item.retry_at > self.now or item.id in self.carried:
            return item.id
        key = (item.strategy, item.delivery.to, item.yields)
        try:
            hash(key)
        except TypeError:  # a strategy of somebody's that is no frozen dataclass
            return item.id
        return key

    # -- time

    def pass_time(self, now: float) -> None:
        """Book the time since the last event on what is waited for; one sum for all, so the cost is the same."""
        if now > self.now:
            if self.now > -math.inf:
                why = self._why()
                self._waits[why] = self._waits.get(why, 0.0) + now - self.now
            self.now = now

    def expired(self) -> list[Pending]:
        """What has waited too long, or is in a message and should have begun by now.

        What a reply carries is as good as spoken, and does not expire meanwhile.
        """
        over, self._late = self._late, []
        while self._timed and self._timed[0][0] <= self.now:
            item = heappop(self._timed)[2]
            item.timed = False
            over.append(item)
        if not over:
            return over
        self._late = [i for i in over if i.lane is not None and i.id in self.carried]
        return [i for i in over if i.here and i not in self._late]

    def deadline(self) -> float | None:
        """When to look again, if nothing happens before."""
        while self._timed and not self._timed[0][2].here:
            heappop(self._timed)[2].timed = False
        wake = min(self._wake, self._timed[0][0]) if self._timed else self._wake
        return wake if self.now < wake < math.inf else None

    def _why(self) -> str:
        return self.floor.blocker or (QUEUE if self.spoken else BUFFER)

    def reason(self, item: Pending) -> str:
        """What it waits for: a blocker of the floor, `buffer`, `queue`, ... ("": it is being spoken)."""
        if item.message:
            return ""
        if not self.hears(item) and self.hearing:
            return ADDRESSEE
        if not self.floor.open:
            return self._why()
        if item.retry_at > self.now:
            return RETRY
        if item is not self.head:
            return QUEUE
        return PREPARING if self.due is not None and self.due <= self.now else BUFFER

    # -- who is next

    @property
    def due(self) -> float | None:
        """From when on `head` may be spoken."""
        return self.head.lane.due if self.head and self.head.lane else None

    def hears(self, item: Pending) -> bool:
        """Its addressee hears; who that is is the floor's business when it has none."""
        return item.delivery.to is None or item.delivery.to in self.hearing

    def may(self, item: Pending) -> bool:
        """Nothing but the floor keeps it back."""
        return item.retry_at <= self.now and item.id not in self.carried and self.hears(item)

    def would(self, item: Pending) -> bool:
        """It waits for the floor only, and its strategy would let it be spoken if the floor opened now."""
        opened = FloorView(FloorState.OPEN, None, self.now, self.now)
        return self.may(item) and not item.talks_over and item.when(opened, self.now) is not None

    def choose(self) -> list[Pending]:
        """Find `head`, and when to look again. Returns those whose strategy is broken."""
        now, best = self.now, None
        broken: list[Pending] = []
        self.head, self._wake = None, math.inf
        for item in list(self._apart.values()):
            self._move(item)
        for lane in self._lanes.values():
            item = lane.items[0]
            if item.retry_at > now:
                self._wake = min(self._wake, item.retry_at)
            lane.due = due = self._due(item)
            if item.broken:
                broken += lane.items
            if due is None:
                continue
            if due > now:
                self._wake = min(self._wake, due)
            rank = (not item.talks_over or due > now, -item.delivery.priority, max(due, now), item.seq)
            if best is None or rank < best:
                best, self.head = rank, item
        return broken

    def together(self, head: Pending) -> list[Pending]:
        """Those that are spoken in one message with `head`, if it merges: for the same ear and due by then."""
        if not head.strategy.merges or self.due is None:
            return [head]
        by = max(self.due, self.now)
        due = [lane for lane in self._lanes.values() if lane.due is not None and lane.due <= by]
        return _merged(head, due)

    def coming(self) -> list[Pending]:
        """What would be spoken next if the floor opened now, in one message if it merges."""
        able = [lane for lane in self._lanes.values() if self.would(lane.first)]
        head = min((lane.first for lane in able), key=order, default=None)
        if head is None or not head.strategy.merges:
            return [] if head is None else [head]
        return _merged(head, able)

    def urgent(self) -> Pending | None:
        """What outranks all that we are saying; unless that was meant to be said over everybody, or before a reply."""
        if any(s.message.over or s.asks for s in self.spoken.values()):
            return None
        rank = max((s.priority for s in self.spoken.values()), default=math.inf)
        items = [lane.first for lane in self._lanes.values() if lane.first.delivery.priority > rank]
        return next((i for i in sorted(items, key=order) if self.would(i)), None)

    def overdue(self) -> Pending | None:
        """The first that has waited so long that the agent may ask for the floor."""
        if self.now < self._overdue:
            return None
        self._overdue = min((i.overdue_from for i in self if i.overdue_from > self.now), default=math.inf)
        late = [next((i for i in lane.items if i.overdue_from <= self.now), None) for lane in self._lanes.values()]
        items = sorted((i for i in late if i is not None), key=order)
        if items:
            self._overdue = self.now  # they stay overdue
        return next((i for i in items if self.would(i)), None)

    def _due(self, item: Pending) -> float | None:
        """From when on the item may be spoken on the floor as it is (None: not on this floor)."""
        if (self.spoken and not self._may_cut(item)) or not self.may(item):
            return None
        return item.when(self.floor, self.now)

    def _may_cut(self, item: Pending) -> bool:
        rank = item.delivery.priority
        return item.talks_over and all(not s.message.over or rank > s.priority for s in self.spoken.values())


def _merged(head: Pending, lanes: list[Lane]) -> list[Pending]:
    """What goes into one message with `head`, of these lanes."""
    items = [
        lane.items
        for lane in lanes
        if lane.first.strategy.merges
        and lane.first.delivery.to == head.delivery.to
        and lane.first.talks_over == head.talks_over
    ]
    return breath(items[0] if len(items) == 1 else merge(*items, key=order))
