"""The desk, driven for real: a simulated room, a ledger, virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from delivery import desk as desk_module
from delivery.ledger import Delivery, OnInterrupt, SpeakAs, Status
from delivery.receipt import Receipt
from delivery.strategies import Immediate, Queued
from tests.delivery.house import WORD, Agent, Anna, Door, House, delivery, lines, near, play
from voice.floor import FloorTimes
from voice.playout import FLUSH
from voice.simulated import SimulatedChannel

# -- the way of a result


def test_a_result_of_any_process_is_picked_up_spoken_and_written_down_as_heard() -> None:
    async def script(house: House, anna: Anna) -> None:
        other = Door(house.ledger)
        await other.open()
        await asyncio.sleep(0.3)
        await other.put(delivery("a", "The boat is here."))
        line = await anna.hears("The boat is here.")
        assert near(line.started, 1.0)
        assert await house.status("a") is Status.SPEAKING
        outcome = await Receipt("a", house.ledger)
        assert (outcome.status, outcome.heard, outcome.remainder) == (Status.HEARD, "The boat is here.", "")
        assert near(house.now, 1.0 + 4 * WORD)

    told = play(script)
    assert told.of("a") == ["queued", "reserved", "speaking", "speaking", "speaking", "heard"]
    assert told.spoken == [("The boat is here.", ("a",))]
    (settled,) = told.settled
    assert near(settled.waited, 0.7 + 4 * WORD)
    assert sum(settled.waits.values()) == pytest.approx(settled.waited)


def test_it_is_heard_when_the_ear_has_heard_it_and_not_before() -> None:
    async def script(house: House, anna: Anna) -> None:
        anna.hang_up()
        slow = house.channel.join("bert", jitter=0.5)
        await house.put("a", "The boat is here.")
        line = await slow.hears("boat is here.")
        assert near(line.started, 1.5)
        assert await house.status("a") is Status.SPEAKING
        await asyncio.sleep(0.01)
        assert await house.status("a") is Status.HEARD

    play(script)


def test_without_receipts_it_is_owed_again_and_counts() -> None:
    async def script(house: House, anna: Anna) -> None:
        anna.hang_up()
        house.channel.join("bert", receipts=False)
        await house.put("a", "The boat is here.")
        await asyncio.sleep(1 + 4 * WORD + FloorTimes().unconfirmed + FLUSH + 0.1)
        entry = await house.entry("a")
        assert (entry.status, entry.attempts, entry.reason) == (Status.QUEUED, 1, "unconfirmed")
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.DEAD
        assert outcome.heard == ""

    play(script)


def test_a_lost_hint_costs_seconds_not_the_result() -> None:
    ledger = Door()
    ledger.deaf = True

    async def script(house: House, anna: Anna) -> None:
        await asyncio.sleep(1)
        await house.put("a", "The boat is here.")
        line = await anna.hears("The boat is here.")
        assert line.started <= desk_module.REFRESH + 0.1

    play(script, ledger=ledger)


def test_a_vague_hint_is_a_hint() -> None:
    ledger = Door()
    ledger.vague = True

    async def script(house: House, anna: Anna) -> None:
        await asyncio.sleep(2)
        await house.put("a")
        line = await anna.hears("a4")
        assert near(line.started, 2.0)

    play(script, ledger=ledger)


def test_several_at_once_come_in_order_and_two_while_the_caller_talks_after_the_reply() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.answer()
        talk = anna.start_saying("what time is it please tell me")
        await house.put("a")
        await house.put("b")
        await talk
        noon = await anna.hears("noon.")
        first = await anna.hears("a4")
        second = await anna.hears("b4")
        assert noon.ended is not None
        assert first.ended is not None
        assert near(first.started, noon.ended + 1.0)
        assert near(second.started, first.ended + 1.0)

    told = play(script)
    assert [s.delivery.id for s in told.settled] == ["a", "b"]


def test_a_burst_of_queued_ones_is_one_message() -> None:
    async def script(house: House, anna: Anna) -> None:
        await asyncio.sleep(5)
        for id in "abc":
            await house.put(id, f"Number {id}.", Queued(1.0))
        await anna.hears("Number c.")

    told = play(script)
    assert told.spoken == [("Number a. Number b. Number c.", ("a", "b", "c"))]


def test_rooms_are_islands() -> None:
    async def script(house: House, anna: Anna) -> None:
        anna.start_saying("I will now talk for a long time without any end at all " * 3)
        await house.put("a")
        async with SimulatedChannel() as other:
            bert = other.join("bert")
            epoch = await house.ledger.take_room("attic", "owner")
            async with desk_module.Desk("attic", epoch, other, house.ledger):
                await asyncio.sleep(3)
                await house.put("b", room="attic")
                line = await bert.hears("b4")
                assert near(line.started, 3.0)
        assert lines(anna) == []

    play(script)


# -- interruptions


def test_what_was_not_heard_is_owed_after_the_reply_and_said_once() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.answer()
        receipt = Receipt("a", house.ledger)
        await house.put("a", "One two three four five six seven.")
        await anna.hears("three")
        await anna.say("what time is it")
        entry = await house.entry("a")
        assert (entry.status, entry.attempts, entry.reason) == (Status.QUEUED, 1, "anna")
        assert entry.delivery.content[: entry.heard_chars] in ("One two three", "One two three four")
        await anna.hears("noon.")
        await anna.hears("seven.")
        assert (await receipt).heard == "One two three four five six seven."

    told = play(script)
    assert told.of("a").count("queued") == 2
    assert len(told.spoken) == 2
    assert told.spoken[1][0].startswith("As I was saying: ")


def test_no_word_is_heard_twice_or_missed_however_often_it_is_cut() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.answer()
        await house.put("a", "One two three four five six seven eight nine ten.")
        for words in ("two", "five"):
            await anna.hears(words)
            await anna.say("wait a moment")
        await Receipt("a", house.ledger)
        told = [line for line in lines(anna) if "noon" not in line]
        assert " ".join(t.removeprefix("As I was saying: ") for t in told) == (await house.entry("a")).delivery.content

    play(script)


def test_a_caller_who_hangs_up_in_the_middle_hears_the_rest_at_a_new_desk() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", "One two three four five.", to="anna")
        await anna.hears("two")
        anna.hang_up()
        await asyncio.sleep(1)
        entry = await house.entry("a")
        assert (entry.status, entry.attempts) == (Status.QUEUED, 0)
        assert entry.delivery.content[: entry.heard_chars] == "One two"
        await house.end()
        async with SimulatedChannel() as channel:
            house.channel = channel
            again = channel.join("anna")
            async with house:
                await again.hears("five.")
                assert lines(again) == ["As I was saying: three four five."]

    play(script)


def test_results_for_an_empty_room_are_spoken_when_the_caller_comes_back() -> None:
    async def script(house: House, anna: Anna) -> None:
        anna.hang_up()
        await house.put("a", to="anna")
        await house.put("b")
        await asyncio.sleep(100)
        assert house.desk.reason("a") == "nobody"
        anna.reconnect()
        back = house.now
        line = await anna.hears("a4")
        assert near(line.started, back + 1.0)
        await anna.hears("b4")

    play(script)


def test_a_result_for_somebody_who_is_not_here_is_not_told_to_who_is() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", to="bert")
        await house.put("b")
        await anna.hears("b4")
        await asyncio.sleep(20)
        assert lines(anna) == ["b0 b1 b2 b3 b4"]
        assert house.desk.reason("a") == "addressee_absent"
        bert = house.channel.join("bert")
        await bert.hears("a4")

    play(script)


def test_a_caller_on_hold_is_waited_for_while_the_others_are_served() -> None:
    async def script(house: House, anna: Anna) -> None:
        bert = house.channel.join("bert")
        bert.hold()
        await house.put("a", to="bert")
        await house.put("b")
        await anna.hears("b4")
        await asyncio.sleep(5)
        assert house.desk.reason("a") == "addressee_absent"
        bert.resume()
        await bert.hears("a4")

    told = play(script)
    assert len(told.spoken) == 2


def test_a_caller_who_does_not_hear_when_the_desk_opens_is_waited_for() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.end()
        async with SimulatedChannel() as channel:
            house.channel = channel
            bert = channel.join("bert")
            bert.hold()
            channel.join("cleo")
            async with house:
                await house.put("a", to="bert")
                await asyncio.sleep(10)
                assert len(house.told.spoken) < 12
                bert.resume()
                await bert.hears("a4")

    play(script)


# -- asking and folding


def test_what_has_waited_too_long_asks_for_the_floor_and_comes_before_the_reply() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.answer(seconds=2.0)
        await house.put("a", max_wait=1.0)
        _, stopped = await anna.say("what is the time what is the time")
        line = await anna.hears("a4")
        noon = await anna.hears("noon.")
        assert line.heard == "One thing more. a0 a1 a2 a3 a4"
        assert line.ended is not None
        assert near(line.started, stopped + 0.6)
        assert near(noon.started, line.ended)

    told = play(script, words=Agent(takes=True))
    assert [ids for _, ids in told.spoken] == [("a",)]


def test_when_the_reply_is_on_its_way_it_comes_right_after_that() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.answer(seconds=2.0)
        await house.put("a", max_wait=1.0)
        await anna.say("what is the time what is the time")
        noon = await anna.hears("noon.")
        line = await anna.hears("a4")
        assert noon.ended is not None
        assert near(line.started, noon.ended)
        assert line.heard == "One thing more. a0 a1 a2 a3 a4"
        assert (await house.entry("a")).attempts == 0

    play(script, words=Agent(takes=False))


def test_a_result_that_the_agent_folds_follows_its_reply_at_once() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.answer(seconds=2.0)
        await anna.say("what is the time")
        await asyncio.sleep(1)
        await house.put("a", speak_as=SpeakAs.AGENT)
        noon = await anna.hears("noon.")
        line = await anna.hears("as told")
        assert noon.ended is not None
        assert near(line.started, noon.ended)

    play(script, words=Agent("as told", takes=True))


def test_what_the_reply_carries_is_not_spoken_beside_it() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.desk.carry("a")
        await house.put("a")
        await asyncio.sleep(10)
        house.desk.carry("a", True)
        assert (await Receipt("a", house.ledger)).status is Status.HEARD
        assert lines(anna) == []

    play(script)


def test_an_agent_that_fails_to_answer_the_desk_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Mute(Agent):
        def fold(self, deliveries: Any) -> bool:
            raise KeyError("fold")

        def opener(self) -> str:
            raise KeyError("opener")

    async def script(house: House, anna: Anna) -> None:
        house.answer(seconds=1.0)
        await house.put("a", max_wait=0.0, speak_as=SpeakAs.AGENT)
        await house.put("b", speak_as=SpeakAs.AGENT)
        await anna.say("what is the time")
        await anna.hears("I have something for you. ")
        await anna.hears("as told")
        await anna.hears("as told")

    play(script, words=Mute("as told"))
    assert "KeyError" in caplog.text


# -- cancelling


def test_what_is_cancelled_before_it_is_here_is_never_spoken() -> None:
    ledger, asked = Door(), []

    async def before(delivery: Delivery) -> str:
        asked.append(delivery.id)
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        ledger.reading_takes = 2.0
        await house.put("a", strategy=Immediate())
        await asyncio.sleep(0.1)
        await house.ledger.cancel("a")
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.CANCELLED
        await asyncio.sleep(10)
        assert lines(anna) == []

    told = play(script, ledger=ledger, before=before)
    assert [s.status for s in told.settled] == [Status.CANCELLED]


@pytest.mark.parametrize("moving", [0.0, 3.0], ids=["while its hook is asked", "while it is reserved"])
def test_what_is_cancelled_while_it_is_made_ready_is_not_spoken(moving: float) -> None:
    ledger = Door()

    async def before(delivery: Delivery) -> str:
        await asyncio.sleep(0.0 if moving else 3.0)
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        ledger.moving_takes = moving
        await house.put("a")
        await asyncio.sleep(1)
        await house.ledger.cancel("a")
        assert (await Receipt("a", house.ledger)).status is Status.CANCELLED
        await house.put("b")
        await anna.hears("b4")
        assert await house.status("a") is Status.CANCELLED
        assert lines(anna) == ["b0 b1 b2 b3 b4"]

    told = play(script, ledger=ledger, before=before)
    assert told.of("a") == ["queued", "cancelled"]


def test_what_is_cancelled_in_mid_speech_stops() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", "One two three four five.")
        await anna.hears("two")
        await house.ledger.cancel("a")
        outcome = await Receipt("a", house.ledger)
        assert (outcome.status, outcome.heard, outcome.remainder) == (Status.CANCELLED, "One two", "three four five.")
        await asyncio.sleep(10)
        assert lines(anna) == ["One two"]

    play(script)


def test_what_is_cancelled_while_it_waits_is_let_go() -> None:
    async def script(house: House, anna: Anna) -> None:
        anna.hang_up()
        await house.put("a")
        await asyncio.sleep(1)
        await house.ledger.cancel("a")
        await asyncio.sleep(0.1)
        assert not house.desk.reason("a")

    told = play(script)
    assert told.of("a") == ["queued", "cancelled"]
    assert [s.status for s in told.settled] == [Status.CANCELLED]


def test_what_was_set_aside_is_spoken_once_it_is_replayed() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", "One two three four five.", on_interrupt=OnInterrupt.DROP)
        await anna.hears("two")
        await anna.say("never mind that please")
        assert (await Receipt("a", house.ledger)).status is Status.DROPPED
        await asyncio.sleep(10)
        assert await house.ledger.replay("a") is Status.QUEUED
        await anna.hears("five")
        assert (await Receipt("a", house.ledger)).status is Status.HEARD
        assert await house.ledger.replay("a") is Status.HEARD
        await asyncio.sleep(10)
        assert lines(anna)[-1].endswith("three four five.")

    assert [s.status for s in play(script).settled] == [Status.DROPPED, Status.HEARD]


def test_a_cancelled_one_that_is_replayed_is_spoken() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await asyncio.sleep(0.1)
        await house.ledger.cancel("a")
        await asyncio.sleep(1)
        await house.ledger.replay("a")
        await anna.hears("a4")

    assert [s.status for s in play(script).settled] == [Status.CANCELLED, Status.HEARD]


# -- a room that may be another's by now


def test_nothing_is_begun_while_another_process_may_have_the_room() -> None:
    surely = [True]

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await asyncio.sleep(0.9)
        surely[0] = False  # this process stood still, or the ledger is away
        await asyncio.sleep(10)
        assert lines(anna) == []
        surely[0] = True
        at = house.now
        await anna.hears("a4")
        assert anna.lines[0].started <= at + 2.0
        assert (await house.entry("a")).attempts == 0

    assert [s.status for s in play(script, held=lambda: surely[0]).settled] == [Status.HEARD]


def test_cancelling_what_has_ended_or_what_nobody_knows_does_nothing() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.ledger.cancel("nobody")
        await house.put("a")
        await Receipt("a", house.ledger)
        await house.ledger.cancel("a")
        await asyncio.sleep(10)
        assert await house.status("a") is Status.HEARD

    play(script)


def test_dropped_and_repeated_ones() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.answer()
        await house.put("a", on_interrupt=OnInterrupt.DROP)
        await house.put("b", on_interrupt=OnInterrupt.REPEAT)
        await anna.hears("a1")
        await anna.say("stop it")
        assert await house.status("a") is Status.DROPPED
        await anna.hears("b2")
        await anna.say("stop it")
        await anna.hears("b0 b1 b2 b3 b4")

    play(script)
