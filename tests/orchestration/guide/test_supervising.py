"""RoomKit's samples of Supervisor in its modes, as they read here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from delivery import WaitForIdle
from orchestration import Agent, RoomEvent, Runtime, Supervisor, TextChannel, get_conversation_state, simulate
from orchestration.models import Message, Prepared, ToolCall, ToolSpec
from orchestration.models.scripted import RESULT
from tests.orchestration.guide.written import Written, agent, shown, written
from voice.clock import run

Strategy = Literal["sequential", "parallel"]


def delegate(name: str, task: str) -> ToolCall:
    return ToolCall(f"call-{name}", name, {"task": task})


def presenting(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    """The topic in pass 1; in pass 2 what the workers found."""
    text = messages[-1].text
    found = [line for line in ("Boats float.", "Boats cost money.", "An article: Boats float.") if line in text]
    return f"They found: {found[-1] if len(found) == 1 else ' '.join(found)}" if found else "the matter of boats"


def researcher(seconds: float = 0.0) -> Agent:
    return Agent("researcher", model=Prepared(["Boats float."], delay=seconds), prompt="You research topics.")


def test_without_a_strategy_the_manager_has_a_tool_for_each_worker() -> None:
    manager = agent("manager", delegate("delegate_to_researcher", "boats"), "They say that boats float.")
    coder = agent("coder")

    async def script(page: Written) -> None:
        assert await page.answer("Are there boats?") == ("manager", "They say that boats float.")
        assert {"delegate_to_researcher", "delegate_to_coder"} <= set(shown(manager)[0].tool_names)
        assert "handoff_conversation" not in shown(manager)[0].tool_names
        assert shown(manager)[1].messages[-1].text == "Boats float.", "the answer waited for the result"
        assert list(page.runtime.room(page.room).agents) == ["manager"], "workers are not in the caller's room"
        assert shown(coder) == []

    written(script, orchestration=Supervisor(supervisor=manager, workers=[researcher(5.0), coder]))


@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
def test_with_a_strategy_the_manager_has_one_tool_for_all(strategy: Strategy) -> None:
    manager = agent("manager", delegate("delegate_workers", "boats"), "There you are.")
    writer = agent("writer", "An article: Boats float.")

    async def script(page: Written) -> None:
        assert await page.answer("Are there boats?") == ("manager", "There you are.")
        names = shown(manager)[0].tool_names
        assert "delegate_workers" in names
        assert not any(name.startswith("delegate_to_") for name in names)
        handed = shown(writer)[0].messages[-1].text
        assert ("Boats float." in handed) is (strategy == "sequential")

    written(script, orchestration=Supervisor(manager, [researcher(), writer], strategy=strategy))


def test_the_framework_runs_the_workers_one_after_the_other() -> None:
    coordinator = agent("coordinator", presenting)
    research, writer = researcher(2.0), Agent("writer", model=Prepared(["An article: Boats float."], delay=3.0))

    async def script(page: Written) -> None:
        began = asyncio.get_running_loop().time()
        reply = await page.asks("Write about boats.")
        assert reply.sender_id == "coordinator"
        assert "An article: Boats float." in reply.text
        assert asyncio.get_running_loop().time() - began == pytest.approx(5.0, abs=0.02)
        first, second = shown(coordinator)
        assert "Answer with that task alone" in first.prompt, "pass 1: what is the matter?"
        assert first.tool_names == (), "the agent decides the content, not the flow"
        assert "An article: Boats float." in second.messages[-1].text
        assert "delegate_workers" not in second.tool_names
        assert shown(research)[0].messages[-1].text == "the matter of boats"
        assert "Boats float." in shown(writer)[0].messages[-1].text

    orchestration = Supervisor(
        supervisor=coordinator, workers=[research, writer], strategy="sequential", auto_delegate=True
    )
    written(script, orchestration=orchestration)


def test_the_framework_runs_the_workers_at_once() -> None:
    coordinator = agent("coordinator", presenting)
    business = Agent("business", model=Prepared(["Boats cost money."], delay=3.0))

    async def script(page: Written) -> None:
        began = asyncio.get_running_loop().time()
        assert (await page.asks("What of boats?")).text == "They found: Boats float. Boats cost money."
        assert asyncio.get_running_loop().time() - began == pytest.approx(3.0, abs=0.02)
        assert (await page.asks("And boats again?")).text == "They found: Boats float. Boats cost money."

    orchestration = Supervisor(coordinator, [researcher(2.0), business], strategy="parallel", auto_delegate=True)
    written(script, orchestration=orchestration)


def test_without_refining_the_workers_get_the_users_own_words() -> None:
    coordinator, research = agent("coordinator", presenting), researcher()

    async def script(page: Written) -> None:
        await page.asks("What of boats?")
        assert shown(research)[0].messages[-1].text == "What of boats?"
        assert len(shown(coordinator)) == 1

    orchestration = Supervisor(coordinator, [research], strategy="parallel", auto_delegate=True, refine_task=False)
    written(script, orchestration=orchestration)


def test_the_instruction_for_the_topic_may_be_your_own() -> None:
    coordinator = agent("coordinator", presenting)

    async def script(page: Written) -> None:
        await page.asks("What of boats?")
        assert shown(coordinator)[0].prompt == "You are coordinator.\n\nName the topic in one word."

    orchestration = Supervisor(
        coordinator,
        [researcher()],
        strategy="parallel",
        auto_delegate=True,
        refine_instruction="Name the topic in one word.",
    )
    written(script, orchestration=orchestration)


def test_channels_that_are_shared_see_the_workers_in_their_child_rooms() -> None:
    seen: list[RoomEvent] = []

    async def script(page: Written) -> None:
        async def send(event: RoomEvent) -> None:
            seen.append(event)

        for id in ("system", "ws-status", "ws-private"):
            await page.runtime.attach_channel(page.room, TextChannel(id, send=send), category="system")
        await page.asks("What of boats?")
        await asyncio.sleep(0.01)
        children = [event for event in seen if event.metadata.get("parent") == page.room]
        assert [event.text for event in children].count("Boats float.") == 2, "two of the three channels"
        assert {event.sender_id for event in children} == {"researcher"}
        assert all(event.room != page.room for event in children)

    orchestration = Supervisor(
        agent("coordinator", presenting),
        [researcher()],
        strategy="parallel",
        auto_delegate=True,
        share_channels=["system", "ws-status"],
    )
    written(script, orchestration=orchestration)


def test_in_a_voice_room_the_talk_goes_on_while_the_workers_work() -> None:
    def coordinating(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        text = messages[-1].text
        if told := RESULT.search(text):
            return told["text"]
        if "analyse" in text:
            return delegate("delegate_workers", "boats")
        return "I am dispatching my analysts." if text.startswith("started:") else "It is noon."

    def worker(id: str, result: str) -> Agent:
        return Agent(id, model=Prepared([result], delay=4.0))

    orchestration = Supervisor(
        Agent("coordinator", model=Prepared([coordinating])),
        [worker("technical", "Boats float."), worker("business", "Boats cost money.")],
        strategy="parallel",
        auto_delegate=True,
        async_delivery=True,
    )
    runtime = Runtime(delivery=WaitForIdle(buffer=3.0), orchestration=orchestration, state=None)

    async def main() -> None:
        async with simulate(runtime) as call:
            await call.say("hello what time is it")
            await call.hears("It is noon.")
            assert await call.runtime.tasks.unfinished(call.room) == [], "nobody wants a run for each utterance"
            await call.say("please analyse boats")
            await call.hears("I am dispatching my analysts.")
            await call.say("and what time is it now")
            await call.hears("It is noon.")
            line = await call.hears("Boats float.")
            assert line.started >= call.floor_opened(before=line) + 3.0 - 0.02
            await call.hears("Boats cost money.")
            assert get_conversation_state(call.runtime.room(call.room)).handoff_count == 0

    run(main())


def test_work_is_delegated_from_anywhere_and_its_result_is_delivered() -> None:
    async def script(page: Written) -> None:
        await page.runtime.delegate(page.room, "researcher", "boats")
        await asyncio.sleep(10)
        assert [event.text for event in page.sent] == ["They found: Boats float."], "in the manager's words"

    written(script, orchestration=Supervisor(agent("manager", presenting), [researcher(2.0)]))


def quiet(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
    """Delegates without a word; tells results."""
    if told := RESULT.search(messages[-1].text):
        return told["text"]
    return "" if messages[-1].role == "tool" else delegate("delegate_to_researcher", "boats")


@pytest.mark.parametrize("given", [{"wait_for_result": False}, {"async_delivery": True}])
def test_work_in_the_background_of_a_written_room_is_told_when_it_is_there(given: dict[str, Any]) -> None:
    async def script(page: Written) -> None:
        began = asyncio.get_running_loop().time()
        assert (await page.asks("Are there boats?")).text == "My people are dispatched."
        assert asyncio.get_running_loop().time() - began < 1.0
        await asyncio.sleep(10)
        assert [event.text for event in page.sent] == ["My people are dispatched.", "Boats float."]

    orchestration = Supervisor(
        agent("manager", quiet), [researcher(5.0)], delegation_message="My people are dispatched.", **given
    )
    written(script, orchestration=orchestration)


def test_a_model_that_says_nothing_has_its_message_spoken_in_a_call() -> None:
    orchestration = Supervisor(
        Agent("manager", model=Prepared([quiet])), [researcher(5.0)], delegation_message="My people are dispatched."
    )

    async def main() -> None:
        async with simulate(Runtime(orchestration=orchestration, state=None)) as call:
            await call.say("are there boats")
            await call.hears("My people are dispatched.")
            await call.hears("Boats float.")

    run(main())
