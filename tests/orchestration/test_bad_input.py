"""Whatever a model does in whatever seat of whatever strategy: the caller gets an answer or a short apology within
bounded time, the room answers the next turn, and nothing that was promised is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from delivery import Status
from orchestration import (
    Agent,
    ConversationRouter,
    InboundMessage,
    Loop,
    Orchestration,
    Pipeline,
    RoomError,
    RoutingRule,
    Runtime,
    Supervisor,
    Swarm,
    TextChannel,
    TextContent,
    simulate,
)
from orchestration.handoff import MAX_DEPTH
from orchestration.models import Message, Prepared, ToolCall, ToolSpec
from orchestration.simulation import SimulatedCall
from tests.orchestration.broken import (
    EARLIER,
    FAULTS,
    FOREVER,
    SECRET,
    WELL,
    Broken,
    Fault,
    Sensible,
    says_what_nobody_hears,
)
from tests.orchestration.guide.written import Written, written
from voice.channel import APOLOGY
from voice.clock import run

Seat = Callable[[Agent, Callable[[str], Agent]], Orchestration]
"""Puts the agent with the broken model somewhere; the others are made of their ids."""

SEATS: dict[str, Seat] = {
    "pipeline, first": lambda bad, good: Pipeline([bad, good("next")]),
    "pipeline, second": lambda bad, good: Pipeline([good("first"), bad]),
    "swarm, entry": lambda bad, good: Swarm([bad, good("b"), good("c")]),
    "swarm, other": lambda bad, good: Swarm([good("a"), bad, good("c")]),
    "supervisor, itself": lambda bad, good: Supervisor(bad, [good("worker")]),
    "supervisor, worker": lambda bad, good: Supervisor(good("manager"), [bad]),
    "sequential tool, first worker": lambda bad, good: Supervisor(
        good("manager"), [bad, good("worker")], strategy="sequential"
    ),
    "parallel tool, a worker": lambda bad, good: Supervisor(
        good("manager"), [good("worker"), bad], strategy="parallel"
    ),
    "sequential, itself": lambda bad, good: Supervisor(
        bad, [good("one"), good("two")], strategy="sequential", auto_delegate=True
    ),
    "sequential, last worker": lambda bad, good: Supervisor(
        good("manager"), [good("one"), bad], strategy="sequential", auto_delegate=True
    ),
    "parallel, itself": lambda bad, good: Supervisor(bad, [good("one")], strategy="parallel", auto_delegate=True),
    "parallel, all workers": lambda bad, good: Supervisor(
        good("manager"), [bad], strategy="parallel", auto_delegate=True
    ),
    "loop, producer": lambda bad, good: Loop(bad, [good("reviewer")], host=good("host")),
    "loop, host": lambda bad, good: Loop(good("writer"), [good("reviewer")], host=bad),
    "loop, a reviewer": lambda bad, good: Loop(
        good("writer"), [good("one"), bad], strategy="parallel", host=good("host")
    ),
}
MAX_TEXT_WAIT = 331.0
"""Seconds that somebody who reads waits at most: `voice.written_floor.REPLY`, and a moment."""
MAX_CALL_WAIT = 16.0
"""Seconds of silence that somebody who listens bears at most: `FloorTimes.reply`, and a moment."""


def seated(seat: str, fault: Fault) -> tuple[Broken, Orchestration]:
    model = Broken(fault)

    def good(id: str) -> Agent:
        return Agent(id, model=Sensible(), role=id.capitalize())

    return model, SEATS[seat](Agent("bad", model=model, role="Bad"), good)


all_seats = pytest.mark.parametrize("seat", SEATS)
all_faults = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)


@all_seats
@all_faults
def test_in_a_room_that_is_read(seat: str, fault: Fault) -> None:
    model, orchestration = seated(seat, fault)

    async def script(page: Written) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        reply = await page.asks("Tell me about boats.")
        assert reply.text.strip()
        assert clock() - began <= MAX_TEXT_WAIT
        model.mended = True
        began = clock()
        assert (await page.asks("Is all well?")).text.strip()
        assert clock() - began <= MAX_TEXT_WAIT
        last = await page.asks("And now?")
        assert WELL in last.text
        await asyncio.sleep(1_000)
        assert SECRET not in " ".join(event.text for event in page.sent)
        assert await page.runtime.tasks.unfinished(page.room) == []
        await nothing_is_owed(page.runtime, page.room)

    written(script, orchestration=orchestration)


@all_seats
@all_faults
def test_in_a_call(seat: str, fault: Fault) -> None:
    model, orchestration = seated(seat, fault)

    async def main() -> None:
        async with simulate(Runtime(orchestration=orchestration, state=None)) as call:
            await asks(call, "tell me about boats")
            model.mended = True
            await call.silence(400)
            await asks(call, "is all well")
            await call.silence(10)
            heard = len(call.lines)
            await asks(call, "and now")
            await call.silence(5)
            assert any(WELL in line.heard for line in call.lines[heard:]), call.transcript
            await call.silence(1_000)
            assert SECRET not in call.transcript
            assert await call.runtime.tasks.unfinished(call.room) == []
            await nothing_is_owed(call.runtime, call.room)

    run(main())


async def asks(call: SimulatedCall, text: str) -> None:
    """Say it, also over what is being said; something is heard of an answer soon after."""
    _, ended = await call.interrupt(text)
    async with asyncio.timeout(MAX_CALL_WAIT):
        while not any(line.started > ended for line in call.lines):
            await asyncio.sleep(0.1)


async def nothing_is_owed(runtime: Runtime, room: str) -> None:
    """Every result that was promised was heard."""
    entries = await runtime.deliveries(room, list(Status))
    assert [entry.status for entry in entries if entry.status is not Status.HEARD] == []


def test_a_smile_is_an_answer_to_who_reads_and_none_to_who_listens() -> None:
    def swarm() -> Swarm:
        return Swarm([Agent("a", model=Broken(says_what_nobody_hears))])

    async def script(page: Written) -> None:
        assert (await page.asks("Is all well?")).text == "\N{THUMBS UP SIGN}"

    async def main() -> None:
        async with simulate(Runtime(orchestration=swarm(), state=None)) as call:
            await asks(call, "is all well")
            await call.hears(APOLOGY)

    written(script, orchestration=swarm())
    run(main())


# -- agents that pass a caller round


def passing_on(id: str, to: str) -> Agent:
    """Hands over whatever it is asked, whatever it is told."""
    call = ToolCall("h", "handoff_conversation", {"target": to, "reason": "It is for them.", "summary": "Nothing."})
    return Agent(id, model=Prepared([call]))


@pytest.mark.parametrize("ids", ["ab", "abc", "abcdefgh"])
def test_agents_that_hand_over_in_a_circle_are_stopped(ids: str) -> None:
    circle = Swarm([passing_on(id, to) for id, to in zip(ids, ids[1:] + ids[0], strict=True)])

    async def script(page: Written) -> None:
        reply = await page.asks("Tell me about boats.")
        assert reply.text == APOLOGY
        given_back = 1
        assert page.state.handoff_count == min(len(ids) - 1, MAX_DEPTH) + given_back
        holder = page.state.active_agent_id
        assert holder is not None
        page.runtime.room(page.room).agents[holder].model = Sensible()
        assert (await page.asks("Is all well?")).text == WELL

    written(script, orchestration=circle)


def test_a_caller_who_is_passed_round_hears_an_apology() -> None:
    async def main() -> None:
        async with simulate(
            Runtime(orchestration=Swarm([passing_on("a", "b"), passing_on("b", "a")]), state=None)
        ) as call:
            await asks(call, "tell me about boats")
            await call.hears(APOLOGY)

    run(main())


def test_an_agent_that_hands_over_to_itself_answers() -> None:
    def turning(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        if messages[-1].role == "tool":
            return messages[-1].text
        return ToolCall("h", "handoff_conversation", {"target": "a", "reason": "Me.", "summary": "Nothing."})

    async def script(page: Written) -> None:
        said = "error: You have the conversation already: go on and answer the caller."
        assert (await page.asks("Tell me about boats.")).text == said
        assert page.state.handoff_count == 0

    written(script, orchestration=Swarm([Agent("a", model=Prepared([turning])), passing_on("b", "a")]))


# -- tools that go wrong


async def tool_that_raises(word: str) -> str:
    raise OSError(SECRET)


async def tool_that_stalls(word: str) -> str:
    await asyncio.sleep(FOREVER)
    return "too late"


async def tool_that_cancels(word: str) -> str:
    raise asyncio.CancelledError(SECRET)


async def tool_that_returns_a_thing(word: str) -> object:
    return object()


async def tool_of_numbers(how_many: int) -> int:
    return how_many


TOOLS = [tool_that_raises, tool_that_stalls, tool_that_cancels, tool_that_returns_a_thing, tool_of_numbers]
all_tools = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)


def using(tool: Callable[..., Any]) -> Agent:
    """Calls its tool for what is about boats."""

    def use(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
        last = messages[-1]
        if last.role == "tool" or "boats" not in last.text.partition(EARLIER)[0]:
            return WELL
        return ToolCall("use", tool.__name__, {"word": "boats"})

    return Agent("user", model=Prepared([use]), tools=[tool])


TEAMS: dict[str, Callable[[Agent], Orchestration]] = {
    "swarm": lambda user: Swarm([user]),
    "supervisor": lambda user: Supervisor(user, [one("worker")]),
    "worker": lambda user: Supervisor(one("manager"), [user], strategy="parallel"),
    "producer": lambda user: Loop(user, [one("reviewer")], host=one("host")),
}
all_teams = pytest.mark.parametrize("team", TEAMS)


@all_tools
@all_teams
def test_whatever_a_tool_does_who_reads_is_answered(team: str, tool: Callable[..., Any]) -> None:
    async def script(page: Written) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        assert (await page.asks("Tell me about boats.")).text.strip()
        assert clock() - began <= MAX_TEXT_WAIT
        began = clock()
        assert WELL in (await page.asks("Is all well?")).text
        assert clock() - began <= MAX_TEXT_WAIT
        await asyncio.sleep(2_000)
        assert SECRET not in " ".join(event.text for event in page.sent)
        assert await page.runtime.tasks.unfinished(page.room) == []
        await nothing_is_owed(page.runtime, page.room)

    written(script, orchestration=TEAMS[team](using(tool)))


@all_tools
@all_teams
def test_whatever_a_tool_does_who_listens_is_answered(team: str, tool: Callable[..., Any]) -> None:
    async def main() -> None:
        async with simulate(Runtime(orchestration=TEAMS[team](using(tool)), state=None)) as call:
            await asks(call, "tell me about boats")
            await call.silence(20)
            heard = len(call.lines)
            await asks(call, "is all well")
            await call.silence(5)
            assert any(WELL in line.heard for line in call.lines[heard:]), call.transcript
            await call.silence(2_000)
            assert SECRET not in call.transcript
            assert await call.runtime.tasks.unfinished(call.room) == []
            await nothing_is_owed(call.runtime, call.room)

    run(main())


# -- what cannot be is refused where it is written


def one(id: str = "a") -> Agent:
    return Agent(id, model=Sensible())


@pytest.mark.parametrize(
    ("make", "error", "fault"),
    [
        (lambda: Pipeline([]), ValueError, "agents: there are none; give at least one Agent"),
        (lambda: Pipeline([one(), one()]), ValueError, "agents: two have the id 'a'; ids must differ"),
        (lambda: Pipeline([one("human")]), ValueError, "agents: 'human' is not free as an id"),
        (lambda: Pipeline([one()], supervisor_id="a"), ValueError, "supervisor_id: 'a' is among the agents"),
        (lambda: Pipeline([one(), "b"]), TypeError, "agents: 'b' is no Agent"),  # type: ignore[list-item]
        (lambda: Swarm([]), ValueError, "agents: there are none"),
        (lambda: Swarm([one(), one("b")], entry="c"), ValueError, "entry: 'c' is not among the agents; there are a, b"),
        (lambda: Swarm([one(), one("b")], aliases={"x": "c"}), ValueError, "aliases: 'x' stands for 'c'"),
        (lambda: Supervisor(one(), []), ValueError, "workers: the list is empty; give at least one"),
        (lambda: Supervisor(one(), [one("b"), one("b")]), ValueError, "workers: the id 'b' is used twice"),
        (lambda: Supervisor(one(), [one()]), ValueError, "workers: the id 'a' is the supervisor's"),
        (lambda: Supervisor(one(), ["b"]), TypeError, "workers: 'b' is neither an Agent nor a worker"),  # type: ignore[list-item]
        (lambda: Supervisor(one(), [one("b")], strategy="both"), ValueError, "strategy: 'both' is not known"),  # type: ignore[arg-type]
        (lambda: Loop(one(), []), ValueError, "reviewers: the list is empty"),
        (lambda: Loop(one(), [one()]), ValueError, "reviewers: 'a' is the producer"),
        (lambda: Loop(one(), [one("b")], max_iterations=0), ValueError, "max_iterations: 0 is no whole number"),
        (lambda: Runtime(orchestration="pipeline"), TypeError, "orchestration: 'pipeline' is no Orchestration"),  # type: ignore[arg-type]
        (lambda: Runtime(delivery="soon"), ValueError, "strategy: 'soon' is not known; known are"),
    ],
)
def test_a_strategy_that_cannot_be_is_refused(make: Callable[[], Any], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        make()


def test_a_router_that_names_somebody_who_is_not_there_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def script(page: Written) -> None:
        router = ConversationRouter([RoutingRule("bb"), RoutingRule("a"), RoutingRule("bb")], "c")
        router.install(page.runtime, [one(), one("b")], room_id=page.room)
        said = "ConversationRouter(3 rules, default c) routes to bb, c, who is not among the agents here"
        assert said in caplog.messages
        assert (await page.asks("Is all well?")).text == WELL

    written(script)


def test_a_room_refuses_what_would_be_there_twice_or_is_not_there() -> None:
    async def script(page: Written) -> None:
        runtime, room = page.runtime, page.room
        with pytest.raises(RoomError, match="exists already"):
            await runtime.create_room(room)
        with pytest.raises(ValueError, match="has the id 'ws-user'"):
            await runtime.attach_agent(room, one("ws-user"))
        with pytest.raises(ValueError, match="'a' is in room"):
            await runtime.attach_channel(room, TextChannel("a"))
        with pytest.raises(ValueError, match="used twice"):
            await runtime.attach_agent(room, one())
        with pytest.raises(RoomError, match="'ws-nobody' is in no room"):
            await runtime.process_inbound(InboundMessage("ws-nobody", "user", TextContent("Hello?")))
        with pytest.raises(RoomError, match="there is no room 'attic'"):
            await runtime.attach_channel("attic", TextChannel("ws"))
        with pytest.raises(ValueError, match="worker: 'nobody' is not known; known are none"):
            await runtime.delegate(room, "nobody", "boats")
        with pytest.raises(ValueError, match=r"worker: Agent\('w'\) is no id; known are none"):
            await runtime.delegate(room, one("w"), "boats")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="by: 'nobody' is no agent in room"):
            await page.handoff.handle(room, "nobody", {})
        assert (await page.asks("Is all well?")).text == WELL

    written(script, orchestration=Pipeline([one(), one("b")]))
