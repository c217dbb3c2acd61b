"""What background tasks cost: `python -m tests.bench.tasks` prints it.

In memory, through a whole Runtime: work given to a team of 1, 10 and 100 workers that are done at once, until the
result is in the ledger, as a ratio of a bare asyncio.TaskGroup that runs the same functions; so many tasks at once; and
what 10,000 delegations leave behind in the process.

Durable and shared, for a SQLite file and for a PostgreSQL server of its own on this machine (left out where there is
none): how soon a body is cancelled after another process's `cancel` returned, how long it takes to adopt what a killed
process left until the last body runs again, and what a process costs that has nothing to do, or one body that waits.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from pathlib import Path

from orchestration import Agent, Orchestration, Runtime
from orchestration.engines.engine import TaskResult
from orchestration.room import Room
from orchestration.rooms import LiveChannel
from orchestration.status import InMemoryStatusBackend
from orchestration.tasks import delivery_of
from orchestration.workers import Context, FanOut, FunctionWorker, Worker
from tests.orchestration.engines.player import Player, Stage
from tests.postgres import missing, server

TEAMS = {1: 0.5, 10: 2.0, 100: 10.0}
"""Workers, and milliseconds that giving them work and having their result may take."""
TIMES = 200
DELEGATIONS = 10_000
LOOKS = 5
CANCELS = 30
ADOPTED = (1, 100)
IDLE = 10.0
"""Seconds for which a process is watched that does nothing."""


async def instant(input: str, context: Context) -> TaskResult:
    """The work."""
    return TaskResult("Boats float.")


class Teams(Orchestration):
    """Nobody talks, teams work."""

    def agents(self) -> Sequence[Agent]:
        return []

    def workers(self) -> Sequence[Worker]:
        return [FanOut(f"team{n}", [FunctionWorker(f"w{i}", instant, f"Worker {i}") for i in range(n)]) for n in TEAMS]

    async def install(self, runtime: Runtime, room_id: str) -> None:
        """Nothing."""


def silent(room: Room) -> AbstractAsyncContextManager[LiveChannel]:
    raise AssertionError("nobody calls")


def in_memory(entries: int = 10_000) -> Runtime:
    """A runtime as it is in a process without state, that keeps so many status entries."""
    return Runtime(orchestration=Teams(), state=None, status=InMemoryStatusBackend(entries), channels=silent)


async def delegated(runtime: Runtime, team: int) -> None:
    """There and back; the result is then not wanted any more, as there is nobody to hear it."""
    task = await runtime.delegate("lobby", f"team{team}", "boats")
    assert await runtime.tasks.result(task.id, 10) is not None
    await runtime.receipt(delivery_of(task.id)).cancel()


async def bare(workers: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(instant("boats", None))  # type: ignore[arg-type]


async def timed(work: Callable[[], Awaitable[None]], times: int) -> list[float]:
    """Milliseconds each time."""
    ms = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        ms.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.001)
    return sorted(ms)


async def together(runtime: Runtime, tasks: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(delegated(runtime, 1))


async def compared(what: str, ours: Callable[[], Awaitable[None]], workers: int, times: int, target: str) -> None:
    """`ours` beside so many bare tasks."""
    await timed(ours, times // 10)
    ms = await timed(ours, times)
    ratio = statistics.median(ms) / statistics.median(await timed(partial(bare, workers), times))
    print(f"{what:<44}{statistics.median(ms):>9.2f} ms{ms[int(times * 0.99)]:>9.2f} ms{target:>10}{ratio:>9.1f}")


async def fanning_out() -> None:
    print(f"{'given to instant workers and back':<44}{'median':>12}{'p99':>12}{'target':>10}{'x bare':>9}")
    async with in_memory() as runtime:
        for team, target in TEAMS.items():
            await compared(f"a team of {team}", partial(delegated, runtime, team), team, TIMES, f"{target:g} ms")
        for tasks in (10, 100):
            what = f"{tasks} tasks at once, ten of them run"
            await compared(what, partial(together, runtime, tasks), tasks, TIMES // 4, "")


async def growing() -> None:
    """The status bus keeps 10,000 entries, two to a delegation here: it is given fewer, to see the rest."""
    print(f"\n{'after so many delegations':<44}{'resident':>12}{'traced':>12}{'grown by':>19}")
    async with in_memory(entries=1_000) as runtime:
        for _ in range(2_000):
            await delegated(runtime, 1)
        await asyncio.sleep(0.2)
        tracemalloc.start()
        before = None
        for look in range(1, LOOKS + 1):
            for number in range(DELEGATIONS // LOOKS):
                await delegated(runtime, 1)
                if number % 20 == 0:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.2)
            gc.collect()
            traced = tracemalloc.get_traced_memory()[0]
            grown = "" if before is None else f"{(traced - before) / (DELEGATIONS // LOOKS):+.1f} bytes each"
            print(f"{look * DELEGATIONS // LOOKS:<44,}{resident():>8.1f} MiB{traced / 2**20:>8.2f} MiB{grown:>19}")
            before = traced
        tracemalloc.stop()


def resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def until(there: Callable[[], bool]) -> float:
    """Milliseconds until it is."""
    began = time.perf_counter()
    while not there():
        time.sleep(0.0005)
    return (time.perf_counter() - began) * 1000


def line(what: str, ms: list[float]) -> None:
    ordered = sorted(ms)
    print(f"{what:<60}{statistics.median(ms):>9.1f} ms{ordered[-1]:>9.1f} ms")


def cancelling(name: str, stage: Stage, one: Player, two: Player) -> None:
    ms = []
    for n in range(CANCELS):
        one.ask("start", f"c{n}", "stay")
        stage.wait_for(one.id, f"c{n}", "stay")
        assert two.ask("cancel", f"c{n}")
        ms.append(until(lambda n=n: [one.id, f"c{n}", "cancelled"] in stage.noted()))  # type: ignore[misc]
    line(f"{name}: cancel returned to CancelledError in another process", ms)


def adopting(name: str, stage: Stage, tasks: int) -> None:
    with stage.player(f"dead {tasks}") as dead, stage.player(f"heir {tasks}") as heir:
        for n in range(tasks):
            dead.ask("start", f"a{tasks}.{n}", "first stay")
        stage.wait_for(dead.id, f"a{tasks}.{tasks - 1}", "stay")
        dead.kill()
        heir.say("adopt", dead.id)
        ms = until(lambda: sum(n[0] == heir.id and n[2] == "stay" for n in stage.noted()) == tasks)
        assert heir._answer() == tasks
        line(f"{name}: adopt {tasks} until the last body runs", [ms])
        for n in range(tasks):
            heir.ask("cancel", f"a{tasks}.{n}")


def cpu(player: Player) -> float:
    """Seconds of CPU it has used."""
    words = Path(f"/proc/{player.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def idling(name: str, stage: Stage, player: Player) -> None:
    for what in ("nothing to do", "one body that waits"):
        if what != "nothing to do":
            player.ask("start", "idle", "stay")
        time.sleep(1)
        before = cpu(player)
        time.sleep(IDLE)
        print(f"{f'{name}: CPU with {what}':<60}{(cpu(player) - before) / IDLE * 100:>9.2f} % of a core")


def play(name: str, where: str, directory: Path) -> None:
    directory.mkdir()
    stage = Stage(where, directory)
    with stage.player("one") as one, stage.player("two") as two:
        cancelling(name, stage, one, two)
        idling(name, stage, one)
    for tasks in ADOPTED:
        adopting(name, stage, tasks)


def main() -> None:
    asyncio.run(fanning_out())
    asyncio.run(growing())
    print()
    print(f"{'':<60}{'median':>12}{'worst':>12}")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as made, ExitStack() as stack:
        directory = Path(made)
        play("sqlite", str(directory / "tasks.db"), directory / "sqlite")
        if reason := missing():
            print(f"postgres: left out: {reason}")
        else:
            play("postgres", stack.enter_context(server()).fresh(), directory / "postgres")


if __name__ == "__main__":
    main()
