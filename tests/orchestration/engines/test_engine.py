"""What every task engine promises: one suite over all of them, the durable one in real time."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.engines.durable import DurableEngine
from orchestration.engines.engine import (
    Body,
    EngineError,
    Steps,
    Task,
    TaskEngine,
    TaskRecord,
    TaskResult,
    TaskStatus,
)
from orchestration.engines.memory import MemoryEngine
from voice.clock import run

Script = Callable[[TaskEngine], Awaitable[None]]

PATIENCE = 20.0
"""Seconds after which a test that waits is called hung."""


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> TaskEngine:
    if request.param == "memory":
        return MemoryEngine()
    if request.param == "sqlite":
        return DurableEngine.in_file(tmp_path / "tasks.db")
    return DurableEngine.in_postgres(request.getfixturevalue("postgres_url"))


def play(engine: TaskEngine, script: Script) -> None:
    """Run `script`, which opens the engine, and close the engine behind it."""

    async def main() -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await script(engine)
        finally:
            await engine.aclose()

    if engine.name == "memory":
        run(main())
    else:
        asyncio.run(main())


def job(id: str = "t1", **fields: Any) -> Task:
    return replace(Task(id=id, room="lobby", worker="analyst", input="compare"), **fields)


async def ended(engine: TaskEngine, id: str = "t1") -> TaskRecord:
    """The task's record once it is over; an engine tells nobody, so it is asked."""
    while True:
        record = await engine.get(id)
        assert record is not None
        if record.status.terminal:
            return record
        await asyncio.sleep(0.005)


class Bench:
    """A body whose tasks do what the test gives them to do, and that counts how often each was begun."""

    def __init__(self) -> None:
        self.work: dict[str, Callable[[Task, Steps], Awaitable[Any]]] = {}
        self.begun: list[str] = []
        self.waiting = asyncio.Event()
        self.cancelled: list[str] = []

    async def __call__(self, task: Task, steps: Steps) -> TaskResult:
        self.begun.append(task.id)
        if task.id in self.work:
            result = await self.work[task.id](task, steps)
            if result is not None:
                return result  # type: ignore[no-any-return]
        return TaskResult(f"{task.worker} did {task.input}")

    async def for_ever(self, task: Task, steps: Steps) -> None:
        self.waiting.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled.append(task.id)
            raise


def test_a_task_is_run_as_given_and_its_result_is_kept(engine: TaskEngine) -> None:
    task = job(caller="ann", parent="t0", timeout=None, metadata={"deep": [1, {"x": None}]})
    data = {"rows": [1, 2.5, "é"], "ok": True}

    async def script(engine: TaskEngine) -> None:
        seen: list[Task] = []

        async def body(task: Task, steps: Steps) -> TaskResult:
            seen.append(task)
            return TaskResult("it is done", data)

        await engine.open(body, "one")
        await engine.start(task)
        assert await ended(engine) == TaskRecord(task, TaskStatus.DONE, TaskResult("it is done", data))
        assert seen == [task]
        assert await engine.get("nobody") is None

    play(engine, script)


def test_the_body_runs_on_our_loop_in_the_context_of_open(engine: TaskEngine) -> None:
    language: contextvars.ContextVar[str] = contextvars.ContextVar("language")

    async def script(engine: TaskEngine) -> None:
        seen: list[tuple[Any, ...]] = []

        async def body(task: Task, steps: Steps) -> TaskResult:
            async def work() -> str:
                seen.append((asyncio.get_running_loop(), threading.get_ident(), language.get("none")))
                return "x"

            await work()
            return TaskResult(await steps.step("work", work))

        language.set("it")
        await engine.open(body, "one")
        await engine.start(job())
        await ended(engine)
        assert seen == [(asyncio.get_running_loop(), threading.get_ident(), "it")] * 2

    play(engine, script)


def test_an_id_that_is_known_is_left_alone(engine: TaskEngine) -> None:
    async def script(engine: TaskEngine) -> None:
        bench = Bench()
        bench.work["t1"] = bench.for_ever
        await engine.open(bench, "one")
        await asyncio.gather(*(engine.start(job()) for _ in range(5)))
        await bench.waiting.wait()
        await engine.start(job(input="something else"))
        await engine.start(job("t2"))
        await ended(engine, "t2")
        await engine.start(job("t2", input="something else"))
        await engine.start(job("t3"))
        await ended(engine, "t3")
        assert bench.begun == ["t1", "t2", "t3"]
        record = await engine.get("t1")
        assert record == TaskRecord(job(), TaskStatus.RUNNING)

    play(engine, script)


async def _raise(task: Task, steps: Steps) -> None:
    raise RuntimeError("the shop is shut")


async def _time_out(task: Task, steps: Steps) -> None:
    async with asyncio.timeout(0.001):
        await asyncio.sleep(60)


async def _wait_for_cancelled(task: Task, steps: Steps) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def _say_so(task: Task, steps: Steps) -> TaskResult:
    return TaskResult("half", {"n": 1}, error="no more")


async def _return_an_object(task: Task, steps: Steps) -> TaskResult:
    return TaskResult("x", {"it": object()})


async def _return_text(task: Task, steps: Steps) -> Any:
    return "just text"


async def _step_an_object(task: Task, steps: Steps) -> None:
    async def work() -> object:
        return object()

    await steps.step("fetch", work)


async def _step_beside_itself(task: Task, steps: Steps) -> None:
    async def work() -> None:
        await asyncio.sleep(0.01)

    await asyncio.gather(steps.step("fetch", work), steps.step("fetch", work))


async def _step_nameless(task: Task, steps: Steps) -> None:
    await steps.step("", lambda: asyncio.sleep(0))


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (_raise, "RuntimeError: the shop is shut"),
        (_time_out, "TimeoutError: "),
        (_wait_for_cancelled, "CancelledError: something it waited for was cancelled"),
        (_say_so, "no more"),
        (_return_an_object, "ValueError: a task's result must be JSON"),
        (_return_text, "TypeError: a task's body must return a TaskResult, not str"),
        (_step_an_object, "ValueError: the value of step 'fetch' must be JSON"),
        (_step_beside_itself, "ValueError: step 'fetch' is running already"),
        (_step_nameless, "ValueError: name of a step must be 1 to"),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_a_body_that_fails_is_a_failed_task_and_the_engine_goes_on(
    engine: TaskEngine, work: Callable[[Task, Steps], Awaitable[Any]], error: str
) -> None:
    async def script(engine: TaskEngine) -> None:
        bench = Bench()
        bench.work["t1"] = work
        await engine.open(bench, "one")
        await engine.start(job())
        record = await ended(engine)
        assert record.status is TaskStatus.FAILED
        assert record.result is not None
        assert (record.result.error or "").startswith(error)
        await engine.start(job("t2"))
        assert (await ended(engine, "t2")).status is TaskStatus.DONE

    play(engine, script)


def test_the_time_a_body_takes_is_its_own_to_keep() -> None:
    """What of it is work, and what waiting for a ledger, an engine cannot know."""

    async def script() -> None:
        engine = MemoryEngine()

        async def body(task: Task, steps: Steps) -> TaskResult:
            await asyncio.sleep(10_000)
            return TaskResult("told")

        await engine.open(body, "one")
        await engine.start(job(timeout=10.0))
        await asyncio.sleep(10_000)
        assert (await ended(engine)).result == TaskResult("told")
        await engine.aclose()

    run(script())


def test_progress_is_there_for_whoever_asks_until_the_end(engine: TaskEngine) -> None:
    async def script(engine: TaskEngine) -> None:
        bench = Bench()
        bench.work["t1"] = bench.for_ever
        await engine.open(bench, "one")
        await engine.start(job())
        await bench.waiting.wait()
        await engine.report("t1", {"": "reading", "é": "writes"})
        assert await engine.get("t1") == TaskRecord(job(), TaskStatus.RUNNING, progress={"": "reading", "é": "writes"})
        await engine.report("t1", {"": "thinking"})
        (record,) = await engine.tasks("lobby")
        assert record.progress == {"": "thinking"}
        await engine.report("t1", {}, queued=True)
        assert await engine.get("t1") == TaskRecord(job(), TaskStatus.QUEUED)
        await engine.report("t1", {})
        assert await engine.get("t1") == TaskRecord(job(), TaskStatus.RUNNING)
        await engine.report("nobody", {"": "reading"})
        assert await engine.get("nobody") is None
        assert await engine.cancel("t1")
        await engine.report("t1", {"": "too late"})
        assert await engine.get("t1") == TaskRecord(job(), TaskStatus.CANCELLED, TaskResult("", error="cancelled"))

    play(engine, script)


def test_the_unfinished_are_listed_alone(engine: TaskEngine) -> None:
    async def script(engine: TaskEngine) -> None:
        bench = Bench()
        bench.work["t1"] = bench.work["t3"] = bench.for_ever
        await engine.open(bench, "one")
        for n in range(5):
            assert await engine.start(job(f"t{n}"))
        assert not await engine.start(job("t1"))
        for n in (0, 2, 4):
            await ended(engine, f"t{n}")
        assert [record.task.id for record in await engine.tasks("lobby", unfinished=True)] == ["t1", "t3"]
        assert [record.task.id for record in await engine.tasks("lobby", 1, unfinished=True)] == ["t3"]
        assert await engine.tasks("attic", unfinished=True) == []

    play(engine, script)


def test_an_orderly_end_is_no_crash_and_waiting_is_no_beginning(engine: TaskEngine) -> None:
    begins: list[int] = []

    async def script(engine: TaskEngine) -> None:
        async def body(task: Task, steps: Steps) -> TaskResult:
            begins.append(steps.begins)
            begun.set()
            await asyncio.get_running_loop().create_future()
            return TaskResult("never")

        for n in range(3):
            begun = asyncio.Event()
            await engine.open(body, str(n))
            await (engine.start(job()) if n == 0 else engine.adopt({str(n - 1)}))
            await begun.wait()
            if n == 1:
                await engine.report("t1", {}, queued=True)
            await engine.aclose()
        assert begins == [1, 1, 1]

    play(engine, script)


def test_a_cancelled_task_is_told_and_over(engine: TaskEngine) -> None:
    async def script(engine: TaskEngine) -> None:
        bench = Bench()
        bench.work["t1"] = bench.for_ever
        await engine.open(bench, "one")
        await engine.start(job())
        await bench.waiting.wait()
        assert await engine.cancel("t1") is True
        assert await engine.get("t1") == TaskRecord(job(), TaskStatus.CANCELLED, TaskResult("", error="cancelled"))
        while not bench.cancelled:
            await asyncio.sleep(0)
        assert await engine.cancel("t1") is False
        assert await engine.cancel("nobody") is False
        await engine.start(job("t2"))
        await ended(engine, "t2")
        assert await engine.cancel("t2") is False
        await engine.start(job())
        await engine.start(job("t3"))
        await ended(engine, "t3")
        assert bench.begun == ["t1", "t2", "t3"]

    play(engine, script)


def test_a_task_that_ignores_its_cancellation_stays_cancelled(engine: TaskEngine) -> None:
    async def script(engine: TaskEngine) -> None:
        bench = Bench()
        gone_on = asyncio.Event()

        async def stubborn(task: Task, steps: Steps) -> TaskResult:
            try:
                await bench.for_ever(task, steps)
            except asyncio.CancelledError:
                gone_on.set()
            return TaskResult("and yet it moves")

        bench.work["t1"] = stubborn
        await engine.open(bench, "one")
        await engine.start(job())
        await bench.waiting.wait()
        assert await engine.cancel("t1")
        await gone_on.wait()
        await engine.start(job("t2"))
        await ended(engine, "t2")
        record = await engine.get("t1")
        assert record is not None
        assert record.status is TaskStatus.CANCELLED

    play(engine, script)


def test_a_rooms_tasks_oldest_first(engine: TaskEngine) -> None:
    async def script(engine: TaskEngine) -> None:
        bench = Bench()
        await engine.open(bench, "one")
        for n in range(7):
            await engine.start(job(f"t{n}", room="attic" if n == 3 else "lobby"))
        for n in range(7):
            await ended(engine, f"t{n}")

        async def ids(*args: int) -> list[str]:
            return [record.task.id for record in await engine.tasks("lobby", *args)]

        assert await ids() == ["t0", "t1", "t2", "t4", "t5", "t6"]
        assert await ids(100) == ["t0", "t1", "t2", "t4", "t5", "t6"]
        assert await ids(2) == ["t5", "t6"]
        assert await ids(0) == []
        assert [record.task.id for record in await engine.tasks("attic")] == ["t3"]
        assert await engine.tasks("cellar") == []

    play(engine, script)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": " "},
        {"id": "x" * 129},
        {"room": ""},
        {"worker": ""},
        {"timeout": 0.0},
        {"timeout": float("nan")},
        {"metadata": {"x": {1, 2}}},
        {"metadata": {"x": "y" * 4_000_001}},
    ],
    ids=lambda wrong: f"{next(iter(wrong))}-{str(next(iter(wrong.values())))[:8]}",
)
def test_a_task_that_could_not_be_kept_is_refused_by_field(wrong: dict[str, Any]) -> None:
    field = next(iter(wrong))

    async def script(engine: TaskEngine) -> None:
        await engine.open(Bench(), "one")
        with pytest.raises(ValueError, match="task" if field == "metadata" else field):
            await engine.start(job(**wrong))
        assert await engine.tasks("lobby") == []

    play(MemoryEngine(), script)


def test_a_closed_engine_says_so(engine: TaskEngine) -> None:
    async def script(engine: TaskEngine) -> None:
        for _ in range(2):
            for ask in (engine.start(job()), engine.cancel("t1"), engine.get("t1"), engine.tasks("lobby")):
                with pytest.raises(EngineError, match=r"engine is closed; await open\(\) first"):
                    await ask
            await engine.open(Bench(), "one")
            with pytest.raises(EngineError, match="open"):
                await engine.open(Bench(), "one")
            await engine.aclose()
            await engine.aclose()

    play(engine, script)


def test_what_was_interrupted_is_resumed_and_finished_steps_are_not_repeated(engine: TaskEngine) -> None:
    """Two parts side by side, whose steps come in another order the second time."""
    log: list[str] = []

    def body_of(reached: asyncio.Event, *, again: bool) -> Body:
        async def part(name: str, turns: int, steps: Steps) -> list[Any]:
            for _ in range(turns):
                await asyncio.sleep(0)
            values = []
            for n in range(3):

                async def work(n: int = n) -> dict[str, Any]:
                    log.append(f"{name}{n}")
                    return {"value": (name, n)}

                value = await steps.step(f"{name}/model", work)
                values.append(dict(value))
                value["value"] = "changed afterwards"
            return values

        async def body(task: Task, steps: Steps) -> TaskResult:
            values = await asyncio.gather(part("a", 4 if again else 0, steps), part("b", 0, steps))

            async def interrupted() -> str:
                log.append("last")
                if not again:
                    reached.set()
                    await asyncio.get_running_loop().create_future()
                return "end"

            end = await steps.step("last", interrupted)
            return TaskResult(end, {"values": values})

        return body

    async def script(engine: TaskEngine) -> None:
        reached = asyncio.Event()
        await engine.open(body_of(reached, again=False), "one")
        await engine.start(job())
        await reached.wait()
        await engine.aclose()
        assert sorted(log) == ["a0", "a1", "a2", "b0", "b1", "b2", "last"]
        log.clear()
        await engine.open(body_of(reached, again=True), "two")
        await engine.adopt({"one"})
        await engine.start(job())
        record = await ended(engine)
        assert log == ["last"]
        parts = [[{"value": [name, n]} for n in range(3)] for name in "ab"]
        assert record == TaskRecord(job(), TaskStatus.DONE, TaskResult("end", {"values": parts}))

    play(engine, script)


def test_a_step_that_failed_runs_again(engine: TaskEngine) -> None:
    tries: list[int] = []

    async def flaky() -> str:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ConnectionError("not yet")
        return "got it"

    async def script(engine: TaskEngine) -> None:
        bench = Bench()

        async def work(task: Task, steps: Steps) -> TaskResult:
            for _ in range(2):
                with pytest.raises(ConnectionError):
                    await steps.step("fetch", flaky)
            return TaskResult(await steps.step("fetch", flaky))

        bench.work["t1"] = work
        await engine.open(bench, "one")
        await engine.start(job())
        assert (await ended(engine)).result == TaskResult("got it")
        assert tries == [0, 1, 2]

    play(engine, script)


def test_many_tasks_at_once(engine: TaskEngine) -> None:
    async def script(engine: TaskEngine) -> None:
        async def body(task: Task, steps: Steps) -> TaskResult:
            async def double() -> int:
                return 2 * int(task.input)

            return TaskResult(str(await steps.step("double", double)))

        await engine.open(body, "one")
        await asyncio.gather(*(engine.start(job(f"t{n}", input=str(n))) for n in range(30)))
        for n in range(30):
            assert (await ended(engine, f"t{n}")).result == TaskResult(str(2 * n))

    play(engine, script)


def test_what_ended_long_ago_can_be_forgotten(engine: TaskEngine) -> None:
    async def script(engine: TaskEngine) -> None:
        bench = Bench()
        bench.work["t0"] = bench.for_ever
        await engine.open(bench, "one")
        for n in range(4):
            await engine.start(job(f"t{n}"))
        for n in (1, 2, 3):
            await ended(engine, f"t{n}")
        assert await engine.forget(3600) == 0
        await asyncio.sleep(0.01)
        assert await engine.forget(-5, limit=2) == 2
        assert await engine.forget(-5) == 1
        assert await engine.forget(-5) == 0
        assert [record.task.id for record in await engine.tasks("lobby")] == ["t0"]
        assert await engine.start(job("t1"))
        assert (await ended(engine)).status is TaskStatus.DONE

    play(engine, script)
