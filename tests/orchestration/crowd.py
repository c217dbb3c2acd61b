"""A house full of rooms: quiet ones where a result comes now and then, and a busy one that leaves nobody any peace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence

from delivery import Immediate, Queued, Strategy, WaitForIdle
from orchestration import Agent, Orchestration, Runtime
from orchestration.models.scripted import Intent, Scripted
from voice.clock import run
from voice.simulated import SimulatedCaller, SimulatedChannel

BUSY = "busy"
STRATEGIES: tuple[Strategy, ...] = (WaitForIdle(0.5), WaitForIdle(1.0), Queued(1.0), Queued(0.3))

Heard = dict[str, list[tuple[float, float | None, str]]]
"""By room: when each line began and ended at the caller's ear, and what was heard of it."""


class Host(Orchestration):
    """One agent talks, in every room."""

    agent = Agent("host", model=Scripted([Intent(["hello"], answer="Good day.")], fallback=("That is so.",)))

    def agents(self) -> Sequence[Agent]:
        return [self.agent]

    async def install(self, runtime: Runtime, room_id: str) -> None:
        runtime.room(room_id).talker = self.agent


def house() -> Runtime:
    """Its agent answers everything with a few words; rooms' channels are simulated, its memory dies with it."""
    return Runtime(orchestration=Host(), state=None, channels=lambda room: SimulatedChannel())


async def attend(runtime: Runtime, room: str) -> SimulatedCaller:
    session = await runtime.enter(room)
    assert isinstance(session.channel, SimulatedChannel)
    return session.channel.join("caller")


async def live_quietly(runtime: Runtime, room: str, seconds: float) -> SimulatedCaller:
    """A call with some results and some words; the same whoever else is in the house."""
    dice = random.Random(room)
    caller = await attend(runtime, room)
    loop = asyncio.get_running_loop()
    until, n = loop.time() + seconds, 0
    while loop.time() < until:
        await asyncio.sleep(dice.uniform(1.0, 6.0))
        if dice.random() < 0.3:
            await caller.say("well hello there my friend")
        else:
            n += 1
            text = " ".join([f"{room} {n}"] * dice.randint(1, 4))
            await runtime.deliver(room, text, strategy=dice.choice(STRATEGIES), id=f"{room}-{n}")
    return caller


async def live_busily(runtime: Runtime, deliveries: int, seconds: float) -> SimulatedCaller:
    """Hundreds of results of all kinds, a caller who chatters, cuts them short, hangs up and comes back."""
    dice = random.Random(BUSY)
    caller = await attend(runtime, BUSY)
    loop = asyncio.get_running_loop()

    async def work() -> None:
        for n in range(deliveries):
            await runtime.deliver(
                BUSY,
                f"result {n} of very many",
                strategy=dice.choice([*STRATEGIES, Immediate()]),
                priority=dice.choice([0, 0, 0, 1, 2]),
                ttl=dice.choice([None, None, 5.0]),
                supersedes=dice.choice([None, None, None, "weather"]),
                speak_as=dice.choice(["verbatim", "agent"]),
            )
            if n > deliveries // 2:  # the first half comes all at once
                await asyncio.sleep(seconds / deliveries)

    producer = asyncio.create_task(work())
    until = loop.time() + seconds
    while loop.time() < until:
        await caller.say(" ".join(["and then"] * dice.randint(1, 6)))
        await asyncio.sleep(dice.uniform(0.1, 3.0))
        if dice.random() < 0.1:
            caller.drop()
            await asyncio.sleep(1.0)
            caller.reconnect()
    await producer
    return caller


def names(quiet: int) -> Iterator[str]:
    return (f"room{n}" for n in range(quiet))


def lived(quiet: int, busy: int, seconds: float) -> Heard:
    """What was heard in `quiet` rooms within `seconds`, beside a room with `busy` deliveries (0: there is none)."""

    async def main() -> Heard:
        async with house() as runtime, asyncio.TaskGroup() as group:
            calls = {room: group.create_task(live_quietly(runtime, room, seconds)) for room in names(quiet)}
            if busy:
                calls[BUSY] = group.create_task(live_busily(runtime, busy, seconds))
            await asyncio.wait(calls.values())
            return {
                room: [(line.started, line.ended, line.heard) for line in (await call).lines]
                for room, call in calls.items()
            }

    return run(main())
