"""The prepared model: which answer comes when, how it comes, what is remembered, and what is no answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import Agent, Verdict
from orchestration.models.model import Delta, Message, Role, TextDelta, ToolCall, ToolSpec
from orchestration.models.prepared import KEPT, Asked, Prepared
from orchestration.verdict import APPROVE_OUTPUT
from orchestration.workers import AgentWorker
from tests.orchestration.workers.bench import Bench
from voice.clock import now, run

CALL = ToolCall("c1", "look", {"at": "boats"})
LOOK = ToolSpec("look", "Looks.", {"type": "object"})


def said(text: str) -> Message:
    return Message(Role.USER, text)


async def deltas(model: Prepared, text: str = "hello", tools: Sequence[ToolSpec] = ()) -> list[Delta]:
    return [delta async for delta in model.stream([said(text)], prompt="Be brief.", tools=tools)]


def answers(model: Prepared, *texts: str) -> list[str]:
    async def main() -> list[str]:
        return ["".join(d.text for d in await deltas(model, t) if isinstance(d, TextDelta)) for t in texts]

    return run(main())


def test_they_come_in_order_and_then_the_last_one_again() -> None:
    assert answers(Prepared(["one", "two"]), *"abcd") == ["one", "two", "two", "two"]


def test_without_repeat_it_says_that_there_are_no_more() -> None:
    model = Prepared(["one", "two"], repeat=False, name="clerk")
    assert answers(model, "a", "b") == ["one", "two"]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="clerk: all 2 responses are used up; give more, or repeat=True"):
            answers(model, "c")
    assert len(model.asked) == 4


def test_text_comes_word_by_word() -> None:
    assert run(deltas(Prepared(["Boats float,  mostly."]))) == [
        TextDelta("Boats "),
        TextDelta("float,  "),
        TextDelta("mostly."),
    ]


@given(st.text())
def test_text_comes_whole(text: str) -> None:
    assert answers(Prepared([text]), "hello") == [text]


def test_calls_and_words_come_as_they_stand() -> None:
    model = Prepared([["One moment.", CALL, "Done."], CALL])
    assert run(deltas(model)) == [TextDelta("One "), TextDelta("moment."), CALL, TextDelta("Done.")]
    assert run(deltas(model)) == [CALL]


@pytest.mark.parametrize("nothing", ["", []])
def test_nothing_may_be_an_answer(nothing: Any) -> None:
    assert run(deltas(Prepared([nothing]))) == []


def test_an_error_is_raised_each_time_and_does_not_grow() -> None:
    model = Prepared([["Well,", OSError("no network")]])

    async def depth() -> int:
        stream = model.stream([said("hello")])
        assert await anext(stream) == TextDelta("Well,")
        with pytest.raises(OSError, match="no network") as caught:
            await anext(stream)
        return len(caught.traceback)

    assert run(depth()) == run(depth()) == run(depth())


def test_a_function_looks_at_what_is_asked() -> None:
    def answer(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        return CALL if tools else f"You said {messages[-1].text}."

    model = Prepared([answer])
    assert run(deltas(model, "hello")) == [TextDelta("You "), TextDelta("said "), TextDelta("hello.")]
    assert run(deltas(model, "hello", [LOOK])) == [CALL]


@pytest.mark.parametrize("wrong", [None, 5, ["a", 5], [["a"]], lambda messages, tools: "a", KeyError])
def test_what_a_function_returns_is_checked(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"responses\[1\]: what its function returned: .* is no answer; give text"):
        answers(Prepared(["first", lambda messages, tools: wrong]), "a", "b")


def test_what_a_function_raises_is_raised() -> None:
    def broken(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        raise LookupError("no such page")

    with pytest.raises(LookupError, match="no such page"):
        answers(Prepared([broken]), "hello")


def test_it_takes_its_time_before_the_first_word() -> None:
    async def main() -> list[float]:
        return [now() async for _ in Prepared(["one two"], delay=1.5).stream([said("hello")])]

    assert run(main()) == [1.5, 1.5]


def test_it_takes_its_time_before_an_error_too() -> None:
    async def main() -> float:
        with pytest.raises(OSError, match="gone"):
            await deltas(Prepared([OSError("gone")], delay=2))
        return now()

    assert run(main()) == 2


def test_it_remembers_what_it_was_shown() -> None:
    model = Prepared(["yes"])
    run(deltas(model, "hello", [LOOK]))
    assert model.asked == [Asked((said("hello"),), "Be brief.", (LOOK,))]
    assert model.asked[0].tool_names == ("look",)
    model.asked.clear()
    assert len(model.asked) == 1


def test_it_remembers_the_newest_requests_only() -> None:
    model = Prepared(["yes"])
    answers(model, *map(str, range(KEPT + 5)))
    assert [asked.messages[0].text for asked in model.asked] == [str(n) for n in range(5, KEPT + 5)]


def test_an_answer_that_nobody_waited_for_is_used_up() -> None:
    model = Prepared(["one two three", "four"])

    async def main() -> None:
        async with aclosing(model.stream([said("hello")])) as stream:
            assert await anext(stream) == TextDelta("one ")

    run(main())
    assert answers(model, "and?") == ["four"]


def test_a_tools_result_gets_the_next_answer() -> None:
    def look(at: str) -> str:
        return f"{at} float"

    model = Prepared([CALL, lambda messages, tools: f"They say {messages[-1].text}."])
    result = Bench().run(AgentWorker(Agent("analyst", model=model, tools=[look], prompt="Analyse.")), "boats")
    assert (result.text, result.error) == ("They say boats float.", None)
    assert [asked.prompt for asked in model.asked] == ["Analyse.", "Analyse."]


def test_it_plays_a_reviewer_who_approves_the_second_draft() -> None:
    model = Prepared(["Too long.", [ToolCall("c1", APPROVE_OUTPUT.name, {"feedback": "Good."})]])

    async def verdict() -> Verdict:
        got = await deltas(model, tools=[APPROVE_OUTPUT])
        text = "".join(d.text for d in got if isinstance(d, TextDelta))
        return Verdict.of(text, [d for d in got if isinstance(d, ToolCall)])

    assert run(verdict()) == Verdict(False, "Too long.")
    assert run(verdict()) == Verdict(True, "Good.")


@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        ({"responses": "hello"}, TypeError, "responses: give a list of answers, not 'hello'"),
        ({"responses": None}, TypeError, "responses: give a list of answers, not None"),
        ({"responses": {"hello"}}, TypeError, "responses: give a list of answers"),
        ({"responses": []}, ValueError, "responses: the list is empty"),
        ({"responses": ["hello", 5]}, TypeError, r"responses\[1\]: 5 is no answer; give text, a ToolCall"),
        ({"responses": [None]}, TypeError, r"responses\[0\]: None is no answer"),
        ({"responses": [b"hello"]}, TypeError, r"responses\[0\]: 104 is no answer"),
        ({"responses": [OSError]}, TypeError, r"responses\[0\]: <class 'OSError'> is no answer"),
        ({"responses": [KeyboardInterrupt()]}, TypeError, r"responses\[0\]: KeyboardInterrupt\(\) is no answer"),
        ({"responses": [["hello", None]]}, TypeError, r"responses\[0\]: None is no answer"),
        ({"responses": [["hello", ["there"]]]}, TypeError, r"responses\[0\]: \['there'\] is no answer"),
        ({"responses": ["hello"], "delay": -1}, ValueError, "delay: -1 is no number of seconds from 0 on"),
        ({"responses": ["hello"], "delay": "1"}, ValueError, "delay: '1' is no number of seconds"),
        ({"responses": ["hello"], "delay": float("nan")}, ValueError, "delay: nan is no number of seconds"),
        ({"responses": ["hello"], "delay": float("inf")}, ValueError, "delay: inf is no number of seconds"),
        ({"responses": ["hello"], "delay": True}, ValueError, "delay: True is no number of seconds"),
    ],
)
def test_what_is_no_answer_is_refused_when_it_is_made(
    given: dict[str, Any], error: type[Exception], fault: str
) -> None:
    with pytest.raises(error, match=fault):
        Prepared(**given)
