"""Signals: what a scheduler is told, and what it asks for. Values only; the times come beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from delivery.ledger import Delivery, Entry, Move, Status
from delivery.message import Message
from delivery.strategies import Strategy
from voice.floor import FloorView

# ---- what it is told


@dataclass(frozen=True, slots=True)
class Submitted:
    """A delivery is in the ledger and wants to be spoken."""

    entry: Entry
    strategy: Strategy


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A delivery is not wanted any more."""

    id: str


@dataclass(frozen=True, slots=True)
class FloorMoved:
    """The floor, after a change."""

    view: FloorView


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears now (ids of callers)."""

    callers: frozenset[str]


@dataclass(frozen=True, slots=True)
class TurnOver:
    """A caller's turn just ended: the moment to ask for the floor, if something has waited too long."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A delivery is reserved in the ledger; `wording` is what will be spoken."""

    id: str
    wording: str


@dataclass(frozen=True, slots=True)
class NotReady:
    """A delivery could not be made ready; it may be tried again from `retry_at` on.

    `fault`: what is wrong with the delivery itself, which counts as a try ("": nothing; the ledger is away).
    """

    id: str
    retry_at: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A hook refused the delivery."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class FoldAnswered:
    """Whether the agent takes the deliveries into the reply it owes."""

    ids: tuple[str, ...]
    taken: bool


@dataclass(frozen=True, slots=True)
class Carried:
    """The agent's reply carries a delivery, which may not have been submitted yet. It is not spoken beside it.

    `heard`: None while the reply lasts; then whether it was heard whole. If not, the delivery waits like any other;
    so does one that was folded into a reply that failed.
    """

    id: str
    heard: bool | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """The first sample of a message is at an ear."""

    message: str


@dataclass(frozen=True, slots=True)
class Heard:
    """`chars` characters of a message have been heard."""

    message: str
    chars: int


@dataclass(frozen=True, slots=True)
class SpeechOver:
    """A message is over. `complete`: all of it was heard; otherwise `cut` says by whom or what, `chars` how far.

    `late`: it was to come before a reply, which has begun by now.
    """

    message: str
    chars: int
    complete: bool
    cut: str = ""


SchedulerEvent = (
    Submitted
    | Withdrawn
    | FloorMoved
    | Audience
    | TurnOver
    | Ready
    | NotReady
    | Refused
    | FoldAnswered
    | Carried
    | Begun
    | Heard
    | SpeechOver
)

# ---- what it asks for


@dataclass(frozen=True, slots=True)
class Prepare:
    """Settle the wording and reserve the delivery in the ledger; answer `Ready`, `NotReady` or `Refused`."""

    delivery: Delivery
    wording: str | None


@dataclass(frozen=True, slots=True)
class Fold:
    """Ask the agent to take the deliveries into the reply it owes; answer `FoldAnswered`."""

    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Speak:
    """Say the message now; report `Heard` as it goes and `SpeechOver` at its end."""

    message: Message


@dataclass(frozen=True, slots=True)
class Stop:
    """Cut the message."""

    message: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """Write these steps to the ledger, in this order."""

    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """A delivery came to its end; true once the `Record` before it is written.

    `waited` is in seconds from its arrival to this end; `waits` splits it up: by blocker of the floor, or what else it
    waited for, and `speaking`.
    """

    delivery: Delivery
    status: Status
    reason: str
    heard: str
    remainder: str
    waited: float
    waits: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A delivery was cut and is queued again with `remainder`."""

    delivery: Delivery
    heard: str
    remainder: str
    cut: str


Action = Prepare | Fold | Speak | Stop | Record | Settled | Interrupted
