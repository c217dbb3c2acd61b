"""Whole calls in which a loop goes on underneath, in virtual time: who talks on, cuts in, asks, drops it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from delivery import Status
from orchestration import (
    Agent,
    HookContext,
    HookEvent,
    HookTrigger,
    Loop,
    RoomEvent,
    Runtime,
)
from orchestration.models import Message, Prepared, Scripted, ToolCall, ToolSpec
from orchestration.simulation import SimulatedCall, simulate
from orchestration.strategies.loop import NOT_APPROVED
from tests.orchestration.strategies.looping import (
    APPROVE,
    SECOND,
    TALK,
    TOO_LONG,
    approves,
    context_of,
    draft,
    hears,
    judges,
    model_of,
    talker,
    three,
    writer,
)
from tests.scenarios.scenes import check_manners, near, said, statuses, times_heard
from voice.clock import run


def test_three_review_at_once_while_the_caller_talks_on_and_the_second_draft_is_told() -> None:
    delivered: list[tuple[str, Any, Any]] = []
    loop = Loop(writer(1.0), three(), strategy="parallel", host=talker())
    runtime = Runtime(orchestration=loop, state=None)
    for trigger in (HookTrigger.BEFORE_DELIVER, HookTrigger.AFTER_DELIVER, HookTrigger.AFTER_BROADCAST):

        @runtime.hook(trigger)
        def told(event: HookEvent | RoomEvent, context: HookContext, trigger: str = trigger) -> None:
            if "approved" in event.metadata:
                delivered.append((trigger, event.metadata["approved"], event.metadata["iteration"]))

    async def main() -> None:
        async with simulate(runtime) as call:
            _, asked = await call.say("write about boats")
            await call.hears("On it.")
            await call.say("what time is it")
            await call.hears("noon.")
            assert context_of(call) == {}
            result = await call.hears("It reads:")
            assert near(result.started, asked + 0.6 + 2 * (1.0 + 4.0))
            await call.hears("boats float.")
            await call.silence(60)
            assert said(call) == ["On it.", "It is noon.", f"It reads: {SECOND}"]
            assert await statuses(call) == [Status.HEARD]
            assert context_of(call) == {"iteration": 2, "approved": True}
            check_manners(call)

    run(main())
    assert [trigger for trigger, *_ in delivered] == ["before_deliver", "after_broadcast", "after_deliver"]
    assert {(approved, iteration) for _, approved, iteration in delivered} == {(True, 2)}


def test_that_it_began_is_said_also_when_the_model_says_nothing() -> None:
    host = Agent(
        "host", model=Prepared([[ToolCall("c", "delegate_loop", {"task": "boats"})], "", f"It reads: {SECOND}"])
    )

    async def script(call: SimulatedCall) -> None:
        await call.say("write about boats")
        await call.hears("Bear with us.")
        await call.hears("boats float.")
        assert said(call) == ["Bear with us.", f"It reads: {SECOND}"]

    hears(script, Loop(writer(1.0), three(), host=host, delegation_message="Bear with us."))


def test_a_result_waits_until_the_talk_is_over() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("write about boats")
        await call.hears("On it.")
        await call.silence(8)
        await call.say("what time is it")
        await call.hears("noon.")
        result = await call.hears("It reads:")
        assert near(result.started, call.floor_opened(before=result) + 1.0)

    hears(script, Loop(writer(1.0), three(), strategy="parallel", host=talker()))


def test_how_it_is_going_is_told_round_by_round() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("write about boats")
        await call.hears("On it.")
        for number, where in enumerate(
            ("writing, round 1", "in review, round 1", "writing, round 2", "in review, round 2")
        ):
            await call.silence(20 * number + 5 - call.now)
            await call.say("how is it going")
            line = await call.hears(where)
            assert line.heard == f"Writer, Tone, Length and Facts are still working on boats: {where}."
        await call.hears("It reads:")

    hears(script, Loop(writer(20.0), three((1.0, 2.0, 20.0)), strategy="parallel", host=talker()))


def test_the_agent_itself_talks_while_it_works() -> None:
    brain = Scripted(TALK, fallback=draft, telling=("It reads: {result}",))
    agent = Agent("writer", model=brain, greeting="Hello, I write.", role="Writer")

    async def script(call: SimulatedCall) -> None:
        await call.hears("Hello, I write.")
        await call.say("write about boats")
        await call.hears("On it.")
        await call.say("what time is it")
        await call.hears("noon.")
        await call.hears("boats float.")
        assert said(call) == ["Hello, I write.", "On it.", "It is noon.", f"It reads: {SECOND}"]

    hears(script, Loop(agent, three(), strategy="parallel"))


@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
def test_what_was_never_approved_is_told_with_a_word_of_it(strategy: Any) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("write about boats")
        await call.hears("On it.")
        await call.hears(f"It reads: {NOT_APPROVED}")
        await call.hears("far too long to be described here.")
        await call.silence(60)
        assert len(said(call)) == 2
        assert context_of(call) == {"iteration": 3, "approved": False}

    reviewers = [approves("tone", 1.0), judges("facts", 2.0, "This is NOT APPROVED")]
    hears(script, Loop(writer(1.0), reviewers, strategy=strategy, host=talker()))


def test_who_cuts_in_on_the_result_hears_the_rest_once() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("write about boats")
        await call.hears("Dear")
        await call.interrupt("what time is it")
        await call.hears("noon.")
        await call.hears("boats float.")
        await call.silence(60)
        assert await statuses(call) == [Status.HEARD]
        assert set(times_heard(call, "neighbours, boats float.").values()) == {1}
        assert context_of(call) == {"iteration": 2, "approved": True}

    hears(script, Loop(writer(1.0), three(), host=talker()))


def test_a_loop_is_dropped_by_voice() -> None:
    reviewers = three()

    async def script(call: SimulatedCall) -> None:
        await call.say("write about boats")
        await call.hears("On it.")
        await call.interrupt("forget it")
        await call.hears("I dropped boats.")
        asked = [len(model_of(reviewer).asked) for reviewer in reviewers]
        await call.silence(60)
        assert said(call)[2:] == []
        assert context_of(call) == {}
        assert [len(model_of(reviewer).asked) for reviewer in reviewers] == asked

    hears(script, Loop(writer(1.0), reviewers, strategy="parallel", host=talker()))


def test_two_loops_at_once_end_each_on_its_own() -> None:
    def judge(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        return TOO_LONG if "trains" in messages[-1].text else APPROVE

    async def script(call: SimulatedCall) -> None:
        await call.say("write about trains")
        await call.hears("On it.")
        await call.say("write about boats")
        await call.hears("On it.")
        await call.say("how is it going")
        await call.hears("working on trains: in review, round 1. Writer and Editor are still working on boats")
        await call.hears("It reads: Dear neighbours, boats are far too long")
        assert context_of(call) == {"iteration": 1, "approved": True}
        await call.hears(f"It reads: {NOT_APPROVED}")
        assert context_of(call) == {"iteration": 2, "approved": False}
        assert await statuses(call) == [Status.HEARD, Status.SPEAKING]

    editor = judges("editor", 12.0, judge)
    hears(script, Loop(writer(1.0), [editor], host=talker(), max_iterations=2))


def test_an_answer_may_wait_for_it_in_a_call_too() -> None:
    async def script(call: SimulatedCall) -> None:
        _, asked = await call.say("boats")
        line = await call.hears(SECOND)
        assert near(line.started, asked + 0.6 + 2 * 1.0)
        await call.silence(60)
        assert said(call) == [SECOND]
        assert await statuses(call) == [Status.HEARD]
        assert context_of(call) == {"iteration": 2, "approved": True}

    hears(script, Loop(writer(0.5), [judges("editor", 0.5)], async_delivery=False))


def test_who_does_not_wait_for_the_answer_hears_it_later() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("boats")
        await call.silence(2)
        await call.interrupt("trains")
        await call.hears("trains float.")
        await call.hears("boats float.")
        await call.silence(60)
        assert await statuses(call) == [Status.HEARD, Status.HEARD]
        assert sum("boats float." in line for line in said(call)) == 1

    brain = Scripted(TALK, fallback=draft, telling=("It reads: {result}",))
    hears(script, Loop(Agent("writer", model=brain), [judges("editor", 2.0)], async_delivery=False))


def test_a_loop_that_is_over_at_once_is_told_with_the_answer() -> None:
    told: list[tuple[str, Any]] = []
    runtime = Runtime(orchestration=Loop(writer(), three((0.0, 0.0, 0.0)), host=talker()), state=None)

    @runtime.hook(HookTrigger.AFTER_BROADCAST)
    def heard(event: RoomEvent, context: HookContext) -> None:
        told.append((event.text, event.metadata.get("approved")))

    async def main() -> None:
        async with simulate(runtime) as call:
            await call.say("write about boats")
            await call.hears("boats float.")
            await call.silence(30)
            assert await statuses(call) == [Status.HEARD]
            assert context_of(call) == {"iteration": 2, "approved": True}

    run(main())
    assert told == [("write about boats", None), (SECOND, True)]
