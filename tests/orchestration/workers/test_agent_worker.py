"""Agents at work: they answer once, however often their process dies, and whatever their model does comes to an end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from orchestration.agent import MAX_ROUNDS, Agent
from orchestration.engines.engine import EngineError, TaskResult
from orchestration.engines.steps import RecordedSteps
from orchestration.models.model import Message, Role, ToolCall
from orchestration.models.watched import MAX_CALLS, MAX_TEXT
from orchestration.workers import AgentWorker
from orchestration.workers.handed import passed_on
from orchestration.workers.worker import finish
from tests.orchestration.models.double import Double, Part, calls
from tests.orchestration.workers.bench import Bench
from voice.clock import now, run


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


def test_tools_that_are_called_at_once_run_side_by_side_and_answer_in_order() -> None:
    async def wait(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return f"{seconds:g} at {now():g}"

    model = Double([[calls("wait", "a", seconds=3), calls("wait", "b", seconds=1)], ["Done."]])
    tech = AgentWorker(Agent("tech", model=model, tools=[wait]))
    bench = Bench()
    assert bench.run(tech) == TaskResult("Done.")
    assert [(m.text, m.call) for m in model.asked[1].messages[2:]] == [("3 at 3", "a"), ("1 at 1", "b")]
    assert set(bench.recorded) == {":model 0#1", ":tool 0.0#1", ":tool 0.1#1", ":model 1#1"}


def test_of_tools_at_once_only_those_that_were_not_done_run_again() -> None:
    ran: list[float] = []

    async def wait(seconds: float) -> str:
        ran.append(seconds)
        await asyncio.sleep(seconds)
        return "waited"

    reply: list[Part] = [calls("wait", "a", seconds=3), calls("wait", "b", seconds=1)]
    tech = AgentWorker(Agent("tech", model=Double([reply, ["Done."]]), tools=[wait]))
    bench = Bench()

    async def dies() -> None:
        task = asyncio.create_task(tech.run("x", bench.context()))
        await asyncio.sleep(2)
        task.cancel()
        await asyncio.wait([task])

    run(dies())
    resumed = AgentWorker(Agent("tech", model=Double([["Done."]]), tools=[wait]))
    assert bench.run(resumed) == TaskResult("Done.")
    assert ran == [3, 1, 3]


def test_two_calls_of_one_id_are_told_apart_and_the_second_is_not_done() -> None:
    made: list[Part] = [calls("price", "a", of="tea"), calls("price", "a", of="milk"), calls("price", "a_2", of="rum")]
    tech, model = at_work(made, ["Three."])
    assert Bench().run(tech) == TaskResult("Three.")
    assert sorted(asked) == ["rum", "tea"]
    _, assistant, *answers = model.asked[1].messages
    assert [call.id for call in assistant.tool_calls] == [m.call for m in answers] == ["a", "a_3", "a_2"]
    assert [m.text for m in answers] == [
        "tea costs 3",
        "error: another call at the same time has the same id; this one was not done",
        "rum costs 3",
    ]


@pytest.mark.parametrize("arguments", [{"of": 3}, {"of": "tea", "in": "GBP"}, {"of": None}, ["tea"], "tea", None])
def test_arguments_that_do_not_fit_are_the_tools_error(arguments: Any) -> None:
    tech, model = at_work([ToolCall("a", "price", arguments)], ["I could not."])
    bench = Bench()
    assert bench.run(tech) == TaskResult("I could not.")
    assert asked == []
    (answer,) = model.asked[1].messages[2:]
    assert answer.text.startswith("error: ")
    assert [metadata.get("status") for *_, metadata in bench.told] == ["started", "failed", None]


def test_arguments_that_cannot_be_kept_are_an_error() -> None:
    error = Bench().run(at_work([calls("price", of=object())])[0]).error
    assert error is not None
    assert error.startswith("ValueError: the value of step ':model 0' must be JSON")


def test_a_tool_that_raises_keeps_to_itself_what_went_wrong() -> None:
    async def broken() -> str:
        raise OSError("password wrong")

    model = Double([[calls("broken")], ["I could not."]])
    bench = Bench()
    assert bench.run(AgentWorker(Agent("tech", model=model, tools=[broken]))) == TaskResult("I could not.")
    assert "password" not in str(model.asked[1].messages) + str(bench.told)


@pytest.mark.parametrize(
    "replies",
    [[["Half of ", OSError("no network")]], [[calls("price", of="x")], [OSError("no network")]]],
)
def test_a_model_that_raises_is_a_failure(replies: list[list[Part]]) -> None:
    tech, model = at_work(*replies)
    assert Bench().run(tech) == TaskResult("", error="OSError: no network")
    assert model.open == 0


def test_a_model_that_is_silent_is_given_up() -> None:
    tech, model = at_work(["Let me think. ", 59.0, "Yes. ", 61.0, "never"])

    async def main() -> tuple[TaskResult, float]:
        return await finish(tech, "x", Bench().context()), now()

    assert run(main()) == (TaskResult("", error="the model said nothing for 60 s"), 119)
    assert model.open == 0


def test_a_timeout_of_the_models_own_is_a_failure_of_its_own() -> None:
    assert Bench().run(at_work([TimeoutError("no answer from the network")])[0]).error == (
        "TimeoutError: no answer from the network"
    )


def test_a_model_that_writes_without_end_is_stopped() -> None:
    tech, model = at_work(["x" * 1000] * 10_000)
    assert Bench().run(tech) == TaskResult("", error=f"the model wrote more than {MAX_TEXT} characters")
    assert model.open == 0
    assert Bench().run(at_work(["x" * MAX_TEXT])[0]) == TaskResult("x" * MAX_TEXT)


def test_a_model_that_calls_without_end_is_stopped() -> None:
    tech, model = at_work([calls("price", str(n), of="tea") for n in range(10_000)])
    assert Bench().run(tech) == TaskResult("", error=f"the model called more than {MAX_CALLS} tools at once")
    assert (model.open, asked) == (0, [])
    assert Bench().run(at_work([calls("price", str(n), of="x") for n in range(MAX_CALLS)], ["Ok."])[0]).error is None
    assert len(asked) == MAX_CALLS


def test_a_step_that_cannot_be_kept_says_why() -> None:
    class Full(RecordedSteps):
        async def step(self, name: str, work: Any) -> Any:
            if "tool" in name:
                raise EngineError("the disk is full")
            return await super().step(name, work)

    async def record(key: str, value: Any) -> None:
        return None

    tech, _ = at_work([calls("price", of="tea")])
    full = replace(Bench().context(), steps=Full({}, record))
    assert run(finish(tech, "x", full)) == TaskResult("", error="EngineError: the disk is full")


def test_an_agent_is_shown_the_whole_case_of_what_it_is_handed() -> None:
    tech, model = at_work(["Ok."])
    Bench().run(tech, passed_on("compare", "Researcher", "Boats float."))
    (shown,) = model.asked[0].messages
    assert "\ncompare\n" in shown.text
    assert "\nBoats float.\n" in shown.text
