"""A Ledger that lives and dies with the process: for simulations and tests, with the real one's exact behaviour."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from delivery.ended import Ended
from delivery.hints import Hints
from delivery.ledger import (
    LEASE,
    OPEN_STATUSES,
    ConflictError,
    Delivery,
    Entry,
    FencedError,
    LedgerError,
    Move,
    Process,
    QueueFullError,
    RoomHeldError,
    Status,
)
from delivery.record import after, again, orphaned, read, same, unwanted, written

KEEP = 1000
"""Deliveries that are over and kept all the same: some 3 MB."""

KEEP_PER_ROOM = 20
"""Those of a room that somebody has, beyond these: what a caller may still ask for."""

MAX_FREE = 10_000
"""Rooms that nobody has whose epochs are remembered one by one."""

_RECEIPTS_LOOK = 4
"""Rounds of the loop between the end of a delivery and its going: receipts are told in the next one, and look in the
one after that."""


@dataclass(slots=True)
class _Seen:
    """A process, and when it last gave a sign of life."""

    process: Process
    beat_at: float
    left: bool = False


@dataclass(slots=True)
class _Held:
    """A room, and whose it is; `held` until they let it go."""

    owner: str
    epoch: int
    held: bool = True


@dataclass(slots=True)
class _Row:
    """A delivery as it stands. Times are loop seconds."""

    entry: Entry
    put_at: float
    ended_at: float = 0.0


class _Rooms:
    """Whose rooms are. Of those that nobody has the last few are remembered; the epochs of the others count on."""

    def __init__(self) -> None:
        self._known: dict[str, _Held] = {}
        self._free: dict[str, None] = {}
        self._epoch = 0
        """The highest of those that are not remembered any more."""

    def find(self, room: str) -> _Held | None:
        return self._known.get(room)

    def take(self, room: str, owner: str) -> int:
        self._free.pop(room, None)
        known = self._known.get(room)
        epoch = 1 + (known.epoch if known else self._epoch)
        self._known[room] = _Held(owner, epoch)
        return epoch

    def let_go(self, room: str) -> None:
        self._known[room].held = False
        self._free[room] = None
        if len(self._free) > MAX_FREE:
            del self._free[oldest := next(iter(self._free))]
            self._epoch = max(self._epoch, self._known.pop(oldest).epoch)


class MemoryLedger:
    """Deliveries in a dict. Times are seconds of the event loop's clock, so virtual time works.

    What is in it outlasts `aclose` and a second `open`, as long as the object does; so several runtimes of one process
    may share it, as several processes share a database. `lease` is in seconds.

    What is not over is never dropped. Of what is over the newest `keep` are kept, and the newest `keep_per_room` of
    each room that somebody has; the ids of others may be used again. Who awaits a receipt gets the end of it first.
    """

    def __init__(self, *, lease: float = LEASE, keep: int = KEEP, keep_per_room: int = KEEP_PER_ROOM) -> None:
        """Raises ValueError naming the field that is wrong."""
        self._lease = lease
        self._processes: dict[str, _Seen] = {}
        self._rooms = _Rooms()
        self._rows: dict[str, _Row] = {}
        self._of_room: dict[str, dict[str, _Row]] = {}
        """In order of arrival."""
        self._open_of: dict[str, dict[str, _Row]] = {}
        self._numbers = itertools.count(1)
        self._ended = Ended(keep, keep_per_room)
        self._dropping = False
        self._hints = Hints()
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Take its clock from the running loop."""
        self._loop = asyncio.get_running_loop()
        self._users += 1
        self._dropping = False  # the loop in which it was may be gone

    async def aclose(self) -> None:
        """Forget the loop and the subscribers once nobody uses it any more; keep the deliveries."""
        self._users = max(0, self._users - 1)
        if not self._users:
            self._loop = None
            self._hints.clear()

    # -- processes

    async def beat(self, process: Process) -> frozenset[str]:
        """This process is alive; returns those that are gone and not forgotten."""
        now = self._open_loop().time()
        if process.id not in self._processes and process.address is not None:
            for seen in self._processes.values():
                seen.left = seen.left or seen.process.address == process.address
        self._processes[process.id] = _Seen(process, now)
        return frozenset(id for id in self._processes if not self._alive(id))

    async def leave(self, process: str) -> None:
        """This process goes."""
        self._open_loop()
        if process in self._processes:
            self._processes[process].left = True

    async def forget(self, processes: Iterable[str]) -> None:
        """Forget processes that are gone."""
        self._open_loop()
        for id in processes:
            if not self._alive(id):
                self._processes.pop(id, None)

    def _alive(self, id: str) -> bool:
        seen = self._processes.get(id)
        return seen is not None and not seen.left and self._open_loop().time() <= seen.beat_at + self._lease

    # -- rooms

    async def take_room(self, room: str, owner: str) -> int:
        """Own `room`: its reserved and speaking deliveries are queued again, older owners are fenced."""
        loop = self._open_loop()
        known = self._rooms.find(room)
        if known is not None and known.held and known.owner != owner and self._alive(known.owner):
            seen = self._processes[known.owner]
            raise RoomHeldError(room, seen.process, loop.time() - seen.beat_at)
        epoch = self._rooms.take(room, owner)
        for row in list(self._open_of.get(room, {}).values()):
            self._set(row, orphaned(row.entry))
        over = [row for row in self._of_room.get(room, {}).values() if row.entry.status.terminal]
        over.sort(key=lambda row: row.ended_at)
        self._ended.hold(room, (row.entry.delivery.id for row in over))
        return epoch

    async def leave_room(self, room: str, epoch: int) -> None:
        """Let the room go, if it is still ours."""
        self._open_loop()
        if (known := self._rooms.find(room)) and known.epoch == epoch:
            self._rooms.let_go(room)
            self._ended.let_go(room)
            self._drop_soon()

    # -- deliveries

    async def put(self, delivery: Delivery, *, limit: int = 1000) -> bool:
        """Queue `delivery`; False when it is there already."""
        loop = self._open_loop()
        written_down = written(delivery)
        known = self._rows.get(delivery.id)
        if known is not None:
            if not same(written(known.entry.delivery), written_down):
                raise ConflictError(f"delivery id {delivery.id!r} was used before with other content")
            return False
        if len(self._open_of.get(delivery.room, ())) >= limit:
            raise QueueFullError(f"room {delivery.room!r} already has {limit} open deliveries")
        row = _Row(Entry(read(written_down), Status.QUEUED, next(self._numbers)), loop.time())
        self._rows[delivery.id] = row
        for rows in (self._of_room, self._open_of):
            rows.setdefault(delivery.room, {})[delivery.id] = row
        self._hints.tell(delivery.room)
        return True

    async def move(self, room: str, epoch: int, moves: Sequence[Move]) -> frozenset[str]:
        """Make all of `moves`, or none; returns the ids of those that had ended before."""
        self._open_loop()
        known = self._rooms.find(room)
        if known is None or known.epoch != epoch:
            raise FencedError(f"room {room!r} was taken over: epoch {epoch} is old")
        rows = self._of_room.get(room, {})
        changed: dict[str, Entry] = {}
        over = set()
        for move in moves:
            if move.id not in rows:
                raise LedgerError(f"no delivery {move.id!r} in room {room!r}")
            entry = changed.get(move.id) or rows[move.id].entry
            if entry.status.terminal:
                over.add(move.id)
            changed[move.id] = after(entry, move)
        for id, entry in changed.items():
            self._set(rows[id], entry)
        self._hints.tell(room, moved=True)
        return frozenset(over)

    async def cancel(self, id: str) -> Status | None:
        """It is not wanted any more."""
        return self._change(id, unwanted)

    async def replay(self, id: str, *, whole: bool = False) -> Status | None:
        """Queue it again, if it ended unheard."""
        return self._change(id, lambda entry: again(entry, whole=whole))

    async def entries(
        self, room: str, statuses: Iterable[Status] | None = None, limit: int = 1000, *, newest: bool = False
    ) -> list[Entry]:
        """The room's deliveries in order of arrival (default: the open ones): the first `limit`, or the `newest`."""
        self._open_loop()
        wanted = OPEN_STATUSES if statuses is None else frozenset(statuses)
        rows = (self._open_of if wanted <= OPEN_STATUSES else self._of_room).get(room, {})
        found = [row for row in rows.values() if row.entry.status in wanted]
        first = max(0, len(found) - limit) if newest else 0
        return [self._aged(row) for row in found[first : first + limit]]

    async def get(self, id: str) -> Entry | None:
        """One delivery, or None."""
        self._open_loop()
        row = self._rows.get(id)
        return None if row is None else self._aged(row)

    async def discard(self, older: float, limit: int = 500) -> int:
        """Delete deliveries that ended more than `older` seconds ago, at most `limit`; returns how many."""
        before = self._open_loop().time() - older
        old = [row for row in self._rows.values() if row.entry.status.terminal and row.ended_at < before]
        old.sort(key=lambda row: row.ended_at)
        for row in old[:limit]:
            delivery = row.entry.delivery
            self._ended.remove(delivery.room, delivery.id)
            self._delete(delivery.id)
        return len(old[:limit])

    def subscribe(self, on_change: Callable[[str], None], *, moves: bool = True) -> Callable[[], None]:
        """Call `on_change(room)` in the loop after each put, move, cancel and replay."""
        self._open_loop()
        return self._hints.subscribe(on_change, moves)

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise LedgerError("the memory ledger is closed; await open() first")
        return self._loop

    def _aged(self, row: _Row) -> Entry:
        # The clock may be another loop's than the one it was put under, so an age can come out below nothing.
        return replace(row.entry, age=max(0.0, self._open_loop().time() - row.put_at))

    def _change(self, id: str, change: Callable[[Entry], Entry]) -> Status | None:
        """What anybody may do to a delivery, whoever has its room."""
        row = self._rows.get(id)
        if row is None:
            return None
        changed = change(row.entry)
        if changed != row.entry:
            self._set(row, changed)
            self._hints.tell(changed.delivery.room)
        return changed.status

    def _set(self, row: _Row, entry: Entry) -> None:
        """This is how the delivery stands now."""
        before, row.entry = row.entry, entry
        if before.status.terminal == entry.status.terminal:
            return
        now, delivery = self._open_loop().time(), entry.delivery
        open_rows = self._open_of.setdefault(delivery.room, {})
        if entry.status.terminal:
            row.ended_at = now
            del open_rows[delivery.id]
            self._ended.add(delivery.room, delivery.id)
            self._drop_soon()
        else:
            row.put_at = now
            self._ended.remove(delivery.room, delivery.id)
            open_rows[delivery.id] = row
            self._open_of[delivery.room] = dict(sorted(open_rows.items(), key=lambda item: item[1].entry.seq))
        if not open_rows:
            del self._open_of[delivery.room]

    # -- what is too much

    def _drop_soon(self) -> None:
        """Drop what is too much now, once those who await the end of it have had a look."""
        surplus = self._ended.surplus
        if surplus and not self._dropping:
            self._dropping = True
            self._drop(surplus, _RECEIPTS_LOOK)

    def _drop(self, surplus: int, rounds: int) -> None:
        if rounds:
            asyncio.get_running_loop().call_soon(self._drop, surplus, rounds - 1)
            return
        for id in self._ended.drop(surplus):
            self._delete(id)
        self._dropping = False
        self._drop_soon()

    def _delete(self, id: str) -> None:
        room = self._rows.pop(id).entry.delivery.room
        rows = self._of_room[room]
        del rows[id]
        if not rows:
            del self._of_room[room]
