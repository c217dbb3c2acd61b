"""RoomKit's samples of the status bus, of delivery strategies and of their hooks, as they read here."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from delivery import Immediate, Queued, Strategy, WaitForIdle
from orchestration import (
    HookContext,
    HookEvent,
    HookExecution,
    HookTrigger,
    InMemoryStatusBackend,
    Pipeline,
    Runtime,
    StatusBus,
    StatusEntry,
    StatusLevel,
    simulate,
)
from tests.orchestration.guide.written import Written, agent, written
from voice.clock import run


def post_two(bus: StatusBus) -> None:
    bus.post(
        agent_id="agent-researcher",
        action="search_google",
        status=StatusLevel.OK,
        detail="Found 7 results for 'roomkit multi-agent'",
    )
    bus.post(
        agent_id="agent-coder",
        action="run_tests",
        status=StatusLevel.FAILED,
        detail="3 tests failed in test_billing.py",
    )


def test_agents_post_and_whoever_subscribed_is_told() -> None:
    told: list[str] = []

    async def script(page: Written) -> None:
        bus = page.runtime.status_bus

        async def on_status(entry: StatusEntry) -> None:
            told.append(f"[{entry.agent_id}] {entry.action} {entry.status}")

        await bus.subscribe(on_status)
        await asyncio.sleep(1)
        post_two(bus)
        await asyncio.sleep(0.01)
        assert told == ["[agent-researcher] search_google ok", "[agent-coder] run_tests failed"]
        (recent,) = await bus.recent(10, agent_id="agent-researcher")
        assert (recent.status, recent.detail) == (StatusLevel.OK, "Found 7 results for 'roomkit multi-agent'")
        assert recent.metadata == {}
        assert recent.timestamp > 0
        first, second = (await bus.recent_text(5)).splitlines()
        assert re.fullmatch(r"\[\d\d:\d\d:\d\d\] agent-researcher: search_google → ok \| Found 7 results .*", first)
        assert second.endswith("agent-coder: run_tests → failed | 3 tests failed in test_billing.py")

    written(script)


def test_there_are_five_levels() -> None:
    assert [level.name for level in StatusLevel] == ["OK", "FAILED", "PENDING", "INFO", "COMPLETED"]


def test_the_bus_may_keep_a_file_that_is_read_back(tmp_path: Path) -> None:
    async def script(page: Written) -> None:
        bus = page.runtime.status_bus
        if await bus.recent(5):
            assert [entry.action for entry in await bus.recent(5)] == ["search_google", "run_tests"]
        else:
            post_two(bus)

    for _ in range(2):
        written(script, status=InMemoryStatusBackend(path=tmp_path / "status.jsonl"))
    assert len(set((tmp_path / "status.jsonl").read_text().splitlines())) == 2


def test_a_delegated_task_is_told_of_on_the_bus_of_its_room() -> None:
    from orchestration import Supervisor

    told: list[tuple[str, StatusLevel]] = []
    orchestration = Supervisor(agent("manager"), workers=[agent("researcher", "Boats float.")])

    async def script(page: Written) -> None:
        await page.runtime.status_bus.subscribe(
            lambda entry: told.append((entry.agent_id, entry.status)), room=page.room, agent_id="researcher"
        )
        task = await page.runtime.delegate(page.room, "researcher", "boats")
        result = await page.runtime.tasks.result(task.id, within=10)
        assert result is not None
        assert result.text == "Boats float."
        await asyncio.sleep(0.01)
        assert told[-1] == ("researcher", StatusLevel.COMPLETED)

    written(script, orchestration=orchestration)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (Immediate(), Immediate()),
        (WaitForIdle(buffer=3.0), WaitForIdle(buffer=3.0)),
        (Queued(buffer=2.0), Queued(buffer=2.0)),
        ("immediate", Immediate()),
        ("wait_for_idle", WaitForIdle()),
        ("queued", Queued()),
    ],
)
def test_a_strategy_is_an_object_or_its_name(given: Strategy | str, meant: Strategy) -> None:
    assert Runtime(delivery=given, state=None).delivery == meant


def played(strategy: Strategy | str, *contents: str) -> list[tuple[float, str]]:
    """What a caller, who says nothing, hears of results that come 0.1 s apart while the agent greets, and when."""
    heard: list[tuple[float, str]] = []
    # 25 words at 2.5 words a second: ten seconds.
    greeting = " ".join(["word"] * 24) + " over."

    async def main() -> None:
        runtime = Runtime(orchestration=Pipeline([agent("host", greeting=greeting)]), delivery=strategy, state=None)
        async with simulate(runtime) as call:
            begun = call.now
            await call.silence(2.0)
            for content in contents:
                await call.runtime.deliver(call.room, content)
                await call.silence(0.1)
            await call.silence(40.0)
            heard.extend((line.started - begun, line.heard) for line in call.lines[1:])

    run(main())
    return heard


def test_immediate_speaks_now_and_waits_for_nobody() -> None:
    ((at, text), *_) = played(Immediate(), "The boat is here.")
    assert at == pytest.approx(2.0, abs=0.3)
    assert text == "The boat is here."


def test_wait_for_idle_speaks_one_result_after_the_other_when_all_is_quiet() -> None:
    (first, one), (second, two) = played(WaitForIdle(buffer=3.0), "The boat is here.", "The train is late.")
    assert first == pytest.approx(10.0 + 3.0, abs=0.05)
    assert (one, two) == ("The boat is here.", "The train is late.")
    assert second > first + 3.0


def test_queued_speaks_all_that_is_there_as_one_message() -> None:
    ((at, text),) = played(Queued(buffer=2.0), "The boat is here.", "The train is late.")
    assert at == pytest.approx(10.0 + 2.0, abs=0.05)
    assert text == "The boat is here. The train is late."


def test_hooks_see_a_delivery_before_and_after() -> None:
    seen: list[Any] = []

    async def script(page: Written) -> None:
        @page.runtime.hook(HookTrigger.BEFORE_DELIVER, execution=HookExecution.ASYNC)
        async def before(event: HookEvent, ctx: HookContext) -> None:
            seen.append(("delivering", event.metadata["strategy"], event.content.body))

        @page.runtime.hook(HookTrigger.AFTER_DELIVER, execution=HookExecution.ASYNC)
        async def after(event: HookEvent, ctx: HookContext) -> None:
            error = event.metadata.get("error")
            seen.append(("delivered", "failed" if error else "ok"))

        receipt = await page.runtime.deliver(page.room, "The boat is here.")
        assert (await receipt).status == "heard"
        await asyncio.sleep(0.01)

    written(script)
    assert seen == [("delivering", "wait_for_idle", "The boat is here."), ("delivered", "ok")]
