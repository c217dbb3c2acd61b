"""The Journal: an event is noted at once, and soon in its room's timeline, however long the store is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

from orchestration.event import RoomEvent
from orchestration.store.store import RoomStore
from orchestration.store.trouble import StoreError
from orchestration.write_behind import WriteBehind
from voice.cancellation import cancelled_here

log = logging.getLogger("sottovoce.store")

AT_ONCE = 4
"""Rooms that are written at once: they share a commit, and leave the database to others in between."""

LAST_LOOK = 2.0
"""Seconds that a store still has when the journal is closed."""


class Journal:
    """Writes what is noted into `store`, which is opened before it and closed after it. One task for all rooms.

    What is noted while it is not open waits until it is. Of what waits the oldest go when there are too many, and what
    the store refuses (ValueError) is lost; the log says so.
    """

    def __init__(self, store: RoomStore) -> None:
        self._store = store
        self._behind: WriteBehind[RoomEvent] = WriteBehind("events of timelines", self._write, log=log)

    async def open(self) -> None:
        """Write from now on; once it is open, nothing."""
        self._behind.open()

    def note(self, event: RoomEvent) -> None:
        """Have the event written. In the event loop; returns at once, and raises nothing whatever the store does."""
        self._behind.put((event,))

    async def settle(self) -> None:
        """Returns when all that was noted so far is written, or lost: to read or forget a timeline that is whole.

        While the store is away it waits. Raises StoreError when something waits and the journal is not open.
        """
        if self._behind.unwritten and not self._behind.running:
            raise StoreError("the journal is not open, so nothing is written; await open() first")
        await self._behind.settled()

    async def aclose(self) -> None:
        """Write what waits, for at most LAST_LOOK seconds; the rest is lost, and the log says so."""
        await self._behind.aclose(LAST_LOOK)

    async def _write(self, events: Sequence[RoomEvent]) -> None:
        """Each room's events in their order, a few rooms at once. Raises what the first that failed raised."""
        rooms: dict[str, list[RoomEvent]] = {}
        for event in events:
            rooms.setdefault(event.room, []).append(event)
        left = iter(rooms.items())
        failed: list[BaseException] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(rooms))):
                group.create_task(self._write_rooms(left, failed), name="journal")
        if failed:
            raise failed[0]

    async def _write_rooms(self, rooms: Iterator[tuple[str, list[RoomEvent]]], failed: list[BaseException]) -> None:
        for room, events in rooms:
            try:
                await self._store.add(room, events)
            except ValueError:
                log.exception("room %r: the store refuses %d events, they are lost", room, len(events))
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and cancelled_here():
                    raise
                failed.append(error)
                return
