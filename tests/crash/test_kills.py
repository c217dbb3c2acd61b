"""Whenever its process is killed, nothing is missed, and at most the words in flight are heard twice."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.crash.forge import Forge, forge
from tests.crash.kill_points import carry_out, draw, enumerate_points, faulty
from tests.crash.stores import Files, Stores, databases
from tests.postgres import Server

pytestmark = pytest.mark.crash

KILLS = 14
SEED = 3


async def kill(made: Forge, stores: Stores, folder: Path) -> None:
    """Kill so often, and look at what came of it."""
    found = await enumerate_points(made, folder / "whole", stores, SEED)
    outcomes = await carry_out(made, folder, stores, draw(found, random.Random(SEED), KILLS))
    assert not faulty(outcomes), faulty(outcomes)
    deaths = [outcome.verdict.deaths for outcome in outcomes]
    assert sum(deaths) >= KILLS - 2, "a process lived on that was to die"


def test_killed_at_any_step_nothing_is_missed(tmp_path: Path) -> None:
    async def main() -> None:
        async with forge() as made:
            await kill(made, Files(), tmp_path)

    asyncio.run(main())


@pytest.mark.postgres
def test_killed_at_any_step_nothing_is_missed_on_postgres(tmp_path: Path, postgres_server: Server) -> None:
    async def main() -> None:
        async with forge() as made, databases(postgres_server, made, tmp_path / "model") as stores:
            await kill(made, stores, tmp_path)

    asyncio.run(main())
