"""A Pending delivery: what a scheduler knows of one that waits or is being spoken, and how long it waited for what."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import TYPE_CHECKING

from delivery.ledger import Delivery, Entry, SpeakAs, Status
from delivery.message import Message
from delivery.signals import Prepare
from delivery.strategies import Strategy
from voice.floor import Blocker, FloorView

if TYPE_CHECKING:
    from delivery.lane import Lane

_SPEAKABLE = re.compile(r"\w")
ADDRESSEE = "addressee_absent"
SPEAKING = "speaking"
UNATTENDED = "unattended"
"""It waited in the ledger while no desk had it."""
LONGEST_TRAIL = 16
"""How many changes of what a delivery waits for are kept until they are summed up."""


class Next(Enum):
    """Why a delivery is spoken as soon as the floor opens, without a buffer."""

    FOLDED = auto()
    """The agent took it into its reply."""
    ASKED = auto()
    """It has waited too long: it asks the caller for the floor, also before a reply that is owed."""
    LATE = auto()
    """The same, but the reply was on its way already: it comes after that."""
    URGENT = auto()
    """It cuts in on a less urgent one."""


@dataclass(slots=True, eq=False)
class Pending:
    """A delivery as it waits or is spoken. Times are loop seconds."""

    delivery: Delivery
    strategy: Strategy
    seq: int
    arrived: float
    expires: float
    wording: str | None
    heard: int
    attempts: int
    yields: bool
    """A caller cut it: the rest of it waits for silence, whatever its strategy."""
    _spent: dict[str, float]
    """Seconds by reason, up to where `_trail` begins."""
    _trail: list[tuple[float, str | None, Mapping[str, float]]]
    """From when on it waited for what, and what the room had waited by then."""
    ready: bool = False
    preparing: bool = False
    retry_at: float = -math.inf
    voiceless: int = 0
    """How often no voice could be had for it."""
    next: Next | None = None
    broken: str = ""
    """What is wrong with its strategy."""
    lane: Lane | None = None
    """Where it waits in its line, while it does."""
    message: str | None = None
    timed: bool = False
    """Somebody watches over its time."""
    end_as: tuple[Status, str] | None = None
    """What becomes of it, and why, when its speech is over: it was cancelled or superseded meanwhile."""

    @classmethod
    def of(cls, entry: Entry, strategy: Strategy, now: float) -> Pending:
        """As the ledger has it at `now`."""
        delivery, arrived = entry.delivery, now - entry.age
        return cls(
            delivery=delivery,
            strategy=strategy,
            seq=entry.seq,
            arrived=arrived,
            expires=math.inf if delivery.ttl is None else arrived + delivery.ttl,
            wording=entry.wording,
            heard=entry.heard_chars,
            attempts=entry.attempts,
            yields=entry.attempts > 0 and entry.heard_chars > 0,
            _spent={UNATTENDED: entry.age} if entry.age else {},
            _trail=[],
        )

    @property
    def id(self) -> str:
        """The delivery's."""
        return self.delivery.id

    @property
    def order(self) -> tuple[int, int]:
        """Its place in the queue: by priority, then by arrival."""
        return (-self.delivery.priority, self.seq)

    @property
    def text(self) -> str:
        """What is spoken."""
        return self.delivery.content if self.wording is None else self.wording

    @property
    def here(self) -> bool:
        """It waits or is being spoken."""
        return self.lane is not None or self.message is not None

    @property
    def foldable(self) -> bool:
        """The agent may take it into a reply of its own. What a caller cut waits for silence instead."""
        delivery = self.delivery
        return delivery.fold and delivery.speak_as is SpeakAs.AGENT and not self.strategy.talks_over and not self.yields

    @property
    def talks_over(self) -> bool:
        """It may be spoken over a caller."""
        return self.strategy.talks_over and not self.yields

    def told(self, heard: int) -> bool:
        """Whether nothing that could be spoken is left once `heard` characters were heard."""
        return heard > 0 and _SPEAKABLE.search(self.text, heard) is None

    @property
    def overdue_from(self) -> float:
        """From then on it has waited so long that the agent may ask for the floor."""
        wait = self.delivery.max_wait
        return math.inf if wait is None else self.arrived + wait

    def when(self, floor: FloorView, now: float) -> float | None:
        """From when on its strategy lets it be spoken; one that fails costs only its own delivery (`broken`)."""
        if self.strategy.talks_over and self.yields and not floor.open:
            return None
        if self.next is Next.ASKED and floor.blocker is Blocker.REPLY:
            return floor.since
        try:
            due = self.strategy.when(self.delivery, floor, now)
            if due is not None and (not isinstance(due, int | float) or isinstance(due, bool) or math.isnan(due)):
                raise ValueError(f"when() must return loop seconds or None, not {due!r}")
        except Exception as error:
            self.broken = f"its strategy failed: {error!r}"
            return None
        if due == math.inf:
            return None
        return min(due, floor.since) if due is not None and self.next and floor.open else due

    def prepare(self, now: float) -> list[Prepare]:
        """Have it made ready, unless it is, or that is being done, or it is too early to try again."""
        if self.ready or self.preparing or self.retry_at > now:
            return []
        self.preparing = True
        return [Prepare(self.delivery, self.wording)]

    def wait_for(self, why: str | None, totals: Mapping[str, float], now: float) -> None:
        """From `now` on it waits for `why` (None: for what the whole room waits for, summed up in `totals`).

        `totals` must not change any more.
        """
        self._trail.append((now, why, totals))
        if len(self._trail) > LONGEST_TRAIL:
            self._spent, self._trail = self.waits, self._trail[-1:]

    @property
    def waits(self) -> dict[str, float]:
        """Seconds by reason, up to when `wait_for` was last told."""
        spent = dict(self._spent)
        for (since, why, before), (until, _, after) in pairwise(self._trail):
            reasons = (
                {r: total - before.get(r, 0.0) for r, total in after.items()} if why is None else {why: until - since}
            )
            for reason, seconds in reasons.items():
                if seconds > 0.0:
                    spent[reason] = spent.get(reason, 0.0) + seconds
        return spent


@dataclass(slots=True, eq=False)
class Spoken:
    """A message at the ear. `priority`: the highest in it; `chars` were heard; written down at `recorded`."""

    message: Message
    priority: int
    recorded: float
    asks: bool = False
    """It asked for the floor, and the reply that is owed comes after it: nothing gains by cutting it."""
    chars: int = 0
    begun: bool = False
    """Its first sample is at an ear."""
    stopping: bool = False

    def reached(self, delivery: str) -> bool:
        """Whether some of this delivery, one of its parts, is at the ear."""
        first = self.message.parts[0]
        if self.begun and first.delivery == delivery:
            return True
        return any(part.delivery == delivery and self.chars > part.start for part in self.message.parts)
