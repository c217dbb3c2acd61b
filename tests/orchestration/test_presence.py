"""Processes that share a ledger: who lives, whose a room is, and who takes over what was left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from delivery.ledger import LEASE, LedgerError, Process, RoomHeldError
from delivery.memory import MemoryLedger
from orchestration.presence import EVERY, Presence
from voice.clock import now, run


class Ledger(MemoryLedger):
    """Away while `away`."""

    away = False

    async def beat(self, process: Process) -> frozenset[str]:
        if self.away:
            raise LedgerError("the disk is full; free some space")
        return await super().beat(process)

    async def leave(self, process: str) -> None:
        if self.away:
            raise LedgerError("the disk is full; free some space")
        await super().leave(process)


async def nobody(gone: frozenset[str]) -> None:
    raise AssertionError(f"{gone} are not gone")


@asynccontextmanager
async def opened() -> AsyncIterator[Ledger]:
    ledger = Ledger()
    await ledger.open()
    yield ledger
    await ledger.aclose()


@asynccontextmanager
async def present(ledger: Ledger, address: str | None = None, adopt: object = nobody) -> AsyncIterator[Presence]:
    presence = Presence(ledger, address)
    await presence.arrive()
    staying = asyncio.create_task(presence.stay(adopt))  # type: ignore[arg-type]
    try:
        yield presence
    finally:
        staying.cancel()
        with suppress(asyncio.CancelledError):
            await staying


def test_who_lives_keeps_what_is_theirs() -> None:
    async def main() -> None:
        async with opened() as ledger, present(ledger, "http://one") as one, present(ledger, "http://two") as two:
            await one.take_room("lobby")
            await asyncio.sleep(10 * LEASE)
            assert one.held()
            with pytest.raises(RoomHeldError) as held:
                await two.take_room("lobby")
            assert held.value.holder == one.process
            assert now() == 10 * LEASE, "who can be sent there is sent there at once"

    run(main())


def test_a_room_that_was_left_is_anybodys() -> None:
    async def main() -> None:
        async with opened() as ledger, present(ledger, "http://one") as one, present(ledger, "http://two") as two:
            epoch = await one.take_room("lobby")
            await one.leave_room("lobby", epoch)
            assert await two.take_room("lobby") == epoch + 1

    run(main())


def test_what_a_dead_process_left_is_taken_over_once() -> None:
    adopted: list[tuple[float, frozenset[str]]] = []

    async def adopt(gone: frozenset[str]) -> None:
        adopted.append((now(), gone))
        await asyncio.sleep(5 * LEASE)  # to take over may be long; we live on meanwhile

    async def main() -> None:
        async with opened() as ledger, present(ledger, "http://two", adopt) as two:
            async with present(ledger, "http://one") as one:
                await one.take_room("lobby")
            died = now()
            assert one.held()
            with pytest.raises(RoomHeldError):
                await two.take_room("lobby")
            assert now() == died, "it may live: whoever comes is sent there"
            await asyncio.sleep(LEASE)
            assert not one.held(), "it is the first to know"
            await asyncio.sleep(EVERY)
            assert await two.take_room("lobby") == 2
            await asyncio.sleep(20 * LEASE)
            assert two.held()
            ((at, gone),) = adopted
            assert died + LEASE <= at <= died + LEASE + EVERY + 0.02
            assert gone == {one.process.id}

    run(main())


def test_taking_over_what_cannot_be_taken_over_yet_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[frozenset[str]] = []

    async def adopt(gone: frozenset[str]) -> None:
        tries.append(gone)
        if len(tries) < 3:
            raise LedgerError("the disk is full; free some space")

    async def main() -> None:
        async with opened() as ledger:
            async with present(ledger) as one:
                pass
            await one.leave()
            async with present(ledger, adopt=adopt):
                await asyncio.sleep(20)
                assert tries == [{one.process.id}] * 3

    run(main())
    assert "cannot be taken over yet" in caplog.text


def test_a_ledger_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened() as ledger, present(ledger) as one:
            ledger.away = True
            await asyncio.sleep(10)
            assert not one.held()
            ledger.away = False
            await asyncio.sleep(EVERY)
            assert one.held()
            ledger.away = True
            await one.leave()

    run(main())
    assert caplog.text.count("cannot say that it lives, trying again: the disk is full") == 1
    assert "could not say that it goes" in caplog.text


@pytest.mark.parametrize(("theirs", "ours"), [(None, "http://two"), (None, None), ("http://one", "http://one")])
def test_who_cannot_be_reached_is_waited_for_as_they_may_be_dead(theirs: str | None, ours: str | None) -> None:
    async def adopt(gone: frozenset[str]) -> None:
        """It died."""

    async def main() -> None:
        async with opened() as ledger:
            async with present(ledger, theirs) as one:
                await one.take_room("lobby")
            async with present(ledger, ours, adopt) as two:
                assert await two.take_room("lobby") == 2
                assert now() <= (LEASE + EVERY if theirs is None else 0.0), "whose address we have is gone at once"

    run(main())


def test_a_process_that_missed_a_sign_of_life_is_waited_for() -> None:
    async def adopt(gone: frozenset[str]) -> None:
        """It died."""

    async def main() -> None:
        async with opened() as ledger, present(ledger, "http://two", adopt) as two:
            async with present(ledger, "http://one") as one:
                await one.take_room("lobby")
            await asyncio.sleep(1.6 * EVERY)
            assert await two.take_room("lobby") == 2
            assert LEASE <= now() <= LEASE + 0.5

    run(main())


def test_a_living_process_that_cannot_be_reached_keeps_its_room() -> None:
    async def main() -> None:
        async with opened() as ledger, present(ledger) as one, present(ledger) as two:
            await one.take_room("lobby")
            with pytest.raises(RoomHeldError, match="which callers cannot be sent to"):
                await two.take_room("lobby")
            assert LEASE <= now() <= LEASE + 2 * EVERY

    run(main())


def test_who_is_alone_needs_no_sign_of_life() -> None:
    async def main() -> None:
        async with opened() as ledger:
            alone = Presence(ledger, None, alone=True)
            await alone.arrive()
            await alone.stay(nobody)
            await asyncio.sleep(10 * LEASE)
            assert alone.held()
            epoch = await alone.take_room("lobby")
            await alone.leave_room("lobby", epoch)
            await alone.leave()
            assert await ledger.beat(Process("other")) == frozenset()

    run(main())
