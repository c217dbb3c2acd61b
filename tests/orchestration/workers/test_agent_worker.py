"""Agents at work: they answer once, however often their process dies, and whatever their model does comes to an end."""

from __future__ import annotations

import asyncio

from orchestration.agent import MAX_ROUNDS, Agent
from orchestration.engines.engine import TaskResult
from orchestration.models.model import Message, Role
from orchestration.workers import AgentWorker
from orchestration.workers.worker import finish
from tests.orchestration.models.double import Double, Part, calls
from tests.orchestration.workers.bench import Bench
from voice.clock import run


async def price(of: str) -> str:
    asked.append(of)
    return f"{of} costs 3"


asked: list[str] = []


def at_work(*replies: list[Part], role: str = "Technical analyst") -> tuple[AgentWorker, Double]:
    asked.clear()
    model = Double(replies)
    return AgentWorker(Agent("tech", model=model, prompt="Be exact.", role=role, tools=[price])), model


def test_an_agent_answers() -> None:
    tech, model = at_work(["Boats ", "float. "])
    assert (tech.id, tech.label) == ("tech", "Technical analyst")
    assert Bench().run(tech) == TaskResult("Boats float.")
    assert model.asked[0].messages == (Message(Role.USER, "compare"),)
    assert (model.asked[0].prompt, model.asked[0].tools) == ("Be exact.", ("price",))
    assert at_work([], role="")[0].label == "tech"


def test_an_agent_uses_its_tools_and_says_which() -> None:
    tech, model = at_work([calls("price", "a", of="tea"), calls("price", "b", of="milk")], ["Three each."])
    bench = Bench()
    assert bench.run(tech) == TaskResult("Three each.")
    assert asked == ["tea", "milk"]
    assert [m.text for m in model.asked[1].messages] == ["compare", "", "tea costs 3", "milk costs 3"]
    assert [progress for *_, progress in bench.reports] == ["price", "price"]


def test_the_shared_channels_are_told_of_tools_and_of_the_answer_once() -> None:
    tech, _ = at_work([calls("price", "a", of="tea")], [calls("price", "b")], ["Three."])
    bench = Bench()
    bench.run(tech)
    assert bench.told == [
        ("", "price", {"tool": "price", "status": "started"}),
        ("", "price", {"tool": "price", "status": "done"}),
        ("", "price", {"tool": "price", "status": "started"}),
        ("", "price", {"tool": "price", "status": "failed"}),
        ("", "Three.", {"final": True}),
    ]


def test_an_agent_that_is_resumed_pays_for_nothing_twice() -> None:
    first, model = at_work([calls("price", of="tea")], [OSError("the process dies")])
    bench = Bench()
    assert bench.run(first).error == "OSError: the process dies"
    resumed, again = at_work(["Tea costs three."])
    assert bench.run(resumed) == TaskResult("Tea costs three.")
    assert asked == []
    assert [m.text for m in again.asked[0].messages] == ["compare", "", "tea costs 3"]
    assert again.asked[0].messages == model.asked[1].messages


def test_an_agent_whose_tool_fails_or_is_not_there_goes_on() -> None:
    tech, model = at_work([calls("price", "a"), calls("fly", "b")], ["I could not."])
    assert Bench().run(tech) == TaskResult("I could not.")
    assert [m.text for m in model.asked[1].messages[2:]] == [
        "error: the arguments do not fit: of: Field required",
        "error: there is no tool 'fly'",
    ]


def test_an_agent_without_an_answer_has_failed() -> None:
    assert Bench().run(at_work([" ", "\n"])[0]) == TaskResult("", error="the model gave no answer")
    loops, model = at_work(["Let me see. ", calls("price", of="tea")])
    assert Bench().run(loops) == TaskResult("", error="the model went on calling tools without an answer")
    assert len(model.asked) == MAX_ROUNDS


def test_a_cancelled_agent_lets_go_of_its_model() -> None:
    tech, model = at_work([100.0, "never"])

    async def main() -> None:
        task = asyncio.create_task(finish(tech, "x", Bench().context()))
        await asyncio.sleep(1)
        assert model.open == 1
        task.cancel()
        await asyncio.wait([task])

    run(main())
    assert model.open == 0
