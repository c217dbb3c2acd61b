"""The ledger in memory stays small: what is over goes, what is not never does, and nobody waits for what has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from delivery import memory
from delivery.ledger import FencedError, LedgerError, Move, Status
from delivery.memory import MemoryLedger
from delivery.receipt import Receipt
from tests.delivery.ledgers import result
from voice.clock import run


def play(script: Callable[[MemoryLedger], Awaitable[None]], **limits: int) -> None:
    async def main() -> None:
        ledger = MemoryLedger(**limits)
        await ledger.open()
        await script(ledger)
        await ledger.aclose()

    run(main())


async def settled() -> None:
    """What is to be dropped is dropped."""
    for _ in range(10):
        await asyncio.sleep(0)


async def ids(ledger: MemoryLedger, room: str = "lobby") -> list[str]:
    await settled()
    return [e.delivery.id for e in await ledger.entries(room, list(Status))]


async def told(ledger: MemoryLedger, *names: str, room: str = "lobby") -> None:
    """These were put, and are over."""
    for id in names:
        await ledger.put(result(id, room=room))
        await ledger.cancel(id)


def test_the_newest_that_are_over_are_kept_and_ids_of_others_are_free() -> None:
    async def script(ledger: MemoryLedger) -> None:
        await told(ledger, *(f"r{n}" for n in range(10)))
        assert await ids(ledger) == ["r7", "r8", "r9"]
        assert await ledger.get("r6") is None
        assert await ledger.replay("r6") is None
        assert await ledger.put(result("r6", content="something else"))
        assert await ids(ledger) == ["r7", "r8", "r9", "r6"]

    play(script, keep=3, keep_per_room=0)


def test_what_is_not_over_is_never_dropped() -> None:
    async def script(ledger: MemoryLedger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        for id in ("queued", "reserved", "speaking", "replayed"):
            await ledger.put(result(id))
        await ledger.move("lobby", epoch, [Move("reserved", Status.RESERVED), Move("speaking", Status.SPEAKING)])
        await ledger.cancel("replayed")
        await ledger.replay("replayed")
        await told(ledger, *(f"r{n}" for n in range(50)))
        await told(ledger, *(f"x{n}" for n in range(50)), room="attic")
        assert await ids(ledger) == ["queued", "reserved", "speaking", "replayed"]

    play(script, keep=0, keep_per_room=0)


def test_a_room_that_somebody_has_keeps_its_newest_however_busy_others_are() -> None:
    async def script(ledger: MemoryLedger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        await told(ledger, "a", "b", "c")
        await told(ledger, *(f"x{n}" for n in range(50)), room="attic")
        assert await ids(ledger) == ["b", "c"]
        await ledger.leave_room("lobby", epoch)
        await ledger.take_room("lobby", "me")  # the caller is back at once
        await told(ledger, *(f"y{n}" for n in range(50)), room="attic")
        assert await ids(ledger) == ["b", "c"]
        await ledger.leave_room("lobby", epoch + 1)
        await told(ledger, *(f"z{n}" for n in range(50)), room="attic")
        assert await ids(ledger) == []
        assert len(await ids(ledger, "attic")) == 5

    play(script, keep=5, keep_per_room=2)


def test_an_order_of_arrival_outlives_what_was_dropped() -> None:
    async def script(ledger: MemoryLedger) -> None:
        await ledger.put(result("first"))
        await told(ledger, "r1", "r2", "r3")
        await ledger.put(result("second"))
        await told(ledger, "r4")
        await ledger.cancel("first")
        await ledger.replay("first")
        entries = await ledger.entries("lobby", list(Status))
        assert [e.delivery.id for e in await ledger.entries("lobby")] == ["first", "second"]
        assert [e.seq for e in entries] == sorted({e.seq for e in entries})

    play(script, keep=1, keep_per_room=0)


def test_whoever_awaits_a_receipt_gets_the_end_of_it_first() -> None:
    async def script(ledger: MemoryLedger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        names = [f"r{n}" for n in range(20)]
        for id in names:
            await ledger.put(result(id))
        outcomes: dict[str, Status] = {}

        async def wait(id: str) -> None:
            outcomes[id] = (await Receipt(id, ledger)).status

        async def follow(id: str) -> list[Status]:
            return [step.status async for step in Receipt(id, ledger).steps()]

        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            for id in names:
                group.create_task(wait(id))
            followed = group.create_task(follow("r0"))
            await asyncio.sleep(0.1)
            await ledger.move("lobby", epoch, [Move(id, Status.HEARD) for id in names[:10]])
            await ledger.cancel(names[10])
            await ledger.move("lobby", epoch, [Move(id, Status.HEARD) for id in names[11:]])
        assert set(outcomes) == set(names)
        assert outcomes.pop(names[10]) is Status.CANCELLED
        assert set(outcomes.values()) == {Status.HEARD}
        assert followed.result() == [Status.QUEUED, Status.HEARD]
        assert await ids(ledger) == []

    play(script, keep=0, keep_per_room=0)


def test_a_receipt_of_what_was_dropped_says_so_and_does_not_hang() -> None:
    async def script(ledger: MemoryLedger) -> None:
        await ledger.put(result("a"))
        steps = Receipt("a", ledger).steps()
        assert (await anext(steps)).status is Status.QUEUED
        await ledger.cancel("a")
        await settled()  # whoever follows the steps was busy with the first of them
        async with asyncio.timeout(10):
            with pytest.raises(LedgerError, match="no delivery has the id 'a'"):
                await anext(steps)
            with pytest.raises(LedgerError, match="no delivery has the id 'a'"):
                await Receipt("a", ledger)
        assert len(ledger._hints) == 0

    play(script, keep=0, keep_per_room=0)


def test_rooms_that_nobody_has_are_forgotten_but_their_old_owners_stay_fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_FREE", 10)

    async def script(ledger: MemoryLedger) -> None:
        await ledger.put(result("a"))
        for _ in range(3):
            old = await ledger.take_room("lobby", "me")
        await ledger.leave_room("lobby", old)
        kept = await ledger.take_room("kept", "me")
        for n in range(100):
            await ledger.leave_room(f"r{n}", await ledger.take_room(f"r{n}", "me"))
        assert len(ledger._rooms._known) == 11
        new = await ledger.take_room("lobby", "you")
        assert new > old
        with pytest.raises(FencedError):
            await ledger.move("lobby", old, [Move("a", Status.HEARD)])
        await ledger.move("lobby", new, [Move("a", Status.HEARD)])
        await ledger.leave_room("kept", kept)
        await ledger.leave_room("r0", 1)  # long gone

    play(script)


def test_what_was_being_dropped_when_the_loop_ended_is_dropped_in_the_next() -> None:
    ledger = MemoryLedger(keep=1, keep_per_room=0)

    async def first() -> None:
        await ledger.open()
        await told(ledger, "a", "b", "c")

    async def second() -> None:
        await ledger.open()
        await told(ledger, "d")
        assert await ids(ledger) == ["d"]

    run(first())
    run(second())


@pytest.mark.parametrize("bad", [{"keep": -1}, {"keep_per_room": None}])
def test_a_limit_that_is_none_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))}: .* is no whole number"):
        MemoryLedger(**bad)
