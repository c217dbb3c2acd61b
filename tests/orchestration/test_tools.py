"""Tools: what the model is told of a function, what the function is given, and what comes back when it goes wrong."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from orchestration.models.model import Message, Role, ToolCall, ToolSpec
from orchestration.tools import MAX_RESULT, Tool, run_tool, tool, unique
from voice.clock import run


def use(it: Tool | Callable[..., Any], **arguments: Any) -> str:
    """What the model is told when it calls the tool."""
    made = it if isinstance(it, Tool) else tool(it)
    message = run(run_tool(made, ToolCall("c1", made.name, arguments)))
    assert (message.role, message.call) == (Role.TOOL, "c1")
    return message.text


async def weather(city: str, days: int = 1, unit: Literal["C", "F"] = "C") -> str:
    """The weather in a city."""
    return f"{city} {days} {unit}"


def test_the_signature_is_the_schema_and_the_docstring_the_description() -> None:
    spec = tool(weather).spec
    assert (spec.name, spec.description) == ("weather", "The weather in a city.")
    assert spec.schema["type"] == "object"
    assert spec.schema["required"] == ["city"]
    assert spec.schema["additionalProperties"] is False
    assert set(spec.schema["properties"]) == {"city", "days", "unit"}
    assert spec.schema["properties"]["days"]["type"] == "integer"
    assert spec.schema["properties"]["unit"]["enum"] == ["C", "F"]


def test_name_and_description_can_be_given() -> None:
    spec = tool(weather, name="forecast", description="Says what is to come.").spec
    assert (spec.name, spec.description) == ("forecast", "Says what is to come.")


def test_a_function_without_parameters_or_docstring_is_a_tool() -> None:
    async def ping() -> str:
        return "pong"

    assert tool(ping).spec.description == ""
    assert use(ping) == "pong"


def test_what_a_parameter_is_for_is_told_with_annotated() -> None:
    async def book(seats: Annotated[int, Field(description="How many", ge=1)]) -> str:
        return "booked"

    assert tool(book).spec.schema["properties"]["seats"] == {
        "description": "How many",
        "minimum": 1,
        "title": "Seats",
        "type": "integer",
    }
    assert use(book, seats=0).startswith("error: the arguments do not fit: seats:")


def test_arguments_come_as_their_types() -> None:
    class Guest(BaseModel):
        name: str

    async def book(guest: Guest, on: date, seats: int = 2) -> str:
        assert isinstance(guest, Guest)
        assert isinstance(on, date)
        return f"{guest.name} {on.year} {seats}"

    book.__annotations__ = {"guest": Guest, "on": date, "seats": int}
    assert use(book, guest={"name": "Ann"}, on="2026-01-02") == "Ann 2026 2"


@pytest.mark.parametrize("name", ["schema", "json", "copy", "_hidden", "model_config", "self", "validate", "dict"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"async def odd({name}: int) -> int: return {name}", scope)
    made = tool(scope["odd"])
    assert list(made.spec.schema["properties"]) == [name]
    assert use(made, **{name: 3}) == "3"
    assert f"{name}:" in use(made, **{name: "three"})


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({}, "city"), ({"city": 5}, "city"), ({"city": "Rome", "days": "many"}, "days"), ({"town": "Rome"}, "town")],
)
def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: Mapping[str, Any], field: str) -> None:
    told = use(weather, **arguments)
    assert told.startswith("error: the arguments do not fit: ")
    assert f"{field}: " in told


def test_many_mistakes_are_told_in_short() -> None:
    assert use(weather, **{f"unknown{i}": i for i in range(50)}).count(";") == 2


class Point(BaseModel):
    x: int


@dataclass
class Pair:
    left: int
    right: Any


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        (None, "done"),
        (3, "3"),
        ({"a": [1, True, None]}, '{"a":[1,true,null]}'),
        (Point(x=1), '{"x":1}'),
        (Pair(1, date(2026, 1, 2)), '{"left":1,"right":"2026-01-02"}'),
        (threading.Event, f'"{threading.Event!s}"'),
    ],
)
def test_a_result_becomes_text(result: object, text: str) -> None:
    async def give() -> object:
        return result

    assert use(give) == text


def test_a_result_that_cannot_be_text_is_an_error_result() -> None:
    circle: list[Any] = []
    circle.append(circle)

    async def give() -> object:
        return circle

    assert use(give) == "error: give failed; tell the caller it did not work"


def test_a_huge_result_is_cut() -> None:
    async def read() -> str:
        return "x" * (MAX_RESULT + 1)

    assert use(read) == "x" * MAX_RESULT + " (cut off here)"


def test_a_plain_function_does_not_block_the_loop() -> None:
    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert use(where) == "false"


def test_a_plain_function_may_return_something_to_be_awaited() -> None:
    def later() -> Any:
        return weather("Rome")

    assert use(later) == "Rome 1 C"


def test_callable_objects_and_partials_are_tools_when_they_are_named() -> None:
    class Greeter:
        async def __call__(self, name: str) -> str:
            return f"Hello {name} on the {'main' if threading.current_thread() is threading.main_thread() else 'other'}"

    assert use(tool(Greeter(), name="greet"), name="Ann") == "Hello Ann on the main"
    assert use(tool(functools.partial(weather, days=3), name="soon"), city="Rome") == "Rome 3 C"
    with pytest.raises(ValueError, match="name: '' is no tool's name"):
        tool(Greeter())


class _BrokenError(Exception):
    pass


@pytest.mark.parametrize("error", [_BrokenError("the secret key is 123"), StopIteration(), TimeoutError()])
@pytest.mark.parametrize("plain", [True, False])
def test_what_a_tool_raises_is_logged_and_not_told(
    error: Exception, plain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise error

    async def fail_later() -> str:
        raise error

    with caplog.at_level(logging.ERROR, "sottovoce.tools"):
        told = use(tool(fail if plain else fail_later, name="fail"))
    assert told == "error: fail failed; tell the caller it did not work"
    assert caplog.records[0].exc_info is not None


def test_a_hand_made_tool_may_fail_too() -> None:
    async def run_it(arguments: Mapping[str, Any]) -> str:
        raise _BrokenError

    assert use(Tool(ToolSpec("mine", "", {}), run_it)).startswith("error: mine failed")


def test_a_cancellation_that_strays_in_is_a_failure_and_our_own_is_not() -> None:
    async def stray() -> str:
        asleep = asyncio.ensure_future(asyncio.sleep(9))
        asleep.cancel()
        await asleep
        return "never"

    async def slow() -> str:
        await asyncio.sleep(9)
        return "done"

    async def cancelled() -> None:
        task = asyncio.create_task(run_tool(tool(slow), ToolCall("c", "slow")))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    assert use(stray).startswith("error: stray failed")
    run(cancelled())


def test_an_unknown_tool_is_an_error_result() -> None:
    assert run(run_tool(None, ToolCall("c1", "fly"))) == Message(Role.TOOL, "error: there is no tool 'fly'", call="c1")


def _untyped(city) -> None: ...  # type: ignore[no-untyped-def]
def _many(*cities: str) -> None: ...
def _any(**cities: str) -> None: ...
def _placed(city: str, /) -> None: ...
def _unknown(city: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (_untyped, "parameter 'city' has no type; annotate it"),
        (_many, r"parameter '\*cities: 'str'' cannot be given by name|parameter '\*cities: str'"),
        (_any, "cannot be given by name"),
        (_placed, "cannot be given by name"),
        (_unknown, "cannot be read: name 'Nowhere' is not defined"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_when_it_is_made(function: Callable[..., Any], fault: str) -> None:
    with pytest.raises(TypeError, match=fault):
        tool(function)


@pytest.mark.parametrize("name", ["two words", "a.b", "x" * 65, "naïve"])
def test_a_name_that_models_refuse_is_refused_when_it_is_given(name: str) -> None:
    with pytest.raises(ValueError, match="is no tool's name"):
        tool(weather, name=name)


def test_two_tools_of_one_name_are_refused() -> None:
    unique([tool(weather), tool(weather, name="forecast")])
    with pytest.raises(TypeError, match="two tools are called 'weather'"):
        unique([tool(weather), tool(weather)])
