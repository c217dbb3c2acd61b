"""A house for the desk: a simulated room in virtual time, a ledger that can be made to fail, and notes of all that is
told."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from delivery.desk import Desk
from delivery.ledger import Delivery, Entry, LedgerError, Move, Status
from delivery.memory import MemoryLedger
from delivery.signals import Settled
from delivery.strategies import Strategy, WaitForIdle
from voice.clock import run
from voice.events import Turn
from voice.simulated import SimulatedCaller, SimulatedChannel

Anna = SimulatedCaller
ROOM = "lobby"
WORD = 0.4
"""Seconds a word of a simulated voice takes."""
TICK = 0.02
"""The tolerance of times, seconds."""


class Door(MemoryLedger):
    """A process's own way to a shared ledger. It can be shut for a while, slow, or gone for good."""

    def __init__(self, shared: MemoryLedger | None = None) -> None:
        super().__init__()
        if shared is not None:
            for name in ("_rows", "_of_room", "_open_of", "_numbers", "_ended", "_rooms", "_processes", "_hints"):
                setattr(self, name, getattr(shared, name))
        self.refusals = 0
        """So many moves are refused."""
        self.refused_at = -math.inf
        self.unreadable = 0
        """So many readings are refused."""
        self.reading_takes = 0.0
        self.moving_takes = 0.0
        self.gone = False
        """The process that uses it is dead: nothing it asks is answered any more."""
        self.deaf = False
        """Hints get lost."""
        self.vague = False
        """Hints do not say where."""
        self.error: Exception = LedgerError("the disk is full; free some space")
        self.made: list[tuple[float, Move]] = []

    async def move(self, room: str, epoch: int, moves: Sequence[Move]) -> frozenset[str]:
        await self._pass(self.moving_takes)
        if self.refusals:
            self.refusals -= 1
            self.refused_at = asyncio.get_running_loop().time()
            raise self.error
        over = await super().move(room, epoch, moves)
        self.made += [(asyncio.get_running_loop().time(), move) for move in moves]
        return over

    async def entries(
        self, room: str, statuses: Iterable[Status] | None = None, limit: int = 1000, *, newest: bool = False
    ) -> list[Entry]:
        if self.unreadable:
            self.unreadable -= 1
            raise self.error
        found = await super().entries(room, statuses, limit, newest=newest)
        await self._pass(self.reading_takes)
        return found

    def subscribe(self, on_change: Callable[[str], None], *, moves: bool = True) -> Callable[[], None]:
        if self.deaf:
            return lambda: None
        return super().subscribe((lambda _: on_change("*")) if self.vague else on_change, moves=moves)

    async def _pass(self, seconds: float) -> None:
        if self.gone:
            await asyncio.get_running_loop().create_future()
        if seconds:
            await asyncio.sleep(seconds)


@dataclass
class Told:
    """What the desk's watchers and hooks were told, with the times."""

    steps: list[tuple[float, str, str]] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    spoken: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def of(self, id: str) -> list[str]:
        return [status for _, known, status in self.steps if known == id]


class Agent:
    """A desk's words: `saying` are an agent's own, `takes` whether it folds."""

    def __init__(self, saying: str | Exception = "", takes: bool = False, seconds: float = 0.0) -> None:
        self.saying, self.takes, self.seconds = saying, takes, seconds
        self.asked: list[str] = []

    async def word(self, deliveries: Sequence[Delivery], resume_from: str = "") -> AsyncIterator[str]:
        self.asked += [d.id for d in deliveries]
        await asyncio.sleep(self.seconds)
        yield "Well: "
        if isinstance(self.saying, Exception):
            raise self.saying
        yield self.saying

    def fold(self, deliveries: Sequence[Delivery]) -> bool:
        return self.takes

    def opener(self) -> str:
        return "One thing more."


class House:
    """One process's part in a room: channel, desk, ledger."""

    def __init__(self, ledger: Door, channel: SimulatedChannel, told: Told, **hooks: Any) -> None:
        self.ledger, self.channel, self.told = ledger, channel, told
        self._hooks = hooks
        self.desk: Desk
        self._open = False

    async def __aenter__(self) -> House:
        await self.begin()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.end(*error)

    async def begin(self) -> None:
        """Take the room, and open a desk."""
        epoch = await self.ledger.take_room(ROOM, "owner")

        async def after(settled: Settled) -> None:
            self.told.settled.append(settled)

        hooks = {"after": after, "watcher": self._watch, "spoken": self._spoken, **self._hooks}
        self.desk = Desk(ROOM, epoch, self.channel, self.ledger, **hooks)
        await self.desk.__aenter__()
        self._open = True

    async def end(self, kind: Any = None, error: Any = None, trace: Any = None) -> None:
        """Close the desk, unless that was done before."""
        if self._open:
            self._open = False
            await self.desk.__aexit__(kind, error, trace)

    def _watch(self, delivery: Delivery, status: Status, reason: str, heard: int) -> None:
        self.told.steps.append((self.now, delivery.id, status.value))

    def _spoken(self, utterance: Any, message: Any) -> None:
        self.told.spoken.append((utterance.text, tuple(p.delivery for p in message.parts) if message else ()))

    async def put(self, id: str, content: str = "", strategy: Strategy | None = None, **fields: Any) -> None:
        """As any process does."""
        await self.ledger.put(delivery(id, content, strategy, **fields))

    async def status(self, id: str) -> Status:
        return (await self.entry(id)).status

    async def entry(self, id: str) -> Entry:
        entry = await self.ledger.get(id)
        assert entry is not None
        return entry

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def answer(self, text: str = "It is noon.", seconds: float = 0.0) -> None:
        """Answer every turn from now on."""

        async def reply(turn: Turn) -> AsyncIterator[str]:
            await asyncio.sleep(seconds)
            yield text

        async def work() -> None:
            async for turn in self.channel.turns():
                self.channel.say(reply(turn), reply_to=turn)

        self.channel.run_script(work())


def delivery(id: str, content: str = "", strategy: Strategy | None = None, **fields: Any) -> Delivery:
    chosen = strategy or WaitForIdle(1.0)
    text = content or " ".join(f"{id}{n}" for n in range(5))
    return Delivery(id, fields.pop("room", ROOM), text, chosen.written(), **{"max_wait": None, **fields})


def lines(anna: Anna) -> list[str]:
    """What came to her ear, utterance by utterance."""
    return [line.heard for line in anna.lines]


def heard_words(*callers: SimulatedCaller) -> list[str]:
    """All words that came to these ears, one after the other."""
    return " ".join(line.heard for caller in callers for line in caller.lines).split()


def play(
    script: Callable[[House, SimulatedCaller], Awaitable[None]], *, ledger: Door | None = None, **hooks: Any
) -> Told:
    """Anna is in the room when the desk opens at 0 s; `script` goes on from there. Nothing is left running after it."""
    told = Told()

    async def main() -> None:
        door = ledger or Door()
        await door.open()
        async with SimulatedChannel() as channel:
            house = House(door, channel, told, **hooks)
            anna = channel.join("anna")
            async with house:
                await script(house, anna)
        await door.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something is left running"

    run(main())
    return told


def near(seconds: float, wanted: float) -> bool:
    return abs(seconds - wanted) <= TICK
