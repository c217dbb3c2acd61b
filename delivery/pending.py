"""A Pending delivery: what a scheduler knows of one that waits or is being spoken, and how long it waited for what."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from delivery.ledger import Delivery, Entry, Status
from delivery.message import Message
from delivery.strategies import Strategy
from voice.floor import FloorView

_SPEAKABLE = re.compile(r"\w")
ADDRESSEE = "addressee_absent"
SPEAKING = "speaking"
UNATTENDED = "unattended"
"""It waited in the ledger while no desk had it."""


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
    waits: dict[str, float]
    """Seconds by reason, up to `_since`; from then on it waits for `_why`."""
    ready: bool = False
    preparing: bool = False
    retry_at: float = -math.inf
    next: bool = False
    """Spoken as soon as the floor opens, without a buffer: it was folded, asked for the floor, or cut in."""
    due: float | None = None
    """From when on it may be spoken, as last asked (None: not on this floor)."""
    broken: str = ""
    """What is wrong with its strategy."""
    message: str | None = None
    end_as: tuple[Status, str] | None = None
    """What becomes of it, and why, when its speech is over: it was cancelled or superseded meanwhile."""
    _why: str | None = UNATTENDED
    _since: float = 0.0
    _totals: Mapping[str, float] = field(default_factory=dict)

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
            waits={UNATTENDED: entry.age} if entry.age else {},
            _since=now,
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
    def talks_over(self) -> bool:
        """It may be spoken over a caller."""
        return self.strategy.talks_over and not self.yields

    def told(self, heard: int) -> bool:
        """Whether nothing that could be spoken is left once `heard` characters were heard."""
        return heard > 0 and _SPEAKABLE.search(self.text, heard) is None

    def overdue(self, now: float) -> bool:
        """It has waited so long that the agent may ask for the floor."""
        wait = self.delivery.max_wait
        return wait is not None and now >= self.arrived + wait

    def when(self, floor: FloorView, now: float) -> float | None:
        """From when on its strategy lets it be spoken; one that fails costs only its own delivery (`broken`)."""
        if self.strategy.talks_over and self.yields and not floor.open:
            return None
        try:
            due = self.strategy.when(self.delivery, floor, now)
            if due is not None and math.isnan(due):
                raise ValueError("when() must return loop seconds or None, not NaN")
        except Exception as error:
            self.broken = f"its strategy failed: {error!r}"
            return None
        return min(due, floor.since) if due is not None and self.next and floor.open else due

    def wait_for(self, why: str | None, totals: Mapping[str, float], now: float) -> None:
        """From `now` on it waits for `why` (None: for what the whole room waits for, summed up in `totals`)."""
        if self._why is None:
            spent = [(reason, total - self._totals.get(reason, 0.0)) for reason, total in totals.items()]
        else:
            spent = [(self._why, now - self._since)]
        for reason, seconds in spent:
            if seconds > 0.0:
                self.waits[reason] = self.waits.get(reason, 0.0) + seconds
        self._why, self._since, self._totals = why, now, dict(totals)


@dataclass(slots=True, eq=False)
class Spoken:
    """A message at the ear. `priority`: the highest in it; `chars` were heard; written down at `recorded`."""

    message: Message
    priority: int
    recorded: float
    chars: int = 0
    stopping: bool = False
