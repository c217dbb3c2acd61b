"""Whatever a model does in whatever seat of whatever strategy: the caller gets an answer or a short apology within
bounded time, the room answers the next turn, and nothing that was promised is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from delivery import Status
from orchestration import Agent, Loop, Orchestration, Pipeline, Runtime, Supervisor, Swarm, simulate
from orchestration.simulation import SimulatedCall
from tests.orchestration.broken import FAULTS, SECRET, WELL, Broken, Fault, Sensible
from tests.orchestration.guide.written import Written, written
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
MAX_CALL_WAIT = 30.0
"""Seconds of silence that somebody who listens bears at most; the house promises less."""


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
    """Say it; something is heard of an answer soon after."""
    _, ended = await call.say(text)
    async with asyncio.timeout(MAX_CALL_WAIT):
        while not any(line.started > ended for line in call.lines):
            await asyncio.sleep(0.1)


async def nothing_is_owed(runtime: Runtime, room: str) -> None:
    """Every result that was promised was heard."""
    entries = await runtime.deliveries(room, list(Status))
    assert [entry.status for entry in entries if entry.status is not Status.HEARD] == []
