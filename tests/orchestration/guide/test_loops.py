"""RoomKit's samples of Loop, of a strategy of one's own, and of child rooms that are shared, as they read here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Literal

import pytest

from delivery import WaitForIdle
from orchestration import (
    Agent,
    Asked,
    HookContext,
    HookExecution,
    HookTrigger,
    Loop,
    Orchestration,
    RoomEvent,
    Runtime,
    simulate,
)
from orchestration.models import Intent, Message, Prepared, Scripted, ToolCall, ToolSpec
from tests.orchestration.guide.written import Written, agent, hand_over, shown, written
from voice.clock import run

APPROVE = ToolCall("approve", "approve_output")
Strategy = Literal["sequential", "parallel"]


def revising(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    return "Boats float." if "too long" in messages[-1].text else "A boat is a thing that floats on water."


def strict(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
    return APPROVE if "Boats float." in messages[-1].text else hand_over("coder", "It is too long.", "Make it short.")


def test_a_reviewer_sends_the_work_back_or_approves_it_by_tool() -> None:
    coder, editor = agent("coder", revising), agent("editor", strict)

    async def script(page: Written) -> None:
        reply = await page.asks("What is a boat?")
        assert reply.text == "Boats float."
        assert (reply.metadata["approved"], reply.metadata["iteration"]) == (True, 2)
        assert page.state.context == {"approved": True, "iteration": 2}
        assert shown(editor)[0].tool_names == ("approve_output", "handoff_conversation")

    written(script, orchestration=Loop(agent=coder, reviewer=editor, max_iterations=3))


@pytest.mark.parametrize("strategy", ["parallel", "sequential"])
def test_three_reviewers_at_once_or_one_after_the_other(strategy: Strategy) -> None:
    names = ("security", "perf", "style")
    reviewers = [Agent(name, model=Prepared(["APPROVED"], delay=2.0)) for name in names]

    async def script(page: Written) -> None:
        began = asyncio.get_running_loop().time()
        reply = await page.asks("What is a boat?")
        took = asyncio.get_running_loop().time() - began
        assert (reply.metadata["approved"], reply.metadata["iteration"]) == (True, 1)
        assert took == pytest.approx(2.0 if strategy == "parallel" else 6.0, abs=0.02)

    coder = agent("coder", "Boats float.")
    written(script, orchestration=Loop(agent=coder, reviewers=reviewers, strategy=strategy, max_iterations=3))


def test_hooks_see_whether_it_was_approved_and_after_how_many_rounds() -> None:
    told: list[str] = []

    async def script(page: Written) -> None:
        @page.runtime.hook(HookTrigger.AFTER_BROADCAST, execution=HookExecution.ASYNC)
        async def on_loop_result(event: RoomEvent, ctx: HookContext) -> None:
            if "approved" not in (event.metadata or {}):
                return
            how = "Approved" if event.metadata["approved"] else "Not approved"
            told.append(f"{how} after {event.metadata['iteration']} iteration(s)")

        await page.asks("What is a boat?")
        await asyncio.sleep(0.01)

    written(script, orchestration=Loop(agent("coder", revising), [agent("editor", strict)]))
    written(script, orchestration=Loop(agent("coder", "Boats."), [agent("editor", "This is NOT APPROVED")]))
    assert told == ["Approved after 2 iteration(s)", "Not approved after 3 iteration(s)"]


def test_in_a_voice_room_it_goes_on_underneath_the_talk() -> None:
    intents = [
        Intent(
            ["write about {thing}"], call="delegate_loop", arguments=lambda s: {"task": s["thing"]}, answer="On it."
        ),
        Intent(["what time is it"], answer="It is noon."),
    ]
    host = Agent("host", model=Scripted(intents, telling=("It reads: {result}",)))
    coder = Agent("coder", model=Prepared([revising], delay=2.0))
    loop = Loop(coder, [agent("perf", "APPROVED"), agent("style", "APPROVED")], strategy="parallel", host=host)
    runtime = Runtime(delivery=WaitForIdle(buffer=3.0), orchestration=loop, state=None)

    async def main() -> None:
        async with simulate(runtime) as call:
            await call.say("write about boats")
            await call.hears("On it.")
            await call.say("what time is it")
            await call.hears("It is noon.")
            line = await call.hears("A boat is a thing that floats on water.")
            assert line.started == pytest.approx(call.floor_opened(before=line) + 3.0, abs=0.02)

    run(main())


def test_shared_channels_see_what_goes_on_in_child_rooms() -> None:
    seen: list[tuple[str, str]] = []

    async def script(page: Written) -> None:
        from orchestration import TextChannel

        async def send(event: RoomEvent) -> None:
            seen.append((event.sender_id, event.metadata.get("parent", "")))

        await page.runtime.attach_channel(page.room, TextChannel("system", send=send), category="system")
        await page.asks("What is a boat?")
        await asyncio.sleep(0.01)

    loop = Loop(agent("coder", "Boats."), [agent("editor", "APPROVED")], share_channels=["system"])
    written(script, orchestration=loop)
    children = {(who, parent) for who, parent in seen if parent}
    assert children == {("coder", "support-room"), ("editor", "support-room")}


class InTurn(Orchestration):
    """A strategy of one's own: the agents answer in turn."""

    def __init__(self, *team: Agent) -> None:
        self.team = team

    def agents(self) -> list[Agent]:
        return [*self.team]

    async def install(self, runtime: Runtime, room_id: str) -> None:
        runtime.room(room_id).responder = self

    async def respond(self, asked: Asked) -> AsyncGenerator[str, None]:
        for number, each in enumerate(self.team):
            yield " " if number else ""
            async with aclosing(asked.reply(each)) as pieces:
                async for piece in pieces:
                    yield piece


def test_a_strategy_of_your_own_is_two_methods() -> None:
    async def script(page: Written) -> None:
        assert (await page.asks("Hello?")).text == "This is a. This is b."

    written(script, orchestration=InTurn(agent("a"), agent("b")))


def test_a_strategy_that_cannot_be_installed_makes_no_room() -> None:
    class Broken(InTurn):
        async def install(self, runtime: Runtime, room_id: str) -> None:
            raise ValueError("there is no moon tonight")

    async def script(page: Written) -> None:
        with pytest.raises(ValueError, match="no moon"):
            await page.runtime.create_room("dark", orchestration=Broken(agent("a")))
        await page.runtime.create_room("dark", orchestration=InTurn(agent("a")))

    written(script)
