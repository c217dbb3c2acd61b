"""The janitor: what has long been over goes from the ledger and from the engine, a little at a time."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable

from delivery.ledger import Ledger
from orchestration.engines.engine import TaskEngine

log = logging.getLogger("sottovoce.janitor")

KEEP = 30 * 24 * 3600.0
"""Seconds for which what is over is kept: who calls once a month may still ask what was found."""

FIRST = 300.0
"""Seconds until it first looks: a process has other things to do when it starts."""

EVERY = 3600.0
"""Seconds between two looks. This and the first wait differ by up to JITTER of them, so that the processes that share
a database do not all come at once."""

JITTER = 0.5

AT_ONCE = 200
"""Rows that are deleted in one transaction: in SQLite everybody else waits for it."""

SHARE = 0.1
"""The part of its time that the database spends on this, at most, while there is much to delete."""

_PAUSE = 0.05
"""Seconds between two transactions, at least."""

Delete = Callable[[float, int], Awaitable[int]]
"""Deletes what ended so many seconds ago, at most so many; returns how many."""


class Janitor:
    """`run` it beside the ledger and the engine that it is given, for as long as they are open.

    Deliveries and tasks that ended more than `keep` seconds ago are deleted, with the steps of the tasks: nobody can
    recall them any more, and their ids may be used again. What is not over stays, and so do the names of callers.
    Several processes may do so. Raises ValueError naming the field that is wrong.
    """

    def __init__(self, ledger: Ledger, engine: TaskEngine, keep: float = KEEP) -> None:
        self._keep = kept(keep)
        self._parts: dict[str, Delete] = {"deliveries": ledger.discard, "tasks": engine.forget}

    async def run(self) -> None:
        """Look now and then, until cancelled. What cannot be deleted is tried again the next time."""
        wait = FIRST
        while True:
            await asyncio.sleep(wait * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 (nobody gains by guessing it)
            await self.sweep()
            wait = EVERY

    async def sweep(self) -> int:
        """Delete all that ended long enough ago; returns how many rows that were. Errors are logged."""
        gone = 0
        for what, delete in self._parts.items():
            try:
                count = await self._all(delete)
            except Exception as error:  # whatever it is: what is over does no harm where it is
                log.warning("old %s cannot be deleted, trying again later: %s", what, str(error) or repr(error))
            else:
                if count:
                    log.info("%d %s that ended more than %g s ago are deleted", count, what, self._keep)
                gone += count
        return gone

    async def _all(self, delete: Delete) -> int:
        loop = asyncio.get_running_loop()
        count = 0
        while True:
            began = loop.time()
            gone = await delete(self._keep, AT_ONCE)
            count += gone
            if gone < AT_ONCE:
                return count
            await asyncio.sleep(max(_PAUSE, (loop.time() - began) * (1 / SHARE - 1)))


def kept(keep: object) -> float:
    """For how long what is over is kept. Raises ValueError."""
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not (math.isfinite(keep) and keep > 0):
        raise ValueError(f"keep: {keep!r:.60} is no number of seconds above 0")
    return keep
