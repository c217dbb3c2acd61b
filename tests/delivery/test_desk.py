"""The desk, driven for real: a simulated room, a ledger, virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from delivery import desk as desk_module
from delivery.desk import Refuse
from delivery.ledger import Delivery, LedgerError, OnInterrupt, SpeakAs, Status
from delivery.receipt import Receipt
from delivery.strategies import Immediate, Queued, WaitForIdle
from delivery.wording import HOOK_TIMEOUT, WORDING_TIMEOUT
from tests.delivery.house import ROOM, WORD, Agent, Door, House, delivery, heard_words, near, play
from voice.floor import FloorTimes
from voice.playout import FLUSH
from voice.simulated import SimulatedCaller, SimulatedChannel

Anna = SimulatedCaller


def lines(anna: Anna) -> list[str]:
    return [line.heard for line in anna.lines]


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


def test_after_max_wait_the_agent_asks_and_then_speaks() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.answer()
        await house.put("a", max_wait=3.0)
        await anna.say("what is the time what is the time what is the time")
        opener = await anna.hears("One thing more.")
        noon = await anna.hears("noon.")
        line = await anna.hears("a4")
        assert opener.started < noon.started
        assert noon.ended is not None
        assert near(line.started, noon.ended)

    told = play(script, words=Agent())
    assert [ids for _, ids in told.spoken] == [(), ("a",)]


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
        await anna.hears("I have something for you.")
        await anna.hears("as told")
        await anna.hears("as told")

    play(script, words=Mute("as told"))
    assert "KeyError" in caplog.text


# -- hooks


def test_a_hook_rewrites_what_is_spoken_and_that_is_kept() -> None:
    asked = []

    async def before(delivery: Delivery) -> str:
        asked.append(delivery.id)
        return delivery.content.replace("secret", "known")

    async def script(house: House, anna: Anna) -> None:
        house.answer()
        await house.put("a", "The secret boat is here now.", speak_as=SpeakAs.AGENT)
        await anna.hears("The known boat")
        await anna.say("what is the time")
        await anna.hears("is here now.")
        assert (await Receipt("a", house.ledger)).heard == "The known boat is here now."

    play(script, before=before)
    assert asked == ["a"]


@pytest.mark.parametrize(
    ("answer", "reason"), [(Refuse("not for a caller"), "not for a caller"), ("  ", "nothing to say")]
)
def test_a_hook_refuses(answer: Exception | str, reason: str) -> None:
    async def before(delivery: Delivery) -> str:
        if delivery.id == "b":
            return delivery.content
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.REFUSED
        assert reason in outcome.reason
        line = await anna.hears("b4")
        assert near(line.started, 1.0)

    told = play(script, before=before)
    assert [s.status for s in told.settled] == [Status.REFUSED, Status.HEARD]


def test_a_reason_that_no_ledger_could_keep_is_cleaned() -> None:
    async def before(delivery: Delivery) -> str:
        raise Refuse("bad \ud800 text")

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        assert (await Receipt("a", house.ledger)).reason == "bad ? text"

    play(script, before=before)


def test_a_hook_that_raises_is_tried_again_then_the_delivery_is_set_aside_and_the_next_goes_on() -> None:
    tries: list[float] = []

    async def before(delivery: Delivery) -> str:
        if delivery.id == "b":
            return delivery.content
        tries.append(asyncio.get_running_loop().time())
        raise KeyError("x")

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        line = await anna.hears("b4")
        assert near(line.started, 1.0)
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.DEAD
        assert outcome.reason == "given up after 3 tries: KeyError: 'x'"

    play(script, before=before)
    assert len(tries) == 3


def test_a_hook_that_fails_once_costs_a_second() -> None:
    tries: list[str] = []

    async def before(delivery: Delivery) -> str:
        tries.append(delivery.id)
        if len(tries) == 1:
            raise LedgerError("the hook's own")
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        await asyncio.sleep(5)
        await house.put("a")
        line = await anna.hears("a4")
        assert near(line.started, 6.0)
        assert (await house.entry("a")).attempts == 1

    play(script, before=before)


def test_a_slow_hook_holds_its_delivery_and_keeps_the_order() -> None:
    async def before(delivery: Delivery) -> str:
        await asyncio.sleep(4.0 if delivery.id == "a" else 0.0)
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        line = await anna.hears("a4")
        assert near(line.started, 4.0)
        await anna.hears("b4")

    play(script, before=before)


def test_a_hook_that_never_answers_does_not_hold_the_others_for_ever() -> None:
    async def before(delivery: Delivery) -> str:
        if delivery.id == "a":
            await asyncio.get_running_loop().create_future()
        return delivery.content

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        line = await anna.hears("b4", timeout=HOOK_TIMEOUT + 10)
        assert near(line.started, HOOK_TIMEOUT)
        assert "did not answer within 30 s" in (await house.entry("a")).reason

    play(script, before=before)


def test_the_hook_after_sees_the_end_and_may_fail_or_dawdle(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[str] = []

    async def after(settled: Any) -> None:
        ends.append(settled.delivery.id)
        if settled.delivery.id == "a":
            await asyncio.sleep(20)
            raise KeyError("x")

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        await Receipt("b", house.ledger)
        await asyncio.sleep(1)
        assert ends == ["a", "b"]
        await asyncio.sleep(30)

    play(script, after=after)
    assert "the hook after delivery a failed" in caplog.text


def test_watchers_that_fail_cost_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("x")

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        assert (await Receipt("a", house.ledger)).status is Status.HEARD

    play(script, watcher=fail, spoken=fail)
    assert "KeyError" in caplog.text


# -- the agent's own words


def test_the_agent_puts_it_into_its_own_words() -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", speak_as=SpeakAs.AGENT)
        await anna.hears("Well: the boat came in.")
        assert (await Receipt("a", house.ledger)).heard == "Well: the boat came in."

    agent = Agent("the boat came in.")
    play(script, words=agent)
    assert agent.asked == ["a"]


@pytest.mark.parametrize(
    ("agent", "at"),
    [(Agent(KeyError("x")), 1.0), (Agent("late", seconds=WORDING_TIMEOUT + 1), WORDING_TIMEOUT)],
    ids=["fails", "slow"],
)
def test_an_agent_that_fails_or_dawdles_keeps_nothing_back(agent: Agent, at: float) -> None:
    async def script(house: House, anna: Anna) -> None:
        await house.put("a", speak_as=SpeakAs.AGENT)
        line = await anna.hears("a4")
        assert line.heard == "a0 a1 a2 a3 a4"
        assert near(line.started, at)

    play(script, words=agent)


def test_an_agent_that_says_nothing_keeps_nothing_back() -> None:
    class Silent(Agent):
        async def word(self, deliveries: Any, resume_from: str = "") -> Any:
            yield " \n"

    async def script(house: House, anna: Anna) -> None:
        await house.put("a", speak_as=SpeakAs.AGENT)
        await anna.hears("a0 a1 a2 a3 a4")

    play(script, words=Silent())


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
        return "bad \ud800" if delivery.id == "a" else delivery.content

    async def script(house: House, anna: Anna) -> None:
        await house.put("a")
        await house.put("b")
        await anna.hears("b4")
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.DEAD
        assert "surrogate" in outcome.reason

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
        house.ledger._entries["a"] = type(entry)(entry.delivery, Status.QUEUED, entry.seq)
        house.ledger._tell(ROOM)
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
        house.desk.cancel("b")
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
        house.desk.cancel("a")
        await asyncio.sleep(10)
        assert house.desk.lost.is_set()
        assert "ten" not in " ".join(lines(anna))

    play(script, words=Wordy())


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
    assert ledger._entries["a"].status is Status.QUEUED


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
        house.desk.cancel("a")
        outcome = await Receipt("a", house.ledger)
        assert outcome.status is Status.CANCELLED
        house.desk.cancel("later")
        await asyncio.sleep(1)
        await house.put("later")
        assert (await Receipt("later", house.ledger)).status is Status.CANCELLED

    told = play(script, ledger=ledger, before=before)
    assert [s.status for s in told.settled] == [Status.CANCELLED] * 2
    assert asked == []


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
        house.desk.cancel("a")
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
        house.desk.cancel("a")
        outcome = await Receipt("a", house.ledger)
        assert (outcome.status, outcome.heard, outcome.remainder) == (Status.CANCELLED, "One two", "three four five.")
        await asyncio.sleep(10)
        assert lines(anna) == ["One two"]

    play(script)


def test_cancelling_what_has_ended_or_what_nobody_knows_does_nothing() -> None:
    async def script(house: House, anna: Anna) -> None:
        house.desk.cancel("nobody")
        await house.put("a")
        await Receipt("a", house.ledger)
        house.desk.cancel("a")
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
