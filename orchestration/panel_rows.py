"""The rows of a Panel: what it remembers of each caller, utterance, task and delivery, bounded."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

MAX_ROWS = 60
"""Callers, turns, utterances, tasks, deliveries and handoffs remembered, of each."""
MAX_SPANS = 60
"""Spans or steps of one row remembered."""
ENDED = frozenset({"done", "failed", "heard", "superseded", "expired", "refused", "cancelled", "dropped", "dead"})
"""Statuses after which a task or a delivery does not change."""

Span = list[float | None]
Step = list[str | float]


class Row(Protocol):
    """Something that begins, changes, and is over."""

    @property
    def over(self) -> bool:
        """Nothing more will happen to it."""
        ...


R = TypeVar("R", bound=Row)


@dataclass(slots=True)
class CallerRow:
    """A caller, and when their voice was heard."""

    id: str
    name: str
    state: str = "gone"
    at: float = 0.0
    words: str = ""
    spans: list[Span] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """They left."""
        return self.state == "gone"


@dataclass(slots=True)
class Part:
    """From character `start` on it is the words of the agent called `name`; `heard`: when the first of them were."""

    start: int
    name: str
    heard: float | None = None


@dataclass(slots=True)
class UtteranceRow:
    """What agents say, how much of it was heard, and when."""

    id: str
    role: str
    deliveries: list[str]
    text: str
    at: float
    heard: int = 0
    done: bool = False
    question: bool = False
    agents: list[Part] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """It was said, or cut."""
        return self.done

    def hear(self, chars: int, at: float) -> None:
        """So many characters of it have been heard at `at`."""
        self.heard = chars
        for part in self.agents:
            if part.heard is None and chars > part.start:
                part.heard = at


@dataclass(slots=True)
class TaskRow:
    """A background task, or a part of one."""

    id: str
    label: str
    status: str
    parent: str | None
    round: int
    progress: str
    at: float
    history: list[Step] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Nothing more will happen to it."""
        return self.status in ENDED


@dataclass(slots=True)
class DeliveryRow:
    """A delivery, and how much of its wording was heard."""

    id: str
    label: str
    status: str
    reason: str
    heard_chars: int
    length: int
    task: str | None
    at: float
    history: list[Step] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Nothing more will happen to it."""
        return self.status in ENDED


def mark(spans: list[Span], on: bool, at: float) -> None:
    """Open a span at `at`, or close the open one."""
    is_open = bool(spans) and spans[-1][1] is None
    if on and not is_open:
        spans.append([at, None])
        del spans[:-MAX_SPANS]
    elif is_open and not on:
        spans[-1][1] = at


def add(history: list[Step], step: Step) -> None:
    """Note a step; the first one is kept, because it says when the row began."""
    history.append(step)
    if len(history) > MAX_SPANS:
        del history[1]


def make_room(rows: dict[str, R]) -> None:
    """Make room for one more row: the oldest one that is over goes, or else the oldest."""
    if len(rows) >= MAX_ROWS:
        del rows[next((id for id, row in rows.items() if row.over), next(iter(rows)))]


def without_history(row: TaskRow | DeliveryRow) -> dict[str, Any]:
    """As it is sent when it changes."""
    return {name: value for name, value in asdict(row).items() if name != "history"}
