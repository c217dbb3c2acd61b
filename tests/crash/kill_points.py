"""Kill points: every place in a life at which a process is killed, found by living it once; and kills drawn of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.forge import Forge
from tests.crash.judge import Verdict
from tests.crash.plots import PLOTS, SIDES
from tests.crash.stores import Stores
from tests.crash.town import Death, Town

AT_ONCE = 8
"""Towns that are played side by side: they mostly wait."""
ALIKE = 2
"""Signs of life of which one is like the other: no more of them are interrupted."""
LONGEST = 4.0
"""Seconds of the wall in which a kill from outside falls."""


Life = tuple[str, str]
"""A plot, and whose life in it: the part that is killed."""
LIVES: tuple[Life, ...] = (
    *((plot, "both") for plot in PLOTS),
    *((plot, side) for plot, sides in SIDES.items() for side in sides),
)


@dataclass(frozen=True)
class Kill:
    """How the first processes of a life die."""

    life: Life
    seed: int
    deaths: tuple[Death, ...]
    returns: bool = True
    moves: bool = False

    @property
    def name(self) -> str:
        told = [f"{death:.2f} s" if isinstance(death, float) else f"{death[0]} #{death[1]}" for death in self.deaths]
        gone = ", and moves" * self.moves + ", and does not return" * (not self.returns)
        return f"{' '.join(self.life)} {self.seed}: killed at {', then at '.join(told)}{gone}"


@dataclass(frozen=True)
class Outcome:
    """What became of a kill."""

    kill: Kill
    verdict: Verdict
    folder: Path


_BEFORE_AND_AFTER = ("put", "take_room", "move reserved", "move speaking", "move heard so far", "move heard")
EVERY_STEP: tuple[Kill, ...] = (
    *(Kill(("merge", "both"), 1, ((f"before {step}", 1),)) for step in _BEFORE_AND_AFTER),
    *(Kill(("merge", "both"), 2, ((f"after {step}", 1),)) for step in _BEFORE_AND_AFTER),
    Kill(("merge", "both"), 3, (("inside COMMIT", 9), 0.7)),
    Kill(("merge", "both"), 4, (("before beat", 1), ("after engine open", 1))),
    Kill(("merge", "both"), 5, (1.3,), moves=True),
    Kill(("hold", "both"), 1, (("before move queued", 1),)),
    Kill(("hold", "both"), 2, (("after move queued", 1),)),
    Kill(("withdrawn", "both"), 1, (("after cancel", 1), ("before move cancelled", 1))),
    Kill(("withdrawn", "both"), 2, (("after replay", 1),)),
    Kill(("results", "both"), 1, (("after task start", 1), ("before task step is recorded", 2))),
    Kill(("results", "both"), 2, (("after task step is recorded", 3), ("after task body", 1))),
    Kill(("apart", "worker"), 1, (("before task step is recorded", 2),), returns=False),
    Kill(("apart", "worker"), 2, (("after put", 2),)),
    Kill(("apart", "room"), 1, (("before move heard so far", 2),)),
)
"""One kill at each kind of step: what the tests play every time."""


def points(passed: Counter[str]) -> list[Death]:
    """Every point of a life that came by so often."""
    found: list[Death] = []
    for point, times in sorted(passed.items()):
        alike = point.endswith(("beat", "UPDATE processes"))
        found += [(point, nth) for nth in range(1, (min(times, ALIKE) if alike else times) + 1)]
    return found


async def enumerate_points(forge: Forge, folder: Path, stores: Stores, seed: int) -> dict[Life, list[Death]]:
    """Live every plot once without a kill; what it comes by. Raises AssertionError when that alone goes wrong."""

    async def live(plot: str) -> Town:
        state = await stores.make(folder / plot, fresh=True)
        town = Town(forge, folder / plot, state, plot, seed)
        verdict = await town.play()
        await stores.drop(state)
        assert verdict.good, f"{plot} without any kill: {verdict}"
        assert verdict.twice == 0, f"{plot}: words were heard twice without any kill"
        return town

    plots = [*PLOTS, *SIDES]
    towns = dict(zip(plots, await asyncio.gather(*map(live, plots)), strict=True))
    return {(plot, part): points(towns[plot].points(part)) for plot, part in LIVES}


def draw(found: Mapping[Life, Sequence[Death]], chance: random.Random, count: int) -> list[Kill]:
    """So many kills: each point first (rare ones before those that come often), then again with other seeds; some at
    any time from outside, some that kill the next process too, some of a worker that does not come back, or of
    a room that comes back elsewhere."""
    points = sorted(
        ((life, death) for life, deaths in found.items() for death in deaths if isinstance(death, tuple)),
        key=lambda each: (each[1][1], chance.random()),
    )
    kills = []
    for number in range(count):
        life, death = points[number % len(points)]
        deaths: list[Death] = [death]
        match number % 8:
            case 3:
                deaths = [chance.uniform(0.1, LONGEST)]
            case 7:
                deaths.append(chance.choice([chance.uniform(0.1, LONGEST), *found[life]]))
        returns = life[1] != "worker" or len(deaths) > 1 or chance.random() < 0.5
        kills.append(Kill(life, number // len(points), tuple(deaths), returns, moves=chance.random() < 0.2))
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
            town = Town(
                forge,
                place,
                state,
                kill.life[0],
                kill.seed,
                kill.deaths,
                victim=kill.life[1],
                returns=kill.returns,
                moves=kill.moves,
            )
            outcome = Outcome(kill, await town.play(), place)
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
