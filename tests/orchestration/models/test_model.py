"""The contract of language models, over every implementation (`providers.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import pytest

from orchestration.agent import Agent
from orchestration.models.model import Delta, Message, Model, Role, TextDelta, ToolCall, ToolSpec, Usage
from orchestration.tools import tool
from tests.orchestration.models.providers import ENTRIES, Entry, Parts
from tests.sockets import run

LOOK = ToolSpec("look", "Look something up.", {"type": "object", "properties": {"what": {"type": "string"}}})
HELLO = Message(Role.USER, "hello there")


def each(*, obedient: bool = False) -> pytest.MarkDecorator:
    there = [entry for entry in ENTRIES if not obedient or entry.obeys]
    marks = {True: (), False: pytest.mark.skip("no key")}
    return pytest.mark.parametrize("entry", [pytest.param(e, id=e.name, marks=marks[e.there]) for e in there])


def with_model(entry: Entry, answers: Sequence[Parts], work: Callable[[Model], Awaitable[None]]) -> None:
    async def main() -> None:
        async with entry.open(answers) as model:
            await work(model)

    run(main())


async def streamed(model: Model, *messages: Message, tools: Sequence[ToolSpec] = ()) -> list[Delta]:
    async with aclosing(model.stream(messages, prompt="You are brief.", tools=tools)) as deltas:
        return [delta async for delta in deltas]


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


@each()
def test_it_answers_in_pieces_which_together_are_the_text(entry: Entry) -> None:
    async def work(model: Model) -> None:
        deltas = await streamed(model, HELLO)
        pieces = [delta for delta in deltas if isinstance(delta, TextDelta)]
        assert all(piece.text for piece in pieces)
        assert text_of(deltas) == "Well met, friend." or (entry.real and text_of(deltas).strip())
        assert entry.real or len(pieces) > 1

    with_model(entry, [["Well met, friend."]], work)


@each()
def test_it_has_a_name_and_can_be_an_agents_model(entry: Entry) -> None:
    async def work(model: Model) -> None:
        assert isinstance(model.name, str)
        assert model.name
        asked = Agent("host", model=model).model
        assert asked is model or model in getattr(asked, "models", ())  # one that is remote is asked again

    with_model(entry, [["Well met."]], work)


@each()
def test_what_it_costs_comes_last_if_at_all(entry: Entry) -> None:
    async def work(model: Model) -> None:
        deltas = await streamed(model, HELLO)
        told = [place for place, delta in enumerate(deltas) if isinstance(delta, Usage)]
        assert told == ([len(deltas) - 1] if entry.meters else [])
        if entry.meters:
            usage = deltas[-1]
            assert isinstance(usage, Usage)
            assert usage.output > 0
            assert usage.input + usage.cache_read + usage.cache_write > 0

    with_model(entry, [["Well met."]], work)


@each()
def test_a_stream_can_be_closed_before_its_end_and_the_next_one_works(entry: Entry) -> None:
    async def work(model: Model) -> None:
        for _ in range(2):
            async with aclosing(model.stream([HELLO])) as deltas:
                assert isinstance(await anext(deltas), TextDelta)
        assert text_of(await streamed(model, HELLO)).strip()

    with_model(entry, [["Well met, friend."]], work)


@each()
def test_a_stream_that_nobody_began_can_be_closed(entry: Entry) -> None:
    async def work(model: Model) -> None:
        await model.stream([HELLO]).aclose()

    with_model(entry, [["Well met."]], work)


@each()
def test_a_stream_can_be_cancelled(entry: Entry) -> None:
    async def work(model: Model) -> None:
        task = asyncio.create_task(streamed(model, HELLO))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or text_of(task.result())  # some need no time to answer
        assert text_of(await streamed(model, HELLO)).strip()

    with_model(entry, [["Well met."]], work)


@each()
def test_it_can_be_asked_many_times_at_once(entry: Entry) -> None:
    async def work(model: Model) -> None:
        answers = await asyncio.gather(*(streamed(model, HELLO) for _ in range(5)))
        assert all(text_of(answer).strip() for answer in answers)

    with_model(entry, [["Well met, friend."]], work)


@each()
def test_it_answers_whatever_a_memory_has_left_of_a_conversation(entry: Entry) -> None:
    async def work(model: Model) -> None:
        call = ToolCall("c1", "look", {"what": "tea"})
        for messages in (
            [Message(Role.ASSISTANT, "Hello, this is the front desk."), HELLO],
            [Message(Role.TOOL, "gone", call="c0"), HELLO],
            [HELLO, Message(Role.ASSISTANT, "", (call,)), HELLO],
            [Message(Role.ASSISTANT, "", (call,)), Message(Role.TOOL, "green", call="c1"), HELLO, HELLO],
            [HELLO, Message(Role.ASSISTANT, " "), Message(Role.USER, ""), HELLO],
        ):
            assert text_of(await streamed(model, *messages, tools=[LOOK])).strip()
            assert text_of(await streamed(model, *messages)).strip()

    with_model(entry, [["Well met."]], work)


@each(obedient=True)
def test_it_calls_several_tools_at_once(entry: Entry) -> None:
    async def work(model: Model) -> None:
        deltas = await streamed(model, HELLO, tools=[LOOK])
        calls = [delta for delta in deltas if isinstance(delta, ToolCall)]
        assert text_of(deltas) == "One moment."
        assert [(call.name, dict(call.arguments)) for call in calls] == [
            ("look", {"what": "tea", "deep": {"er": [1, None, "ü"]}}),
            ("look", {}),
        ]
        assert len({call.id for call in calls}) == 2

    parts = [
        "One moment.",
        ToolCall("a", "look", {"what": "tea", "deep": {"er": [1, None, "ü"]}}),
        ToolCall("b", "look"),
    ]
    with_model(entry, [parts], work)


@each(obedient=True)
def test_an_agent_has_its_tools_run_and_then_its_answer(entry: Entry) -> None:
    async def work(model: Model) -> None:
        seen: list[str] = []

        async def look(what: str) -> str:
            """Look something up."""
            seen.append(what)
            return f"there is {what}"

        agent = Agent("host", model=model, prompt="Be brief.", tools=[tool(look)])
        said: list[Message] = []
        async with asyncio.TaskGroup() as group:
            pieces = [piece async for piece in agent.reply([HELLO], group=group, said=said)]
        assert "".join(pieces) == "There is both."
        assert sorted(seen) == ["coffee", "tea"]
        assert [message.role for message in said] == [Role.ASSISTANT, Role.TOOL, Role.TOOL, Role.ASSISTANT]

    calls = [ToolCall("a", "look", {"what": "tea"}), ToolCall("b", "look", {"what": "coffee"})]
    with_model(entry, [calls, ["There is both."]], work)
