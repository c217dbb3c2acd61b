"""Progress on its way to the engine, where other processes read it: the last word counts, no worker waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from orchestration.engines.engine import EngineError, TaskEngine

log = logging.getLogger("sottovoce.tasks")

EVERY = 0.25
"""Seconds between two reports of one task: each is a write on the disk."""


class Progress:
    """What was last reported of each task and is not written yet."""

    def __init__(self, engine: TaskEngine) -> None:
        self._engine = engine
        self._latest: dict[str, tuple[Mapping[str, str], bool]] = {}
        self._some = asyncio.Event()

    def report(self, id: str, progress: Mapping[str, str], *, queued: bool) -> None:
        """Have this written soon, in place of what was not written yet."""
        self._latest[id] = dict(progress), queued
        self._some.set()

    def forget(self, id: str) -> None:
        """The task is over: its progress is of no interest any more."""
        self._latest.pop(id, None)

    async def write(self) -> None:
        """Write until cancelled. What an engine cannot take is left out; the next report may get through."""
        warned = False
        while True:
            await self._some.wait()
            self._some.clear()
            due, self._latest = self._latest, {}
            try:
                for id, (progress, queued) in due.items():
                    await self._engine.report(id, progress, queued=queued)
                warned = False
            except EngineError as error:
                if not warned:
                    log.warning("the progress of tasks cannot be written: %s", error)
                warned = True
            await asyncio.sleep(EVERY)
