"""What waits in a room's lane is done together; other rooms do not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from delivery.ledger import LedgerError
from delivery.postgres import lanes
from delivery.postgres.lanes import MAX_TOGETHER, Lanes
from delivery.postgres.trouble import LostError
from voice.clock import now, run


class Slow:
    """Takes a second for whatever is handed to it together; squares it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, list[int]]] = []
        self.error: Exception | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.lanes = Lanes[int, int](self.start, self.together)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def together(self, room: str, items: Sequence[int]) -> list[int | Exception]:
        await asyncio.sleep(1.0)
        if self.error is not None:
            raise self.error
        self.done.append((room, list(items)))
        return [item**2 if item >= 0 else LedgerError(f"{item} is less than nothing") for item in items]


def test_what_waits_is_done_together_and_rooms_side_by_side() -> None:
    async def script() -> None:
        slow = Slow()
        first = asyncio.create_task(slow.lanes.put("lobby", 0))
        await asyncio.sleep(0.5)
        puts = [slow.lanes.put("lobby", n) for n in range(1, 4)]
        assert await asyncio.gather(first, *puts, slow.lanes.put("attic", 9)) == [0, 1, 4, 9, 81]
        assert slow.done == [("lobby", [0]), ("attic", [9]), ("lobby", [1, 2, 3])]
        assert now() == pytest.approx(2.0)
        await asyncio.sleep(0)
        assert not slow.tasks
        assert await slow.lanes.put("lobby", 5) == 25

    run(script())


def test_a_long_queue_goes_in_parts() -> None:
    async def script() -> None:
        slow = Slow()
        await asyncio.gather(*(slow.lanes.put("lobby", n) for n in range(2 * MAX_TOGETHER + 1)))
        assert [len(items) for _, items in slow.done] == [MAX_TOGETHER, MAX_TOGETHER, 1]
        assert [n for _, items in slow.done for n in items] == list(range(2 * MAX_TOGETHER + 1))

    run(script())


def test_one_error_is_one_items_and_a_common_one_is_everyones() -> None:
    async def script() -> None:
        slow = Slow()
        outcomes = await asyncio.gather(*(slow.lanes.put("lobby", n) for n in (2, -1, 3)), return_exceptions=True)
        assert [outcomes[0], str(outcomes[1]), outcomes[2]] == [4, "-1 is less than nothing", 9]
        slow.error = LedgerError("the disk is full")
        outcomes = await asyncio.gather(*(slow.lanes.put("lobby", n) for n in (2, 3)), return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["the disk is full"] * 2
        assert outcomes[0] is not outcomes[1]
        slow.error = None
        assert await slow.lanes.put("lobby", 4) == 16

    run(script())


def test_who_waits_for_a_server_that_is_lost_does_not_wait_again() -> None:
    async def script() -> None:
        slow = Slow()
        first = asyncio.create_task(slow.lanes.put("lobby", 1))
        await asyncio.sleep(0.5)
        slow.error = LostError("the server is away")
        outcomes = await asyncio.gather(first, *(slow.lanes.put("lobby", n) for n in (2, 3)), return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["the server is away"] * 3
        assert now() == pytest.approx(1.0)

    run(script())


def test_cancelled_before_its_turn_it_is_not_done_later_it_is() -> None:
    async def script() -> None:
        slow = Slow()
        begun = asyncio.create_task(slow.lanes.put("lobby", 1))
        await asyncio.sleep(0.5)
        waits, last = (asyncio.create_task(slow.lanes.put("lobby", n)) for n in (2, 3))
        await asyncio.sleep(0)
        begun.cancel()
        waits.cancel()
        assert await last == 9
        assert slow.done == [("lobby", [1]), ("lobby", [3])]

    run(script())


def test_a_lane_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MAX_WAITING", 3)

    async def script() -> None:
        slow = Slow()
        outcomes = await asyncio.gather(*(slow.lanes.put("lobby", n) for n in range(5)), return_exceptions=True)
        assert outcomes[:3] == [0, 1, 4]
        assert all("3 writes wait for the database" in str(outcome) for outcome in outcomes[3:])

    run(script())
