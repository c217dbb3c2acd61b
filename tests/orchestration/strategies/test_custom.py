"""Strategies of one's own, and which strategy a room has: the runtime's, another one, or none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from delivery import Status
from orchestration import (
    Agent,
    Asked,
    HookContext,
    HookExecution,
    HookTrigger,
    InboundMessage,
    InboundResult,
    Loop,
    Orchestration,
    RoomError,
    RoomEvent,
    Runtime,
    Supervisor,
    Swarm,
    TextChannel,
    TextContent,
    get_conversation_state,
    set_conversation_state,
    tool,
)
from orchestration.models import Message, Prepared, ToolCall, ToolSpec
from orchestration.simulation import simulate
from orchestration.strategies.work import inline
from orchestration.target import load
from orchestration.workers import Context, Worker, worker
from voice.clock import run
from voice.simulated import SimulatedChannel

EXAMPLE = Path(__file__).parents[3] / "examples" / "custom_strategy.py"


def play(script: Callable[[Runtime], Awaitable[object]], orchestration: Orchestration | None, **parts: Any) -> None:
    async def main() -> None:
        given = {"state": None, "channels": lambda _: SimulatedChannel(), **parts}
        async with Runtime(orchestration=orchestration, **given) as runtime:
            await script(runtime)

    run(main())


async def opened(runtime: Runtime, room: str = "lobby", **more: Any) -> None:
    """A room that is read over a channel of its own."""
    await runtime.create_room(room, **more)
    await runtime.attach_channel(room, TextChannel(f"page-{room}"))


async def write(runtime: Runtime, text: str, room: str = "lobby") -> InboundResult:
    return await runtime.process_inbound(InboundMessage(f"page-{room}", "ann", TextContent(text)))


async def asks(runtime: Runtime, text: str, room: str = "lobby") -> str | None:
    reply = (await write(runtime, text, room)).reply
    return reply.text if reply else None


def agent(id: str, *answers: Any) -> Agent:
    return Agent(id, model=Prepared(answers or [f"{id} speaks."]), role=id.capitalize())


# -- the example: two agents answer together


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, EXAMPLE.stem, raising=False)
    runtime = load(str(EXAMPLE))
    monkeypatch.setitem(sys.modules, EXAMPLE.stem, sys.modules[EXAMPLE.stem])
    return runtime


def test_two_agents_answer_together_in_a_call(example: Runtime) -> None:
    async def main() -> None:
        async with simulate(example) as call:
            await call.hears("trains, bees or tea.")
            _, asked = await call.say("tell me about trains")
            line = await call.hears("Trains roll on steel.")
            assert line.started == pytest.approx(asked + 0.6, abs=0.02)
            await call.say("what about bees")
            await call.hears("Bees dance to say where the flowers are.")
            await call.silence(30)
            assert [line.heard for line in call.lines] == [
                "Hello. Ask us about trains, bees or tea.",
                "Trains roll on steel.",
                "Bees dance to say where the flowers are.",
            ]

    run(main())


def test_two_agents_answer_together_in_a_room_that_is_read(example: Runtime) -> None:
    assert example.orchestration is not None
    told: list[tuple[str, str, Any]] = []

    async def script(runtime: Runtime) -> None:
        @runtime.hook(HookTrigger.AFTER_BROADCAST)
        def heard(event: RoomEvent, context: HookContext) -> None:
            told.append((event.sender_id, event.text, event.metadata.get("draft_words")))

        await opened(runtime)
        assert await asks(runtime, "tell me about tea") == "Tea is the leaf of one plant."
        await asyncio.sleep(1)

    play(script, example.orchestration)
    assert told == [("ann", "tell me about tea", None), ("editor", "Tea is the leaf of one plant.", 20)]


# -- what a strategy of one's own may use


@worker(role="Clerk")
async def clerk(input: str, context: Context) -> str:
    await asyncio.sleep(2)
    return f"the file on {input}"


@dataclass
class Office(Orchestration):
    """Uses everything that a strategy may use."""

    front: Agent = field(default_factory=lambda: agent("front", "Front speaks."))
    back: Agent = field(default_factory=lambda: agent("back", ToolCall("c", "stamp", {}), "Back has stamped it."))
    seen: list[tuple[str, str]] = field(default_factory=list)
    stamped: list[str] = field(default_factory=list)

    def agents(self) -> Sequence[Agent]:
        return [self.front, self.back]

    def workers(self) -> Sequence[Worker]:
        return [clerk]

    async def install(self, runtime: Runtime, room_id: str) -> None:
        room = runtime.room(room_id)
        room.responder = self

        @runtime.hook(HookTrigger.AFTER_BROADCAST, room_id=room_id)
        def heard(event: RoomEvent, context: HookContext) -> None:
            self.seen.append((context.room, event.text))

        @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC, room_id=room_id)
        def polite(event: RoomEvent, context: HookContext) -> str:
            return event.text.replace("!", ".")

        async def stamp() -> str:
            """Stamp it."""
            self.stamped.append(room_id)
            return "stamped"

        room.equip(tool(stamp), agent="back")
        state = get_conversation_state(room).remembering({"desk": 7})
        await runtime.store.update_room(set_conversation_state(room, state))

    async def respond(self, asked: Asked) -> AsyncGenerator[str, None]:
        if asked.event.text.startswith("file"):
            result = await inline(asked, clerk, asked.event.text.removeprefix("file "))
            yield f"Here is {result.text}."
            return
        by = self.back if asked.event.text.startswith("stamp") else self.front
        asked.metadata["desk"] = asked.state.context["desk"]
        async with aclosing(asked.reply(by)) as pieces:
            async for piece in pieces:
                yield piece


def test_a_strategy_may_use_agents_tools_hooks_state_workers_and_metadata() -> None:
    office = Office()

    async def script(runtime: Runtime) -> None:
        await opened(runtime)
        room = runtime.room("lobby")
        assert list(room.agents) == ["front", "back"], "its agents are in the room without its doing"
        assert room.talker is office.front
        result = await write(runtime, "hello!")
        assert result.event is not None
        assert result.reply is not None
        assert result.event.text == "hello."
        assert (result.reply.sender_id, result.reply.text) == ("front", "Front speaks.")
        assert result.reply.metadata["desk"] == 7
        assert await asks(runtime, "stamp it!") == "Back has stamped it."
        assert office.stamped == ["lobby"]
        assert await asks(runtime, "file boats") == "Here is the file on boats."
        assert [e.status for e in await runtime.deliveries("lobby", list(Status))] == [Status.HEARD]
        assert get_conversation_state(room).context == {"desk": 7}
        await asyncio.sleep(1)
        assert office.seen[:2] == [("lobby", "hello."), ("lobby", "Front speaks.")]

    play(script, office)
    assert isinstance(office.front.model, Prepared)
    assert isinstance(office.back.model, Prepared)
    assert office.front.model.asked[0].tool_names == ()
    assert office.back.model.asked[0].tool_names == ("stamp",)


def test_a_strategy_is_heard_as_it_is_read() -> None:
    async def main() -> None:
        async with simulate(Runtime(orchestration=Office(), state=None)) as call:
            await call.say("hello")
            await call.hears("Front speaks.")
            await call.say("stamp it")
            await call.hears("Back has stamped it.")
            await call.say("file boats")
            await call.hears("Here is the file on boats.")
            await call.silence(30)
            assert [line.heard for line in call.lines][2:] == ["Here is the file on boats."]

    run(main())


def test_the_hooks_of_a_room_are_its_own_and_go_with_it() -> None:
    office = Office()

    async def script(runtime: Runtime) -> None:
        await opened(runtime, "one", orchestration=office)
        await opened(runtime, "two", orchestration=Office())
        await opened(runtime, "three")
        await runtime.attach_agent("three", agent("third"))
        for room, answer in (("one", "Front speaks."), ("two", "Front speaks."), ("three", "third speaks.")):
            assert await asks(runtime, "hello!", room) == answer
        await asyncio.sleep(1)
        assert office.seen == [("one", "hello."), ("one", "Front speaks.")]
        await runtime.close_room("one")
        await opened(runtime, "one", orchestration=None)
        await runtime.attach_agent("one", agent("other"))
        result = await write(runtime, "hello!", "one")
        assert result.event is not None
        assert result.event.text == "hello!", "a hook of the room before"
        await asyncio.sleep(1)
        assert len(office.seen) == 2

    play(script, None)


def test_a_strategy_that_cannot_be_installed_leaves_no_room() -> None:
    class Twice(Office):
        def agents(self) -> Sequence[Agent]:
            return [self.front, agent("front")]

    class Broken(Office):
        async def install(self, runtime: Runtime, room_id: str) -> None:
            await super().install(runtime, room_id)
            raise OSError("no paper")

    async def script(runtime: Runtime) -> None:
        broken = Broken()
        for strategy, fault in ((Twice(), "'front', 'front' one is used twice"), (broken, "no paper")):
            with pytest.raises((ValueError, OSError), match=fault):
                await runtime.create_room("lobby", orchestration=strategy)
            with pytest.raises(RoomError, match="there is no room 'lobby'"):
                runtime.room("lobby")
        await opened(runtime)
        assert (await write(runtime, "hello!")).reply is None
        assert broken.seen == []

    play(script, None)


# -- which strategy a room has


def fable(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    return f"A fable of {messages[-1].text.split()[0]}."


def loop() -> Loop:
    return Loop(agent("writer", fable), [agent("editor", ToolCall("a", "approve_output", {}))])


def test_a_room_has_the_runtimes_strategy_its_own_or_none() -> None:
    async def script(runtime: Runtime) -> None:
        await opened(runtime, "default")
        await opened(runtime, "loop", orchestration=loop())
        await opened(runtime, "swarm", orchestration=Swarm(agents=[agent("sales"), agent("support")]))
        await opened(runtime, "none", orchestration=None)
        assert await asks(runtime, "owls", "default") == "boss speaks."
        assert await asks(runtime, "owls", "loop") == "A fable of owls."
        assert await asks(runtime, "owls", "swarm") == "sales speaks."
        assert await asks(runtime, "owls", "none") is None
        assert list(runtime.room("loop").agents) == ["writer"]
        assert list(runtime.room("none").agents) == []
        assert runtime.room("none").tools == []
        assert get_conversation_state(runtime.room("loop")).context == {"iteration": 1, "approved": True}
        for room in ("default", "swarm", "none"):
            assert "iteration" not in get_conversation_state(runtime.room(room)).context

    play(script, Supervisor(agent("boss"), [agent("hand")]))


def test_a_room_without_a_strategy_may_be_given_an_agent() -> None:
    async def script(runtime: Runtime) -> None:
        await opened(runtime, orchestration=None)
        await runtime.attach_agent("lobby", agent("ann-1"))
        assert await asks(runtime, "hello") == "ann-1 speaks."

    play(script, loop())


def test_two_rooms_of_one_loop_share_nothing() -> None:
    async def script(runtime: Runtime) -> None:
        for room in ("one", "two"):
            await opened(runtime, room)
        owls, bees = await asyncio.gather(asks(runtime, "owls", "one"), asks(runtime, "bees", "two"))
        assert (owls, bees) == ("A fable of owls.", "A fable of bees.")
        await runtime.close_room("one")
        assert await asks(runtime, "cats", "two") == "A fable of cats."
        with pytest.raises(RoomError):
            await write(runtime, "owls", "one")

    play(script, loop())


def test_loops_of_one_agent_in_two_rooms_may_differ() -> None:
    writer = agent("writer", fable)
    strict = Loop(writer, [agent("editor", "No.")], max_iterations=1)

    async def script(runtime: Runtime) -> None:
        await opened(runtime, "strict", orchestration=strict)
        await opened(runtime, "mild", orchestration=Loop(writer, [agent("editor", "APPROVED")]))
        for room, approved in (("strict", False), ("mild", True)):
            result = await write(runtime, "owls", room)
            assert result.reply is not None
            assert result.reply.metadata["approved"] is approved

    play(script, None)
