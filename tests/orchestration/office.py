"""An office: tasks on real parts in memory, and workers that take their time in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from delivery.ledger import Delivery, Entry, LedgerError, Status
from delivery.memory import MemoryLedger
from delivery.strategies import WaitForIdle
from orchestration.engines.engine import Task, TaskStatus
from orchestration.engines.memory import MemoryEngine
from orchestration.tasks import SharedBy, TaskNews, Tasks
from orchestration.workers import Context, FunctionWorker, Worker
from voice.clock import run


class Ledger(MemoryLedger):
    """Can be away for a while; counts what is put."""

    away = False
    tries = 0

    async def put(self, delivery: Delivery, *, limit: int = 1000) -> bool:
        self.tries += 1
        if self.away:
            raise LedgerError("the disk is full")
        return await super().put(delivery, limit=limit)


def analyst(job: Callable[[str, Context], Awaitable[Any]], id: str = "analyst") -> FunctionWorker:
    return FunctionWorker(id, job, id.capitalize())


def works(seconds: float = 5.0, result: Any = "Boats float.") -> FunctionWorker:
    async def job(input: str, context: Context) -> Any:
        await asyncio.sleep(seconds)
        if isinstance(result, BaseException):
            raise result
        return result

    return analyst(job)


@dataclass
class Office:
    """Tasks on real parts in memory; `restart` is another process with the same ledger and engine."""

    ledger: Ledger = field(default_factory=Ledger)
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    news: list[TaskNews] = field(default_factory=list)
    limit: int = 100
    per_room: int = 10
    share: SharedBy | None = None
    tasks: Tasks = field(init=False)

    async def open(self, *workers: Worker) -> Office:
        await self.ledger.open()
        self.tasks = Tasks(
            self.engine, self.ledger, self.news.append, limit=self.limit, per_room=self.per_room, share=self.share
        )
        self.tasks.register(*workers)
        await self.tasks.open()
        return self

    async def restart(self, *workers: Worker) -> Office:
        await self.tasks.aclose()
        await self.open(*workers)
        await asyncio.sleep(0)  # what is resumed begins
        return self

    async def start(self, input: str = "boats", worker: str = "analyst", **more: Any) -> Task:
        given = {"room": "lobby", "strategy": WaitForIdle(), "caller": "ann", **more}
        return await self.tasks.start(given.pop("room"), worker, input, **given)

    async def entries(self, room: str = "lobby") -> list[Entry]:
        return await self.ledger.entries(room, list(Status))

    async def told(self, task: Task, within: float = 1000.0) -> Entry:
        """The delivery of the task's result, once the task is over."""
        assert await self.tasks.result(task.id, within) is not None
        (entry,) = [e for e in await self.entries(task.room) if e.delivery.task == task.id]
        return entry

    def statuses(self, part: str = "") -> list[TaskStatus]:
        return [n.status for n in self.news if n.part == part]


def play(script: Callable[[Office], Awaitable[None]], *workers: Worker, **fields: Any) -> None:
    async def main() -> None:
        office = await Office(**fields).open(*workers)
        await script(office)
        await office.tasks.aclose()

    run(main())
