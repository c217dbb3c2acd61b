"""What every ledger promises to several processes: whose a room is, who is gone, cancel and replay from anywhere."""

from __future__ import annotations

import asyncio

import pytest

from delivery.ledger import LEASE, FencedError, Ledger, Move, Process, RoomHeldError, Status
from delivery.memory import MemoryLedger
from delivery.postgres import PostgresLedger
from delivery.postgres.database import Transaction
from delivery.sqlite import SqliteLedger
from tests.delivery.ledgers import entry, play, result

ONE, TWO = Process("one", "http://one:8080"), Process("two", "http://two:8080")
UNHEARD = [Status.DEAD, Status.EXPIRED, Status.REFUSED, Status.CANCELLED, Status.DROPPED]


async def pass_time(ledger: Ledger, seconds: float) -> None:
    """Have the ledger's own clock be so much later, as far as signs of life go."""
    if isinstance(ledger, MemoryLedger):
        return await asyncio.sleep(seconds)
    if isinstance(ledger, PostgresLedger):

        async def earlier(transaction: Transaction) -> None:
            sql = "UPDATE sottovoce.processes SET beat_at = beat_at - make_interval(secs => %s)"
            await transaction.execute(sql, (seconds,))

        return await ledger.database.write(earlier)
    assert isinstance(ledger, SqliteLedger)
    sql = "UPDATE processes SET beat_at = beat_at - ?"
    await ledger.database.write(lambda connection: connection.execute(sql, (seconds,)).rowcount)
    return None


def test_a_room_is_taken_only_when_its_process_is_gone(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.beat(ONE)
        await ledger.beat(TWO)
        assert await ledger.take_room("lobby", "one") == 1
        with pytest.raises(RoomHeldError, match=r"'lobby' is held by the process one at http://one:8080") as held:
            await ledger.take_room("lobby", "two")
        assert held.value.holder == ONE
        await ledger.move("lobby", 1, [])  # nothing has changed for who holds it
        assert await ledger.take_room("lobby", "one") == 2

        await pass_time(ledger, LEASE * 0.7)
        await ledger.beat(TWO)
        with pytest.raises(RoomHeldError) as held:
            await ledger.take_room("lobby", "two")
        assert held.value.age == pytest.approx(LEASE * 0.7, abs=0.2)
        await pass_time(ledger, LEASE * 0.7)
        assert await ledger.take_room("lobby", "two") == 3
        with pytest.raises(FencedError):
            await ledger.move("lobby", 2, [])

    play(ledger, script)


def test_a_room_that_was_left_is_free(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.beat(ONE)
        epoch = await ledger.take_room("lobby", "one")
        await ledger.leave_room("lobby", epoch - 1)
        with pytest.raises(RoomHeldError):
            await ledger.take_room("lobby", "two")
        await ledger.leave_room("lobby", epoch)
        await ledger.leave_room("attic", 1)
        assert await ledger.take_room("lobby", "two") == epoch + 1

    play(ledger, script)


def test_leaving_a_room_does_not_free_it_for_who_has_it_now(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.beat(TWO)
        old = await ledger.take_room("lobby", "one")  # a process that never gave a sign of life
        await ledger.take_room("lobby", "two")
        await ledger.leave_room("lobby", old)
        with pytest.raises(RoomHeldError):
            await ledger.take_room("lobby", "one")

    play(ledger, script)


def test_the_rooms_of_a_process_that_left_are_free(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.beat(ONE)
        await ledger.take_room("lobby", "one")
        await ledger.leave("one")
        await ledger.leave("nobody")
        assert await ledger.take_room("lobby", "two") == 2

    play(ledger, script)


def test_who_beats_learns_who_is_gone_until_they_are_forgotten(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        assert await ledger.beat(ONE) == frozenset()
        assert await ledger.beat(TWO) == frozenset()
        await pass_time(ledger, LEASE * 1.1)
        assert await ledger.beat(ONE) == {"two"}
        await ledger.forget(["one", "two", "nobody"])
        assert await ledger.beat(TWO) == frozenset(), "one lives and must not be forgotten"
        await ledger.leave("one")
        assert await ledger.beat(TWO) == {"one"}
        assert await ledger.beat(ONE) == frozenset(), "it was not gone after all"
        assert await ledger.beat(TWO) == frozenset()

    play(ledger, script)


def test_who_has_the_address_now_is_the_only_one_there(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.beat(ONE)
        await ledger.take_room("lobby", "one")
        await ledger.beat(Process("elsewhere"))
        assert await ledger.beat(Process("nowhere")) == frozenset(), "no address is nobody's address"
        assert await ledger.beat(Process("again", ONE.address)) == {"one"}
        assert await ledger.take_room("lobby", "again") == 2

    play(ledger, script)


def test_a_queued_delivery_is_cancelled_at_once(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.put(result())
        assert await ledger.cancel("one") is Status.CANCELLED
        found = await entry(ledger)
        assert (found.status, found.reason, found.unwanted) == (Status.CANCELLED, "cancelled", False)
        assert await ledger.cancel("one") is Status.CANCELLED
        assert await ledger.cancel("nothing") is None

    play(ledger, script)


@pytest.mark.parametrize("status", [Status.RESERVED, Status.SPEAKING])
def test_who_speaks_a_cancelled_delivery_ends_it(ledger: Ledger, status: Status) -> None:
    async def script(ledger: Ledger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        for id in ("one", "two", "three"):
            await ledger.put(result(id))
            await ledger.move("lobby", epoch, [Move(id, status)])
            assert await ledger.cancel(id) is status
        assert [e.unwanted for e in await ledger.entries("lobby")] == [True] * 3
        await ledger.move("lobby", epoch, [Move("one", Status.HEARD, heard_chars=3)])
        assert (await entry(ledger, "one")).status is Status.HEARD, "it was over before anybody could stop it"
        await ledger.move("lobby", epoch, [Move("two", Status.QUEUED, heard_chars=3, reason="ann")])
        assert (await entry(ledger, "two")).status is Status.CANCELLED, "what is not wanted is not queued again"
        await ledger.take_room("lobby", "other")
        gone = await entry(ledger, "three")
        assert (gone.status, gone.reason) == (Status.CANCELLED, "cancelled"), "who spoke it is gone"

    play(ledger, script)


def test_moving_what_ended_tells_so(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        for id in ("one", "two"):
            await ledger.put(result(id))
        await ledger.cancel("one")
        assert await ledger.move("lobby", epoch, [Move(id, Status.RESERVED) for id in ("one", "two")]) == {"one"}
        assert await ledger.move("lobby", epoch, [Move("two", Status.HEARD)]) == frozenset()

    play(ledger, script)


@pytest.mark.parametrize("end", UNHEARD)
@pytest.mark.parametrize(("whole", "heard"), [(False, 3), (True, 0)])
def test_what_ended_unheard_can_be_replayed(ledger: Ledger, end: Status, whole: bool, heard: int) -> None:
    async def script(ledger: Ledger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        await ledger.put(result(ttl=5.0))
        await ledger.put(result("two"))
        moves = [
            Move("one", Status.QUEUED, wording="in other words", heard_chars=3, attempt=True),
            Move("one", end, reason="it was so"),
        ]
        await ledger.move("lobby", epoch, moves)
        assert await ledger.replay("one", whole=whole) is Status.QUEUED
        found = (await ledger.entries("lobby"))[0]
        assert found.delivery == result(ttl=5.0), "its place is the old one"
        assert (found.wording, found.heard_chars) == ("in other words", heard)
        assert (found.attempts, found.reason, found.age < 1.0) == (0, "", True)

    play(ledger, script)


def test_what_was_heard_or_is_stale_or_waits_anyway_is_not_replayed(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        for status in (Status.QUEUED, Status.RESERVED, Status.SPEAKING, Status.HEARD, Status.SUPERSEDED):
            await ledger.put(result(status))
            await ledger.move("lobby", epoch, [Move(status, status)])
            before = await entry(ledger, status)
            assert await ledger.replay(status) is status
            after = await entry(ledger, status)
            assert (after.status, after.attempts, after.heard_chars) == (status, before.attempts, before.heard_chars)
        assert await ledger.replay("nothing") is None

    play(ledger, script)


@pytest.mark.parametrize("id", ["", "half a \ud83d", "nothing\0"])
def test_an_id_that_cannot_be_is_unknown(ledger: Ledger, id: str) -> None:
    async def script(ledger: Ledger) -> None:
        assert await ledger.get(id) is None
        assert await ledger.cancel(id) is None
        assert await ledger.replay(id) is None
        assert await ledger.entries(id) == []

    play(ledger, script)


def test_cancel_and_replay_are_told_and_what_changes_nothing_is_not(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.put(result())
        told: list[str] = []
        await asyncio.sleep(0.01)
        ledger.subscribe(told.append)
        await ledger.cancel("one")
        await asyncio.sleep(0.01)
        assert told == ["lobby"]
        await ledger.cancel("one")
        await asyncio.sleep(0.01)
        assert told == ["lobby"]
        await ledger.replay("one")
        await ledger.replay("one")
        await asyncio.sleep(0.01)
        assert told == ["lobby", "lobby"]

    play(ledger, script)


def test_who_moves_is_not_told_of_it_unless_they_ask(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        mover, watcher = list[str](), list[str]()
        ledger.subscribe(mover.append, moves=False)
        ledger.subscribe(watcher.append)
        await ledger.put(result())
        await ledger.move("lobby", epoch, [Move("one", Status.RESERVED)])
        await ledger.cancel("one")
        await asyncio.sleep(0.01)
        assert (mover, watcher) == (["lobby"] * 2, ["lobby"] * 3)

    play(ledger, script)
