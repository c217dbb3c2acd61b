"""What runs in a process of the crash suite: a real Runtime on a real store, a hurried call, and its fate."""

from __future__ import annotations

import asyncio
import faulthandler
import functools
import importlib
import json
import logging
import os
import random
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from delivery.ledger import LEASE, Ledger, LedgerError, Status
from orchestration import Runtime
from orchestration.engines.engine import EngineError, TaskEngine
from orchestration.storage import Storage
from tests.crash.ear import Notes, TownChannel
from tests.crash.fate import Fate, FatedEngine, FatedLedger
from tests.crash.house import ROOM, team
from tests.crash.hurry import HurriedLoop
from tests.crash.plots import OTHERS, PLOTS, SIDES, Stage

SETTLED = 1.5
"""Loop seconds for which nothing may be left to do before a process ends."""


PARTS = (
    *("delivery.sqlite", "delivery.postgres", "orchestration.identity", "orchestration.identity_postgres"),
    *("orchestration.engines.durable", "orchestration.engines.sqlite_store", "orchestration.engines.postgres_store"),
    *("orchestration.engines.dbos_host", "orchestration.storage", "dbos._sys_db_sqlite", "dbos._sys_db_postgres"),
    *("pydantic.types", "pydantic.json_schema", "sqlalchemy.dialects.sqlite"),
)
"""What a runtime imports when it needs it."""


def prepare() -> None:
    """Import what every process needs; starts no thread."""
    for name in PARTS:
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

    def _parts(self) -> Storage:
        parts = super()._parts()
        cast("Any", parts.ledger)._lease = self._lease
        return replace(
            parts,
            ledger=cast("Ledger", FatedLedger(parts.ledger, self._fate)),
            engine=cast("TaskEngine", FatedEngine(parts.engine, self._fate)),
        )


async def _live(facts: Mapping[str, Any]) -> None:
    folder = Path(facts["folder"])
    ears = Notes(folder / "ears")
    point, nth = facts.get("fate") or (None, 1)
    runtime = _Mortal(
        Fate(folder / "points", point, nth, stops=facts.get("how") == "stop"),
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
        for number, pragma in zip((signal.SIGUSR2, signal.SIGTTOU), facts.get("pragmas", ()), strict=False):
            change = functools.partial(_behave, group, runtime, pragma)
            asyncio.get_running_loop().add_signal_handler(number, change)
        stage = Stage(runtime, folder, random.Random(facts["seed"]))
        stage.note("begins", role)
        if role != "worker":
            group.create_task(stage.call())
            stage.caller = await stage.leg.connected
        sides = SIDES.get(facts["plot"], {})
        part = sides[role] if sides else {**PLOTS, **OTHERS}[facts["plot"]]
        await stage.once(f"plot {role}", lambda: part(stage))
        await _settle(runtime, lambda: stage.over >= sides.keys())
        await stage.insist(lambda: _tell(runtime, folder / "end"))
        sys.stderr.flush()
        os._exit(0)


def _behave(group: asyncio.TaskGroup, runtime: Runtime, pragma: str) -> None:
    """Have the ledger's own connection behave as on a bad disk, or on a good one again."""

    def behave(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA {pragma.format(pages=pages)}")

    group.create_task(cast("Any", runtime.ledger).database.read(behave))


async def _settle(runtime: Runtime, over: Callable[[], bool]) -> None:
    """Wait until nothing is left to be done or heard, and nothing more comes."""
    quiet = 0
    while quiet < 3:
        await asyncio.sleep(SETTLED / 3)
        try:
            quiet = 0 if not over() or await _busy(runtime) else quiet + 1
        except (LedgerError, EngineError):  # the store cannot be asked: nobody knows
            quiet = 0


async def _busy(runtime: Runtime) -> bool:
    if runtime.tasks.running(ROOM) or await runtime.deliveries(ROOM):
        return True
    return bool(await runtime.tasks.unfinished(ROOM))


async def _tell(runtime: Runtime, path: Path) -> None:
    """What is in the store at the end."""
    entries = await runtime.deliveries(ROOM, list(Status), limit=1000)
    tasks = await runtime.tasks._engine.tasks(ROOM)
    told = {
        "entries": [asdict(entry) for entry in entries],
        "tasks": [[record.task.id, record.status] for record in tasks],
    }
    path.write_text(json.dumps(told))
