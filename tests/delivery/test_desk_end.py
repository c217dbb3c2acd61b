"""How a desk ends, in order or by a crash: silent at once, nothing left running, nothing missed."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from delivery import desk as desk_module
from delivery.ledger import Delivery, Status
from delivery.receipt import Receipt
from delivery.strategies import Immediate, Queued, WaitForIdle
from tests.delivery.house import ROOM, WORD, Anna, Door, House, delivery, heard_words, lines, near, play
from voice.simulated import SimulatedChannel

# -- the end


def test_closing_in_mid_speech_stops_it_and_writes_what_was_heard() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", "One two three four five.")
        await house.put("b")
        await anna.hears("two")
        closing = house.now
        await house.end()
        assert near(house.now, closing)
        entry = await house.entry("a")
        assert (entry.status, entry.attempts, entry.reason) == (Status.QUEUED, 0, "stopped")
        assert entry.delivery.content[: entry.heard_chars] == "One two"
        await asyncio.sleep(20)
        assert lines(anna) == ["One two"]
        await house.begin()
        await anna.hears("five.")
        await anna.hears("b4")

    play(script)


def test_a_closing_desk_begins_nothing() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", strategy=Immediate())
        await house.put("b", strategy=Immediate())
        await anna.hears("a1")
        await house.end()
        await asyncio.sleep(5)
        assert lines(anna) == ["a0 a1"]

    told = play(script)
    assert len(told.spoken) == 1


def test_a_closing_desk_waits_for_its_last_writes() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await anna.hears("a1")
        house.ledger.moving_takes = 0.5
        await house.end()
        entry = await house.entry("a")
        assert (entry.status, entry.heard_chars) == (Status.QUEUED, len("a0 a1"))

    play(script)


def test_closing_a_desk_that_has_lost_its_room_takes_no_time() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await anna.hears("a1")
        await house.ledger.take_room(ROOM, "another")
        await house.desk.lost.wait()
        await asyncio.sleep(1)
        closing = house.now
        await house.end()
        assert house.now == closing

    play(script)


def test_closing_an_idle_desk_takes_no_time() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.end()
        async with SimulatedChannel() as channel:
            house.channel = channel
            async with house:
                begun = house.now
            assert house.now == begun

    play(script)


@pytest.mark.parametrize("moment", [0.0, 0.5, 2.0], ids=["picking up", "preparing", "speaking"])
def test_a_ledger_that_hangs_does_not_keep_the_desk_from_closing(moment: float) -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await asyncio.sleep(moment)
        house.ledger.gone = True
        await asyncio.sleep(0.2)
        closing = house.now
        await house.end()
        assert house.now - closing <= desk_module.CLOSING

    play(script)


def test_closing_while_it_makes_something_ready_is_at_once_and_leaves_it_owed() -> None:
    closed: list[float] = []

    async def before(delivery: Delivery) -> str:
        try:
            await asyncio.sleep(20)
        finally:
            closed.append(asyncio.get_running_loop().time())
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await asyncio.sleep(3)

    ledger = Door()
    play(script, before=before, ledger=ledger)
    assert closed == [3.0]
    assert ledger._rows["a"].entry.status is Status.QUEUED


def test_closing_while_it_reserves_something_leaves_it_owed() -> None:
    ledger = Door()

    async def script(house: House, anna: Anna) -> None:
        ledger.moving_takes = 5.0
        await house.put("a")
        await asyncio.sleep(3)
        await house.end()
        ledger.moving_takes = 0.0
        await house.begin()
        await anna.hears("a4")

    play(script, ledger=ledger)


def test_a_hook_after_is_given_a_moment_to_finish() -> None:
    ends: list[str] = []

    async def after(settled: Any) -> None:
        await asyncio.sleep(1.0 if settled.delivery.id == "a" else 100.0)
        ends.append(settled.delivery.id)

    async def script(house: House, anna: Anna) -> None:
        await house.put("a", "Yes.", Immediate())
        await Receipt("a", house.ledger)
        await house.put("b", "No.", Immediate())
        await Receipt("b", house.ledger)

    play(script, after=after)
    assert ends == ["a"]


def test_an_error_inside_goes_on_as_it_is() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await anna.hears("a1")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        play(script)


def test_being_cancelled_closes_it_as_well() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.end()
        async with SimulatedChannel() as channel:
            house.channel = channel
            bert = channel.join("bert")

            async def talk() -> None:
                async with house:
                    await asyncio.sleep(100)

            task = asyncio.create_task(talk())
            await house.put("a", "One two three four five.")
            await bert.hears("two")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            entry = await house.entry("a")
            assert entry.delivery.content[: entry.heard_chars] == "One two"

    play(script)


# -- crashes


@pytest.mark.parametrize("tenth", range(0, 120, 3))
def test_whenever_the_process_dies_nothing_is_missed_and_only_words_in_flight_are_heard_twice(tenth: int) -> None:
    killed_at = tenth / 10 + 0.05

    async def script(house: House, anna: Anna) -> None:
        await house.end()
        anna.hang_up()
        shared = house.ledger
        process = Door(shared)
        await process.open()
        callers: list[Anna] = []

        async def life(ledger: Door) -> None:
            async with SimulatedChannel() as channel:
                mine = House(ledger, channel, house.told)
                callers.append(channel.join("bert"))
                async with mine:
                    await asyncio.sleep(60)

        first = asyncio.create_task(life(process))
        for id in "abc":
            await shared.put(delivery(id, strategy=Queued(1.0) if id != "a" else WaitForIdle(1.0)))
        await asyncio.sleep(killed_at)
        process.gone = True
        first.cancel()
        callers[0].ear.silence()
        await asyncio.wait([first])
        await asyncio.sleep(2)
        await life(shared)
        words = [w for w in heard_words(*callers) if w[1:].isdigit()]
        wanted = [f"{id}{n}" for id in "abc" for n in range(5)]
        assert set(words) == set(wanted), "something was missed"
        twice = len(words) - len(wanted)
        assert twice * WORD <= 0.5 + 2 * WORD, "more than the words in flight were heard twice"
        assert [await house.status(id) for id in "abc"] == [Status.HEARD] * 3

    logging.getLogger("sottovoce").setLevel(logging.ERROR)
    try:
        play(script)
    finally:
        logging.getLogger("sottovoce").setLevel(logging.NOTSET)
