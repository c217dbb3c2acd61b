"""Those that look on: started while there is somebody to wait for them, and not waited for longer than that."""

from __future__ import annotations

import asyncio

import pytest

from orchestration.observers import LAST_LOOK, Observers
from voice.clock import now, run

seen: list[str] = []


async def look(seconds: float, what: str) -> None:
    await asyncio.sleep(seconds)
    seen.append(what)


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


def test_what_looks_on_is_waited_for_but_not_for_long(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        observers = Observers()
        async with asyncio.TaskGroup() as group:
            observers.open(group)
            for seconds in (1, 4, 1000):
                observers.start(look(seconds, f"{seconds}"))
            await asyncio.sleep(2)
            await observers.aclose()
            assert now() == 2 + LAST_LOOK
            observers.start(look(0, "too late"))
        assert now() == 2 + LAST_LOOK

    run(main())
    assert seen == ["1", "4"]
    assert caplog.text.count("is broken off") == 1


def test_nobody_looks_on_before_it_is_open_and_it_can_be_opened_again() -> None:
    async def main() -> None:
        observers = Observers()
        observers.start(look(0, "too early"))
        for round_ in ("one", "two"):
            async with asyncio.TaskGroup() as group:
                observers.open(group)
                observers.start(look(1, round_))
                await observers.aclose()
        await observers.aclose()

    run(main())
    assert seen == ["one", "two"]


def test_what_one_raises_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise OSError("the disk is full")

    async def main() -> None:
        observers = Observers()
        async with asyncio.TaskGroup() as group:
            observers.open(group)
            observers.start(look(1, "on"))
            observers.start(broken())
            await asyncio.sleep(2)
            await observers.aclose()

    run(main())
    assert seen == ["on"]
    assert caplog.text.count("what goes on beside the talk failed") == 1


def test_one_that_is_cancelled_before_it_began_is_closed() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            observers = Observers()
            observers.open(group)
            observers.start(look(0, "never"))
            for task in list(observers._tasks):
                task.cancel()

    run(main())
    assert seen == []
