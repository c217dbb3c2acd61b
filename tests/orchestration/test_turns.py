"""What a written turn takes does not grow with the talk, nor an idle room's share with how many there are.

Nothing here looks at a clock: calls are counted, and bytes.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

import pytest

from orchestration import Agent, HookExecution, HookTrigger, InboundMessage, Runtime, TextChannel, TextContent
from orchestration.models.prepared import Prepared
from tests.orchestration.post import Reader, Talks
from voice.clock import run
from voice.simulated import SimulatedChannel

TURNS = 3_000
MOST_BYTES = {True: 40_000, False: 60_000}
"""By whether they write: a simulated voice has a caller with an ear."""
MOST_TASKS = 4


def runtime(**more: Any) -> Runtime:
    agent = Agent("host", model=Prepared(["hello there"]))
    return Runtime(orchestration=Talks(agent), channels=lambda room: SimulatedChannel(), **{"state": None, **more})


async def calls(turn: Callable[[], Awaitable[object]]) -> float:
    """Function calls of a turn; the median, as now and then something else has its turn, too."""
    counts = []
    count = 0

    def count_it(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    for _ in range(41):
        count = 0
        sys.setprofile(count_it)
        try:
            await turn()
        finally:
            sys.setprofile(before)
        counts.append(count)
    return median(counts)


@pytest.mark.parametrize("senders", [1, 500])
def test_a_turn_takes_the_same_after_three_thousand_others(senders: int) -> None:
    async def main() -> tuple[float, float, int]:
        async with runtime() as open_:
            await open_.create_room("lobby")
            await open_.attach_channel("lobby", TextChannel("ws", send=lambda event: asyncio.sleep(0)))
            seen: list[int] = []
            for execution in HookExecution:
                for trigger in (HookTrigger.BEFORE_BROADCAST, HookTrigger.AFTER_BROADCAST):
                    open_.hook(trigger, execution=execution)(lambda event, context: seen.append(1))
            number = 0

            async def turn() -> None:
                nonlocal number
                number += 1
                await open_.process_inbound(InboundMessage("ws", f"s{number % senders}", TextContent("hello")))

            for _ in range(max(60, senders)):
                await turn()
            early = await calls(turn)
            for _ in range(TURNS - number - 500):
                await turn()
            seen.clear()
            gc.collect()
            tracemalloc.start()
            try:
                for _ in range(TURNS - number):
                    await turn()
                seen.clear()
                gc.collect()
                grown, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            return early, await calls(turn), grown

    early, late, grown = asyncio.run(main())
    assert late < 1.02 * early
    assert 100 < early < 3_000
    assert grown < 1_000_000  # of which the memory store's newest events are most


@pytest.mark.parametrize("written", [True, False])
def test_an_idle_room_takes_little(written: bool) -> None:
    few, many = 20, 220

    async def main() -> tuple[float, float]:
        async with runtime() as open_:

            async def begin(number: int) -> None:
                name = f"room {number}"
                await open_.create_room(name)
                if written:
                    await open_.attach_channel(name, Reader().channel)
                else:
                    session = await open_.enter(name)
                    assert isinstance(session.channel, SimulatedChannel)
                    session.channel.join("ann")

            for number in range(few):
                await begin(number)
            gc.collect()
            tracemalloc.start()
            tasks = len(asyncio.all_tasks())
            for number in range(few, many):
                await begin(number)
            await asyncio.sleep(1)
            gc.collect()
            size, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return size / (many - few), (len(asyncio.all_tasks()) - tasks) / (many - few)

    size, tasks = run(main())
    assert 5_000 < size < MOST_BYTES[written]
    assert 1 <= tasks <= MOST_TASKS


def test_a_thousand_rooms_open_talk_and_close() -> None:
    async def main() -> None:
        async with runtime() as open_:
            readers = [Reader() for _ in range(1_000)]
            for number, reader in enumerate(readers):
                await open_.create_room(f"room {number}")
                await open_.attach_channel(f"room {number}", reader.channel)
            async with asyncio.TaskGroup() as group:
                for number in range(1_000):
                    message = InboundMessage("ws", "ann", TextContent("hello"))
                    group.create_task(open_.process_inbound(message, room_id=f"room {number}"))
            assert {tuple(reader.texts) for reader in readers} == {("hello there",)}
            for number in range(0, 1_000, 2):
                await open_.close_room(f"room {number}")
            assert len(open_._rooms.names) == 500

    run(main())
