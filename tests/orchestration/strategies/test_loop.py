"""The loop: what it is put together of, and drafts judged until they are good, while readers wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from delivery import Status
from orchestration import (
    HookContext,
    HookEvent,
    HookExecution,
    HookTrigger,
    Loop,
    Refuse,
    RoomEvent,
    Runtime,
)
from orchestration.models import Prepared, ToolCall
from orchestration.strategies.loop import NOT_APPROVED
from orchestration.strategies.reviewed import CANNOT
from orchestration.strategies.supervised import COULD_NOT
from orchestration.strategies.work import GOES_ON, WAIT
from orchestration.workers import Context, worker
from tests.orchestration.strategies.looping import (
    APPROVE,
    FIRST,
    SECOND,
    TOO_LONG,
    Page,
    approves,
    judges,
    model_of,
    reads,
    talker,
    writer,
)
from voice.clock import run
from voice.simulated import SimulatedChannel

# -- putting it together


def test_one_reviewer_may_be_given_by_itself() -> None:
    agent, editor = writer(), approves("editor")
    for loop in (Loop(agent, [editor]), Loop(agent=agent, reviewer=editor), Loop(agent, reviewers=(editor,))):
        (work,) = loop.workers()
        assert (work.id, work.label) == ("writer.loop", "Writer and Editor")
        assert work == Loop(agent, [editor]).work
        assert loop.agents() == [agent]
        assert loop.work.loop.max_iterations == 3


def test_who_works_in_it_is_told() -> None:
    three = [approves("tone"), approves("length"), approves("facts")]
    assert Loop(writer(), three).work.label == "Writer, Tone, Length and Facts"
    host = talker()
    assert Loop(writer(), three, host=host).agents() == [host]


@worker()
async def job(input: str, context: Context) -> str:
    return input


@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        ({}, ValueError, "reviewers, reviewer: neither is given; give a list of reviewers, or one reviewer"),
        (
            {"reviewers": [approves("a")], "reviewer": approves("b")},
            ValueError,
            "reviewers, reviewer: both are given",
        ),
        ({"reviewers": []}, ValueError, "reviewers: the list is empty"),
        ({"reviewers": [approves("a"), approves("a")]}, ValueError, "reviewers: the id 'a' is used twice"),
        ({"reviewers": [approves("writer")]}, ValueError, "reviewers: 'writer' is the producer"),
        ({"reviewers": approves("a")}, TypeError, r"reviewers: Agent\('a'\) is no list; give a list, or `reviewer`"),
        ({"reviewers": "a"}, TypeError, "reviewers: 'a' is no list"),
        ({"reviewer": "a"}, TypeError, "reviewers: 'a' is neither an Agent nor a worker"),
        ({"reviewers": [approves]}, TypeError, "reviewers: <function approves .* is neither an Agent nor a worker"),
        ({"reviewer": job, "max_iterations": 0}, ValueError, "max_iterations: 0 is no whole number from 1 to 20"),
        ({"reviewer": job, "max_iterations": 21}, ValueError, "max_iterations: 21 is no whole number"),
        ({"reviewer": job, "max_iterations": True}, ValueError, "max_iterations: True is no whole number"),
        ({"reviewer": job, "strategy": "PARALLEL"}, ValueError, "strategy: 'PARALLEL' is not known; use 'sequential'"),
        ({"reviewer": job, "share_channels": [""]}, ValueError, "share_channels"),
        ({"reviewer": job, "delegation_message": 3}, ValueError, "delegation_message: int is no text"),
        ({"reviewer": job, "async_delivery": "yes"}, TypeError, "async_delivery: 'yes' is not known; use True"),
        ({"reviewer": job, "host": "host"}, TypeError, "host: 'host' is no Agent"),
        ({"reviewer": job, "host": talker("writer")}, ValueError, "host: 'writer' makes or reviews the work"),
        ({"reviewer": job, "host": talker("job")}, ValueError, "host: 'job' makes or reviews the work"),
        ({"reviewer": job, "share_channels": "ws"}, TypeError, "share_channels: 'ws' is one name; give a list"),
        ({"reviewer": job, "share_channels": 5}, TypeError, "share_channels: 5 is no list; give a list"),
        ({"reviewer": job, "delivery_strategy": "queued"}, TypeError, "'delivery_strategy'; it is called 'delivery'"),
        ({"reviewer": job, "producer": writer()}, TypeError, r"Loop got an unknown argument 'producer'$"),
        ({"reviewer": job, "agent": job}, TypeError, "agent: FunctionWorker.* is no Agent"),
    ],
)
def test_a_loop_that_cannot_be_is_refused(given: dict[str, Any], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        Loop(**{"agent": writer(), **given})


def test_the_agent_that_talks_has_the_tools_and_nobody_else_is_in_the_room() -> None:
    async def main() -> None:
        async with Runtime(state=None, channels=lambda _: SimulatedChannel()) as runtime:
            for name, host in (("alone", None), ("hosted", talker())):
                loop = Loop(writer(), [approves("editor")], host=host, delegation_message="Soon.")
                room = await runtime.create_room(name, orchestration=loop)
                assert list(room.agents) == [host.id if host else "writer"]
                assert [t.name for t in room.tools] == ["delegate_loop", "task_status", "cancel_task", "recall"]

    run(main())


# -- for those who read


def test_a_message_is_answered_with_what_came_of_the_loop() -> None:
    told: list[tuple[str, bool, int]] = []

    async def script(page: Page) -> None:
        @page.runtime.hook(HookTrigger.AFTER_BROADCAST, execution=HookExecution.ASYNC)
        async def on_loop_result(event: RoomEvent, context: HookContext) -> None:
            if "approved" in event.metadata:
                told.append((event.text, event.metadata["approved"], event.metadata["iteration"]))

        reply = await page.asks("boats")
        assert (reply.text, reply.sender_id) == (SECOND, "writer")
        assert (reply.metadata["approved"], reply.metadata["iteration"]) == (True, 2)
        assert page.context() == {"iteration": 2, "approved": True}
        assert [event.text for event in page.sent] == [SECOND]
        assert (await page.asks("trains")).text == "Dear neighbours, trains float."
        await asyncio.sleep(60)
        assert told == [(SECOND, True, 2), ("Dear neighbours, trains float.", True, 2)]
        assert len(page.sent) == 2, "a result was told twice"
        assert [e.status for e in await page.runtime.deliveries("lobby", list(Status))] == [Status.HEARD] * 2

    reads(script, Loop(writer(1.0), [judges("editor", 2.0)]))


def test_who_works_on_a_message_is_told_what_was_said_before() -> None:
    agent, editor = writer(), judges("editor")

    async def script(page: Page) -> None:
        await page.asks("boats")
        await page.asks("trains, not those")

    reads(script, Loop(agent, [editor]))
    tasks = [asked.messages[-1].text for asked in model_of(agent).asked]
    assert tasks[0] == "boats"
    assert tasks[2].startswith("trains, not those\n\nThis was said before that")
    assert f"\nCaller: boats\nAnswer: {SECOND}\n</earlier " in tasks[2]
    assert tasks[2].count("trains, not those") == 1
    assert f"Answer: {SECOND}" in model_of(editor).asked[2].messages[-1].text


def test_the_last_draft_is_given_also_when_it_was_never_approved() -> None:
    async def script(page: Page) -> None:
        reply = await page.asks("boats")
        assert reply.text == f"{NOT_APPROVED}\n\n{SECOND}"
        assert (reply.metadata["approved"], reply.metadata["iteration"]) == (False, 2)
        assert page.context() == {"iteration": 2, "approved": False}

    never = judges("editor", verdict=TOO_LONG)
    reads(script, Loop(writer(), [never, approves("other")], max_iterations=2))
    assert len(model_of(never).asked) == 2


@pytest.mark.parametrize(
    ("verdict", "approved"),
    [
        ("This is NOT APPROVED", False),
        ("APPROVED? By no means.", False),
        ("I have APPROVED worse.", False),
        ("APPROVED", True),
        ('{"approved": true, "feedback": "fine"}', True),
        ('{"approved": "true"}', False),
        (APPROVE, True),
        ([APPROVE, ToolCall("b", "handoff_conversation", {"target": "writer", "reason": "x", "summary": "y"})], False),
    ],
)
def test_only_a_verdict_approves(verdict: Any, approved: bool) -> None:
    async def script(page: Page) -> None:
        reply = await page.asks("boats")
        assert reply.metadata["approved"] is approved
        assert (NOT_APPROVED in reply.text) is not approved

    reads(script, Loop(writer(), reviewer=judges("editor", verdict=verdict), max_iterations=1))


def test_a_function_may_review() -> None:
    seen: list[str] = []

    @worker(role="Ruler")
    async def length(text: str, context: Context) -> str:
        seen.append(text)
        return "APPROVED" if len(text) < 40 else TOO_LONG

    async def script(page: Page) -> None:
        assert (await page.asks("boats")).text == SECOND

    reads(script, Loop(writer(), [length, approves("editor")], strategy="parallel"))
    assert seen == [FIRST, SECOND]


def test_one_after_the_other_each_sees_what_the_others_said() -> None:
    last = approves("facts")

    async def script(page: Page) -> None:
        await page.asks("boats")

    reads(script, Loop(writer(), [judges("tone"), last], strategy="sequential"))
    first, second = (asked.messages[-1].text for asked in model_of(last).asked)
    assert f"Tone: not approved. {TOO_LONG}" in first
    assert "Tone: approved." in second


def test_who_makes_nothing_is_told_and_nothing_was_approved() -> None:
    async def script(page: Page) -> None:
        reply = await page.asks("boats")
        assert reply.text == COULD_NOT.format(label="Writer and Editor")
        assert (reply.metadata["approved"], reply.metadata["iteration"]) == (False, 0)
        assert page.context() == {"iteration": 0, "approved": False}
        assert "no network" not in str(page.sent)

    reads(script, Loop(writer(model=Prepared([OSError("no network")])), [approves("editor")]))


def test_a_hook_may_refuse_it() -> None:
    async def script(page: Page) -> None:
        @page.runtime.hook(HookTrigger.ON_TASK_DELEGATED, execution=HookExecution.SYNC)
        def no(event: HookEvent, context: HookContext) -> None:
            raise Refuse("the office is closed")

        reply = await page.asks("boats")
        assert reply.text == CANNOT.format(why="the office is closed")
        assert "approved" not in reply.metadata
        assert page.context() == {}

    reads(script, Loop(writer(), [approves("editor")]))


def test_work_that_takes_long_goes_on_and_is_told_by_itself() -> None:
    async def script(page: Page) -> None:
        reply = await page.asks("boats")
        assert reply.text == GOES_ON
        assert "approved" not in reply.metadata
        assert page.context() == {}
        await asyncio.sleep(WAIT)
        assert [event.text for event in page.sent] == [GOES_ON, f"It reads: {SECOND}"]
        assert page.sent[1].metadata["approved"] is True
        assert page.context() == {"iteration": 2, "approved": True}

    @worker()
    async def slow(text: str, context: Context) -> str:
        await asyncio.sleep(WAIT * 0.6)
        return TOO_LONG if text == FIRST else "APPROVED"

    reads(script, Loop(writer(), [slow]))


def test_in_the_background_of_a_room_that_is_read_the_agent_answers_and_the_result_follows() -> None:
    async def script(page: Page) -> None:
        assert (await page.asks("write about boats")).text == "On it."
        assert (await page.asks("what time is it")).text == "It is noon."
        await asyncio.sleep(30)
        assert [event.text for event in page.sent] == ["On it.", "It is noon.", f"It reads: {SECOND}"]
        assert [event.metadata.get("approved") for event in page.sent] == [None, None, True]
        assert page.context() == {"iteration": 2, "approved": True}

    loop = Loop(writer(1.0), [judges("editor", 2.0)], host=talker(), async_delivery=True)
    reads(script, loop)
