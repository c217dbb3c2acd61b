"""The steps of one running task: each is done once, told apart by its name and how often that name came before."""

from __future__ import annotations

import copy
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from orchestration.engines.written import as_json

T = TypeVar("T")

Check = Callable[[], Awaitable[None]]
"""Returns when the task is this process's; otherwise its body is being cancelled, and this waits for that."""

MAX_NAME = 512
"""Most characters of a step's name."""


async def always() -> None:
    """No other process can take the task."""


class RecordedSteps:
    """Steps whose values are in `recorded`, or are given to `record` when they are done. `check` comes before the work.

    Not by position, as engines usually do it: parts that run side by side reach their steps in another order after a
    crash. A step that raises is not done: it is not recorded, and runs again.
    """

    def __init__(
        self,
        recorded: Mapping[str, Any],
        record: Callable[[str, Any], Awaitable[None]],
        begins: int = 1,
        check: Check = always,
    ) -> None:
        self.begins = begins
        self._recorded = recorded
        self._record = record
        self._check = check
        self._begun: Counter[str] = Counter()
        self._running: set[str] = set()

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work`, or return the value it gave before the crash.

        The value is what JSON makes of it, the first time too, so that both runs see the same. Raises ValueError when
        it is not JSON, or when a step of this name is running, TypeError when `work` gives nothing to await.
        """
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
            raise ValueError(f"name of a step must be 1 to {MAX_NAME} characters, not {name!r:.100}")
        if name in self._running:
            raise ValueError(f"step {name!r} is running already; steps that run side by side need different names")
        self._begun[name] += 1
        key = f"{name}#{self._begun[name]}"
        if key in self._recorded:
            value: T = copy.deepcopy(self._recorded[key])
            return value
        self._running.add(name)
        try:
            await self._check()
            under_way: object = work()
            if not inspect.isawaitable(under_way):
                kind = type(under_way).__name__
                shown = name.removeprefix(":")  # before it is the part, if it is one of many
                raise TypeError(f"work of step {shown!r}: it gave {kind}, nothing to await; give a coroutine function")
            value = as_json(await under_way, f"the value of step {name!r}")
            await self._record(key, copy.deepcopy(value))
        finally:
            self._running.discard(name)
        return value
