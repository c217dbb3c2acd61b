"""What a room promises whatever its callers do: up to three of them, results of every kind, a ledger that stumbles.

Nothing of the desk's begins while a caller holds the floor, unless it was meant to, or goes on over more than an mm-hm;
one voice of ours at a time; every result ends once, and what counts as heard was at the ear, no word of it twice; once
all are silent, nothing is owed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from delivery.ledger import Delivery, OnInterrupt, SpeakAs, Status
from delivery.strategies import WaitForIdle
from tests.delivery.crowd import NAMES, RESULT, STEPS, Act, Crowd, Put, Referee, Trouble, fall_silent
from tests.delivery.house import Door, House, Told, delivery
from voice.clock import run
from voice.events import Turn
from voice.simulated import SimulatedChannel

REPLIES = ["Right.", "Is that so?", "Well, that is a long story about many things and people.", "slow", "late", "fail"]


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    log = logging.getLogger("sottovoce")
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(logging.NOTSET)


class Host:
    """The agent: it answers in one of several ways, takes what it is given into its reply, and has its own words."""

    def __init__(self, channel: SimulatedChannel, replies: Sequence[str]) -> None:
        self._channel = channel
        self._replies = replies
        self._turns = 0

    async def answer(self) -> None:
        async for turn in self._channel.turns():
            self._channel.say(self._reply(turn, self._replies[self._turns % len(self._replies)]), reply_to=turn)
            self._turns += 1

    async def _reply(self, turn: Turn, how: str) -> AsyncIterator[str]:
        await asyncio.sleep({"slow": 3.0, "late": 16.0}.get(how, 0.3))
        if how == "fail":
            raise RuntimeError("the model broke")
        yield {"slow": "Here it is.", "late": "Sorry."}.get(how, how)

    async def word(self, deliveries: Sequence[Delivery], resume_from: str = "") -> AsyncIterator[str]:
        await asyncio.sleep(0.1)
        yield "Well: " + deliveries[0].content

    def fold(self, deliveries: Sequence[Delivery]) -> bool:
        return True

    def opener(self) -> str:
        return "One thing more."


class World:
    """A room with a desk."""

    def __init__(self, channel: SimulatedChannel, jitter: float, replies: Sequence[str]) -> None:
        self.crowd = Crowd(channel, jitter)
        self.referee = Referee(channel)
        self.puts: dict[str, Put] = {}
        self.told = Told()
        self.door = Door()
        host = Host(channel, replies)
        self.house = House(self.door, channel, self.told, words=host)
        channel.run_script(host.answer())

    async def do(self, what: Put | Act | Trouble | None) -> None:
        match what:
            case Put():
                id = f"d{len(self.puts)}"
                self.puts[id] = what
                await self.door.put(delivery(id, what.content(id), what.strategy, **what.fields))
            case Trouble(refusals, slow):
                self.door.refusals, self.door.moving_takes = refusals, slow
            case Act():
                self.crowd.act(what)

    async def check(self) -> None:
        self.referee.judge(self.crowd, self.puts)
        ends = Counter(settled.delivery.id for settled in self.told.settled)
        assert ends == Counter(list(self.puts)), "an end was not told, or twice"
        for settled in self.told.settled:
            id, put = settled.delivery.id, self.puts[settled.delivery.id]
            entry = await self.house.entry(id)
            assert (entry.status, entry.reason) == (settled.status, settled.reason)
            put.check_end(entry.status, entry.attempts)
            text = entry.delivery.content if entry.wording is None else entry.wording
            heard = self.crowd.heard(put.fields["to"])
            assert all(heard[w] for w in RESULT.findall(text[: entry.heard_chars])), f"{id}: no ear heard all of it"
            assert entry.status is not Status.HEARD or entry.heard_chars == len(text)
            if put.fields["on_interrupt"] is not OnInterrupt.REPEAT:
                assert not self.crowd.heard_twice(id)


OVERDUE = Put(
    WaitForIdle(),
    1,
    False,
    {"priority": 0, "ttl": None, "supersedes": None, "to": None, "on_interrupt": OnInterrupt.RESUME}
    | {"max_wait": 3.0, "speak_as": SpeakAs.VERBATIM, "fold": False},
)
BEHIND_A_QUESTION = [(0.0, OVERDUE), (0.0, Act(0, "say", 0)), (0.0, Act(1, "come", 0)), (0.0, Act(1, "say", 1))]
"""What is overdue is to come before the reply to the second caller; the reply to the first begins first, and asks."""


@example(BEHIND_A_QUESTION, 0.0, ["Is that so?"])
@given(STEPS, st.sampled_from([0.0, 0.0, 0.15]), st.lists(st.sampled_from(REPLIES), min_size=1, max_size=4))
def test_promises(steps: list[tuple[float, Any]], jitter: float, replies: list[str]) -> None:
    async def main() -> None:
        async with SimulatedChannel() as channel:
            world = World(channel, jitter, replies)
            await world.door.open()
            world.crowd.come(NAMES[0])
            async with world.house:
                for wait, what in steps:
                    await asyncio.sleep(wait)
                    await world.do(what)
                await world.do(Trouble(0, 0.0))
                await fall_silent(world.crowd, len(world.puts))
                assert channel.floor.open, f"the floor is not open in the end: {channel.floor}"
                await world.check()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something is left running"

    run(main())
