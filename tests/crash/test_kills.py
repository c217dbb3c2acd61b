"""Whenever its process is killed, nothing is missed, and at most the words in flight are heard twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash.forge import Forge, forge
from tests.crash.kill_points import EVERY_STEP, Kill, carry_out, faulty
from tests.crash.stores import Files, Stores, databases
from tests.postgres import Server

pytestmark = pytest.mark.crash


async def kill(made: Forge, stores: Stores, folder: Path, kills: Sequence[Kill]) -> None:
    """Kill, and look at what came of it."""
    outcomes = await carry_out(made, folder, stores, kills)
    assert not faulty(outcomes), faulty(outcomes)
    lived_on = [outcome.kill.name for outcome in outcomes if not outcome.verdict.deaths]
    assert not lived_on, "processes that were to die lived on"


def test_killed_at_any_step_nothing_is_missed(tmp_path: Path) -> None:
    async def main() -> None:
        async with forge() as made:
            await kill(made, Files(), tmp_path, EVERY_STEP)

    asyncio.run(main())


@pytest.mark.postgres
def test_killed_at_any_step_nothing_is_missed_on_postgres(tmp_path: Path, postgres_server: Server) -> None:
    async def main() -> None:
        async with forge() as made, databases(postgres_server, made, tmp_path / "model") as stores:
            await kill(made, stores, tmp_path, [each for each in EVERY_STEP[::3] if "inside" not in each.name])

    asyncio.run(main())
