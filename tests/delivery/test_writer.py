"""What is remembered when the ledger stumbles, or belongs to another process: a real desk, a ledger that can fail."""

from __future__ import annotations

import asyncio

import pytest

from delivery.ledger import Delivery, LedgerError, Status
from delivery.receipt import Receipt
from tests.delivery.house import ROOM, Agent, Anna, Door, House, heard_words, lines, play

# -- a ledger that fails


def test_nothing_is_spoken_that_is_not_reserved_and_the_hook_is_asked_once() -> None:
    ledger, asked = Door(), []
    ledger.refusals = 5

    async def before(delivery: Delivery) -> str:
        asked.append(delivery.id)
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        house.answer()
        await house.put("a")
        await anna.say("what is the time")
        await anna.hears("noon.")
        line = await anna.hears("a4")
        assert line.started >= 5.0
        assert ledger.refusals == 0
        assert (await house.entry("a")).attempts == 0

    play(script, ledger=ledger, before=before)
    assert asked == ["a"]


def test_a_ledger_that_is_away_for_a_while_is_written_in_order_and_nothing_is_spoken_twice() -> None:
    ledger = Door()

    async def script(house: House, anna: Anna) -> None:
        house.answer()
        await house.put("a")
        await house.put("b")
        await anna.hears("a1")
        ledger.refusals = 20
        await anna.say("what is the time")
        await anna.hears("noon.")
        await anna.hears("a4")
        assert ledger.refusals > 0
        await anna.hears("b4")
        assert ledger.refusals == 0
        await asyncio.sleep(1)
        assert await house.status("a") is Status.HEARD
        assert await house.status("b") is Status.HEARD
        words = [w for w in heard_words(anna) if w[0] in "ab" and w[1:].isdigit()]
        assert words == sorted(set(words))

    told = play(script, ledger=ledger)
    order = [(m.status, m.heard_chars) for _, m in ledger.made if m.id == "a" and m.status is not Status.RESERVED]
    assert [s for s, _ in order][-1] is Status.HEARD
    assert [chars or 0 for _, chars in order] == sorted(chars or 0 for _, chars in order)
    assert [s.delivery.id for s in told.settled] == ["a", "b"]


@pytest.mark.parametrize("error", [LedgerError("busy"), ValueError("a row that makes no sense")], ids=str)
def test_a_ledger_that_cannot_be_read_for_a_while_is_read_again(error: Exception) -> None:
    ledger = Door()
    ledger.unreadable, ledger.error = 3, error

    async def script(house: House, anna: Anna) -> None:
        house.answer()
        await house.put("a")
        await anna.say("what is the time")
        await anna.hears("noon.")
        await anna.hears("a4")

    play(script, ledger=ledger)


def test_a_wording_that_no_ledger_keeps_costs_its_own_delivery_only() -> None:
    async def before(delivery: Delivery) -> str:
        return "x" * 100_001 if delivery.id == "a" else delivery.content

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        await anna.hears("b4")
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.DEAD
        assert "wording must have at most 100000 characters" in outcome.reason

    play(script, before=before)


def test_a_strategy_that_is_not_known_any_more_is_an_error_that_is_told() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.ledger.put(Delivery("a", ROOM, "hello", {"name": "gone"}))
        await house.put("b")
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.DEAD
        assert "'gone' is not known" in outcome.reason
        await anna.hears("b4")

    told = play(script)
    assert [(s.delivery.id, s.status) for s in told.settled] == [("a", Status.DEAD), ("b", Status.HEARD)]


def test_a_reading_that_took_long_revives_nothing() -> None:
    ledger = Door()

    async def script(house: House, anna: Anna) -> None:
        house.answer()
        await house.put("a", "One two three four.")
        await anna.hears("two")
        await anna.say("stop it")
        await anna.hears("noon.")
        assert await house.status("a") is Status.QUEUED
        ledger.reading_takes = 30.0
        await house.put("b", to="nobody")  # a hint: the table is read now, and shows "a" as queued
        await anna.hears("four.")
        await asyncio.sleep(60)
        assert await house.status("a") is Status.HEARD

    told = play(script, ledger=ledger)
    assert len(told.spoken) == 2
    assert [s.delivery.id for s in told.settled].count("a") == 1


def test_a_result_that_is_replayed_is_spoken_again() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await Receipt("a", house.ledger)
        entry = await house.entry("a")
        house.ledger._set(house.ledger._rows["a"], type(entry)(entry.delivery, Status.QUEUED, entry.seq))
        house.ledger._hints.tell(ROOM)
        await anna.hears("a4")
        await anna.hears("a4")

    play(script)


# -- another process


def test_who_loses_the_room_falls_silent_and_writes_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", "One two three four five six seven eight nine ten.")
        await house.put("b")
        await anna.hears("two")
        other = Door(house.ledger)
        await other.open()
        await other.take_room(ROOM, "another")
        taken = house.now
        await asyncio.wait_for(house.desk.lost.wait(), 5)
        assert house.now - taken <= 1.0
        count = len(house.ledger.made)
        await asyncio.sleep(0.1)
        assert anna.lines[-1].over
        await house.ledger.cancel("b")
        house.desk.carry("a", True)
        anna.hang_up()
        anna.reconnect()
        await asyncio.sleep(30)
        assert len(anna.lines) == 1
        assert len(house.ledger.made) == count
        entry = await house.entry("a")
        assert (entry.status, entry.attempts) == (Status.QUEUED, 0)

    told = play(script)
    assert told.settled == []
    assert "was taken over" in caplog.text


def test_who_loses_the_room_while_it_asks_for_the_floor_falls_silent() -> None:
    class Wordy(Agent):
        def opener(self) -> str:
            return "One two three four five six seven eight nine ten."

    async def script(house: House, anna: Anna) -> None:
        house.answer(seconds=1.0)
        await house.put("a", max_wait=0.0)
        await anna.say("what is the time")
        await anna.hears("two")
        await house.ledger.take_room(ROOM, "another")
        await house.ledger.cancel("a")
        await asyncio.sleep(10)
        assert house.desk.lost.is_set()
        assert "ten" not in " ".join(lines(anna))

    play(script, words=Wordy(takes=True))
