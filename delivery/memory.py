"""A Ledger that lives and dies with the process: for simulations and tests, with the real one's exact behaviour."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from delivery.ledger import (
    OPEN_STATUSES,
    ConflictError,
    Delivery,
    Entry,
    FencedError,
    LedgerError,
    Move,
    QueueFullError,
    Status,
)
from delivery.record import after, orphaned, read, same, written


class MemoryLedger:
    """Deliveries in a dict. Ages are seconds of the event loop's clock, so virtual time works.

    What is in it outlasts `aclose` and a second `open`, as long as the object does.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._rows: dict[str, dict[str, Any]] = {}
        self._put_at: dict[str, float] = {}
        self._epochs: dict[str, int] = {}
        self._subscribers: dict[object, Callable[[str], None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Take its clock from the running loop."""
        self._loop = asyncio.get_running_loop()

    async def aclose(self) -> None:
        """Forget the loop and the subscribers; keep the deliveries."""
        self._loop = None
        self._subscribers.clear()

    async def take_room(self, room: str, owner: str) -> int:
        """Own `room`: its reserved and speaking deliveries are queued again, older owners are fenced."""
        self._open_loop()
        self._epochs[room] = self._epochs.get(room, 0) + 1
        for id, entry in self._entries.items():
            if entry.delivery.room == room:
                self._entries[id] = orphaned(entry)
        return self._epochs[room]

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
        self._tell(delivery.room)
        return True

    async def move(self, room: str, epoch: int, moves: Sequence[Move]) -> None:
        """Make all of `moves`, or none."""
        self._open_loop()
        if self._epochs.get(room) != epoch:
            raise FencedError(f"room {room!r} was taken over: epoch {epoch} is old")
        changed: dict[str, Entry] = {}
        for move in moves:
            entry = changed.get(move.id) or self._entries.get(move.id)
            if entry is None or entry.delivery.room != room:
                raise LedgerError(f"no delivery {move.id!r} in room {room!r}")
            changed[move.id] = after(entry, move)
        self._entries.update(changed)
        self._tell(room)

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

    def subscribe(self, on_change: Callable[[str], None]) -> Callable[[], None]:
        """Call `on_change(room)` in the loop after each put and move."""
        self._open_loop()
        key = object()
        self._subscribers[key] = on_change

        def stop() -> None:
            self._subscribers.pop(key, None)

        return stop

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise LedgerError("the memory ledger is closed; await open() first")
        return self._loop

    def _of(self, room: str, statuses: frozenset[Status]) -> list[Entry]:
        return [e for e in self._entries.values() if e.delivery.room == room and e.status in statuses]

    def _aged(self, entry: Entry) -> Entry:
        # The clock may be another loop's than the one it was put under, so an age can come out below nothing.
        return replace(entry, age=max(0.0, self._open_loop().time() - self._put_at[entry.delivery.id]))

    def _tell(self, room: str) -> None:
        loop = self._open_loop()
        for on_change in self._subscribers.values():
            loop.call_soon(on_change, room)
