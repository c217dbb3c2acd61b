"""What whole calls promise whatever their callers do: the room's promises, with a real runtime, agent and workers.

Three callers at most, who ask, delegate, mumble and go; results of every kind put beside what the workers find.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.ledger import OnInterrupt, Status
from orchestration.simulation import simulate
from tests.delivery.crowd import NAMES, RESULT, SAYINGS, STEPS, Act, Crowd, Put, Referee, fall_silent
from tests.scenarios.scenes import house, instant, slow, technical
from voice.clock import run
from voice.simulated import SimulatedChannel

ROOM = "lobby"
ASKED = ["look into boats", "how is it going", "forget it", "what did you find", "look into trains", *SAYINGS]


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    log = logging.getLogger("sottovoce")
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(logging.NOTSET)


class Call:
    """A room of a runtime."""

    def __init__(self, runtime: Any, channel: SimulatedChannel, jitter: float) -> None:
        self.runtime = runtime
        self.channel = channel
        self.crowd = Crowd(channel, jitter)
        self.referee = Referee(channel)
        self.puts: dict[str, Put] = {}

    async def do(self, what: Any) -> None:
        match what:
            case Put():
                id = f"d{len(self.puts)}"
                self.puts[id] = what
                await self.runtime.deliver(ROOM, what.content(id), id=id, strategy=what.strategy, **what.fields)
            case Act(who, "say", size) if (caller := self.crowd.callers.get(NAMES[who])) and not caller.speaking:
                self.channel.run_script(caller.say(ASKED[(size + len(self.puts)) % len(ASKED)]))
            case Act():
                self.crowd.act(what)

    async def check(self) -> None:
        self.referee.judge(self.crowd, self.puts)
        for entry in await self.runtime.ledger.entries(ROOM, list(Status)):
            id = entry.delivery.id
            assert entry.status.terminal, f"{id} is owed for ever: {entry}"
            if (put := self.puts.get(id)) is None:
                continue  # what a worker found
            put.check_end(entry.status, entry.attempts)
            text = entry.delivery.content if entry.wording is None else entry.wording
            heard = self.crowd.heard(put.fields["to"])
            assert all(heard[w] for w in RESULT.findall(text[: entry.heard_chars])), f"{id}: no ear heard all of it"
            assert entry.status is not Status.HEARD or entry.heard_chars == len(text)
            if put.fields["on_interrupt"] is not OnInterrupt.REPEAT:
                assert not self.crowd.heard_twice(id)


EXAMPLES = settings.default.max_examples * 6 // 10
"""A whole call takes three times as long as a room without a runtime."""


@settings(max_examples=EXAMPLES)
@given(STEPS, st.sampled_from([0.0, 0.15]), st.sampled_from([0.0, 0.4, 2.0]), st.sampled_from([0.0, 0.3]))
def test_promises(steps: list[tuple[float, Any]], jitter: float, thinking: float, tts_delay: float) -> None:
    async def main() -> None:
        runtime = house(workers=[technical, instant, slow], thinking=thinking, on_it="On it. {result}")
        async with simulate(runtime, room=ROOM, caller="host", tts_delay=tts_delay) as simulated:
            channel = simulated.caller._channel
            simulated.caller.hang_up()
            call = Call(simulated.runtime, channel, jitter)
            call.crowd.come(NAMES[0])
            for wait, what in steps:
                await asyncio.sleep(wait)
                await call.do(what)
            await fall_silent(call.crowd, len(call.puts) + 10)
            assert channel.floor.open, f"the floor is not open in the end: {channel.floor}"
            await call.check()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something is left running"

    run(main())
