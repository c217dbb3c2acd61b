"""The whole crash suite: `python -m tests.crash [--sqlite 260] [--postgres 150] [--seed 1]`. Prints what came of it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.crash.forge import Forge, forge
from tests.crash.kill_points import Outcome, carry_out, draw, enumerate_points, faulty
from tests.crash.stores import Files, Stores, databases
from tests.postgres import missing, server


@contextlib.asynccontextmanager
async def on_postgres(made: Forge, place: Path) -> AsyncIterator[Stores]:
    """Databases of a server of our own."""
    with contextlib.ExitStack() as stack:
        running = await asyncio.to_thread(stack.enter_context, server())
        async with databases(running, made, place) as stores:
            yield stores


async def campaign(made: Forge, stores: Stores, folder: Path, kills: int, seed: int) -> list[Outcome]:
    """So many kills on one kind of store."""
    found = await enumerate_points(made, folder / "whole", stores, seed)
    print(f"{stores.name}: {sum(map(len, found.values()))} kill points in {len(found)} lives", flush=True)
    done = 0

    def told(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if not outcome.verdict.good:
            print(faulty([outcome]), flush=True)
        elif done % 50 == 0:
            print(f"{stores.name}: {done} towns", flush=True)

    return await carry_out(made, folder, stores, draw(found, random.Random(seed), kills), told)


async def run(folder: Path, sqlite: int, postgres: int, seed: int) -> int:
    print(f"seed {seed}, in {folder}", flush=True)
    outcomes: dict[str, list[Outcome]] = {}
    async with forge() as made:
        if sqlite:
            outcomes["sqlite"] = await campaign(made, Files(), folder / "sqlite", sqlite, seed)
        if postgres and (why := missing()):
            print(f"postgres: SKIPPED, {why}")
        elif postgres:
            async with on_postgres(made, folder / "model") as stores:
                outcomes["postgres"] = await campaign(made, stores, folder / "postgres", postgres, seed)
    every = [outcome for some in outcomes.values() for outcome in some]
    deaths = {name: sum(o.verdict.deaths for o in some) for name, some in outcomes.items()}
    print(
        f"{sum(deaths.values())} kills ({', '.join(f'{name} {count}' for name, count in deaths.items())}): "
        f"{sum(len(o.verdict.missed) for o in every)} missed, "
        f"at most {max((o.verdict.twice for o in every), default=0)} words heard twice, "
        f"{sum(len(o.verdict.left_open) for o in every)} left open, "
        f"{sum(len(o.verdict.faults) for o in every)} other faults"
    )
    return 1 if faulty(every) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Kill processes; see what was heard.")
    parser.add_argument("--sqlite", type=int, default=260, help="kills on SQLite")
    parser.add_argument("--postgres", type=int, default=150, help="kills on PostgreSQL")
    parser.add_argument("--seed", type=int, help="to have the same kills again")
    parser.add_argument("--keep", type=Path, help="a directory in which all towns are kept")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="sottovoce-crash-", ignore_cleanup_errors=True)
        folder = given.keep or Path(stack.enter_context(made))
        return asyncio.run(run(folder, given.sqlite, given.postgres, seed))


if __name__ == "__main__":
    sys.exit(main())
