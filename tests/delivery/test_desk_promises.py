"""What the desk promises whatever happens: results, callers, a ledger that stumbles, desks that close, and crashes.

In the end every result has come to its end; what counts as heard was at the caller's ear, every word of it; and no word
was heard twice but those that were in flight when a process died.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.ledger import SpeakAs, Status
from delivery.strategies import Immediate, Queued, Strategy, WaitForIdle
from delivery.writer import RETRY
from tests.delivery.house import WORD, Agent, Door, House, Told, delivery
from voice.clock import run
from voice.simulated import SimulatedCaller, SimulatedChannel

STRATEGIES: list[Strategy] = [WaitForIdle(1.0), WaitForIdle(0.0), Queued(1.0), Immediate()]
FLIGHT = 0.5 + 2 * WORD
"""Seconds of speech that a crash may repeat: what was not yet written down, and the word that was being said."""
RESULT = re.compile(r"d\d+w\d+")


@dataclass(frozen=True)
class Step:
    """After `wait` seconds, do this."""

    wait: float
    what: str
    which: int = 0


WHAT = ["put", "put", "put", "cancel", "talk", "backchannel", "hang_up", "hold", "back"]
WHAT += ["refuse", "unreadable", "slow", "close", "crash"]
STEPS = st.builds(
    Step,
    st.sampled_from([0.0, 0.0, 0.3, 0.9, 2.1, 5.0]),
    st.sampled_from(WHAT),
    st.integers(0, 7),
)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    log = logging.getLogger("sottovoce")
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(logging.NOTSET)


class World:
    """One room over several lives of its process. Bert calls; what his ears heard is the truth."""

    def __init__(self) -> None:
        self.shared = MemoryDoor()
        self.told = Told()
        self.ids: list[str] = []
        self.ears: list[SimulatedCaller] = []
        self.crashes = 0
        self.unwritten = False
        """A process ended while the ledger was away: what was heard since then, nobody knows."""
        self.house: House
        self.bert: SimulatedCaller
        self._channel: SimulatedChannel

    async def begin(self) -> None:
        door = Door(self.shared)
        await door.open()
        self._channel = await SimulatedChannel().__aenter__()
        self.house = House(door, self._channel, self.told, words=Agent("w", takes=True))
        self.house.answer("Right.", seconds=0.5)
        self.bert = self._channel.join("bert")
        self.ears.append(self.bert)
        await self.house.begin()

    async def end(self) -> None:
        ledger = self.house.ledger
        away = ledger.moving_takes > 0 or ledger.refusals > 0
        self.unwritten = self.unwritten or away or self.house.now < ledger.refused_at + RETRY
        await self.house.end()
        await self._channel.__aexit__(None, None, None)

    async def crash(self) -> None:
        """The process dies; what it still wanted to do does not happen."""
        self.crashes += 1
        self.house.ledger.gone = True
        self.bert.ear.silence()
        self.bert.hang_up()
        await self.end()

    async def do(self, step: Step) -> None:
        await asyncio.sleep(step.wait)
        match step.what:
            case "put":
                await self.put(step.which)
            case "cancel" if self.ids:
                await self.house.ledger.cancel(self.ids[step.which % len(self.ids)])
            case "refuse":
                self.house.ledger.refusals = step.which
            case "unreadable":
                self.house.ledger.unreadable = step.which % 3
            case "slow":
                self.house.ledger.moving_takes = self.house.ledger.reading_takes = 0.3 * (step.which % 3)
            case "close":
                await self.end()
                await self.begin()
            case "crash":
                await self.crash()
                await self.begin()
            case _:
                await self.behave(step.what)

    async def behave(self, what: str) -> None:
        match what:
            case "talk":
                await self.bert.say("what is the time please")
            case "backchannel":
                await self.bert.backchannel()
            case "hang_up":
                self.bert.hang_up()
            case "hold":
                self.bert.hold()
            case "back":
                self.bert.reconnect()

    async def put(self, which: int) -> None:
        id = f"d{len(self.ids)}"
        self.ids.append(id)
        content = " ".join(f"{id}w{n}" for n in range(1 + which))
        speak_as = SpeakAs.AGENT if which == 7 else SpeakAs.VERBATIM
        strategy = STRATEGIES[which % len(STRATEGIES)]
        await self.shared.put(delivery(id, content, strategy, max_wait=3.0, speak_as=speak_as))

    async def all_well(self) -> None:
        """Nothing fails any more, Bert is here and listens."""
        ledger = self.house.ledger
        ledger.refusals = ledger.unreadable = 0
        ledger.moving_takes = ledger.reading_takes = 0.0
        self.bert.reconnect()
        await asyncio.sleep(60 + 30 * len(self.ids))

    async def check(self) -> None:
        words = Counter[str]()
        for ear in self.ears:
            words.update(word for line in ear.lines for word in RESULT.findall(line.heard))
        twice = sum(count - 1 for count in words.values() if count > 1)
        assert self.unwritten or twice * WORD <= self.crashes * FLIGHT, "words were heard twice that were not in flight"
        cancelled = set()
        """Perhaps before any desk had them: whoever cancelled them knows."""
        for id in self.ids:
            entry = await self.shared.get(id)
            assert entry is not None
            assert entry.status.terminal, f"{id} is owed for ever: {entry}"
            text = entry.delivery.content if entry.wording is None else entry.wording
            told = RESULT.findall(text[: entry.heard_chars])
            assert [w for w in told if not words[w]] == [], "written as heard, but no ear heard it"
            if entry.status is Status.CANCELLED:
                cancelled.add(id)
            if entry.status is Status.HEARD:
                assert entry.heard_chars == len(text)
        ends = Counter(s.delivery.id for s in self.told.settled)
        assert all(count == 1 for count in ends.values()), "an end was told twice"
        assert self.crashes or self.unwritten or set(ends) >= set(self.ids) - cancelled, "an end was not told"


class MemoryDoor(Door):
    """The ledger itself, which never fails."""


@given(st.lists(STEPS, min_size=8, max_size=30))
def test_promises(steps: list[Step]) -> None:
    async def main() -> None:
        world = World()
        await world.shared.open()
        await world.begin()
        for step in steps:
            await world.do(step)
        await world.all_well()
        await world.check()
        await world.end()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something is left running"

    run(main())
