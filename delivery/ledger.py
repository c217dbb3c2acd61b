"""A Delivery, its life, and the Ledger that remembers it: every step is written before its effect can be noticed.

Statuses and their order: queued -> reserved -> speaking -> heard; an interrupted delivery is queued again with what
was not heard. superseded, expired, refused, cancelled, dropped and dead are ends too; dead ones are listed and can be
replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Status(StrEnum):
    """Where a delivery stands."""

    QUEUED = "queued"
    RESERVED = "reserved"
    SPEAKING = "speaking"
    HEARD = "heard"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    DROPPED = "dropped"
    DEAD = "dead"

    @property
    def terminal(self) -> bool:
        """Whether this is an end."""
        return self not in OPEN_STATUSES


OPEN_STATUSES = frozenset({Status.QUEUED, Status.RESERVED, Status.SPEAKING})


class OnInterrupt(StrEnum):
    """What becomes of a delivery that a caller cut short."""

    RESUME = "resume"
    """Queue what was not heard, from the last heard word."""
    REPEAT = "repeat"
    """Queue all of it again."""
    DROP = "drop"
    """It is over (`dropped`)."""


class SpeakAs(StrEnum):
    """Whose words are spoken."""

    VERBATIM = "verbatim"
    """The content, word for word."""
    AGENT = "agent"
    """The agent puts the content in its own words."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something to be heard in a room, once.

    `strategy` is a strategy's written form ({"name": "wait_for_idle", "buffer": 1.0}), so that it survives a restart.
    `ttl` and `max_wait` are seconds; `ttl=None` never expires, `max_wait=None` never asks for the floor.
    `supersedes` is a topic: the newest unspoken delivery of a topic to a caller replaces older ones.
    `to` is the id of the caller it is for; None: whoever is in the room.
    """

    id: str
    room: str
    content: str
    strategy: Mapping[str, Any]
    to: str | None = None
    task: str | None = None
    priority: int = 0
    ttl: float | None = None
    supersedes: str | None = None
    max_wait: float | None = 30.0
    on_interrupt: OnInterrupt = OnInterrupt.RESUME
    speak_as: SpeakAs = SpeakAs.VERBATIM
    fold: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery as the ledger has it.

    `seq` is its place in the order of arrival. `wording` is what is really spoken (the agent's own words, or what a
    hook made of it; None: the content); `heard_chars` how many characters of that were heard (always the end of a
    word). `attempts` is how often it was cut short or failed; `age` is seconds since it was put, by the ledger's own
    clock, at the time of reading; `reason` why it ended, or why it was last cut. `unwanted`: it was cancelled while
    it was being spoken or about to be; whoever speaks it stops at the next word and ends it.
    """

    delivery: Delivery
    status: Status
    seq: int
    wording: str | None = None
    heard_chars: int = 0
    attempts: int = 0
    age: float = 0.0
    reason: str = ""
    unwanted: bool = False


LEASE = 3.0
"""Seconds without a sign of life after which a process counts as gone, and its rooms and tasks may be taken over."""


@dataclass(frozen=True, slots=True)
class Process:
    """A program that uses the ledger. `address` is where its callers reach it (a URL; None: callers cannot be sent)."""

    id: str
    address: str | None = None


class LedgerError(Exception):
    """The ledger could not do what was asked; nothing was half written."""


class ConflictError(LedgerError):
    """The same delivery id was used before with other content."""


class QueueFullError(LedgerError):
    """The room already has as many open deliveries as it may (`limit`)."""


class FencedError(LedgerError):
    """Another process took the room since: this one's epoch is old and nothing was written."""


class RoomHeldError(LedgerError):
    """A living process has the room, and callers in it: send them to `holder`.

    `age` is how many seconds ago it gave its last sign of life.
    """

    def __init__(self, room: str, holder: Process, age: float = 0.0) -> None:
        where = f"at {holder.address}" if holder.address else "which callers cannot be sent to"
        super().__init__(f"room {room!r} is held by the process {holder.id} {where}")
        self.room = room
        self.holder = holder
        self.age = age


@dataclass(frozen=True, slots=True)
class Move:
    """One step of one delivery's life. `wording`, `heard_chars` and `reason` are kept as they are when None.

    `attempt`: it was begun and came to nothing whole (counts one attempt).
    """

    id: str
    status: Status
    wording: str | None = None
    heard_chars: int | None = None
    reason: str | None = None
    attempt: bool = False


class Ledger(Protocol):
    """Durable memory of deliveries. Every coroutine returns when its write is durable, or raises and wrote nothing."""

    async def open(self) -> None:
        """Make it ready. Raises LedgerError with the path and the fix when it cannot be."""
        ...

    async def aclose(self) -> None: ...

    # -- processes

    async def beat(self, process: Process) -> frozenset[str]:
        """This process is alive; the lease counts from now, by the ledger's own clock.

        Returns the ids of the processes that are gone and were not forgotten: they left, or gave no sign of life for
        a lease, or had the same address before (it is ours now).
        """
        ...

    async def leave(self, process: str) -> None:
        """This process goes: whoever asks from now on finds it gone, and its rooms free."""
        ...

    async def forget(self, processes: Iterable[str]) -> None:
        """All that was left by these gone processes is taken care of. One that lives after all is not forgotten."""
        ...

    # -- rooms

    async def take_room(self, room: str, owner: str) -> int:
        """Own `room` from now on: bump and return its epoch; older owners' writes are fenced.

        `owner` is a process's id. Reserved and speaking rows of the room become queued again from their last heard
        word: whoever spoke them is gone. Raises RoomHeldError when another process has the room, did not leave it and
        is not gone. A process that never gave a sign of life counts as gone.
        """
        ...

    async def leave_room(self, room: str, epoch: int) -> None:
        """Any process may take the room from now on. Does nothing when it is not ours (`epoch`) any more."""
        ...

    # -- deliveries

    async def put(self, delivery: Delivery, *, limit: int = 1000) -> bool:
        """Queue `delivery`. False: this id with this content is there already (nothing changed).

        Raises ConflictError, QueueFullError, LedgerError.
        """
        ...

    async def move(self, room: str, epoch: int, moves: Sequence[Move]) -> frozenset[str]:
        """Write several steps in one transaction. A delivery that already ended is left as it is; returns their ids.

        Raises FencedError when `epoch` is not the room's; LedgerError when it cannot be written.
        """
        ...

    async def cancel(self, id: str) -> Status | None:
        """It is not wanted any more. Any process may say so. Returns its status after that; None: unknown.

        A queued one is cancelled at once; one that is reserved or being spoken becomes `unwanted`, and whoever holds
        the room ends it.
        """
        ...

    async def replay(self, id: str, *, whole: bool = False) -> Status | None:
        """Queue a delivery again that ended unheard (dead, expired, refused, cancelled, dropped). Any process may.

        Its age and attempts begin anew, at its old place in the queue; `whole`: also what was heard of it is said
        again. Returns its status after that (another status than queued: it was left as it is); None: unknown.
        """
        ...

    async def entries(
        self, room: str, statuses: Iterable[Status] | None = None, limit: int = 1000, *, newest: bool = False
    ) -> list[Entry]:
        """The room's deliveries in order of arrival (default: the open ones): the first `limit`, or the `newest`."""
        ...

    async def get(self, id: str) -> Entry | None: ...

    async def discard(self, older: float, limit: int = 500) -> int:
        """Delete deliveries that ended more than `older` seconds ago, at most `limit` of them; returns how many.

        Their ids may be used again. Several processes may do so.
        """
        ...

    def subscribe(self, on_change: Callable[[str], None], *, moves: bool = True) -> Callable[[], None]:
        """Call `on_change(room)` in the event loop soon after any process changed a delivery of that room.

        A hint: it may come late, twice, or with room "*" (look everywhere). `moves=False`: this ledger's own moves need
        not be told, as for who makes them. Returns what stops it.
        """
        ...
