"""Fate: where a process dies. Every ledger step, every step of a task and every SQL statement is a point in its life.

`before` a step nothing of it has happened; `after` it, it is durable and nobody was told. `inside` is before the n-th
statement of the ledger's file: in the middle of a transaction, or just before its commit.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from delivery.ledger import Ledger, Move, Status
from orchestration.engines.engine import Body, Steps, Task, TaskEngine, TaskResult
from tests.crash.ear import Notes

T = TypeVar("T")

_STEPS = ("open", "beat", "leave", "forget", "take_room", "leave_room", "put", "cancel", "replay")


class Fate:
    """Kills (or `stops`) its process the `nth` time (from 1) that it comes by `point`, and notes where it came by."""

    def __init__(self, notes: Path, point: str | None = None, nth: int = 1, *, stops: bool = False) -> None:
        self._notes = Notes(notes)
        self._point, self._nth = point, nth
        self._signal = signal.SIGSTOP if stops else signal.SIGKILL
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def pass_by(self, point: str) -> None:
        """Die here, if it is to be."""
        with self._lock:
            self._passed[point] += 1
            self._notes.add(point)
            if point == self._point and self._passed[point] == self._nth:
                os.kill(os.getpid(), self._signal)  # to oneself: nothing more is done before it has come

    async def around(self, step: str, work: Callable[[], Awaitable[T]]) -> T:
        """Come by before and after `work`."""
        self.pass_by(f"before {step}")
        done = await work()
        self.pass_by(f"after {step}")
        return done


class FatedLedger:
    """A process's own way to its ledger. All else is the ledger's."""

    def __init__(self, ledger: Ledger, fate: Fate) -> None:
        self._ledger = ledger
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        if name not in _STEPS:
            return method

        async def step(*args: Any, **kwargs: Any) -> Any:
            return await self._fate.around(name, lambda: method(*args, **kwargs))

        return step

    async def open(self) -> None:
        """And every statement from now on is a point."""
        await self._fate.around("open", self._ledger.open)
        database: Any = getattr(self._ledger, "database", None)
        if hasattr(database, "path"):
            await database.read(lambda connection: connection.set_trace_callback(self._inside))

    async def move(self, room: str, epoch: int, moves: Sequence[Move]) -> frozenset[str]:
        """Named after what it writes."""
        kinds = "+".join(sorted({_kind(move) for move in moves}))
        return await self._fate.around(f"move {kinds}", lambda: self._ledger.move(room, epoch, moves))

    def _inside(self, statement: str) -> None:
        words = statement.split()
        if words[0] in ("BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER"):
            self._fate.pass_by(f"inside {' '.join(words[: 3 if words[0] == 'INSERT' else 2])}".rstrip("(;"))


def _kind(move: Move) -> str:
    return "heard so far" if move.status is Status.SPEAKING and move.heard_chars else move.status.value


class FatedEngine:
    """A process's own way to its engine: tasks begun, steps recorded, bodies ended."""

    def __init__(self, engine: TaskEngine, fate: Fate) -> None:
        self._engine = engine
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def open(self, body: Body, process: str) -> None:
        async def fated(task: Task, steps: Steps) -> TaskResult:
            result = await body(task, cast("Steps", _FatedSteps(steps, self._fate)))
            self._fate.pass_by("after task body")
            return result

        await self._fate.around("engine open", lambda: self._engine.open(fated, process))

    async def start(self, task: Task) -> bool:
        return await self._fate.around("task start", lambda: self._engine.start(task))

    async def adopt(self, gone: Collection[str]) -> int:
        return await self._fate.around("adopt", lambda: self._engine.adopt(gone))

    async def report(self, id: str, progress: Mapping[str, str], *, queued: bool = False) -> None:
        await self._fate.around("report", lambda: self._engine.report(id, progress, queued=queued))


class _FatedSteps:
    def __init__(self, steps: Steps, fate: Fate) -> None:
        self._steps = steps
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._steps, name)

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        async def done() -> T:
            value = await work()
            self._fate.pass_by("before task step is recorded")
            return value

        value = await self._steps.step(name, done)
        self._fate.pass_by("after task step is recorded")
        return value
