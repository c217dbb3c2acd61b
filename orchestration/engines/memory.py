"""A TaskEngine that lives and dies with the process: for simulations and tests, in whatever time its loop keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.engines.attempt import CANCELLED, attempt, status_of
from orchestration.engines.engine import Body, EngineError, Task, TaskRecord, TaskResult, TaskStatus
from orchestration.engines.steps import RecordedSteps
from orchestration.engines.written import read_task, written_task

KEEP = 1000
"""Tasks that are over and kept all the same: some 2 MB with short texts."""


@dataclass(slots=True)
class _Kept:
    task: Task
    status: TaskStatus = TaskStatus.RUNNING
    result: TaskResult | None = None
    steps: dict[str, Any] = field(default_factory=dict)
    progress: dict[str, str] = field(default_factory=dict)
    begins: int = 0
    ended: float = 0.0

    async def record(self, key: str, value: Any) -> None:
        self.steps[key] = value

    def end(self, status: TaskStatus, result: TaskResult) -> None:
        if not self.status.terminal:
            self.status, self.result, self.ended = status, result, asyncio.get_running_loop().time()

    def as_record(self) -> TaskRecord:
        return TaskRecord(self.task, self.status, self.result, {} if self.status.terminal else self.progress)


class MemoryEngine:
    """Tasks in a dict, run on the loop in which it was opened; `aclose` waits until the last one has let go.

    What was unfinished at `aclose` is resumed by the next `open` of the same object, finished steps not repeated: the
    durable engine's behaviour, so that a simulation can play a restart. Of what is over the newest `keep` are kept; the
    ids of others may be used again.
    """

    name = "memory"

    def __init__(self, *, keep: int = KEEP) -> None:
        """Raises ValueError for a `keep` that is no whole number, or below 0."""
        if not isinstance(keep, int) or isinstance(keep, bool) or keep < 0:
            raise ValueError(f"keep: {keep!r} is no whole number, 0 or more")
        self._keep = keep
        self._kept: dict[str, _Kept] = {}
        self._ended: dict[str, _Kept] = {}
        """Those that are over, and whose bodies have let go, in that order."""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._body: Body | None = None

    async def open(self, body: Body, process: str = "") -> None:
        """Make it ready and resume what the last `aclose` interrupted."""
        if self._body is not None:
            raise EngineError("the memory engine is open already")
        self._body = body
        for kept in self._kept.values():
            if not kept.status.terminal:
                self._begin(kept, body)

    async def adopt(self, gone: Collection[str]) -> int:
        """Nothing: no other process knows its tasks."""
        return 0

    async def start(self, task: Task) -> bool:
        """Begin `task`, unless its id is known."""
        body = self._open_body()
        task = read_task(written_task(task))
        if task.id in self._kept:
            return False
        kept = self._kept[task.id] = _Kept(task)
        self._begin(kept, body)
        return True

    async def cancel(self, id: str) -> bool:
        """Cancel it: its body gets CancelledError. False: unknown or already over."""
        self._open_body()
        kept = self._kept.get(id)
        if kept is None or kept.status.terminal:
            return False
        kept.end(TaskStatus.CANCELLED, CANCELLED)
        if id in self._running:
            self._running[id].cancel()
        return True

    async def report(self, id: str, progress: Mapping[str, str], *, queued: bool = False) -> None:
        """What the parts of a running task are at."""
        self._open_body()
        kept = self._kept.get(id)
        if kept is not None and not kept.status.terminal:
            kept.progress = dict(progress)
            kept.begins += (kept.status is TaskStatus.QUEUED) - queued
            kept.status = TaskStatus.QUEUED if queued else TaskStatus.RUNNING

    async def get(self, id: str) -> TaskRecord | None:
        """One task, or None."""
        self._open_body()
        kept = self._kept.get(id)
        return None if kept is None else kept.as_record()

    async def tasks(self, room: str, limit: int = 100, *, unfinished: bool = False) -> list[TaskRecord]:
        """The room's last `limit` tasks (of those `unfinished`), oldest first."""
        self._open_body()
        records = [kept.as_record() for kept in self._kept.values() if kept.task.room == room]
        if unfinished:
            records = [record for record in records if not record.status.terminal]
        return records[-limit:] if limit > 0 else []

    async def forget(self, older: float, limit: int = 500) -> int:
        """Forget tasks that ended more than `older` seconds ago, at most `limit`; returns how many."""
        self._open_body()
        before = asyncio.get_running_loop().time() - older
        old = [id for id, kept in self._ended.items() if kept.ended < before][:limit]
        for id in old:
            del self._kept[id], self._ended[id]
        return len(old)

    async def aclose(self) -> None:
        """Interrupt what runs and wait for it."""
        self._body = None
        running = dict(self._running)
        for id, task in running.items():
            task.cancel()
            self._kept[id].begins -= self._kept[id].status is TaskStatus.RUNNING  # an orderly end is no crash
        if running:
            await asyncio.wait(running.values())

    def _open_body(self) -> Body:
        if self._body is None:
            raise EngineError("the memory engine is closed; await open() first")
        return self._body

    def _begin(self, kept: _Kept, body: Body) -> None:
        running = asyncio.get_running_loop().create_task(self._run(kept, body), name=f"task {kept.task.id}")
        self._running[kept.task.id] = running
        running.add_done_callback(lambda _: self._let_go(kept))

    async def _run(self, kept: _Kept, body: Body) -> None:
        kept.begins, kept.status = kept.begins + 1, TaskStatus.RUNNING
        result = await attempt(body, kept.task, RecordedSteps(kept.steps, kept.record, kept.begins))
        kept.end(status_of(result), result)

    def _let_go(self, kept: _Kept) -> None:
        """Its body has ended: it is over, or was interrupted."""
        self._running.pop(kept.task.id, None)
        if not kept.status.terminal:
            return
        kept.steps, kept.progress = {}, {}  # they were for a second run
        self._ended[kept.task.id] = kept
        while len(self._ended) > self._keep:
            del self._kept[oldest := next(iter(self._ended))], self._ended[oldest]
