"""Structured answers, of models that can be held to a shape and of those that are offered a tool."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

from orchestration.models.anthropic import Anthropic
from orchestration.models.model import Message, Role, ToolCall, ToolSpec
from orchestration.models.prepared import Answer, Prepared
from orchestration.models.structured import Structured, StructuredError, structured
from orchestration.models.watched import ModelLostError
from orchestration.usage import Meter, Tab, charging
from tests.fakes.anthropic import FakeAnthropic, converse
from tests.orchestration.models.double import Writer
from tests.sockets import run
from voice.clock import run as run_virtually

PLAN = {
    "type": "object",
    "properties": {"steps": {"type": "array", "items": {"type": "string"}}, "hours": {"type": "number", "maximum": 9}},
    "required": ["steps"],
    "additionalProperties": False,
}
ASK = [Message(Role.USER, "plan my day")]
RIGHT = {"steps": ["tea", "work"], "hours": 8}


class Plan(BaseModel):
    steps: list[str]
    hours: float = Field(default=1, le=9)


def plan(model: Any, schema: Any = PLAN, **how: Any) -> Any:
    return run_virtually(structured(model, ASK, prompt="Plan.", schema=schema, name="plan", **how))


def call(name: str = "plan", id: str = "c1", **arguments: Any) -> ToolCall:
    return ToolCall(id, name, arguments)


@pytest.mark.parametrize("hours", ["NaN", "Infinity", "1e999"])
def test_what_is_no_number_in_json_is_none(hours: str) -> None:
    wrong = f'{{"steps": [], "hours": {hours}}}'
    with pytest.raises(StructuredError, match="hours is no number"):
        plan(Writer(wrong, wrong), {**PLAN, "properties": {"hours": {"type": "number"}, "steps": {}}})


def test_a_model_that_can_is_asked_in_its_own_way() -> None:
    writer = Writer(json.dumps(RIGHT))
    assert isinstance(writer, Structured)
    assert plan(writer) == RIGHT
    ((messages, prompt, schema),) = writer.asked
    assert (messages, schema) == (ASK, PLAN)
    assert prompt.startswith("Plan.\n\n")


@pytest.mark.parametrize(
    "answer",
    [
        call(**RIGHT),
        ["Here is my plan. ", call(**RIGHT)],
        [call(**RIGHT), call(id="c2", **RIGHT)],
        json.dumps(RIGHT),
        f"```json\n{json.dumps(RIGHT)}\n```",
    ],
)
def test_any_other_is_offered_a_tool_and_may_write(answer: Answer) -> None:
    model = Prepared([answer], repeat=False)
    assert not isinstance(model, Structured)
    assert plan(model, description="What to do today.") == RIGHT
    (asked,) = model.asked
    assert asked.tools == (ToolSpec("plan", "What to do today.", PLAN),)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("Have some tea.", "it is no JSON"),
        ("", "nothing was said"),
        ("[]", "it is no object"),
        ('{"steps": "tea"}', "steps is no array"),
        ('{"steps": [], "hours": 10}', "hours is more than 9"),
        (call(steps=[1]), "steps[0] is no string"),
        (call("plan_b"), "there is no tool 'plan_b'; call plan"),
        ([call(steps=["a"]), call(id="c2", steps=["b"])], "plan was called more than once, and not with the same"),
    ],
)
def test_what_does_not_fit_is_said_to_it_once(answer: Answer, told: str) -> None:
    model = Prepared([answer, call(**RIGHT)], repeat=False)
    assert plan(model) == RIGHT
    again = model.asked[1].messages
    assert again[0] == ASK[0]
    assert told in again[-1].text
    model = Prepared([answer])
    with pytest.raises(StructuredError, match="prepared gave no plan that fits: ") as caught:
        plan(model)
    assert told in str(caught.value)
    assert len(model.asked) == 2


def test_a_pydantic_model_says_what_fits_and_fills_in_the_rest() -> None:
    assert plan(Writer('{"steps": ["tea"]}'), Plan) == {"steps": ["tea"], "hours": 1}
    with pytest.raises(StructuredError, match="hours: Input should be less than or equal to 9"):
        plan(Writer(*['{"steps": [], "hours": 10}'] * 2), Plan)


@pytest.mark.parametrize("schema", [{"type": "array"}, {}, "plan", int, 3])
def test_what_is_no_objects_schema_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"^schema: "):
        plan(Writer(), schema)


def test_what_the_model_raises_is_raised_and_an_endless_one_given_up() -> None:
    with pytest.raises(OSError, match="gone"):
        plan(Prepared([OSError("gone")]))
    with pytest.raises(ModelLostError):
        plan(Writer("x" * 300_000))


def test_what_it_costs_is_charged() -> None:
    async def main() -> None:
        meter = Meter()
        with charging(Tab(meter, "lobby")):
            await structured(Writer("{}", json.dumps(RIGHT)), ASK, schema=PLAN, agent="planner")
        assert meter.room("lobby").agents["planner"].requests == 2
        assert meter.room("lobby").total.cost == 1.0

    asyncio.run(main())


def test_anthropic_is_held_to_the_shape() -> None:
    async def main() -> None:
        async with FakeAnthropic(converse) as fake:
            model = Anthropic(api_key="k", base_url=fake.url)
            assert isinstance(model, Structured)
            assert await structured(model, ASK, schema=Plan) == {"steps": ["something"], "hours": 1}
            assert await structured(model, ASK, schema=PLAN) == {"steps": ["something"]}
            await model.aclose()

    run(main())
