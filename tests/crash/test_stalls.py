"""A process that stood still for longer than its lease is fenced: it falls silent, and writes nothing more."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.crash.forge import Forge, forge
from tests.crash.house import words_in
from tests.crash.stalls import STALE, Stall, stall_room, stall_worker
from tests.crash.stores import Files, Stores, databases
from tests.crash.town import HALL, HASTE, Town
from tests.postgres import Server

pytestmark = pytest.mark.crash

ROOM = [("before move reserved", 1), ("before move heard so far", 2), ("before beat", 6)]
WORKER = [("before task step is recorded", 1), ("after task step is recorded", 2)]
AT_ONCE = 6


async def at_every_point(made: Forge, stores: Stores, folder: Path) -> None:
    """Stall at each of the points."""
    free = asyncio.Semaphore(AT_ONCE)

    async def stall(kind: str, number: int, point: tuple[str, int]) -> tuple[str, Stall]:
        place = folder / f"{kind}-{number}"
        async with free:
            state = await stores.make(place)
            town = Town(made, place, state, "long" if kind == "room" else "apart")
            if kind == "room":
                came = await stall_room(town, point)
            else:
                came = await stall_worker(town, point, early=number % 2 == 1)
            return f"{kind} at {point}, in {place}", came

    trials = [
        *(stall("room", number, point) for number, point in enumerate(ROOM)),
        *(stall("worker", number, point) for number, point in enumerate(WORKER)),
    ]
    for name, came in await asyncio.gather(*trials):
        assert came.verdict.good, f"{name}: {came.verdict}"
        assert came.written == [], f"{name}: it wrote what was another's to write"
        assert len(came.said) <= STALE, f"{name}: it said {came.said}"
        assert came.let_go or name.startswith("worker"), f"{name}: its caller was not let go"


async def too_short(made: Forge, stores: Stores, folder: Path) -> None:
    """Who stands still for less than a lease keeps the room: nobody else gets it, and the call goes on."""
    town = Town(made, folder / "short", await stores.make(folder / "short"), "long")
    owner = await town.begin("both")
    await town.until(lambda: words_in(" ".join(w for _, w in town.ear(owner).surely)), "that something was heard")
    other = await town.begin("both", address=f"{HALL}/other")  # before, as its beginning may take longer than a lease
    owner.signal(signal.SIGSTOP)
    await asyncio.sleep(1.0 / HASTE)
    owner.signal(signal.SIGCONT)
    await town.end(owner)
    other.kill()
    verdict = town.judge()
    assert verdict.good, verdict
    assert verdict.twice == 0
    assert town.ear(other).perhaps == []
    assert not town.noted("let go", owner)


async def all_of_it(made: Forge, stores: Stores, folder: Path) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(at_every_point(made, stores, folder))
        group.create_task(too_short(made, stores, folder))


def test_who_stood_still(tmp_path: Path) -> None:
    async def main() -> None:
        async with forge() as made:
            await all_of_it(made, Files(), tmp_path)

    asyncio.run(main())


@pytest.mark.postgres
def test_who_stood_still_on_postgres(tmp_path: Path, postgres_server: Server) -> None:
    async def main() -> None:
        async with forge() as made, databases(postgres_server, made, tmp_path / "model") as stores:
            await all_of_it(made, stores, tmp_path)

    asyncio.run(main())
