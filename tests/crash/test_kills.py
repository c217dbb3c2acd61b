"""Whenever its process is killed, nothing is missed, and at most the words in flight are heard twice."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.crash.forge import forge
from tests.crash.kill_points import carry_out, draw, enumerate_points, faulty

pytestmark = pytest.mark.crash

KILLS = 24
SEED = 3


def test_killed_at_any_step_nothing_is_missed(tmp_path: Path) -> None:
    def in_files(place: Path) -> str:
        return str(place / "state")

    async def main() -> None:
        async with forge() as made:
            found = await enumerate_points(made, tmp_path / "whole", in_files, SEED)
            outcomes = await carry_out(made, tmp_path, in_files, draw(found, random.Random(SEED), KILLS))
        assert not faulty(outcomes), faulty(outcomes)
        deaths = [outcome.verdict.deaths for outcome in outcomes]
        assert sum(deaths) >= KILLS - 2, "a process lived on that was to die"

    asyncio.run(main())
