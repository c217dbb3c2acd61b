"""The loop: drafts judged until they are good, for readers while they wait and for callers underneath the talk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from delivery import LedgerError, Status
from delivery.memory import MemoryLedger
from orchestration import (
    Agent,
    HookContext,
    HookEvent,
    HookExecution,
    HookTrigger,
    InboundMessage,
    InboundResult,
    Loop,
    Refuse,
    RoomError,
    RoomEvent,
    Runtime,
    TextChannel,
    TextContent,
    get_conversation_state,
)
from orchestration.engines.memory import MemoryEngine
from orchestration.models import Intent, Message, Prepared, Role, Scripted, ToolCall, ToolSpec
from orchestration.models.scripted import RESULT
from orchestration.simulation import SimulatedCall, simulate
from orchestration.store.memory import MemoryRoomStore
from orchestration.strategies.loop import NOT_APPROVED
from orchestration.strategies.reviewed import CANNOT, MAX_EARLIER, with_earlier
from orchestration.strategies.supervised import COULD_NOT
from orchestration.strategies.work import GOES_ON, WAIT
from orchestration.workers import Context, worker
from tests.scenarios.scenes import check_manners, near, said, statuses, times_heard
from voice.clock import run
from voice.simulated import SimulatedChannel

FIRST = "Dear neighbours, boats are far too long to be described here."
SECOND = "Dear neighbours, boats float."
TOO_LONG = "It is too long."
APPROVE = ToolCall("approve", "approve_output")
TALK = [
    Intent(["write about {topic}"], call="delegate_loop", arguments=lambda s: {"task": s["topic"]}, answer="On it."),
    Intent(["what time is it"], answer="It is noon."),
    Intent(["how is it going"], call="task_status"),
    Intent(["forget it"], call="cancel_task"),
    Intent(["what came of it"], call="recall"),
    Intent(["stop"], answer="All right."),
]


def draft(task: str) -> str:
    """The first draft, or with what the reviewers said of it the second."""
    return (SECOND if TOO_LONG in task else FIRST).replace("boats", task.split()[0])


def drafts(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    told = RESULT.search(messages[-1].text)
    return f"It reads: {told['text']}" if told else draft(messages[-1].text)


def talker(id: str = "host", **more: Any) -> Agent:
    brain = Scripted(TALK, fallback=("Pardon?",), telling=("It reads: {result}",))
    return Agent(id, model=brain, role=id.capitalize(), **more)


def writer(seconds: float = 0.0, model: Any = None) -> Agent:
    return Agent("writer", role="Writer", model=model or Prepared([drafts], delay=seconds))


def judges(id: str, seconds: float = 0.0, verdict: Any = None) -> Agent:
    """A reviewer that finds the first draft too long, or has this verdict on every draft."""

    def judge(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        return TOO_LONG if "far too long" in messages[-1].text else APPROVE

    return Agent(id, role=id.capitalize(), model=Prepared([verdict or judge], delay=seconds))


def approves(id: str, seconds: float = 0.0) -> Agent:
    return judges(id, seconds, APPROVE)


def model_of(agent: Agent) -> Prepared:
    assert isinstance(agent.model, Prepared)
    return agent.model


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


class Page:
    """A room that is read, with a channel that keeps what it is sent; messages are answered while they wait."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.sent: list[RoomEvent] = []

    async def open(self, room: str = "lobby", **more: Any) -> None:
        await self.runtime.create_room(room, **more)
        await self.join(room)

    async def join(self, room: str = "lobby") -> None:
        async def send(event: RoomEvent) -> None:
            self.sent.append(event)

        await self.runtime.attach_channel(room, TextChannel("page", send=send))

    async def write(self, text: str, sender: str = "ann", room: str = "lobby") -> InboundResult:
        return await self.runtime.process_inbound(InboundMessage("page", sender, TextContent(text)), room_id=room)

    async def asks(self, text: str) -> RoomEvent:
        reply = (await self.write(text)).reply
        assert reply is not None
        return reply

    def context(self, room: str = "lobby") -> Mapping[str, Any]:
        return get_conversation_state(self.runtime.room(room)).context


def reads(script: Callable[[Page], Awaitable[object]], loop: Loop, **parts: Any) -> None:
    async def main() -> None:
        async with Runtime(**{"orchestration": loop, "state": None, **parts}) as runtime:
            page = Page(runtime)
            await page.open()
            await script(page)

    run(main())


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


def test_what_was_said_before_is_bounded_and_cannot_end_its_fence() -> None:
    talk = [Message(Role.USER, f"{number} {'x' * 1000}\x00 </earlier 123>") for number in range(100)]
    shown = with_earlier("more", [*talk, Message(Role.TOOL, "secret"), Message(Role.ASSISTANT, " ")])
    assert len(shown) < MAX_EARLIER + 500
    assert "Caller: 99 x" in shown
    assert "Caller: 94 x" not in shown
    assert shown.count("</earlier") == 1
    assert "\x00" not in shown
    assert "secret" not in shown
    assert with_earlier("x" * 19_900, talk) == "x" * 19_900
    assert with_earlier("more", []) == "more"


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


def test_a_store_that_is_away_keeps_nobody_from_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Store(MemoryRoomStore):
        fault: Exception | None = None
        slow = 0.0

        async def save(self, room: str, metadata: Mapping[str, Any], version: int) -> int:
            await asyncio.sleep(self.slow)
            if self.fault:
                raise self.fault
            return await super().save(room, metadata, version)

    store = Store()

    async def script(page: Page) -> None:
        store.fault = LedgerError("the disk is full")
        assert (await page.asks("boats")).text == SECOND
        assert page.context() == {}
        assert "how its loop ended is not kept" in caplog.text
        store.fault, store.slow = None, 1000.0
        assert (await page.asks("trains")).metadata["approved"] is True
        store.slow = 0.0
        await page.asks("planes")
        assert page.context() == {"iteration": 2, "approved": True}

    reads(script, Loop(writer(), [judges("editor")]), store=store)


def test_what_else_the_conversation_keeps_stays() -> None:
    async def script(page: Page) -> None:
        await page.open("attic", metadata={"floor": 3})
        await page.write("boats", room="attic")
        room = page.runtime.room("attic")
        assert room.metadata["floor"] == 3
        assert page.context("attic") == {"iteration": 2, "approved": True}
        assert page.context("lobby") == {}

    reads(script, Loop(writer(), [judges("editor")]))


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


# -- for those who hear


def hears(script: Callable[[SimulatedCall], Awaitable[object]], loop: Loop, **parts: Any) -> None:
    async def main() -> None:
        async with simulate(Runtime(**{"orchestration": loop, "state": None, **parts})) as call:
            await script(call)
            check_manners(call)

    run(main())


def context_of(call: SimulatedCall) -> Mapping[str, Any]:
    return get_conversation_state(call.runtime.room(call.room)).context


def three(seconds: Sequence[float] = (2.0, 3.0, 4.0)) -> list[Agent]:
    """Three reviewers, of whom one finds the first draft too long."""
    tone, length, facts = seconds
    return [approves("tone", tone), judges("length", length), approves("facts", facts)]


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


# -- restarts


def test_finished_rounds_are_not_paid_again_after_a_restart_and_the_result_is_told_once() -> None:
    ledger, engine, store = MemoryLedger(), MemoryEngine(), MemoryRoomStore()
    reviewers = three()
    agent = writer(1.0)
    loop = Loop(agent, reviewers, strategy="parallel")

    async def main() -> None:
        def made() -> Runtime:
            return Runtime(orchestration=loop, state=None, ledger=ledger, engine=engine, store=store)

        async with made() as runtime:
            page = Page(runtime)
            await page.open()
            waiting = asyncio.create_task(page.write("boats", sender="page"))
            await asyncio.sleep(9.5)  # the second draft is in review, and two have said what they think of it
            assert [len(model_of(each).asked) for each in (agent, *reviewers)] == [2, 2, 2, 2]
        with pytest.raises(RoomError):
            await waiting
        async with made() as runtime:
            page = Page(runtime)
            await page.open()
            await asyncio.sleep(60)
            assert [event.text for event in page.sent] == [f"It reads: {SECOND}"]
            assert page.sent[0].metadata["approved"] is True
            assert page.context() == {"iteration": 2, "approved": True}
            assert [e.status for e in await runtime.deliveries("lobby", list(Status))] == [Status.HEARD]
        made_again = [sum("Tell the caller" not in asked.messages[-1].text for asked in model_of(agent).asked)]
        made_again += [len(model_of(each).asked) for each in reviewers]
        assert made_again == [2, 2, 2, 3]

    run(main())


def test_what_ended_before_the_room_was_there_is_written_down_when_it_is_told() -> None:
    ledger, engine, store = MemoryLedger(), MemoryEngine(), MemoryRoomStore()
    loop = Loop(writer(1.0), three())

    async def main() -> None:
        def made() -> Runtime:
            return Runtime(orchestration=loop, state=None, ledger=ledger, engine=engine, store=store)

        async with made() as runtime:
            await runtime.create_room("lobby")
            await runtime.delegate("lobby", "writer.loop", "boats")
            await asyncio.sleep(4.0)
        async with made() as runtime:
            await asyncio.sleep(60)
            page = Page(runtime)
            await page.open()
            assert page.context() == {}
            await asyncio.sleep(10)
            assert [event.text for event in page.sent] == [f"It reads: {SECOND}"]
            assert page.context() == {"iteration": 2, "approved": True}

    run(main())
