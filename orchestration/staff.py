"""Staff: the workers that tasks are given to, by id. Those of a room come first there, then those of everybody."""

from __future__ import annotations

import asyncio

from orchestration.workers.worker import Worker


class Staff:
    """Who works for everybody, and who for one room only. Two rooms may have workers of one id."""

    def __init__(self) -> None:
        self._everybodys: dict[str, Worker] = {}
        self._of_rooms: dict[str, dict[str, Worker]] = {}
        self._changed = asyncio.Event()

    def register(self, *workers: Worker, room: str | None = None) -> None:
        """Make workers known, all or none; with `room` in that room only.

        Raises ValueError when another one has such an id there.
        """
        known = dict(self._everybodys if room is None else self._of_rooms.get(room, {}))
        for worker in workers:
            if known.setdefault(worker.id, worker) != worker:
                raise ValueError(f"workers: the id {worker.id!r} is used twice; ids must differ")
        if room is None:
            self._everybodys = known
        elif known:
            self._of_rooms[room] = known
        self._changed.set()

    def unregister(self, room: str) -> None:
        """The workers of that room are not known any more; there may be none."""
        self._of_rooms.pop(room, None)

    def find(self, id: str, room: str | None = None, *, own: bool = False) -> Worker | None:
        """The worker of that id, None if there is none. `own`: one of the room's only."""
        found = None if room is None else self._of_rooms.get(room, {}).get(id)
        return self._everybodys.get(id) if found is None and not own else found

    def names(self, room: str | None = None) -> list[str]:
        """The ids that are known, in order."""
        return sorted({*self._everybodys, *(self._of_rooms.get(room, {}) if room is not None else ())})

    async def coming(self, id: str, room: str, within: float, *, own: bool = False) -> Worker | None:
        """The worker of that id; one that is not known yet is waited for, for `within` seconds.

        `own`: so long for one of the room's. None: nobody came.
        """
        try:
            async with asyncio.timeout(within):
                while (found := self.find(id, room, own=own)) is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return self.find(id, room)
        return found
