"""Kill points: every place in a life at which a process is killed, found by living it once; and kills drawn of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.forge import Forge
from tests.crash.judge import Verdict
from tests.crash.plots import PLOTS
from tests.crash.stores import Stores
from tests.crash.town import Death, Town

AT_ONCE = 8
"""Towns that are played side by side: they mostly wait."""
ALIKE = 2
"""Signs of life of which one is like the other: no more of them are interrupted."""
LONGEST = 4.0
"""Seconds of the wall in which a kill from outside falls."""


@dataclass(frozen=True)
class Kill:
    """A plot, and how its first processes die."""

    plot: str
    seed: int
    deaths: tuple[Death, ...]

    @property
    def name(self) -> str:
        told = [f"{death:.2f} s" if isinstance(death, float) else f"{death[0]} #{death[1]}" for death in self.deaths]
        return f"{self.plot} {self.seed}: killed at {', then at '.join(told)}"


@dataclass(frozen=True)
class Outcome:
    """What became of a kill."""

    kill: Kill
    verdict: Verdict
    folder: Path


def points(passed: Counter[str]) -> list[Death]:
    """Every point of a life that came by so often."""
    found: list[Death] = []
    for point, times in sorted(passed.items()):
        alike = point.endswith(("beat", "UPDATE processes"))
        found += [(point, nth) for nth in range(1, (min(times, ALIKE) if alike else times) + 1)]
    return found


async def enumerate_points(forge: Forge, folder: Path, stores: Stores, seed: int) -> dict[str, list[Death]]:
    """Live every plot once without a kill; what it comes by. Raises AssertionError when that alone goes wrong."""

    async def live(plot: str) -> list[Death]:
        state = await stores.make(folder / plot, fresh=True)
        town = Town(folder / plot, state, plot, seed)
        verdict = await town.play(forge)
        await stores.drop(state)
        assert verdict.good, f"{plot} without any kill: {verdict}"
        assert verdict.twice == 0, f"{plot}: words were heard twice without any kill"
        return points(town.points)

    lives = await asyncio.gather(*(live(plot) for plot in PLOTS))
    return dict(zip(PLOTS, lives, strict=True))


def draw(found: dict[str, list[Death]], chance: random.Random, count: int) -> list[Kill]:
    """So many kills: each point first (rare ones before those that come often), then again with other seeds; some at
    any time from outside, some that kill the next process too."""
    rarely = sorted(
        ((plot, death) for plot, deaths in found.items() for death in deaths if isinstance(death, tuple)),
        key=lambda each: (each[1][1], chance.random()),
    )
    kills = []
    for number in range(count):
        plot, death = rarely[number % len(rarely)]
        seed = number // len(rarely)
        deaths: list[Death] = [death]
        match number % 8:
            case 3:
                deaths = [chance.uniform(0.1, LONGEST)]
            case 7:
                deaths.append(chance.choice([chance.uniform(0.1, LONGEST), *found[plot]]))
        kills.append(Kill(plot, seed, tuple(deaths)))
    return kills


async def carry_out(
    forge: Forge,
    folder: Path,
    stores: Stores,
    kills: Sequence[Kill],
    told: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Play a town for each kill, several at once."""
    free = asyncio.Semaphore(AT_ONCE)

    async def play(number: int, kill: Kill) -> Outcome:
        async with free:
            place = folder / f"town-{number}"
            state = await stores.make(place, fresh=number % 8 == 0)
            town = Town(place, state, kill.plot, kill.seed, kill.deaths)
            outcome = Outcome(kill, await town.play(forge), place)
            if outcome.verdict.good:
                await stores.drop(state)
            told(outcome)
            return outcome

    return await asyncio.gather(*(play(number, kill) for number, kill in enumerate(kills)))


def faulty(outcomes: Iterable[Outcome]) -> str:
    """What went wrong, for people ("": nothing)."""
    bad = [outcome for outcome in outcomes if not outcome.verdict.good]
    return "\n\n".join(
        f"{o.kill.name}\n  in {o.folder}\n  missed {o.verdict.missed}\n  left open {o.verdict.left_open}\n"
        + "\n".join(f"  {fault}" for fault in o.verdict.faults)
        for o in bad
    )
