"""A turn that is to be answered: what a model is shown of it, who answers, and whose tools are whose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration import Agent, Runtime, TextContent
from orchestration.asked import Asked, answering, current
from orchestration.models.model import Message, Role
from orchestration.tools import Tool, tool
from tests.orchestration.models.double import Double, calls
from tests.orchestration.post import Office, Talks, play, reply
from voice.channel import APOLOGY


class Makes:
    """A responder of somebody's own: it keeps what it was asked, and answers by `how`."""

    def __init__(self, how: Any) -> None:
        self.how = how
        self.asked: list[Asked] = []

    def respond(self, asked: Asked) -> AsyncGenerator[str, None]:
        self.asked.append(asked)
        pieces: AsyncGenerator[str, None] = self.how(asked)
        return pieces


def made(*agents: Agent, how: Any = None) -> tuple[Runtime, Makes]:
    responder = Makes(how)

    class Own(Talks):
        async def install(self, runtime: Runtime, room_id: str) -> None:
            await super().install(runtime, room_id)
            if how:
                runtime.room(room_id).responder = responder

    return Runtime(orchestration=Own(*agents), state=None), responder


def agent(id: str, *replies: list[Any], tools: Any = ()) -> Agent:
    return Agent(id, model=Double(replies or [[f"I am {id}."]]), tools=tools)


def test_a_responder_is_told_what_was_asked_and_by_whom() -> None:
    async def how(asked: Asked) -> AsyncGenerator[str, None]:
        yield f"{asked.caller} said {asked.event.text} to "
        yield str(asked.agent and asked.agent.id)

    runtime, responder = made(agent("host"), how=how)

    async def script(office: Office) -> None:
        await office.reader()
        assert reply(await office.write("hello")) == "ann said hello to host"
        (asked,) = responder.asked
        assert (asked.spoken, asked.over, asked.state.phase, asked.room.id) == (False, True, "intake", "lobby")
        assert asked.runtime is office.runtime

    play(script, runtime)


def test_several_agents_may_have_a_part_and_all_their_tools_are_remembered() -> None:
    used: list[str] = []

    @tool
    async def look() -> str:
        """Look."""
        used.append("look")
        return "boats"

    async def how(asked: Asked) -> AsyncGenerator[str, None]:
        for id in ("host", "clerk"):
            async for piece in asked.reply(asked.room.agents[id]):
                yield piece
        asked.metadata["by"] = 2

    host, clerk = agent("host", [calls("look")], ["one "]), agent("clerk", [calls("look")], ["two."])
    for each in (host, clerk):
        each.tools.append(look)
    runtime, _ = made(host, clerk, how=how)

    async def script(office: Office) -> None:
        await office.reader()
        result = await office.write()
        assert result.reply is not None
        assert (reply(result), result.reply.sender_id, result.reply.metadata["by"]) == ("one two.", "clerk", 2)
        assert used == ["look", "look"]
        for each in (host, clerk):
            told = office.runtime.room("lobby").memory.messages(each)
            assert [m.role for m in told] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT]

    play(script, runtime)


def test_what_a_responder_gives_its_agent_stands_for_what_the_room_has() -> None:
    async def show(what: str) -> str:
        """Show something."""
        return what

    async def how(asked: Asked) -> AsyncGenerator[str, None]:
        assert asked.agent is not None
        messages, tools = [Message(Role.USER, "other words")], list[Tool]()
        async for piece in asked.reply(asked.agent, messages=messages, tools=tools, prompt="Be brief."):
            yield piece

    host = agent("host")
    runtime, _ = made(host, how=how)

    async def script(office: Office) -> None:
        await office.reader()
        office.runtime.room("lobby").equip(tool(show))
        await office.write()
        model = host.model
        assert isinstance(model, Double)
        assert (model.asked[0].prompt, model.asked[0].tools) == ("Be brief.", ())
        assert [m.text for m in model.asked[0].messages] == ["other words"]

    play(script, runtime)


@pytest.mark.parametrize("fault", ["at once", "later", "no generator"])
def test_a_responder_that_fails_is_apologised_for(fault: str) -> None:
    async def how(asked: Asked) -> AsyncGenerator[str, None]:
        if fault == "later":
            yield "well "
        raise KeyError("a bug")

    runtime, _ = made(agent("host"), how=(lambda asked: 7) if fault == "no generator" else how)

    async def script(office: Office) -> None:
        await office.reader()
        said = "well " if fault == "later" else ""
        for _ in range(2):
            assert reply(await office.write()) == f"{said}{APOLOGY}"

    play(script, runtime)


def test_a_tool_knows_for_which_turn_it_was_called_and_nobody_else_does() -> None:
    seen: list[str | None] = []

    async def who() -> str:
        asked = current()
        seen.append(asked.event.text if asked else None)
        return "ok"

    runtime = Runtime(orchestration=Talks(agent("host", [calls("who")], ["fine."]), tools=[who]), state=None)

    async def script(office: Office) -> None:
        await office.reader()
        first, second = office.begin("a"), office.begin("b", "bob")
        await first
        await second
        assert seen == ["a"]
        assert current() is None

    play(script, runtime)


def test_what_answers_is_known_to_the_tasks_it_starts() -> None:
    async def main() -> None:
        async def ask() -> Asked | None:
            return current()

        asked: Any = SimpleNamespace(tab=None)
        assert await ask() is None
        answering(asked)
        assert await asyncio.create_task(ask()) is asked

    asyncio.run(main())
    assert current() is None


def test_the_turn_comes_last_whatever_was_said_since() -> None:
    runtime, responder = made(agent("host"), how=lambda asked: asked.reply(asked.agent))

    async def script(office: Office) -> None:
        await office.reader()
        await office.write("hello")
        (asked,) = responder.asked
        host = asked.room.agents["host"]
        call = calls("look")
        asked.event = replace(asked.event, content=TextContent("and?"))
        asked.room.memory.add(
            Message(Role.USER, "and?"),
            Message(Role.ASSISTANT, "boats float."),
            Message(Role.ASSISTANT, "", (call,)),
            Message(Role.TOOL, "found", call=call.id),
        )
        texts = [m.text for m in asked.messages(host)]
        assert texts == ["hello", "I am host.", "boats float.", "", "found", "and?"]

    play(script, runtime)


@pytest.mark.parametrize("heard", ["and?", "(unclear) and?"])
def test_another_caller_s_turn_that_came_meanwhile_is_not_what_is_answered(heard: str) -> None:
    runtime, responder = made(agent("host"), how=lambda asked: asked.reply(asked.agent))

    async def script(office: Office) -> None:
        await office.reader()
        await office.write("hello")
        (asked,) = responder.asked
        asked.event = replace(asked.event, content=TextContent("and?"))
        asked.room.memory.add(Message(Role.USER, heard), Message(Role.USER, "me too"))
        texts = [m.text for m in asked.messages(asked.room.agents["host"])]
        assert texts == ["hello", "I am host.", "me too", heard]

    play(script, runtime)
