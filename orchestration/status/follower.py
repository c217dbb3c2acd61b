"""A follower: reads what other processes wrote to a shared table, soon after a hint and with each poll."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from delivery.ledger import LedgerError
from orchestration.status.backend import Tell
from orchestration.status.entry import StatusEntry

log = logging.getLogger("sottovoce.status")

AT_ONCE = 500
"""Most entries that are read at once."""

Look = Callable[[int], Awaitable[tuple[int, list[StatusEntry]]]]
"""What others wrote after this place, AT_ONCE at most, and the place up to which that is all."""


class Follower:
    """Tells of each entry once, in order. `poll` is in seconds."""

    def __init__(self, place: int, look: Look, tell: Tell, poll: float) -> None:
        self._place = place
        self._look = look
        self._tell = tell
        self._poll = poll
        self._hinted = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="status follower")

    def hint(self) -> None:
        """There may be something new."""
        self._hinted.set()

    def stop(self) -> None:
        """Tell of nothing more."""
        self._task.cancel()

    async def _run(self) -> None:
        failed = False
        while True:
            try:
                async with asyncio.timeout(self._poll):
                    await self._hinted.wait()
            except TimeoutError:
                pass  # nobody gave a hint: look all the same
            self._hinted.clear()
            try:
                await self._catch_up()
                failed = False
            except LedgerError as error:
                if not failed:
                    log.warning("cannot look for other processes' status entries: %s", error)
                failed = True

    async def _catch_up(self) -> None:
        place = -1
        while place != self._place:
            place = self._place
            self._place, entries = await self._look(place)
            if entries:
                self._tell(entries)
