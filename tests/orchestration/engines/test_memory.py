"""The engine in memory stays small: of what is over only the newest is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestration.engines.engine import Steps, Task, TaskRecord, TaskResult, TaskStatus
from orchestration.engines.memory import MemoryEngine
from voice.clock import run


def job(id: str) -> Task:
    return Task(id, "lobby", "analyst", "compare")


class Bodies:
    """Ids beginning with "stay" go on until they are let go, with a last step even when they are cancelled."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, task: Task, steps: Steps) -> TaskResult:
        self.begun.append(task.id)

        async def read() -> str:
            return "x" * 1000

        await steps.step("read", read)
        if task.id.startswith("stay"):
            try:
                await self.go.wait()
            finally:
                await asyncio.sleep(1)
        return TaskResult(task.id)


async def ids(engine: MemoryEngine) -> list[str]:
    return [record.task.id for record in await engine.tasks("lobby", 1000)]


def test_the_newest_that_are_over_are_kept_and_ids_of_others_are_free() -> None:
    async def main() -> None:
        engine, bodies = MemoryEngine(keep=3), Bodies()
        await engine.open(bodies)
        await engine.start(job("stay"))
        for n in range(10):
            await engine.start(job(f"t{n}"))
            await asyncio.sleep(0.1)
        assert await ids(engine) == ["stay", "t7", "t8", "t9"]
        assert await engine.get("t6") is None
        assert await engine.get("t9") == TaskRecord(job("t9"), TaskStatus.DONE, TaskResult("t9"))
        assert await engine.start(job("t6"))
        assert not await engine.start(job("t8"))
        await asyncio.sleep(0.1)
        assert bodies.begun.count("t6") == 2
        assert await ids(engine) == ["stay", "t8", "t9", "t6"]
        await engine.aclose()
        await engine.open(bodies)  # a restart: what is not over goes on
        await asyncio.sleep(0.1)
        assert bodies.begun.count("stay") == 2
        bodies.go.set()
        await asyncio.sleep(2)
        assert await ids(engine) == ["stay", "t9", "t6"]
        await engine.aclose()

    run(main())


def test_a_cancelled_task_is_kept_until_its_body_has_let_go() -> None:
    async def main() -> None:
        engine = MemoryEngine(keep=0)
        await engine.open(Bodies())
        await engine.start(job("stay"))
        await asyncio.sleep(0.1)
        assert await engine.cancel("stay")
        await asyncio.sleep(0.5)
        assert await engine.forget(-5) == 0
        record = await engine.get("stay")
        assert record is not None
        assert record.status is TaskStatus.CANCELLED
        assert not await engine.start(job("stay"))
        await asyncio.sleep(1)
        assert await engine.get("stay") is None
        await engine.aclose()

    run(main())


def test_steps_are_kept_no_longer_than_the_task_may_be_resumed() -> None:
    async def main() -> None:
        engine = MemoryEngine()
        await engine.open(Bodies())
        for id in ("t1", "stay"):
            await engine.start(job(id))
        await asyncio.sleep(0.1)
        assert {id: len(kept.steps) for id, kept in engine._kept.items()} == {"t1": 0, "stay": 1}
        await engine.aclose()
        assert len(engine._kept["stay"].steps) == 1

    run(main())


@pytest.mark.parametrize("bad", [-1, 1.5, True, None])
def test_a_number_that_is_none_is_refused_by_name(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"keep: .* is no whole number, 0 or more"):
        MemoryEngine(keep=bad)
