"""The janitor: only what is long over goes, a little at a time, and nothing that fails stops it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from delivery.ledger import Delivery, LedgerError, Status
from delivery.memory import MemoryLedger
from delivery.strategies import WaitForIdle
from orchestration.engines.engine import EngineError, Steps, Task, TaskResult
from orchestration.engines.memory import MemoryEngine
from orchestration.janitor import AT_ONCE, EVERY, FIRST, JITTER, KEEP, SHARE, Janitor
from voice.clock import now, run

DAY = 24 * 3600.0


class Ledger(MemoryLedger):
    """Can be away, and slow; says when it was asked to delete."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(**limits)
        self.error: Exception | None = None
        self.takes = 0.0
        self.asked: list[float] = []

    async def discard(self, older: float, limit: int = 500) -> int:
        self.asked.append(now())
        await asyncio.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return await super().discard(older, limit)

    async def ids(self) -> list[str]:
        return [e.delivery.id for e in await self.entries("lobby", list(Status))]


class Engine(MemoryEngine):
    """Can be away, too."""

    error: Exception | None = None

    async def forget(self, older: float, limit: int = 500) -> int:
        if self.error is not None:
            raise self.error
        return await super().forget(older, limit)

    async def ids(self) -> list[str]:
        return [record.task.id for record in await self.tasks("lobby", 10_000)]


async def body(task: Task, steps: Steps) -> TaskResult:
    if task.id.startswith("stay"):
        await asyncio.get_running_loop().create_future()
    return TaskResult("done")


@asynccontextmanager
async def house(**limits: Any) -> AsyncIterator[tuple[Ledger, Engine]]:
    ledger, engine = Ledger(**limits), Engine()
    await ledger.open()
    await engine.open(body, "one")
    yield ledger, engine
    await engine.aclose()
    await ledger.aclose()


async def over(ledger: Ledger, engine: Engine, *ids: str) -> None:
    """A delivery and a task of each id that are over."""
    for id in ids:
        await ledger.put(Delivery(id, "lobby", "some words", WaitForIdle().written()))
        await ledger.cancel(id)
        await engine.start(Task(id, "lobby", "analyst", "compare"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_what_ended_long_ago_goes_and_what_is_not_over_never_does() -> None:
    async def main() -> None:
        async with house() as (ledger, engine):
            await ledger.put(Delivery("owed", "lobby", "some words", WaitForIdle().written()))
            await engine.start(Task("stay", "lobby", "analyst", "compare"))
            await over(ledger, engine, "old")
            await asyncio.sleep(20 * DAY)
            await over(ledger, engine, "new")
            janitor = Janitor(ledger, engine)
            assert await janitor.sweep() == 0
            await asyncio.sleep(10 * DAY + 1)
            assert await janitor.sweep() == 2
            assert (await ledger.ids(), await engine.ids()) == (["owed", "new"], ["stay", "new"])
            await over(ledger, engine, "old")  # its ids are free again
            assert await Janitor(ledger, engine, keep=DAY).sweep() == 2
            assert (await ledger.ids(), await engine.ids()) == (["owed", "old"], ["stay", "old"])

    assert KEEP == 30 * DAY
    run(main(), limit=60 * DAY)


def test_it_looks_soon_and_then_every_hour_or_so() -> None:
    async def main() -> None:
        async with house() as (ledger, engine):
            await over(ledger, engine, "old")
            running = asyncio.create_task(Janitor(ledger, engine, keep=DAY).run())
            await asyncio.sleep(2 * DAY)
            running.cancel()
            await asyncio.wait([running])
            assert running.cancelled()
            waits = [after - before for before, after in zip([0.0, *ledger.asked], ledger.asked, strict=False)]
            for wait, about in zip(waits, [FIRST] + [EVERY] * len(waits), strict=False):
                assert about * (1 - JITTER) <= wait <= about * (1 + JITTER)
            assert len(waits) > 30
            assert len(set(waits)) > 1
            assert (await ledger.ids(), await engine.ids()) == ([], [])

    run(main(), limit=60 * DAY)


def test_much_goes_a_little_at_a_time_with_pauses_for_others() -> None:
    async def main() -> None:
        async with house(keep=10_000) as (ledger, engine):
            for n in range(3 * AT_ONCE + 1):
                await ledger.put(Delivery(f"d{n}", "lobby", "some words", WaitForIdle().written()))
                await ledger.cancel(f"d{n}")
            await asyncio.sleep(2 * DAY)
            ledger.takes, began = 0.2, now()
            assert await Janitor(ledger, engine, keep=DAY).sweep() == 3 * AT_ONCE + 1
            assert [at - began for at in ledger.asked] == pytest.approx([n * 0.2 / SHARE for n in range(4)])
            assert await ledger.ids() == []

    run(main(), limit=60 * DAY)


@pytest.mark.parametrize("error", [LedgerError("the disk is full"), OSError("the disk is full"), RuntimeError()])
def test_what_fails_is_logged_and_tried_again(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with house() as (ledger, engine):
            await over(ledger, engine, "old")
            ledger.error = error
            running = asyncio.create_task(Janitor(ledger, engine, keep=DAY).run())
            await asyncio.sleep(2 * DAY)
            assert (await ledger.ids(), await engine.ids()) == (["old"], [])
            ledger.error, engine.error = None, EngineError("no answer")
            await over(ledger, engine, "older")
            await asyncio.sleep(2 * DAY)
            assert (await ledger.ids(), await engine.ids()) == ([], ["older"])
            running.cancel()
            await asyncio.wait([running])

    run(main(), limit=60 * DAY)
    told = {record.getMessage() for record in caplog.records if record.levelno == logging.WARNING}
    assert told == {
        f"old deliveries cannot be deleted, trying again later: {str(error) or 'RuntimeError()'}",
        "old tasks cannot be deleted, trying again later: no answer",
    }


def test_it_can_be_stopped_in_the_middle() -> None:
    async def main() -> None:
        async with house() as (ledger, engine):
            ledger.takes = 3600.0
            running = asyncio.create_task(Janitor(ledger, engine).sweep())
            await asyncio.sleep(1)
            running.cancel()
            await asyncio.wait([running])
            assert (running.cancelled(), now()) == (True, 1)

    run(main(), limit=60 * DAY)


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), float("inf"), True, "30 days", None])
def test_a_time_that_is_none_is_refused_by_name(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"keep: .* is no number of seconds above 0"):
        Janitor(MemoryLedger(), MemoryEngine(), keep=bad)
