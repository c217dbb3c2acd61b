"""What asking the model ahead gains, and what it costs: `python -m tests.bench.preemptive`. In virtual time: exact.

A caller says turns with pauses of human length inside (quantiles of 673 telephone calls; the agent's model needs
`thought` seconds to its first word). Printed are seconds from the end of the caller's speech to the agent's first
sound, without and with asking ahead, and how often the model is asked for a turn (1 is the least).
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect
from statistics import mean, median

from orchestration import Agent, Runtime
from orchestration.simulation import simulate
from tests.orchestration.models.double import Double
from tests.orchestration.test_conversation import Talks
from voice.clock import run
from voice.endpointing import FixedSilence

QUANTILES = ((0.0, 0.1), (0.5, 0.38), (0.9, 1.13), (0.95, 1.55), (0.99, 2.94), (1.0, 4.0))
"""Pauses within a speaker, in seconds."""
TURNS = 40
WORDS = ["could", "you", "tell", "me", "what", "you", "know", "about", "the", "sea"]


def pause(chance: random.Random) -> float:
    """A pause of human length."""
    at = chance.random()
    place = bisect([share for share, _ in QUANTILES], at)
    (low, a), (high, b) = QUANTILES[place - 1], QUANTILES[min(place, len(QUANTILES) - 1)]
    return a + (b - a) * (at - low) / (high - low or 1)


def calls(thought: float, silence: float, eager: float | None) -> tuple[list[float], float]:
    """Seconds to the first sound of the answers to whole turns, and requests a turn."""
    model = Double([[thought, "A lot."]])
    chance = random.Random(1)
    waits: list[float] = []
    turns = 0

    async def main() -> None:
        nonlocal turns
        runtime = Runtime(orchestration=Talks(Agent("host", model=model)), state=None)
        endpointer = FixedSilence(silence=silence, eager=eager)
        async with simulate(runtime, endpointer=endpointer, preemptive=eager is not None) as call:
            for _ in range(TURNS):
                at = chance.randrange(1, len(WORDS))
                await call.caller.say(" ".join(WORDS[:at]))
                await asyncio.sleep(pause(chance))
                _, ended = await call.caller.say(" ".join(WORDS[at:]))
                while not (call.lines and call.lines[-1].started >= ended):
                    await asyncio.sleep(0.01)
                waits.append(call.lines[-1].started - ended)
                await asyncio.sleep(3)
            turns = len(call.turns)

    run(main())
    return waits, len(model.asked) / turns


def main() -> None:
    """Print the table."""
    print("thought  silence  eager   first sound (median)   mean   requests a turn")
    for thought in (0.2, 0.5, 1.0):
        for silence in (0.6, 1.0):
            for eager in (None, 0.3, 0.1):
                waits, requests = calls(thought, silence, eager)
                name = "   no" if eager is None else f"{eager:5.1f}"
                print(
                    f"{thought:5.1f} s  {silence:5.1f} s  {name}   {median(waits):15.2f} s   {mean(waits):6.2f} s"
                    f"   {requests:6.2f}"
                )


if __name__ == "__main__":
    main()
