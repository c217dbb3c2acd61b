"""The answers of a room with a loop: what who works is told, and messages whose talk ends meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from delivery import Status, WaitForIdle
from orchestration import Agent, Loop, get_conversation_state, set_conversation_state
from orchestration.models import Message, Prepared, Role
from orchestration.simulation import SimulatedCall
from orchestration.strategies.reviewed import MAX_EARLIER, with_earlier
from orchestration.strategies.work import GOES_ON
from tests.orchestration.strategies.looping import SECOND, Page, judges, model_of, reads, talker, writer
from voice.simulated import SimulatedChannel


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


@pytest.mark.parametrize("asynchronous", [None, False])
def test_a_message_whose_talk_ends_meanwhile_is_not_worked_on_twice(asynchronous: bool | None) -> None:
    agent = writer(3.0)

    async def script(page: Page) -> None:
        waiting = asyncio.create_task(page.asks("boats"))
        await asyncio.sleep(4.0)
        session = await page.runtime.enter("lobby")  # a voice comes in: the talk of those who read ends
        call = SimulatedCall(page.runtime, session, "ann")
        await call.hears("boats float.")
        assert (await waiting).text == GOES_ON
        await asyncio.sleep(60)
        assert [line.heard for line in call.lines] == [GOES_ON, f"It reads: {SECOND}"]
        assert [e.status for e in await page.runtime.deliveries("lobby", list(Status))] == [Status.HEARD]
        assert page.context() == {"iteration": 2, "approved": True}

    loop = Loop(agent, [judges("editor", 3.0)], host=talker(), async_delivery=asynchronous)
    reads(script, loop, channels=lambda _: SimulatedChannel())
    assert len(model_of(agent).asked) == 2


def test_hooks_see_how_a_loop_ended_also_when_its_result_is_asked_for() -> None:
    async def script(page: Page) -> None:
        await page.asks("write about boats")
        await asyncio.sleep(10)
        found = await page.asks("what came of it")
        assert found.text == SECOND
        assert (found.metadata["approved"], found.metadata["iteration"]) == (True, 2)
        assert "approved" not in (await page.asks("what time is it")).metadata

    reads(
        script,
        Loop(writer(1.0), [judges("editor", 1.0)], host=talker(), async_delivery=True),
        delivery=WaitForIdle(20.0),
    )


def test_other_agents_of_the_room_answer_as_they_are() -> None:
    async def script(page: Page) -> None:
        room = page.runtime.room("lobby")
        await page.runtime.attach_agent("lobby", Agent("other", model=Prepared(["Other speaks."])))
        state = get_conversation_state(room).transition("handling", "other")
        await page.runtime.store.update_room(set_conversation_state(room, state))
        assert (await page.asks("boats")).text == "Other speaks."

    reads(script, Loop(writer(), [judges("editor")]))
