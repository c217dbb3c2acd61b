"""The whole crash suite: `python -m tests.crash [--kills 400] [--seed 1] [--store sqlite]`. Prints what came of it."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.crash.forge import forge
from tests.crash.kill_points import Outcome, carry_out, draw, enumerate_points, faulty


async def run(folder: Path, kills: int, seed: int) -> int:
    print(f"seed {seed}, in {folder}", flush=True)
    done = 0

    def told(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if not outcome.verdict.good:
            print(faulty([outcome]), flush=True)
        elif done % 50 == 0:
            print(f"  {done} towns", flush=True)

    def in_files(place: Path) -> str:
        return str(place / "state")

    async with forge() as made:
        found = await enumerate_points(made, folder / "whole", in_files, seed)
        print(f"{sum(map(len, found.values()))} kill points in {len(found)} plots", flush=True)
        drawn = draw(found, random.Random(seed), kills)
        outcomes = await carry_out(made, folder / "sqlite", in_files, drawn, told)
    deaths = sum(o.verdict.deaths for o in outcomes)
    missed = sum(len(o.verdict.missed) for o in outcomes)
    left = sum(len(o.verdict.left_open) for o in outcomes)
    twice = max((o.verdict.twice for o in outcomes), default=0)
    faults = sum(len(o.verdict.faults) for o in outcomes)
    print(
        f"{deaths} kills: {missed} missed, at most {twice} words heard twice, {left} left open, {faults} other faults"
    )
    return 1 if faulty(outcomes) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a directory in which all towns are kept")
    given = parser.parse_args()
    if given.keep:
        return asyncio.run(run(given.keep, given.kills, given.seed))
    with tempfile.TemporaryDirectory(prefix="sottovoce-crash-", ignore_cleanup_errors=True) as folder:
        return asyncio.run(run(Path(folder), given.kills, given.seed))


if __name__ == "__main__":
    sys.exit(main())
