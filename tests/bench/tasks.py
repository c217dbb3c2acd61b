"""What durable tasks cost when several processes share them: `python -m tests.bench.tasks` prints it.

For a SQLite file and for a PostgreSQL server of its own on this machine (left out where there is none): how soon a body
is cancelled after another process's `cancel` returned, how long it takes to adopt what a killed process left until the
last body runs again, and what a process costs that has nothing to do, or one body that waits.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.orchestration.engines.player import Player, Stage
from tests.postgres import missing, server

CANCELS = 30
ADOPTED = (1, 100)
IDLE = 10.0
"""Seconds for which a process is watched that does nothing."""


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
