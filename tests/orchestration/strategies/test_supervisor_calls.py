"""A supervisor in a call, in every mode: what the caller hears, word for word, and when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery import Status
from orchestration import Agent, Runtime, Supervisor
from orchestration.models import Message, ToolCall, ToolSpec
from orchestration.models.model import Role
from orchestration.models.prepared import Prepared
from orchestration.models.scripted import RESULT, Intent, Scripted
from orchestration.simulation import SimulatedCall, simulate
from orchestration.workers import FunctionWorker
from tests.orchestration.strategies.office_page import host, model, works
from tests.scenarios.scenes import check_manners, said, statuses
from voice.channel import APOLOGY
from voice.clock import run

ON_IT = "On it. Ask me something else meanwhile."
TIMEOUT = 15.0
"""Seconds after which a caller who waits for an answer is told that there is none."""


def talker(tool: str = "delegate_workers", answer: str = ON_IT) -> Agent:
    """An agent that understands a few sentences."""
    brain = Scripted(
        [
            Intent(["look into {topic}"], answer, tool, lambda slots: {"task": slots["topic"]}),
            Intent(["what time is it"], "It is noon."),
            Intent(["how is it going"], call="task_status"),
            Intent(["stop"], "All right."),
        ],
        fallback=("Pardon?",),
        telling=("My colleagues say: {result}",),
    )
    return Agent("host", model=brain, role="Host")


def play(
    script: Callable[[SimulatedCall], Awaitable[None]], agent: Agent, *workers: FunctionWorker, **how: Any
) -> None:
    """A call in virtual time."""

    async def main() -> None:
        async with simulate(Runtime(orchestration=Supervisor(agent, workers, **how), state=None)) as call:
            await script(call)

    run(main())


# -- work in the background


@pytest.mark.parametrize(
    "how",
    [
        {"strategy": "parallel"},
        {"strategy": "parallel", "auto_delegate": True},
        {"auto_delegate": True, "async_delivery": True, "refine_task": True},
        {"strategy": "parallel", "wait_for_result": False},
    ],
)
def test_in_a_call_work_goes_on_underneath_the_talk(how: Any) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("meanwhile.")
        await call.say("what time is it")
        await call.hears("noon.")
        await call.hears("law: boats")
        await call.silence(20)
        assert said(call) == [ON_IT, "It is noon.", "My colleagues say: tech: boats law: boats"]
        check_manners(call)
        assert await statuses(call) == [Status.HEARD]

    play(script, talker(), works("tech", 4.0), works("law", 9.0), **how)


def test_no_utterance_sets_workers_to_work_by_itself() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("what time is it")
        await call.hears("noon.")
        assert await statuses(call) == []

    play(script, talker(), works("tech"), auto_delegate=True)


def test_one_after_the_other() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("law: tech: boats")
        assert said(call) == [ON_IT, "My colleagues say: law: tech: boats"]

    play(script, talker(), works("tech", 2.0), works("law", 2.0), strategy="sequential", auto_delegate=True)


def test_a_tool_for_each_worker() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("meanwhile.")
        await call.say("look into trains")  # a second request, while the first is worked on
        await call.hears("meanwhile.")
        await call.hears("tech: boats")
        await call.hears("tech: trains")
        await call.silence(20)
        assert said(call) == [ON_IT, ON_IT, "My colleagues say: tech: boats", "My colleagues say: tech: trains"]

    play(script, talker("delegate_to_tech"), works("tech", 8.0), works("law"))


# -- the message


@pytest.mark.parametrize("after", ["", OSError("no network")])
@pytest.mark.parametrize("auto", [True, False])
def test_the_caller_hears_that_work_began_though_the_model_says_nothing(after: Any, auto: bool) -> None:
    boss = host(ToolCall("c1", "delegate_workers", {"task": "boats"}), after, "News: boats float.")

    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        line = await call.hears("dispatching my analysts.")
        await call.hears("boats float.")
        await call.silence(20)
        assert said(call) == ["I'm dispatching my analysts.", "News: boats float."]
        assert line.heard == "I'm dispatching my analysts."
        assert await statuses(call) == [Status.HEARD]
        check_manners(call)

    message = "I'm dispatching my analysts."
    play(script, boss, works("tech"), strategy="parallel", auto_delegate=auto, delegation_message=message)


def test_what_the_model_says_of_it_is_enough() -> None:
    boss = host(["One moment.", ToolCall("c1", "delegate_workers", {"task": "boats"})], " They are on it.", "News.")

    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("News.")
        assert said(call) == ["One moment. They are on it.", "News."]

    play(script, boss, works("tech"), strategy="parallel")


def test_a_model_that_only_speaks_before_it_has_the_message_said_after_it() -> None:
    boss = host(["One moment.", ToolCall("c1", "delegate_workers", {"task": "boats"})], "", "News.")

    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("News.")
        assert said(call) == ["One moment. They are on it.", "News."]

    play(script, boss, works("tech"), strategy="parallel", delegation_message="They are on it.")


def test_several_at_once_are_announced_once() -> None:
    both = [ToolCall("a", "delegate_to_tech", {"task": "boats"}), ToolCall("b", "delegate_to_law", {"task": "boats"})]

    def tells(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        result = RESULT.search(messages[-1].text)
        return result["text"] if result else ""

    boss = host(both, tells)

    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("law: boats")
        assert said(call) == ["They are on it.", "tech: boats", "law: boats"]

    play(script, boss, works("tech", 4.0), works("law", 9.0), delegation_message="They are on it.")


# -- work that is waited for, in a call


@pytest.mark.parametrize("how", [{"auto_delegate": True, "async_delivery": False, "refine_task": False}, {}])
def test_work_that_is_waited_for_is_the_answer(how: Any) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("boats")
        await call.silence(20)
        assert len(call.lines) == 1
        assert await statuses(call) == [Status.HEARD]

    play(script, talker(answer=""), works("tech", 5.0), **(how or {"strategy": "parallel", "wait_for_result": True}))


def works_on(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Any:
    """Begins work, and tells results."""
    if result := RESULT.search(messages[-1].text):
        return f"News: {result['text']}"
    if messages[-1].role is Role.TOOL:
        return messages[-1].text
    if "noon" in messages[-1].text:
        return "It is noon."
    return ToolCall("c1", "delegate_workers", {"task": "boats"})


@pytest.mark.parametrize("how", [{"auto_delegate": True, "async_delivery": False, "refine_task": False}, {}])
def test_work_that_takes_longer_than_a_caller_waits_is_excused_and_told_by_itself(how: Any) -> None:
    async def script(call: SimulatedCall) -> None:
        _, over = await call.say("look into boats")
        line = await call.hears(APOLOGY)
        assert line.started - over == pytest.approx(TIMEOUT, abs=1.0)
        await call.hears("News:", timeout=120)
        await call.silence(30)
        assert len(call.lines) == 2
        assert "tech: boats" in call.lines[1].heard
        assert await statuses(call) == [Status.HEARD]
        check_manners(call)

    how = how or {"strategy": "parallel", "wait_for_result": True}
    play(script, Agent("host", model=Prepared([works_on])), works("tech", 30.0, text="tech: boats"), **how)


def test_a_caller_who_cuts_in_hears_the_result_later() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.silence(3)
        await call.interrupt("is it noon")
        await call.hears("It is noon.")
        await call.hears("News: tech: boats")
        await call.silence(30)
        assert said(call) == ["It is noon.", "News: tech: boats"]
        assert await statuses(call) == [Status.HEARD]

    agent = Agent("host", model=Prepared([works_on]))
    play(script, agent, works("tech", 12.0, text="tech: boats"), strategy="parallel", wait_for_result=True)


def test_a_result_that_is_cut_in_the_telling_goes_on_by_itself() -> None:
    text = "boats float because they are lighter than the water that they take the place of."

    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("lighter than")
        await call.interrupt("is it noon")
        await call.hears("It is noon.")
        await call.hears("place of.")
        await call.silence(30)
        assert said(call)[1:] == ["It is noon.", f"News: {text}"]

    agent = Agent("host", model=Prepared([works_on]))
    play(script, agent, works("tech", 3.0, text=text), strategy="parallel", wait_for_result=True)


def test_a_caller_who_hangs_up_meanwhile_hears_it_when_they_are_back() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.silence(3)
        await call.hang_up()
        await call.silence(20)
        await call.rejoin()
        await call.hears("News: tech: boats")
        await call.silence(20)
        assert await statuses(call) == [Status.HEARD]

    agent = Agent("host", model=Prepared([works_on]))
    play(script, agent, works("tech", 6.0, text="tech: boats"), strategy="parallel", wait_for_result=True)


def test_the_prompt_has_what_happened_lately() -> None:
    boss = host(ToolCall("c1", "delegate_workers", {"task": "boats"}), "On it.", "Noon.", "News.")

    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("On it.")
        await call.say("is it noon")
        await call.hears("Noon.")
        assert "This happened lately" not in model(boss).asked[0].prompt
        assert "This happened lately" in model(boss).asked[2].prompt
        await call.hears("News.")

    play(script, boss, works("tech", 8.0), strategy="parallel")


# -- whatever happens


RESULT_TEXT = "alpha bravo charlie delta echo foxtrot"


def talks(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Any:
    """Begins work when that is asked for, and tells results."""
    if result := RESULT.search(messages[-1].text):
        return result["text"]
    if messages[-1].role is Role.TOOL:
        return messages[-1].text.removeprefix("started:")
    if "look into" in messages[-1].text:
        return ToolCall("c1", "delegate_workers", {"task": "boats"})
    return "I see."


@given(
    works_for=st.floats(0.0, 25.0),
    cuts=st.lists(st.floats(0.1, 12.0), max_size=3),
    inline=st.booleans(),
    auto=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_whenever_a_caller_cuts_in_a_result_is_told_whole_and_once(
    works_for: float, cuts: list[float], inline: bool, auto: bool
) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        for pause in cuts:
            await call.silence(pause)
            await call.interrupt("what else")
        await call.silence(120)
        entries = await call.runtime.ledger.entries(call.room, list(Status))
        assert {entry.status for entry in entries} == {Status.HEARD}
        words = RESULT_TEXT.split()
        heard = " ".join(said(call))
        assert all(word in heard for word in words), said(call)
        assert heard.count(RESULT_TEXT) <= len(entries), said(call)
        check_manners(call)

    how: dict[str, Any] = {"strategy": "parallel", "delegation_message": "They look.", "wait_for_result": inline}
    if auto:
        how |= {"auto_delegate": True, "refine_task": False, "async_delivery": not inline}
    play(script, Agent("host", model=Prepared([talks])), works("tech", works_for, text=RESULT_TEXT), **how)
