"""The line in which a room's deliveries wait: which of them is next, from when on, and what each one waits for.

It answers questions and asks for nothing; what follows from the answers is the scheduler's. Times are loop seconds.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from delivery.pending import ADDRESSEE, SPEAKING, Pending, Spoken
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
    _items: list[Pending] = field(default_factory=list)
    _wake: float = math.inf
    _expiry: float = math.inf
    """Nothing expires before."""
    _waits: dict[str, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Pending]:
        return iter(self._items)

    def add(self, item: Pending) -> None:
        """It waits, from now on."""
        item.message = None
        insort(self._items, item, key=lambda i: i.order)
        self._expiry = min(self._expiry, item.expires)
        self._book(item)

    def remove(self, item: Pending, message: str | None = None) -> None:
        """It waits no more: it ended, or is spoken in `message`."""
        if item.message is None:
            self._items.remove(item)
        item.message, item.next = message, False
        item.wait_for(None if message is None else SPEAKING, self._waits, self.now)

    def listened_to_by(self, callers: frozenset[str]) -> None:
        """Who hears has changed."""
        self.hearing = callers
        for item in self._items:
            self._book(item)

    def _book(self, item: Pending) -> None:
        item.wait_for(None if self.hears(item) else ADDRESSEE, self._waits, self.now)

    # -- time

    def pass_time(self, now: float) -> None:
        """Book the time since the last event on what is waited for; one sum for all, so the cost is the same."""
        if now > self.now:
            if self.now > -math.inf:
                why = self._why()
                self._waits[why] = self._waits.get(why, 0.0) + now - self.now
            self.now = now

    def expired(self) -> list[Pending]:
        """What has waited too long. What a reply carries is as good as spoken, and does not expire meanwhile."""
        if self.now < self._expiry:
            return []
        self._expiry = min((i.expires for i in self._items if i.expires > self.now), default=math.inf)
        over = [i for i in self._items if i.expires <= self.now]
        if any(i.id in self.carried for i in over):
            self._expiry = self.now  # look again at the next event: it may have been carried in vain
        return [i for i in over if i.id not in self.carried]

    def deadline(self) -> float | None:
        """When to look again, if nothing happens before."""
        wake = min(self._wake, self._expiry) if self._expiry > self.now else self._wake
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
        return PREPARING if item.due is not None and item.due <= self.now else BUFFER

    # -- who is next

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
        for item in self._items:
            if item.retry_at > now:
                self._wake = min(self._wake, item.retry_at)
            item.due = due = self._due(item)
            if item.broken:
                broken.append(item)
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
        if not head.strategy.merges or head.due is None:
            return [head]
        by = max(head.due, self.now)
        return [
            i
            for i in self._items
            if i.strategy.merges and i.delivery.to == head.delivery.to and i.due is not None and i.due <= by
        ]

    def urgent(self) -> Pending | None:
        """What outranks all that we are saying; unless that was meant to be said over everybody."""
        if any(s.message.over for s in self.spoken.values()):
            return None
        rank = max((s.priority for s in self.spoken.values()), default=math.inf)
        for item in self._items:
            if item.delivery.priority <= rank:
                return None
            if self.would(item):
                return item
        return None

    def _due(self, item: Pending) -> float | None:
        """From when on the item may be spoken on the floor as it is (None: not on this floor)."""
        if (self.spoken and not self._may_cut(item)) or not self.may(item):
            return None
        return item.when(self.floor, self.now)

    def _may_cut(self, item: Pending) -> bool:
        rank = item.delivery.priority
        return item.talks_over and all(not s.message.over or rank > s.priority for s in self.spoken.values())
