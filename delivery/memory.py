"""A Ledger that lives and dies with the process: for simulations and tests, with the real one's exact behaviour."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

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


class MemoryLedger:
    """Deliveries in a dict. Times are seconds of the event loop's clock, so virtual time works.

    What is in it outlasts `aclose` and a second `open`, as long as the object does; so several runtimes of one process
    may share it, as several processes share a database. `lease` is in seconds.
    """

    def __init__(self, *, lease: float = LEASE) -> None:
        self._lease = lease
        self._processes: dict[str, _Seen] = {}
        self._rooms: dict[str, _Held] = {}
        self._entries: dict[str, Entry] = {}
        self._rows: dict[str, dict[str, Any]] = {}
        self._put_at: dict[str, float] = {}
        self._hints = Hints()
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Take its clock from the running loop."""
        self._loop = asyncio.get_running_loop()
        self._users += 1

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
        self._open_loop()
        known = self._rooms.get(room)
        if known is not None and known.held and known.owner != owner and self._alive(known.owner):
            seen = self._processes[known.owner]
            raise RoomHeldError(room, seen.process, self._open_loop().time() - seen.beat_at)
        taken = self._rooms[room] = _Held(owner, known.epoch + 1 if known else 1)
        for id, entry in self._entries.items():
            if entry.delivery.room == room:
                self._entries[id] = orphaned(entry)
        return taken.epoch

    async def leave_room(self, room: str, epoch: int) -> None:
        """Let the room go, if it is still ours."""
        self._open_loop()
        if (known := self._rooms.get(room)) and known.epoch == epoch:
            known.held = False

    # -- deliveries

    async def put(self, delivery: Delivery, *, limit: int = 1000) -> bool:
        """Queue `delivery`; False when it is there already."""
        loop = self._open_loop()
        row = written(delivery)
        known = self._rows.get(delivery.id)
        if known is not None:
            if not same(known, row):
                raise ConflictError(f"delivery id {delivery.id!r} was used before with other content")
            return False
        if len(self._of(delivery.room, OPEN_STATUSES)) >= limit:
            raise QueueFullError(f"room {delivery.room!r} already has {limit} open deliveries")
        self._rows[delivery.id] = row
        self._put_at[delivery.id] = loop.time()
        self._entries[delivery.id] = Entry(read(row), Status.QUEUED, len(self._entries) + 1)
        self._hints.tell(delivery.room)
        return True

    async def move(self, room: str, epoch: int, moves: Sequence[Move]) -> frozenset[str]:
        """Make all of `moves`, or none; returns the ids of those that had ended before."""
        self._open_loop()
        known = self._rooms.get(room)
        if known is None or known.epoch != epoch:
            raise FencedError(f"room {room!r} was taken over: epoch {epoch} is old")
        changed: dict[str, Entry] = {}
        over = set()
        for move in moves:
            entry = changed.get(move.id) or self._entries.get(move.id)
            if entry is None or entry.delivery.room != room:
                raise LedgerError(f"no delivery {move.id!r} in room {room!r}")
            if entry.status.terminal:
                over.add(move.id)
            changed[move.id] = after(entry, move)
        self._entries.update(changed)
        self._hints.tell(room, moved=True)
        return frozenset(over)

    async def cancel(self, id: str) -> Status | None:
        """It is not wanted any more."""
        self._open_loop()
        return self._change(id, unwanted)

    async def replay(self, id: str, *, whole: bool = False) -> Status | None:
        """Queue it again, if it ended unheard."""
        now = self._open_loop().time()
        known = self._entries.get(id)
        status = self._change(id, lambda entry: again(entry, whole=whole))
        if known is not None and known.status.terminal and status is Status.QUEUED:
            self._put_at[id] = now
        return status

    def _change(self, id: str, change: Callable[[Entry], Entry]) -> Status | None:
        entry = self._entries.get(id)
        if entry is None:
            return None
        changed = self._entries[id] = change(entry)
        if changed != entry:
            self._hints.tell(entry.delivery.room)
        return changed.status

    async def entries(
        self, room: str, statuses: Iterable[Status] | None = None, limit: int = 1000, *, newest: bool = False
    ) -> list[Entry]:
        """The room's deliveries in order of arrival (default: the open ones): the first `limit`, or the `newest`."""
        self._open_loop()
        wanted = OPEN_STATUSES if statuses is None else frozenset(statuses)
        found = self._of(room, wanted)
        first = max(0, len(found) - limit) if newest else 0
        return [self._aged(entry) for entry in found[first : first + limit]]

    async def get(self, id: str) -> Entry | None:
        """One delivery, or None."""
        self._open_loop()
        entry = self._entries.get(id)
        return None if entry is None else self._aged(entry)

    def subscribe(self, on_change: Callable[[str], None], *, moves: bool = True) -> Callable[[], None]:
        """Call `on_change(room)` in the loop after each put, move, cancel and replay."""
        self._open_loop()
        return self._hints.subscribe(on_change, moves)

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise LedgerError("the memory ledger is closed; await open() first")
        return self._loop

    def _of(self, room: str, statuses: frozenset[Status]) -> list[Entry]:
        return [e for e in self._entries.values() if e.delivery.room == room and e.status in statuses]

    def _aged(self, entry: Entry) -> Entry:
        # The clock may be another loop's than the one it was put under, so an age can come out below nothing.
        return replace(entry, age=max(0.0, self._open_loop().time() - self._put_at[entry.delivery.id]))
