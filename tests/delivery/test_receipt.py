"""A receipt: the end of a delivery, to be awaited by anybody at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from delivery.ledger import LedgerError, Move, Status
from delivery.receipt import REFRESH, Outcome, Receipt, Step
from tests.delivery.house import ROOM, Door, delivery
from voice.clock import run


def play(script: Callable[[Door, int], Awaitable[None]]) -> None:
    async def main() -> None:
        ledger = Door()
        await ledger.open()
        await ledger.put(delivery("a", "One two three."))
        await script(ledger, await ledger.take_room(ROOM, "owner"))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


async def later(seconds: float, work: Awaitable[None]) -> None:
    await asyncio.sleep(seconds)
    await work


def test_it_gives_the_end_when_it_comes() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        receipt = Receipt("a", ledger)
        assert await receipt.status() is Status.QUEUED
        heard = Move("a", Status.HEARD, heard_chars=14)
        async with asyncio.TaskGroup() as group:
            group.create_task(later(3.0, ledger.move(ROOM, epoch, [heard])))
            assert await receipt == Outcome("a", Status.HEARD, "One two three.", "")
        assert asyncio.get_running_loop().time() == 3.0
        assert await receipt == Outcome("a", Status.HEARD, "One two three.", "")

    play(script)


def test_it_says_what_was_heard_of_the_wording_and_why_it_ended() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        move = Move("a", Status.CANCELLED, wording="Four five six.", heard_chars=9, reason="cancelled")
        await ledger.move(ROOM, epoch, [move])
        assert await Receipt("a", ledger) == Outcome("a", Status.CANCELLED, "Four five", "six.", "cancelled")

    play(script)


def test_an_interruption_is_no_end() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        receipt = Receipt("a", ledger)
        for status in (Status.RESERVED, Status.SPEAKING, Status.QUEUED):
            await ledger.move(ROOM, epoch, [Move("a", status, heard_chars=3)])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(receipt, 1)
            assert await receipt.status() is status

    play(script)


def test_who_stops_waiting_leaves_nothing_behind() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(Receipt("a", ledger), 20)
        assert len(ledger._hints) == 0

    play(script)


def test_many_wait_for_one_end() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.wait_for(Receipt("a", ledger), 9)) for _ in range(5)]
            group.create_task(later(1.0, ledger.move(ROOM, epoch, [Move("a", Status.EXPIRED)])))
        assert {task.result().status for task in tasks} == {Status.EXPIRED}

    play(script)


def test_a_lost_hint_costs_seconds() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        ledger.deaf = True
        async with asyncio.TaskGroup() as group:
            group.create_task(later(REFRESH + 1, ledger.move(ROOM, epoch, [Move("a", Status.EXPIRED)])))
            await Receipt("a", ledger)
        assert asyncio.get_running_loop().time() == 2 * REFRESH

    play(script)


def test_a_hint_about_another_room_wakes_nobody() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        receipt = asyncio.ensure_future(asyncio.wait_for(Receipt("a", ledger), 60))
        await asyncio.sleep(1)
        reads: list[str] = []
        get = ledger.get
        ledger.get = lambda id: (reads.append(id), get(id))[1]  # type: ignore[method-assign]
        await ledger.put(delivery("b", room="attic"))
        await asyncio.sleep(1)
        assert reads == []
        await ledger.move(ROOM, epoch, [Move("a", Status.EXPIRED)])
        await receipt
        assert reads == ["a"]

    play(script)


def test_an_id_that_nobody_knows_is_an_error() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        with pytest.raises(LedgerError, match="no delivery has the id 'x'"):
            await Receipt("x", ledger)
        with pytest.raises(LedgerError, match="'x'"):
            await Receipt("x", ledger).queued()
        receipt = Receipt("a", ledger)
        assert await receipt.queued() is receipt
        assert repr(receipt) == "Receipt('a')"

    play(script)


def test_a_ledger_that_is_closed_meanwhile_is_an_error_and_not_a_wait_without_end() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(later(1.0, ledger.aclose()))
            with pytest.raises(LedgerError, match="closed"):
                await Receipt("a", ledger)

    play(script)


def test_it_tells_every_step_an_interruption_too() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        async def live() -> None:
            for move in (
                Move("a", Status.RESERVED),
                Move("a", Status.SPEAKING, heard_chars=3),
                Move("a", Status.SPEAKING, heard_chars=7),
                Move("a", Status.QUEUED, heard_chars=7, reason="ann", attempt=True),
                Move("a", Status.QUEUED),
                Move("a", Status.HEARD, heard_chars=14, reason=""),
            ):
                await asyncio.sleep(1)
                await ledger.move(ROOM, epoch, [move])

        async with asyncio.TaskGroup() as group:
            group.create_task(live())
            steps = [step async for step in Receipt("a", ledger).steps()]
        assert steps == [
            Step(Status.QUEUED, "", 0),
            Step(Status.RESERVED, "", 0),
            Step(Status.SPEAKING, "One", 0),
            Step(Status.SPEAKING, "One two", 0),
            Step(Status.QUEUED, "One two", 1, "ann"),
            Step(Status.HEARD, "One two three.", 1),
        ]

    play(script)


def test_it_cancels_and_replays() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        receipt = Receipt("a", ledger)
        await ledger.move(ROOM, epoch, [Move("a", Status.SPEAKING, heard_chars=3)])
        assert await receipt.cancel() is Status.SPEAKING
        await ledger.move(ROOM, epoch, [Move("a", Status.CANCELLED)])
        assert await receipt.replay() is Status.QUEUED
        assert (await receipt.entry()).heard_chars == 3
        assert await receipt.cancel() is Status.CANCELLED
        assert await receipt.replay(whole=True) is Status.QUEUED
        assert (await receipt.entry()).heard_chars == 0

    play(script)


def test_what_nobody_knows_is_neither_cancelled_nor_replayed() -> None:
    async def script(ledger: Door, epoch: int) -> None:
        receipt = Receipt("nobody", ledger)
        for ask in (receipt.cancel, receipt.replay):
            with pytest.raises(LedgerError, match="no delivery has the id 'nobody'"):
                await ask()

    play(script)
