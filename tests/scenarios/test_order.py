"""What is spoken first, and in whose breath: several results, replies, urgent lines: D5, D6, D11, D13 to D16, D18."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from delivery import Queued, Status, WaitForIdle
from orchestration.simulation import SimulatedCall
from tests.scenarios.scenes import (
    SECOND,
    check_manners,
    failing,
    house,
    instant,
    near,
    play,
    said,
    slow,
    statuses,
    times_heard,
)
from voice.simulated import SimulatedChannel

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


# -- D5: several results, one silence


def test_d05_several_results_one_idle() -> None:
    async def script(call: SimulatedCall) -> None:
        for number in NUMBERS:
            await call.runtime.deliver(call.room, f"Number {number}.")
        lines = [await call.hears(f"Number {number}.") for number in NUMBERS]
        for before, after in pairwise(lines):
            assert before.ended is not None
            assert near(after.started, before.ended + 1.0)
        assert said(call) == [f"Number {number}." for number in NUMBERS]
        check_manners(call)
        assert await statuses(call) == [Status.HEARD] * 10

    play(script)


def test_d05_between_two_results_the_caller_may_speak() -> None:
    async def script(call: SimulatedCall) -> None:
        for number in NUMBERS[:3]:
            await call.runtime.deliver(call.room, f"Number {number}.")
        await call.hears("Number one.")
        await call.silence(0.5)
        await call.interrupt("what time is it")
        noon = await call.hears("noon")
        second = await call.hears("Number two.")
        assert noon.ended is not None
        assert near(second.started, noon.ended + 1.0)
        await call.hears("Number three.")
        check_manners(call)

    play(script)


def test_d05_queued_ones_are_one_message() -> None:
    async def script(call: SimulatedCall) -> None:
        for number in NUMBERS:
            await call.runtime.deliver(call.room, f"Number {number}.", strategy=Queued(buffer=1.0))
        line = await call.hears("Number ten.")
        assert near(line.started, 1.0)
        assert said(call) == [" ".join(f"Number {number}." for number in NUMBERS)]
        assert await statuses(call) == [Status.HEARD] * 10

    play(script)


def test_d05_a_merged_message_that_is_cut_owes_what_was_not_reached_in_order() -> None:
    async def script(call: SimulatedCall) -> None:
        for number in NUMBERS[:4]:
            await call.runtime.deliver(call.room, f"Number {number} it is.", strategy=Queued(buffer=1.0))
        await call.hears("Number two")
        await call.interrupt("what time is it")
        await call.hears("noon")
        rest = await call.hears("Number four it is.")
        assert rest.heard == "As I was saying: it is. Number three it is. Number four it is."
        assert set(times_heard(call, "one two three four").values()) == {1}
        assert await statuses(call) == [Status.HEARD] * 4

    play(script)


# -- D6: `Queued` on the runtime, room A busy, rooms B to E idle


def test_d06_one_room_is_busy_and_the_others_are_idle() -> None:
    async def script(call: SimulatedCall) -> None:
        callers = {}
        for room in "bcde":
            channel = (await call.runtime.enter(room)).channel
            assert isinstance(channel, SimulatedChannel)
            callers[room] = channel.join(f"caller {room}")
        talk = call.caller.start_saying("tell me " * 20)
        await call.runtime.deliver(call.room, "For the busy room.", max_wait=None)
        put = call.now
        for room in callers:
            await call.runtime.deliver(room, f"For room {room}.")
        for room, caller in callers.items():
            line = await caller.hears(f"For room {room}.")
            assert near(line.started, put + 1.0)
            assert [each.heard for each in caller.lines] == [f"For room {room}."]
        await talk
        await call.hears("For the busy room.")
        assert said(call) == ["Pardon?", "For the busy room."]

    play(script, house(Queued(buffer=1.0)))


# -- D11: three are queued, and the caller cuts the first


@pytest.mark.parametrize("strategy", [WaitForIdle(1.0), WaitForIdle(0.0)], ids=["buffer", "no_buffer"])
def test_d11_three_are_queued_and_the_caller_cuts_the_first(strategy: WaitForIdle) -> None:
    async def script(call: SimulatedCall) -> None:
        for number in ("one", "two", "three"):
            await call.runtime.deliver(call.room, f"Number {number} is as you know very near.")
        first = await call.hears("Number one is as")
        await call.interrupt("what time is it")
        await call.hears("noon")
        assert first.interrupted
        await call.hears("Number three is as you know very near.")
        assert said(call) == [
            "Number one is as",
            "It is noon.",
            "As I was saying: you know very near.",
            "Number two is as you know very near.",
            "Number three is as you know very near.",
        ]
        check_manners(call)
        assert await statuses(call) == [Status.HEARD] * 3

    play(script, house(strategy))


# -- D13: an urgent line behind a long one


def test_d13_urgent_line_behind_a_long_one() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, " ".join(["boat"] * 25) + ".")
        await call.hears("boat boat")
        put = call.now
        await call.runtime.deliver(call.room, "Your train leaves.", priority=5)
        urgent = await call.hears("train leaves")
        assert urgent.started - put < 0.5
        await call.hears("As I was saying")
        await call.silence(30)
        assert await statuses(call) == [Status.HEARD] * 2
        assert sum(line.heard.count("boat") for line in call.lines) == 25
        check_manners(call)

    play(script)


def test_d13_an_urgent_line_goes_before_those_that_wait_and_not_over_the_caller() -> None:
    async def script(call: SimulatedCall) -> None:
        talk = call.caller.start_saying("what time is it")
        for number in ("one", "two"):
            await call.runtime.deliver(call.room, f"Number {number}.")
        await call.runtime.deliver(call.room, "Your train leaves.", priority=5)
        await talk
        await call.hears("Number two.")
        assert said(call) == ["It is noon.", "Your train leaves.", "Number one.", "Number two."]
        check_manners(call)

    play(script)


# -- D14: a result lands while the reply is being made


def test_d14_result_lands_while_the_reply_is_made() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        answer = await call.hears("meanwhile")
        begun = answer.started - 1.25
        await call.silence(begun + SECOND - call.now - 0.2)
        await call.interrupt("wait")  # its turn ends when the result is there; the reply takes a second
        reply = await call.hears("All right.")
        result = await call.hears("analysts say")
        assert reply.ended is not None
        assert near(result.started, reply.ended)  # in the reply's breath, without a buffer
        await call.hears("careful use.")
        await call.silence(30)
        assert sum("analysts say" in line for line in said(call)) == 1
        assert sum("All right" in line for line in said(call)) == 1
        assert await statuses(call) == [Status.HEARD]

    play(script, house(thinking=1.0))


@pytest.mark.parametrize("speak_as", ["agent", "verbatim"])
def test_d14_what_may_not_be_folded_waits_for_silence_after_the_reply(speak_as: str) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.interrupt("what time is it")
        await call.silence(0.9)
        assert not call.lines
        await call.runtime.deliver(call.room, "The boat is here.", speak_as=speak_as, fold=False)
        noon = await call.hears("noon")
        line = await call.hears("boat is here")
        assert noon.ended is not None
        assert near(line.started, noon.ended + 1.0)
        assert len(call.lines) == 2

    play(script, house(thinking=1.0))


def test_d14_a_folded_result_whose_reply_is_cut_is_still_owed() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.interrupt("tell me a story")
        await call.silence(0.9)
        await call.runtime.deliver(call.room, "The boat is here.", speak_as="agent")
        story = await call.hears("Once upon")
        await call.interrupt("what time is it")
        assert story.interrupted
        await call.hears("noon")
        await call.hears("boat is here")
        assert await statuses(call) == [Status.HEARD]
        assert sum("boat is here" in line for line in said(call)) == 1

    play(script, house(thinking=1.0))


# -- D15: a result lands while the agent speaks


def test_d15_result_lands_while_the_agent_speaks() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("tell me a story")
        await call.hears("Once upon")
        await call.runtime.deliver(call.room, "The boat is here.", speak_as="agent")
        story = await call.hears("many years.")
        line = await call.hears("boat is here")
        assert not story.interrupted
        assert len(story.spans) == 1
        assert story.ended is not None
        assert near(line.started, story.ended + 1.0)
        assert len(call.lines) == 2

    play(script)


# -- D16: a second, different request while one runs


def test_d16_second_request_while_one_runs() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        first = await call.hears("on it")
        await call.interrupt("look into trains")
        second = await call.hears("on it")
        assert second.started - first.started < SECOND
        await call.hears("boats pay off after nine years of patient and careful use.")
        await call.hears("trains pay off after nine years of patient and careful use.")
        told = [line for line in said(call) if "My analysts say" in line]
        assert [("boats" in line, "trains" in line) for line in told] == [(True, False), (False, True)]
        check_manners(call)
        assert await statuses(call) == [Status.HEARD] * 2

    play(script)


def test_d16_ten_requests_at_once_are_ten_results() -> None:
    async def script(call: SimulatedCall) -> None:
        worker = "host.workers"
        await asyncio.gather(*(call.runtime.delegate(call.room, worker, f"number {each}") for each in NUMBERS))
        for each in NUMBERS:
            await call.hears(f"Commercially number {each}", timeout=120)
        await call.silence(30)
        assert await statuses(call) == [Status.HEARD] * 10

    play(script)


# -- D18: a tool that takes no time


def test_d18_instant_tool() -> None:
    async def script(call: SimulatedCall) -> None:
        _, stopped = await call.say("look into boats")
        line = await call.hears("boats float.")
        assert near(line.started, stopped + 0.6)
        await call.silence(30)
        assert said(call) == ["On it. boats float."]  # no announcement beside it
        assert await statuses(call) == [Status.HEARD]

    play(script, house(workers=[instant], on_it="On it. {result}"))


def test_d18_an_instant_answer_that_is_cut_is_told_again() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("On it.")
        await call.interrupt("what time is it")
        await call.hears("noon")
        await call.hears("My analysts say: boats float.")
        assert await statuses(call) == [Status.HEARD]

    play(script, house(workers=[instant], on_it="On it. {result}"))


def test_d18_a_tool_past_the_grace_is_announced() -> None:
    async def script(call: SimulatedCall) -> None:
        _, stopped = await call.say("look into boats")
        line = await call.hears("On it.")
        assert near(line.started, stopped + 0.6 + 0.25)
        await call.hears("My analysts say: boats are slow.", timeout=90)

    play(script, house(workers=[slow], on_it="On it."))


def test_d18_an_instant_failure_is_an_ordinary_answer_too() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("did not work")
        assert await statuses(call) == [Status.HEARD]

    play(script, house(workers=[failing]))
