"""What the bus is told of background tasks, in a runtime with real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration import ALL_ROOMS, Agent, InMemoryStatusBackend, Runtime, StatusEntry, StatusError, Supervisor
from orchestration.engines.engine import Task, TaskStatus
from orchestration.engines.memory import MemoryEngine
from orchestration.simulation import simulate
from orchestration.status.entry import MAX_NAME, checked
from orchestration.status.task_news import MAX_SHOWN, told
from orchestration.tasks import TaskNews
from orchestration.workers import Context, FanOut, FunctionWorker
from tests.orchestration.models.double import Double
from voice.clock import run
from voice.simulated import SimulatedChannel


async def compare(input: str, context: Context) -> str:
    await asyncio.sleep(1)
    context.progress("halfway")
    await asyncio.sleep(1)
    return f"compared {input}"


async def fail(input: str, context: Context) -> str:
    await asyncio.sleep(1)
    raise KeyError("secret of the house")


ANALYST = FunctionWorker("analyst", compare, "Analyst")
BREAKER = FunctionWorker("breaker", fail, "Breaker")
TEAM = FanOut("team", [ANALYST, BREAKER])


def made(**parts: Any) -> Runtime:
    team = Supervisor(Agent("host", model=Double([[]])), [ANALYST, BREAKER, TEAM])
    return Runtime(**{"orchestration": team, "state": None, "channels": lambda _: SimulatedChannel(), **parts})


def play(script: Callable[[Runtime], Awaitable[object]], **parts: Any) -> None:
    async def main() -> None:
        async with made(**parts) as runtime:
            await script(runtime)

    run(main())


def lines(entries: list[StatusEntry]) -> list[tuple[float, str, str, str]]:
    return [(e.timestamp, e.agent_id, e.status.value, e.detail) for e in entries]


def test_a_task_is_told_of_from_its_beginning_to_its_end() -> None:
    async def script(runtime: Runtime) -> None:
        seen: list[StatusEntry] = []
        await runtime.status_bus.subscribe(seen.append, room="lobby")
        task = await runtime.delegate("lobby", "analyst", "boats", caller="ann")
        await asyncio.sleep(5)
        assert lines(seen) == [
            (0.0, "analyst", "pending", "boats"),
            (1.0, "analyst", "info", "halfway"),
            (2.0, "analyst", "completed", "boats"),
        ]
        assert [e.metadata for e in seen] == [
            {"task": task.id, "caller": "ann", "state": state} for state in ("running", "running", "done")
        ]
        assert {e.action for e in seen} == {"task"}
        assert await runtime.status_bus.recent(9, room="lobby") == seen
        assert await runtime.status_bus.recent(9) == await runtime.status_bus.recent(9, room="attic") == []
        assert await runtime.status_bus.recent_text(1, room="lobby") == "[00:00:02] analyst: task → completed | boats"

    play(script)


def test_what_went_wrong_is_for_programs_and_not_for_prompts() -> None:
    async def script(runtime: Runtime) -> None:
        await runtime.delegate("lobby", "breaker", "boats")
        await asyncio.sleep(5)
        entries = await runtime.status_bus.recent(9, room="lobby", status="failed")
        assert lines(entries) == [(1.0, "breaker", "failed", "boats")]
        assert "secret of the house" in entries[0].metadata["error"]
        assert "secret" not in await runtime.status_bus.recent_text(9, room=ALL_ROOMS)

    play(script)


def test_parts_of_a_task_are_told_of_too() -> None:
    async def script(runtime: Runtime) -> None:
        task = await runtime.delegate("lobby", "team", "boats")
        await asyncio.sleep(5)
        entries = await runtime.status_bus.recent(9, room="lobby")
        assert lines(entries) == [
            (0.0, "team", "pending", "boats"),
            (0.0, "analyst", "pending", "boats"),
            (0.0, "breaker", "pending", "boats"),
            (1.0, "analyst", "info", "halfway"),
            (1.0, "breaker", "failed", "boats"),
            (2.0, "analyst", "completed", "boats"),
            (2.0, "team", "completed", "boats"),
        ]
        assert [e.metadata.get("part") for e in entries[:2]] == [None, "analyst"]
        assert {e.metadata["task"] for e in entries} == {task.id}

    play(script)


def test_one_that_waits_for_its_turn_and_one_that_is_cancelled() -> None:
    async def script(runtime: Runtime) -> None:
        await runtime.delegate("lobby", "analyst", "boats")
        second = await runtime.delegate("lobby", "analyst", "trains")
        await asyncio.sleep(2.5)
        await runtime.tasks.cancel(second.id)
        await asyncio.sleep(1)
        entries = [e for e in await runtime.status_bus.recent(9, room="lobby") if e.metadata["task"] == second.id]
        assert [(e.timestamp, e.status, e.detail, e.metadata["state"]) for e in entries] == [
            (0.0, "pending", "trains", "queued"),
            (2.0, "pending", "trains", "running"),
            (2.5, "failed", "trains", "cancelled"),
        ]

    play(script, max_tasks_per_room=1)


@pytest.mark.parametrize("status", TaskStatus)
def test_any_news_can_be_posted(status: TaskStatus) -> None:
    task = Task("t" * 36, "lobby", "w" * 999, "x\0\ud800" * 999, caller="c" * 64)
    for part in ("", "a/" + "b" * 999, "a/"):
        for progress in ("", "p" * 999):
            given = told(TaskNews(task, part, "Label", status, progress, error="e" * 99_999))
            entry = checked(**given, timestamp=0.0, id="1")
            assert 1 <= len(entry.agent_id) <= MAX_NAME
            assert 1 <= len(entry.detail) <= MAX_SHOWN


# -- the runtime's bus


def test_it_is_the_same_one_before_it_is_open_and_afterwards() -> None:
    async def main() -> None:
        runtime = made()
        bus = runtime.status_bus
        bus.post(agent_id="host", action="wake_up", status="ok")
        with pytest.raises(StatusError, match="not open; use `async with runtime`"):
            await bus.recent(1)
        async with runtime:
            assert runtime.status_bus is bus
            assert [e.action for e in await bus.recent(9)] == ["wake_up"]
        with pytest.raises(StatusError, match="not open"):
            await bus.recent(1)
        async with runtime:
            assert await bus.recent(9) == []  # in memory nothing survives

    run(main())


def test_two_runtimes_share_nothing_and_a_simulated_one_neither() -> None:
    async def script(runtime: Runtime) -> None:
        async with made() as other, simulate(runtime) as call:
            runtime.status_bus.post(agent_id="host", action="greet", status="ok", room=call.room)
            assert await other.status_bus.recent(9, room=ALL_ROOMS) == []
            assert await call.runtime.status_bus.recent(9, room=ALL_ROOMS) == []
            task = await call.runtime.delegate(call.room, "analyst", "boats")
            await call.silence(3)
            (last,) = await call.runtime.status_bus.recent(1, room=call.room)
            assert (last.status, last.metadata["task"]) == ("completed", task.id)
            assert len(await runtime.status_bus.recent(9, room=call.room)) == 1

    play(script)


def test_a_backend_may_be_given() -> None:
    backend = InMemoryStatusBackend(max_entries=2)

    async def script(runtime: Runtime) -> None:
        assert runtime.status_bus.backend is backend
        await runtime.delegate("lobby", "analyst", "boats")
        await asyncio.sleep(5)

    for _ in range(2):
        play(script, status=backend)
    with pytest.raises(TypeError, match="backend: 'redis' is no StatusBackend"):
        made(status="redis")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("postgres_url") if request.param == "postgres" else tmp_path / "state")


def test_where_its_state_is_its_entries_are_and_other_processes_see_them(state: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            # A process can have one durable engine only.
            async with made(state=state) as one, made(state=state, engine=MemoryEngine()) as two:
                failed = asyncio.Event()
                await two.status_bus.subscribe(lambda _: failed.set(), room="lobby", status="failed")
                await one.delegate("lobby", "breaker", "boats")
                await failed.wait()
            async with made(state=state) as three:
                entries = await three.status_bus.recent(9, room="lobby")
                assert [e.status for e in entries] == ["pending", "failed"]

    asyncio.run(main())
