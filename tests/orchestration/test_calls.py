"""Whole calls in virtual time: the main job, and what must not go wrong with it. Times are exact to 20 ms."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from delivery import Immediate, Queued, Status, WaitForIdle
from orchestration import HookContext, HookEvent, HookExecution, HookTrigger, Refuse
from orchestration.simulation import NotHeardError, SimulatedCall
from tests.scenarios.scenes import SECOND, TICK, failing, failing_later, house, instant, play, slow
from voice.floor import FloorState


def near(seconds: float, wanted: float) -> bool:
    return abs(seconds - wanted) <= TICK


async def statuses(call: SimulatedCall) -> list[Status]:
    await call.silence(1)
    entries = await call.runtime.ledger.entries(call.room, list(Status))
    return [entry.status for entry in entries]


def said(call: SimulatedCall) -> list[str]:
    return [line.heard for line in call.lines]


def test_the_talk_goes_on_while_workers_work_and_the_result_waits_for_silence() -> None:
    async def script(call: SimulatedCall) -> None:
        _, stopped = await call.say("look into boats")
        answer = await call.hears("on it")
        assert near(answer.started, stopped + 0.6 + 0.25)  # the turn's silence, then the grace for an instant worker
        await call.say("what time is it")
        await call.hears("noon")
        result = await call.hears("My analysts say")
        begun = answer.started - 0.25
        opened = call.floor_opened(before=result)
        assert near(result.started, max(opened + 1.0, begun + SECOND))
        await call.hears("Technically boats are sound.")
        await call.hears("patient and careful use.")
        await call.silence(30)
        assert await statuses(call) == [Status.HEARD]
        assert sum("analysts say" in line for line in said(call)) == 1

    play(script)


def test_speech_inside_the_buffer_starts_the_wait_anew() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.")
        await call.silence(0.8)
        _, stopped = await call.interrupt("what time is it")
        noon = await call.hears("noon")
        result = await call.hears("boat is here")
        assert noon.ended is not None
        assert near(result.started, noon.ended + 1.0)
        assert result.started > stopped

    play(script)


def test_a_result_never_begins_over_a_caller_who_talks_on() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", max_wait=None)
        begun, stopped = await call.interrupt(" ".join(["tell me"] * 50))
        assert stopped - begun > 35
        line = await call.hears("boat is here")
        assert line.started >= stopped + 1.0

    play(script)


def test_what_was_cut_is_offered_again_from_the_last_word_heard_once_the_caller_is_answered() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into planes")
        cut = await call.hears("Technically planes")
        begun, _ = await call.interrupt("what time is it")
        noon = await call.hears("noon")
        rest = await call.hears("As I was saying")
        assert cut.ended is not None
        assert cut.ended - begun <= 0.12
        assert cut.interrupted
        assert noon.started < rest.started
        await call.hears("careful use.")
        heard = cut.heard + " " + rest.heard.removeprefix("As I was saying: ")
        assert " ".join(heard.split()) == (
            "My analysts say: Technically planes are sound. "
            "Commercially planes pay off after nine years of patient and careful use."
        )
        await call.silence(30)
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_a_listener_who_says_mm_hm_cuts_nothing() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here, and it is a very fine one indeed.")
        line = await call.hears("The boat")
        await call.caller.backchannel("mm-hm")
        await call.hears("indeed")
        assert not line.interrupted
        await call.silence(5)
        assert len(call.lines) == 1
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_a_click_changes_nothing() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.")
        line = await call.hears("The boat")
        await call.caller.click()
        await call.hears("here.")
        await call.silence(1)
        assert len(line.spans) == 1

    play(script)


def test_after_a_question_the_floor_is_the_callers_for_a_while() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("tea or coffee")
        await call.runtime.deliver(call.room, "The boat is here.")
        question = await call.hears("tea or coffee?")
        line = await call.hears("boat is here")
        assert question.ended is not None
        assert near(line.started, question.ended + 1.5)

    play(script)


def test_several_results_come_one_at_a_time_in_order_and_queued_ones_as_one() -> None:
    async def script(call: SimulatedCall) -> None:
        for word in ("one", "two", "three"):
            await call.runtime.deliver(call.room, f"Number {word}.")
        for word in ("four", "five", "six"):
            await call.runtime.deliver(call.room, f"Number {word}.", strategy=Queued(buffer=1.0))
        lines = [await call.hears(f"Number {word}.") for word in ("one", "two", "three")]
        for before, after in pairwise(lines):
            assert before.ended is not None
            assert near(after.started, before.ended + 1.0)
        last = await call.hears("Number six.")
        assert last.heard == "Number four. Number five. Number six."

    play(script)


def test_immediate_does_not_wait() -> None:
    async def script(call: SimulatedCall) -> None:
        call.caller.start_saying("tell me a story about boats and trains and planes and much more")
        await call.silence(1)
        receipt = await call.runtime.deliver(call.room, "Fire!", strategy=Immediate())
        line = await call.hears("Fire!")
        assert near(line.started, 1.0)
        assert (await receipt).status is Status.HEARD

    play(script)


def test_an_urgent_line_does_not_wait_for_a_long_one() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, " ".join(["boat"] * 25) + ".")
        await call.hears("boat boat")
        now = call.timeline[-1].at
        await call.runtime.deliver(call.room, "Your train leaves.", priority=5)
        urgent = await call.hears("train leaves")
        assert urgent.started - now < 0.5
        await call.hears("As I was saying")
        await call.silence(30)
        assert await statuses(call) == [Status.HEARD, Status.HEARD]
        assert sum(line.heard.count("boat") for line in call.lines) == 25

    play(script)


def test_who_hangs_up_is_told_on_coming_back() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into trains")
        await call.hears("on it")
        await call.hang_up()
        await call.silence(20)
        heard = len(call.lines)
        await call.rejoin()
        await call.hears("careful use.")
        assert len(call.lines) == heard + 1
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_a_broken_connection_in_mid_result_owes_the_rest() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "One two three four five six seven eight nine ten.")
        await call.hears("three")
        call.caller.drop()
        await call.silence(4)
        call.caller.reconnect()
        rest = await call.hears("ten.")
        assert rest.heard == "As I was saying: four five six seven eight nine ten."

    play(script)


def test_a_caller_on_hold_does_not_hear() -> None:
    async def script(call: SimulatedCall) -> None:
        call.caller.hold()
        await call.runtime.deliver(call.room, "The boat is here.")
        await call.silence(20)
        assert not call.lines
        call.caller.resume()
        await call.hears("boat is here")

    play(script)


def test_a_result_is_only_for_the_caller_who_asked() -> None:
    async def script(call: SimulatedCall) -> None:
        other = call.joined_by("bob")
        await call.say("look into boats")
        await call.hears("on it")
        await call.hang_up()
        await other.silence(20)
        assert not any("analysts" in line.heard for line in other.lines)
        await call.rejoin()
        await call.hears("analysts say")

    play(script)


def test_noise_does_not_starve_a_result() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.")
        task = asyncio.create_task(call.caller.noise(40))
        line = await call.hears("boat is here", timeout=45)
        assert line.started < 10
        await task

    play(script)


def test_three_cuts_set_a_result_aside_but_it_can_be_recalled() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        for part in ("Technically", "sound", "pay off"):
            await call.hears(part, timeout=90)
            await call.interrupt("what time is it")
            await call.hears("noon")
        await call.silence(30)
        assert await statuses(call) == [Status.DEAD]
        await call.say("what did you find")
        await call.hears("careful use.")

    play(script)


def test_the_caller_may_ask_how_it_goes_and_forget_it() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("on it")
        await call.caller.say("how is it going")
        await call.hears("still working on boats: reading")
        await call.say("forget it")
        await call.hears("I dropped boats")
        await call.silence(20)
        assert await statuses(call) == []
        assert not any("analysts" in line.heard for line in call.lines)

    play(script, house(workers=[slow]))


def test_two_requests_run_side_by_side() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("on it")
        await call.interrupt("look into trains")
        await call.hears("on it")
        await call.hears("boats pay off after nine years of patient and careful use.")
        await call.hears("trains pay off after nine years of patient and careful use.")
        assert await statuses(call) == [Status.HEARD, Status.HEARD]

    play(script)


def test_an_instant_worker_is_an_ordinary_answer() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("boats float.")
        await call.silence(20)
        assert len(call.lines) == 1
        assert await statuses(call) == [Status.HEARD]

    play(script, house(workers=[instant], on_it="On it. {result}"))


def test_an_instant_answer_that_is_cut_is_told_again() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("On it.")
        await call.interrupt("what time is it")
        await call.hears("noon")
        await call.hears("My analysts say: boats float.")
        assert await statuses(call) == [Status.HEARD]

    play(script, house(workers=[instant], on_it="On it. {result}"))


def test_a_result_that_comes_while_a_reply_is_made_is_told_right_after_it() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        answer = await call.hears("meanwhile")
        begun = answer.started - 0.25
        await call.silence(begun + SECOND - call.now - 1.2)
        await call.interrupt("wait")  # its turn ends just before the result comes; the reply takes a second
        reply = await call.hears("All right.")
        result = await call.hears("analysts say")
        assert reply.ended is not None
        assert near(result.started, reply.ended)

    play(script, house(thinking=1.0))


def test_a_result_that_waited_long_asks_for_the_floor() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", max_wait=5.0)
        for _ in range(2):
            await call.interrupt("tell me a story")
            await call.silence(1.5)
        opener = await call.hears("I have something for you")
        line = await call.hears("boat is here")
        assert opener.ended is not None
        assert line.started - opener.ended < 8

    play(script)


def test_hooks_may_rewrite_and_refuse_and_are_told_the_outcome() -> None:
    outcomes: list[tuple[str, str]] = []
    runtime = house()

    @runtime.hook(HookTrigger.BEFORE_DELIVER, execution=HookExecution.SYNC)
    async def before(event: HookEvent, context: HookContext) -> str:
        if "secret" in event.text:
            raise Refuse("not for callers")
        return event.text.replace("boat", "ship")

    @runtime.hook(HookTrigger.AFTER_DELIVER)
    def after(event: HookEvent, context: HookContext) -> None:
        outcomes.append((event.metadata["status"], event.metadata["heard"] or event.metadata["reason"]))

    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The secret boat.")
        await call.runtime.deliver(call.room, "The boat is here.")
        await call.hears("The ship is here.")
        await call.silence(3)
        assert outcomes == [("refused", "not for callers"), ("heard", "The ship is here.")]

    play(script, runtime)


def test_a_failing_worker_is_told_not_hidden() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("did not work")
        assert await statuses(call) == [Status.HEARD]

    play(script, house(workers=[failing]))


def test_a_worker_that_fails_later_is_told_too() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("on it")
        await call.hears("Late analyst could not finish what you asked for.")
        assert await statuses(call) == [Status.HEARD]

    play(script, house(workers=[failing_later]))


def test_rooms_are_islands() -> None:
    async def script(call: SimulatedCall) -> None:
        other = await call.runtime.enter("other")
        caller = other.channel.join("bob")  # type: ignore[attr-defined]
        call.caller.start_saying(" ".join(["tell me"] * 50))
        await call.runtime.deliver(call.room, "For the busy room.", strategy=Queued(buffer=1.0))
        put = call.now
        await call.runtime.deliver("other", "For the quiet room.", strategy=Queued(buffer=1.0))
        line = await caller.hears("For the quiet room.")
        assert near(line.started, put + 1.0)
        assert line.heard == "For the quiet room."

    play(script)


def test_the_newest_of_a_topic_wins_and_the_late_expire() -> None:
    async def script(call: SimulatedCall) -> None:
        call.caller.start_saying(" ".join(["tell me"] * 20))
        await call.silence(1)
        late = await call.runtime.deliver(call.room, "Too late.", ttl=5)
        old = await call.runtime.deliver(call.room, "Two boats.", supersedes="boats")
        new = await call.runtime.deliver(call.room, "Three boats.", supersedes="boats")
        await call.hears("Three boats.")
        assert [(await r).status for r in (late, old, new)] == [Status.EXPIRED, Status.SUPERSEDED, Status.HEARD]

    play(script)


def test_every_state_of_the_floor_is_seen_and_the_agent_never_overlaps_itself() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("careful use.")
        await call.hang_up()
        seen = {state for _, state in call.floor}
        assert seen == set(FloorState)
        spans = [span for line in call.lines for span in line.spans]
        assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(spans))

    play(script)


def test_what_is_not_said_is_not_heard() -> None:
    async def script(call: SimulatedCall) -> None:
        with pytest.raises(NotHeardError, match="bananas"):
            await call.hears("bananas", timeout=5)

    play(script)


def test_an_unconfirmed_result_is_not_taken_for_heard() -> None:
    async def script(call: SimulatedCall) -> None:
        call.caller.ear.receipts = True  # the far end promises receipts, and none comes
        receipt = await call.runtime.deliver(call.room, "The boat is here.", strategy=WaitForIdle(buffer=0.5))
        outcome = await receipt
        assert outcome.status is Status.DEAD
        assert "unconfirmed" in outcome.reason

    play(script)
