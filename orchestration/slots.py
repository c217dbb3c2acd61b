"""Slots: how many tasks run at once, in this process and in one room; the others wait in order, rooms take turns."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque


class Slots:
    """At most `limit` at once, and `per_room` of one room.

    Whoever waits gets the next free slot in order of asking within a room; a room that asked for a thousand holds up
    no other. Raises ValueError naming the field that is wrong.
    """

    def __init__(self, limit: int, per_room: int) -> None:
        for name, value in (("limit", limit), ("per_room", per_room)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name}: {value!r} is no whole number above 0")
        self._free = limit
        self._per_room = per_room
        self._taken: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[Slot]] = OrderedDict()

    def ask(self, room: str) -> Slot:
        """A slot; it may be there at once (`granted`). Release it in any case."""
        slot = Slot(self, room)
        self._waiting.setdefault(room, deque()).append(slot)
        self._grant()
        return slot

    def _grant(self) -> None:
        while self._free and (room := self._next()) is not None:
            slot = self._waiting[room].popleft()
            self._free -= 1
            self._taken[room] += 1
            self._waiting.move_to_end(room)
            self._tidy(room)
            slot._given.set()

    def _next(self) -> str | None:
        """Whose turn it is."""
        return next((room for room in self._waiting if self._taken[room] < self._per_room), None)

    def _give_back(self, slot: Slot) -> None:
        if slot.granted:
            self._free += 1
            self._taken[slot.room] -= 1
            if not self._taken[slot.room]:
                del self._taken[slot.room]
            self._grant()
        else:
            self._waiting[slot.room].remove(slot)
            self._tidy(slot.room)

    def _tidy(self, room: str) -> None:
        if not self._waiting[room]:
            del self._waiting[room]


class Slot:
    """One's place in the line, and then among those that run."""

    def __init__(self, slots: Slots, room: str) -> None:
        self.room = room
        self._slots: Slots | None = slots
        self._given = asyncio.Event()

    @property
    def granted(self) -> bool:
        """Whether the turn has come."""
        return self._given.is_set()

    async def wait(self) -> None:
        """Until the turn has come."""
        await self._given.wait()

    def release(self) -> None:
        """The next one, please. Once is enough; more does nothing."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots._give_back(self)
