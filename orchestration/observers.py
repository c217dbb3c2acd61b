"""Observers: what looks on beside the talk (ASYNC hooks) lives in the runtime's task group, and not longer than it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("sottovoce.hooks")

LAST_LOOK = 5.0
"""Seconds that observers still have when all else is closed."""


class Observers:
    """Before `open` and after `aclose` nobody looks on: what is started then is dropped."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    def open(self, group: asyncio.TaskGroup) -> None:
        """Observers can be started."""
        self._group = group

    def start(self, observer: Coroutine[Any, Any, object]) -> None:
        """Let it look on. What it raises is logged: in the group it would end all rooms."""
        if self._group is None:
            observer.close()
            return
        task = self._group.create_task(_alone(observer), name="a hook")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: observer.close())  # it may have been cancelled before it began

    async def aclose(self) -> None:
        """Wait for those that look on, but not for long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_LOOK)
        self._group = None
        for task in self._tasks:
            log.warning("%s did not end within %g s and is broken off", task.get_name(), LAST_LOOK)
            task.cancel()


async def _alone(observer: Coroutine[Any, Any, object]) -> None:
    try:
        await observer
    except Exception:
        log.exception("what goes on beside the talk failed")
