"""An agent's reply: text as it comes, tools in between, and what is left of it when somebody cuts in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestration.agent import MAX_ROUNDS, Agent
from orchestration.models.model import Message, Role, ToolCall
from orchestration.models.watched import ModelSilentError, ToolLoopError
from orchestration.tools import tool
from tests.orchestration.models.double import Double, Part, calls
from voice.clock import run

HELLO = Message(Role.USER, "Hello")


async def slow(seconds: float = 5.0) -> str:
    await asyncio.sleep(seconds)
    return f"slept {seconds:g}"


async def quick() -> str:
    return "quick"


async def pieces(agent: Agent, said: list[Message] | None = None, **more: Any) -> list[str]:
    async with asyncio.TaskGroup() as group:
        return [piece async for piece in agent.reply([HELLO], group=group, said=said, **more)]


def answer(*replies: list[Part], tools: Any = (quick, slow)) -> tuple[list[str], list[Message], Double]:
    said: list[Message] = []
    model = Double(replies)
    return run(pieces(Agent("host", model=model, prompt="Be brief.", tools=tools), said)), said, model


def test_text_comes_as_the_model_makes_it() -> None:
    got, said, model = answer(["Good ", "day."])
    assert got == ["Good ", "day."]
    assert said == [Message(Role.ASSISTANT, "Good day.")]
    assert model.asked[0].messages == (HELLO,)
    assert model.asked[0].prompt == "Be brief."
    assert model.asked[0].tools == ("quick", "slow")
    assert model.open == 0


def test_a_model_that_says_nothing_gives_no_answer() -> None:
    for reply in ([], [" "]):
        with pytest.raises(ExceptionGroup) as error:
            answer(reply)
        assert isinstance(error.value.exceptions[0], ModelSilentError)
        assert str(error.value.exceptions[0]) == "the model of agent 'host' gave no answer"


def test_a_tool_runs_between_and_the_model_sees_what_it_said() -> None:
    call = calls("quick")
    got, said, model = answer(["One moment. ", call], ["It is quick."])
    assert got == ["One moment. ", "It is quick."]
    assert said == [
        Message(Role.ASSISTANT, "One moment. ", (call,)),
        Message(Role.TOOL, "quick", call="c1"),
        Message(Role.ASSISTANT, "It is quick."),
    ]
    assert model.asked[1].messages == (HELLO, *said[:2])


def test_the_tools_of_the_room_are_beside_its_own() -> None:
    model = Double([[calls("extra")], ["Done."]])

    async def extra() -> str:
        return "from the room"

    said: list[Message] = []
    run(pieces(Agent("host", model=model, tools=[quick]), said, tools=[tool(extra)]))
    assert model.asked[0].tools == ("quick", "extra")
    assert said[1].text == "from the room"


def test_tools_called_together_run_together() -> None:
    async def timed() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await pieces(Agent("host", model=Double([[calls("slow", "a"), calls("slow", "b")], ["ok"]]), tools=[slow]))
        return loop.time() - began

    assert run(timed()) == pytest.approx(5.0)


def test_of_calls_with_one_id_the_first_is_done_and_each_is_answered() -> None:
    ran: list[str] = []

    async def note(what: str) -> str:
        ran.append(what)
        return f"noted {what}"

    made = [calls("note", "c", what="a"), calls("note", "c", what="b"), calls("note", "c_2", what="c")]
    _, said, model = answer([*made], ["Done."], tools=[note])
    assert ran == ["a", "c"]
    (asked, *results) = said[:-1]
    assert [call.id for call in asked.tool_calls] == ["c", "c_3", "c_2"]
    assert {result.call: result.text.split(":")[0] for result in results} == {
        "c": "noted a",
        "c_3": "error",
        "c_2": "noted c",
    }
    assert model.asked[1].messages[1:] == tuple(said[:-1])


def test_a_tool_that_fails_or_does_not_exist_ends_no_reply() -> None:
    async def broken() -> str:
        raise OSError("secret")

    got, said, _ = answer([calls("broken", "a"), calls("nothing", "b")], ["Sorry."], tools=[broken])
    assert got == ["Sorry."]
    assert {m.call: m.text for m in said if m.role is Role.TOOL} == {
        "a": "error: broken failed; tell the caller it did not work",
        "b": "error: there is no tool 'nothing'",
    }


def test_what_the_model_raises_comes_out_after_the_words_before_it() -> None:
    model = Double([["Good ", OSError("no network")]])
    got: list[str] = []

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            reply = Agent("host", model=model).reply([HELLO], group=group)
            got.append(await anext(reply))
            with pytest.raises(OSError, match="no network"):
                await anext(reply)

    run(main())
    assert got == ["Good "]
    assert model.open == 0


def test_a_model_that_only_calls_tools_is_stopped() -> None:
    model = Double([[calls("quick")]])

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            with pytest.raises(ToolLoopError, match=f"'host' called tools {MAX_ROUNDS} times"):
                async for _ in Agent("host", model=model, tools=[quick]).reply([HELLO], group=group):
                    pass

    run(main())
    assert len(model.asked) == MAX_ROUNDS


def test_closing_it_stops_the_generation_at_once() -> None:
    model = Double([["Good ", 100.0, "day."]])

    async def main() -> float:
        async with asyncio.TaskGroup() as group:
            reply = Agent("host", model=model).reply([HELLO], group=group)
            assert await anext(reply) == "Good "
            assert model.open == 1
            await reply.aclose()
        return asyncio.get_running_loop().time()

    assert run(main()) == 0.0
    assert model.open == 0


def test_cutting_in_while_the_model_thinks_closes_its_stream() -> None:
    model = Double([[100.0, "Good day."]])

    async def main() -> float:
        async with asyncio.TaskGroup() as group:
            reading = asyncio.create_task(anext(Agent("host", model=model).reply([HELLO], group=group)))
            await asyncio.sleep(3)
            reading.cancel()
            await asyncio.wait([reading])
        return asyncio.get_running_loop().time()

    assert run(main()) == 3.0
    assert model.open == 0


def test_cutting_in_while_tools_run_stops_no_work_and_what_they_said_is_kept() -> None:
    model = Double([["On it. ", calls("slow", "a", seconds=2), calls("slow", "b", seconds=6)], ["never"]])
    said: list[Message] = []
    ended: list[tuple[str, str, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def note(call: ToolCall, result: Message) -> None:
            ended.append((call.id, result.text, loop.time()))

        async with asyncio.TaskGroup() as group:
            agent = Agent("host", model=model, tools=[slow])

            async def read() -> None:
                async for _ in agent.reply([HELLO], group=group, said=said, ended=note):
                    pass

            reading = asyncio.create_task(read())
            await asyncio.sleep(3)
            reading.cancel()
            await asyncio.wait([reading])
            assert loop.time() == 3.0
            assert [m.call for m in said if m.role is Role.TOOL] == ["a"]

    run(main())
    assert ended == [("a", "slept 2", 2.0), ("b", "slept 6", 6.0)]
    assert [m.call for m in said if m.role is Role.TOOL] == ["a", "b"]
    assert len(model.asked) == 1


def test_when_its_tools_are_cancelled_with_the_room_it_ends_in_silence() -> None:
    model = Double([[calls("slow")], ["never"]])

    async def main() -> list[str]:
        async def room(read: asyncio.Event) -> None:
            async with asyncio.TaskGroup() as group:
                groups.append(group)
                await read.wait()

        groups: list[asyncio.TaskGroup] = []
        over = asyncio.Event()
        owner = asyncio.create_task(room(over))
        await asyncio.sleep(0)
        reply = Agent("host", model=model, tools=[slow]).reply([HELLO], group=groups[0])
        reading = asyncio.create_task(collect(reply))
        await asyncio.sleep(1)
        owner.cancel()
        await asyncio.wait([owner])
        return await reading

    async def collect(reply: Any) -> list[str]:
        return [piece async for piece in reply]

    assert run(main()) == []
    assert len(model.asked) == 1


@pytest.mark.parametrize("id", ["", "two words", "-a", ".a", "a/b", "x" * 65, "ä", None, 3])
def test_a_bad_id_is_refused(id: Any) -> None:
    with pytest.raises(ValueError, match=r"^id: .* is no id; use 1 to 64 letters"):
        Agent(id, model=Double([[]]))


@pytest.mark.parametrize("id", ["a", "Host-2_b.c", "9", "x" * 64])
def test_a_good_id_is_taken(id: str) -> None:
    assert repr(Agent(id, model=Double([[]]))) == f"Agent({id!r})"


@pytest.mark.parametrize(("theirs", "ours"), [("provider", "model"), ("system_prompt", "prompt")])
def test_the_spelling_of_others_is_told_ours(theirs: str, ours: str) -> None:
    with pytest.raises(TypeError, match=f"unknown argument {theirs!r}; it is called {ours!r} here"):
        Agent("host", model=Double([[]]), **{theirs: "x"})  # type: ignore[arg-type]


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Agent got an unknown argument 'colour'$"):
        Agent("host", model=Double([[]]), colour="red")


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="two tools are called 'quick'"):
        Agent("host", model=Double([[]]), tools=[quick, tool(slow, name="quick")])
