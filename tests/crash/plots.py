"""Plots: what happens in a call that is going to be killed. What was done is noted, and not done again afterwards.

A producer that dies before it knew that its result was stored stores it again, under the same id.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from delivery import Immediate, Queued, WaitForIdle
from delivery.ledger import LedgerError
from orchestration import Runtime
from orchestration.engines.engine import EngineError
from orchestration.rooms import RoomElsewhereError
from tests.crash.ear import Notes, TownLeg, read
from tests.crash.house import CALLER, ROOM, content
from voice.leg import Leg
from voice.simulated import SimulatedCaller
from voice.simulated_ear import NotHeardError

T = TypeVar("T")

TEAM = "host.workers"
"""The workers' name for whoever delegates to them without the host."""


REFUSED = "d8"
"""What cannot be stored while the store is in trouble."""
MID_WORD = (0.1, 0.3)
"""Seconds after the end of a word. At that very end a line that breaks takes the receipt for the word with it."""


class Stage:
    """A process's part of the play. `chance` varies the times."""

    def __init__(self, runtime: Runtime, folder: Path, chance: random.Random) -> None:
        self.runtime = runtime
        self.chance = chance
        self.leg = TownLeg(CALLER)
        self.caller: SimulatedCaller
        self._path = folder / "notes"
        self._notes = Notes(self._path)
        self._done = {facts[0] for what, _, _, *facts in read(folder / "notes") if what == "done"}

    def note(self, what: str, *facts: Any) -> None:
        self._notes.add(what, *facts)

    async def once(self, name: str, act: Callable[[], Awaitable[object]]) -> None:
        """Do it, unless an earlier life came to its end."""
        if name not in self._done:
            await act()
            self.note("done", name)

    async def call(self) -> None:
        """The caller is in the room until they are let go. One who is sent elsewhere tries again, like a page."""
        while not self.leg.connected.done():
            try:
                await self.runtime.join(ROOM, cast("Leg", self.leg))
            except RoomElsewhereError as elsewhere:
                self.note("sent", elsewhere.address)
                await asyncio.sleep(0.5)
        self.note("let go", CALLER)

    @property
    def over(self) -> frozenset[str]:
        """The sides whose part is over, of all processes."""
        done = {facts[0] for what, _, _, *facts in read(self._path) if what == "done"}
        return frozenset(name.removeprefix("plot ") for name in done if name.startswith("plot "))

    # -- what can be done

    async def store(self, id: str, words: int = 7, **how: Any) -> None:
        """Something is to be told."""

        async def store() -> None:
            await self.insist(lambda: self.runtime.deliver(ROOM, content(id, words), id=id, **how))
            self.note("stored", id)

        await self.once(f"store {id}", store)

    async def delegate(self, name: str) -> None:
        """Somebody has work done underneath."""

        async def delegate() -> None:
            task = await self.insist(lambda: self.runtime.delegate(ROOM, TEAM, name, caller=CALLER))
            self.note("begun", task.id)

        await self.once(f"delegate {name}", delegate)

    async def insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again when the store cannot answer."""
        while True:
            try:
                return await ask()
            except (LedgerError, EngineError) as error:
                self.note("refused", str(error))
                await asyncio.sleep(1)

    async def say(self, text: str) -> None:
        """The caller speaks, and waits a little for an answer."""

        async def say() -> None:
            await self.caller.say(text)
            await self.pause(0.5, 4)

        await self.once(f"say {text}", say)

    async def hears(self, text: str) -> None:
        """The caller has heard it, in this life or an earlier one: or has waited long enough."""

        async def hears() -> None:
            try:
                await self.caller.hears(text, 8)
            except NotHeardError:
                self.note("waited in vain", text)

        await self.once(f"hear {text}", hears)

    async def told(self, what: str) -> None:
        """Wait until it stands among the notes."""
        while all(each != what for each, *_ in read(self._path)):
            await asyncio.sleep(0.1)

    async def pause(self, shortest: float, longest: float) -> None:
        await asyncio.sleep(self.chance.uniform(shortest, longest))


async def results(stage: Stage) -> None:
    """Two results of tasks and one from elsewhere, while the caller talks with the host."""
    await stage.delegate("boats")
    await stage.store("d1")
    await stage.say("what time is it")
    await stage.delegate("trains")


async def barge_in(stage: Stage) -> None:
    """The caller cuts in twice."""
    await stage.store("d1", 10)
    await stage.hears(f"d1w{stage.chance.randrange(1, 5)}")
    await stage.say("what time is it")
    await stage.delegate("boats")
    await stage.hears("d1w7")
    await stage.say("tea or coffee")
    await stage.say("tea please")


async def hold(stage: Stage) -> None:
    """The caller puts the call on hold in mid-result, and hangs up and comes back in another."""
    await stage.store("d1", 8)
    await stage.hears("d1w2")

    async def held() -> None:
        await stage.pause(*MID_WORD)
        stage.caller.hold()
        await stage.pause(0.5, 2)
        stage.caller.resume()

    await stage.once("hold", held)
    await stage.store("d2", 8)
    await stage.hears("d2w3")

    async def away() -> None:
        await stage.pause(*MID_WORD)
        stage.caller.hang_up()
        await stage.pause(0.5, 2)
        stage.caller.reconnect()

    await stage.once("hang up", away)


async def merge(stage: Stage) -> None:
    """Three results that go out as one message, and one that must not wait for them."""
    for id in ("d1", "d2", "d3"):
        await stage.store(id, 4, strategy=Queued(buffer=1.0))
    await stage.hears("d2w1")
    await stage.store("d4", 5, strategy=Immediate(), priority=5)
    await stage.store("d5", 4, strategy=Queued(buffer=0.5))


async def asked(stage: Stage) -> None:
    """The caller asks for work by voice; its result may land while a reply is made, and goes into it."""
    await stage.say("look into boats")
    await stage.hears("on it")
    await stage.pause(1.5, 3.0)
    await stage.say("tell me a story")
    await stage.say("how is it going")
    await stage.store("d1", 5, strategy=WaitForIdle(buffer=0.5), speak_as="agent")


async def withdrawn(stage: Stage) -> None:
    """Some is cancelled, queued or at the ear; some replaced; some of that is wanted again."""
    await stage.store("d1", 8)
    await stage.store("d2", 5)
    await stage.store("d3", 5, supersedes="weather")
    await stage.once("cancel d2", lambda: stage.runtime.receipt("d2").cancel())
    await stage.hears("d1w3")
    await stage.once("cancel d1", lambda: stage.runtime.receipt("d1").cancel())
    await stage.store("d4", 5, supersedes="weather")
    await stage.once("replay d2", lambda: stage.runtime.receipt("d2").replay())


PLOTS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    plot.__name__: plot for plot in (results, barge_in, hold, merge, asked, withdrawn)
}
"""Plots that are played by one process."""


async def hall(stage: Stage) -> None:
    """The room's side: the caller talks with the host while others work."""
    await stage.say("what time is it")
    await stage.hears("w1")
    await stage.say("tell me a story")


async def workshop(stage: Stage) -> None:
    """The other side: work is begun, and results are told, in a process that has no callers."""
    await stage.delegate("boats")
    await stage.store("d1")
    await stage.delegate("trains")
    await stage.pause(1, 4)
    await stage.store("d2", 5)
    await stage.delegate("planes")


async def long(stage: Stage) -> None:
    """One long result."""
    await stage.store("d1", 16)


async def outage(stage: Stage) -> None:
    """The store is in trouble in mid-call: the talk goes on, and who wants something told is refused aloud."""
    await stage.store("d1")
    await stage.delegate("boats")
    await stage.hears("d1w2")
    stage.note("ready")
    await stage.told("trouble")
    try:
        await stage.runtime.deliver(ROOM, content(REFUSED), id=REFUSED, metadata={"much": "x" * 60_000})
    except LedgerError as error:
        stage.note("declined", str(error))
    else:
        stage.note("accepted", REFUSED)
    await stage.caller.say("what time is it")
    await stage.caller.hears("noon")
    stage.note("answered")
    await stage.told("mended")
    await stage.store("d2", 5)


OTHERS = {"long": long, "outage": outage}
"""Plots that are played in trials of their own."""
SIDES = {"apart": {"room": hall, "worker": workshop}}
"""Plots that are played by two processes."""
NOT_WANTED = {"withdrawn": {"d1", "d3"}}
"""Deliveries that need not be heard in a plot, or not whole."""
