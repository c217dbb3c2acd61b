"""What runs in a process of the crash suite: a real Runtime on a real store, a hurried call, and its fate."""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import json
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from delivery.ledger import LEASE, Ledger, Status
from orchestration import Runtime
from orchestration.engines.engine import TaskEngine
from tests.crash.ear import Notes, TownChannel
from tests.crash.fate import Fate, FatedEngine, FatedLedger
from tests.crash.house import ROOM, team
from tests.crash.hurry import HurriedLoop
from tests.crash.plots import PLOTS, Stage

SETTLED = 1.5
"""Loop seconds for which nothing may be left to do before a process ends."""


def prepare() -> None:
    """Import what every process needs; starts no thread."""
    for name in (
        "orchestration.engines.dbos_host",
        "orchestration.identity_postgres",
        "delivery.postgres",
        "delivery.sqlite",
    ):
        importlib.import_module(name)
    assert threading.active_count() == 1, "a process with threads must not fork"


def main(facts: Mapping[str, Any]) -> None:
    """Live until all is settled, or killed."""
    faulthandler.register(signal.SIGUSR1)
    logging.basicConfig(format="%(process)d %(relativeCreated)d %(name)s %(message)s", level=logging.INFO)
    with asyncio.Runner(loop_factory=lambda: HurriedLoop(facts["haste"])) as runner:
        runner.run(_live(facts))


class _Mortal(Runtime):
    """A Runtime whose ledger and engine are its fate's."""

    def __init__(self, fate: Fate, lease: float, **options: Any) -> None:
        super().__init__(**options)
        self._fate = fate
        self._lease = lease

    def _parts(self) -> Any:
        ledger, engine, identities = super()._parts()
        cast("Any", ledger)._lease = self._lease
        return (
            cast("Ledger", FatedLedger(ledger, self._fate)),
            cast("TaskEngine", FatedEngine(engine, self._fate)),
            identities,
        )


async def _live(facts: Mapping[str, Any]) -> None:
    folder = Path(facts["folder"])
    ears = Notes(folder / "ears")
    point, nth = facts.get("fate") or (None, 1)
    runtime = _Mortal(
        Fate(folder / "points", point, nth),
        LEASE / facts["haste"],
        orchestration=team(folder),
        state=facts["state"],
        address=facts.get("address"),
        channels=lambda _: TownChannel(ears),
    )
    role = facts["role"]
    if role == "open":
        async with runtime:
            return
    async with runtime, asyncio.TaskGroup() as group:
        stage = Stage(runtime, folder, random.Random(facts["seed"]))
        stage.note("begins", role)
        if role != "worker":
            group.create_task(stage.call())
            stage.caller = await stage.leg.connected
        await PLOTS[facts["plot"]](stage)
        await _settle(runtime)
        await _tell(runtime, folder / "end")
        sys.stderr.flush()
        os._exit(0)


async def _settle(runtime: Runtime) -> None:
    """Wait until nothing is left to be done or heard."""
    quiet = 0
    while quiet < 3:
        await asyncio.sleep(SETTLED / 3)
        busy = runtime.tasks.running(ROOM) or await runtime.deliveries(ROOM) or await runtime.tasks.unfinished(ROOM)
        quiet = 0 if busy else quiet + 1


async def _tell(runtime: Runtime, path: Path) -> None:
    """What is in the store at the end."""
    entries = await runtime.deliveries(ROOM, list(Status), limit=1000)
    tasks = await runtime.tasks._engine.tasks(ROOM)
    path.write_text(
        json.dumps(
            {
                "entries": [asdict(entry) for entry in entries],
                "tasks": [[record.task.id, record.status] for record in tasks],
            }
        )
    )
