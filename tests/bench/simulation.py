"""How long an hour of simulated talk takes: `python -m tests.bench.simulation` prints it.

The demo, and a caller who is never silent for long: asks for research, asks other things meanwhile, cuts into every
second result, hears the rest, asks for more. Everything but sound is the real thing: ear, floor, playout, scheduler,
ledger (in memory), conversation, tasks. Beside it the same hour with a caller who only listens to the silence.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import itertools
import pstats
from collections.abc import Awaitable, Callable
from pathlib import Path

from delivery import Status
from orchestration.simulation import SimulatedCall, simulate
from orchestration.target import load
from voice.clock import run, wall_seconds
from voice.events import SpeechStarted, SpeechStopped

HOUR = 3600.0
DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
TOPICS = ("electric cars", "solar panels", "heat pumps", "wind power", "night trains")


async def talkative(call: SimulatedCall) -> None:
    for number in itertools.count():
        await call.say(f"look into {TOPICS[number % len(TOPICS)]}")
        await call.hears("on it")
        await call.say("what time is it in rome")
        await call.hears("In Rome")
        await call.say("what is two plus three")
        await call.hears("is 5")
        await call.hears("what my analysts found")
        if number % 2:
            await call.interrupt("wait")
            await call.hears("All right")
            await call.hears("As I was saying")
        await call.say("tell me a joke")
        await call.hears("dec 25")


async def silent(call: SimulatedCall) -> None:
    await call.silence(HOUR)


async def hour(script: Callable[[SimulatedCall], Awaitable[None]], told: list[str]) -> None:
    async with simulate(load(str(DEMO))) as call:
        try:
            async with asyncio.timeout(HOUR):
                await script(call)
        except TimeoutError:
            pass
        heard = await call.runtime.ledger.entries(call.room, [Status.HEARD], limit=10_000)
        told.append(
            f"{len(call.turns)} turns, {len(call.lines)} lines, {sum(line.interrupted for line in call.lines)} cut,"
            f" {len(heard)} results heard; somebody spoke {spoken(call) / call.now:.0%} of the time"
        )


def spoken(call: SimulatedCall) -> float:
    """Seconds in which caller or agent could be heard; an overlap counts for both."""
    agent = sum(end - start for line in call.lines for start, end in line.spans)
    starts = [m.at for m in call.timeline if isinstance(m.what, SpeechStarted)]
    stops = [m.at for m in call.timeline if isinstance(m.what, SpeechStopped)]
    return agent + sum(stop - start for start, stop in zip(starts, stops, strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    profile = parser.parse_args().profile
    print(f"{'an hour of':<24}{'wall':>10}{'factor':>12}")
    for name, script in (("talk", talkative), ("silence", silent)):
        told: list[str] = []
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        began = wall_seconds()
        run(hour(script, told))
        wall = wall_seconds() - began
        profiler.disable()
        print(f"{name:<24}{wall:>8.2f} s{HOUR / wall:>11,.0f}x   {told[0]}")
        if profile:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
