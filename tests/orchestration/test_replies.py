"""Replies and results in whole calls: what is folded into a reply, and the opener that asks for the floor."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from delivery import Queued, WaitForIdle
from orchestration import HookContext, HookEvent, HookExecution, HookTrigger
from orchestration.simulation import SimulatedCall
from tests.orchestration.test_conversation import play as play_with
from tests.orchestration.test_conversation import talk
from tests.scenarios.scenes import TICK, check_manners, house, play

TURN = 0.6
"""Seconds of silence that end a caller's turn."""
OPENER = "I have something for you. "


def near(seconds: float, wanted: float) -> bool:
    return abs(seconds - wanted) <= TICK


def said(call: SimulatedCall) -> list[str]:
    return [line.heard for line in call.lines]


def gaps(call: SimulatedCall) -> list[float]:
    """The silences between lines, in seconds."""
    ends = [line.ended for line in call.lines]
    return [round(b.started - a, 2) for a, b in zip(ends, call.lines[1:], strict=False) if a is not None]


# -- asking for the floor


def test_what_has_waited_too_long_comes_before_a_reply_that_takes_its_time() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", strategy=WaitForIdle(5.0, max_wait=1.0))
        _, stopped = await call.interrupt("what time is it")
        line = await call.hears("boat is here.")
        assert near(line.started, stopped + TURN)
        noon = await call.hears("noon.")
        assert near(noon.started, stopped + TURN + 6.0)
        await call.silence(10)
        assert said(call) == [OPENER + "The boat is here.", "It is noon."]

    play(script, house(thinking=6.0))


@pytest.mark.parametrize("tts_delay", [0.0, 1.0])
def test_it_comes_before_a_reply_that_is_there_at_once(tts_delay: float) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", strategy=WaitForIdle(5.0, max_wait=1.0))
        await call.interrupt("what time is it")
        await call.hears("noon.")
        await call.silence(10)
        assert said(call) == [OPENER + "The boat is here.", "It is noon."]
        assert gaps(call) == [0.0]

    play(script, tts_delay=tts_delay)


def test_it_cuts_no_reply_that_is_on_its_way_to_the_ear() -> None:
    runtime = house()

    @runtime.hook(HookTrigger.BEFORE_DELIVER, execution=HookExecution.SYNC)
    async def dawdle(event: HookEvent, context: HookContext) -> None:
        await asyncio.sleep(0.3)

    async def script(call: SimulatedCall) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(call.interrupt("what time is it"))
            await asyncio.sleep(0.5)
            await call.runtime.deliver(call.room, "The boat is here.", strategy=WaitForIdle(5.0, max_wait=0.0))
        await call.hears("boat is here.")
        assert said(call) == ["It is noon.", OPENER + "The boat is here."]
        assert gaps(call) == [1.0]  # so long its sound takes to make

    play(script, runtime, tts_delay=1.0)


def test_it_is_never_said_over_a_caller_who_speaks_while_its_sound_is_made() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", strategy=WaitForIdle(5.0, max_wait=1.0))
        _, stopped = await call.interrupt("what time is it")
        await call.silence(TURN + 0.3)
        began, ended = await call.interrupt("tell me a story about the sea please and what came of it")
        assert began < stopped + TURN + 1.0 < ended
        assert said(call) == []
        await call.hears("boat is here.")
        check_manners(call)

    play(script, house(thinking=3.0), tts_delay=1.0)


def test_who_speaks_over_the_opener_is_asked_again_and_told_once() -> None:
    async def script(call: SimulatedCall) -> None:
        receipt = await call.runtime.deliver(call.room, "The boat is here.", strategy=WaitForIdle(5.0, max_wait=1.0))
        await call.interrupt("what time is it")
        await call.hears("I have")
        await call.interrupt("tell me a story")
        await call.hears("many years.")
        assert said(call)[-2:] == [
            OPENER + "The boat is here.",
            "Once upon a time a boat met a train. They talked for many years.",
        ]
        assert sum("boat is here" in line for line in said(call)) == 1
        assert (await receipt).heard == "The boat is here."
        assert (await receipt.entry()).attempts == 0

    play(script)


def test_a_listener_who_says_mm_hm_to_the_opener_is_told() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.", max_wait=1.0)
        await call.interrupt("what time is it")
        await call.hears("I have")
        await call.caller.backchannel("mm-hm")
        await call.hears("noon.")
        assert said(call) == [OPENER + "The boat is here.", "It is noon."]

    play(script)


# -- folding


def test_results_that_come_while_a_reply_is_made_are_told_right_after_it_one_by_one() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.interrupt("what time is it")
        await call.silence(TURN + 0.5)
        for what in ("Boats float.", "Trains roll.", "Planes fly.", "Cars drive."):
            await call.runtime.deliver(call.room, what, speak_as="agent")
        await call.hears("Cars drive.")
        assert said(call)[0] == "It is noon."
        assert gaps(call) == [0.0, 0.0, 0.0, 1.0]  # three of them are an answer, the fourth waits for silence

    play(script, house(thinking=2.0))


def test_a_result_that_comes_between_the_turn_and_the_making_of_its_reply_is_folded_too() -> None:
    runtime = house()

    @runtime.hook(HookTrigger.ON_TRANSCRIPTION, execution=HookExecution.SYNC)
    async def slowly(event: HookEvent, context: HookContext) -> str:
        await context.runtime.deliver(event.room, "Boats float.", speak_as="agent", id="b")
        return event.text

    async def script(call: SimulatedCall) -> None:
        await call.interrupt("what time is it")
        await call.hears("Boats float.")
        assert said(call) == ["It is noon.", "My analysts say: Boats float."]
        assert gaps(call) == [0.0]

    play(script, runtime)


@pytest.mark.parametrize("failing", [[2.0, OSError("no network")], [1.0, "It is. ", 1.0, OSError("no network")]])
def test_after_a_reply_that_failed_the_apology_comes_and_the_result_waits_for_silence(failing: list[Any]) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.interrupt("what time is it")
        await call.silence(TURN + 0.5)
        await call.runtime.deliver(call.room, "Boats float.", speak_as="agent", strategy=WaitForIdle(1.0))
        apology = await call.hears("sorry")
        result = await call.hears("my words.")
        assert apology.ended is not None
        assert result.started >= apology.ended + 1.0 - TICK

    play_with(script, talk(failing, ["my words."]))


def test_an_immediate_result_is_not_folded() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.interrupt("what time is it")
        await call.silence(TURN + 0.5)
        at = call.now
        await call.runtime.deliver(call.room, "Boats float.", speak_as="agent", strategy="immediate")
        line = await call.hears("Boats float.")
        assert near(line.started, at)

    play(script, house(thinking=2.0))


# -- in the agent's words


def test_the_agent_finds_its_words_while_it_still_speaks() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.interrupt("what time is it")
        reply = await call.hears("three")
        await call.runtime.deliver(call.room, "Boats float.", speak_as="agent", strategy=WaitForIdle(1.0))
        result = await call.hears("my words.")
        assert reply.ended is not None
        assert near(result.started, reply.ended + 1.0)  # they take two seconds to find

    play_with(script, talk(["one two three four five six seven eight nine."], [2.0, "my words."]))


def test_results_that_are_merged_are_each_put_into_the_agents_words_and_each_is_heard() -> None:
    async def script(call: SimulatedCall) -> None:
        receipts = [
            await call.runtime.deliver(call.room, what, speak_as="agent", strategy=Queued(1.0, separator=" And: "))
            for what in ("Boats float.", "Trains roll.")
        ]
        await call.hears("Trains roll.")
        await call.silence(5)
        assert said(call) == ["My analysts say: Boats float. And: My analysts say: Trains roll."]
        assert [(await r).heard for r in receipts] == [
            "My analysts say: Boats float.",
            "My analysts say: Trains roll.",
        ]

    play(script)


def test_of_merged_ones_what_was_cut_goes_on_in_the_words_it_began_with_and_the_next_is_whole() -> None:
    async def script(call: SimulatedCall) -> None:
        for what in ("Boats float well.", "Trains roll."):
            await call.runtime.deliver(call.room, what, speak_as="agent", strategy=Queued(1.0))
        await call.hears("Boats")
        await call.interrupt("what time is it")
        await call.hears("noon")
        await call.hears("Trains roll.")
        first, _, rest = said(call)
        assert first == "My analysts say: Boats"
        assert rest == "As I was saying: float well. My analysts say: Trains roll."

    play(script)
