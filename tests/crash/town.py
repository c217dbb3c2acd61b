"""A town: one store, one caller, and the processes that come and go, until all is settled; then it is judged."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.ear import Heard, heard, read
from tests.crash.forge import Child, Forge
from tests.crash.judge import Verdict, judge
from tests.crash.plots import NOT_WANTED, SIDES

HASTE = 5.0
"""Loop seconds in one of the wall's: a minute's call takes twelve seconds."""
PATIENCE = 45.0
"""Seconds of the wall a process may live."""
HALL, WORKSHOP = "http://hall.test", "http://workshop.test"
"""Where callers reach the processes. Who comes back at its predecessor's address is known to replace it."""

Death = tuple[str, int] | float
"""How a process dies: at the n-th time it comes by a point of its life, or from outside after so many seconds."""


class StuckError(AssertionError):
    """A process did not end as it should."""


@dataclass
class Town:
    """`store`: what the runtimes' `state` is. `deaths`: how its first processes die, one each.

    A plot with two sides has two processes, one with the room and one that only works. Those of `victim`
    die; where it does not `return`, others must do what it left. Where it `moves`, those who follow
    it have other addresses than it had, so its lease is waited for.
    """

    forge: Forge
    folder: Path
    store: str
    plot: str
    seed: int = 0
    deaths: Sequence[Death] = ()
    haste: float = HASTE
    victim: str = "room"
    returns: bool = True
    moves: bool = False
    died: int = 0
    _log: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    async def play(self) -> Verdict:
        """Let processes follow each other until all is settled."""
        faults: list[str] = []
        try:
            if self.plot in SIDES:
                other = "worker" if self.victim == "room" else "room"
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow(other, ()))
                    group.create_task(self._follow(self.victim, self.deaths))
            else:
                await self._follow("both", self.deaths)
        except* StuckError as stuck:
            faults = [*map(str, stuck.exceptions), self.log[-4000:]]
        finally:
            for child in self._log:
                child.kill()
        return Verdict(self.died, faults=faults) if faults else self.judge()

    def judge(self) -> Verdict:
        """What came of it."""
        return judge(self.folder, self.died, NOT_WANTED.get(self.plot, ()))

    async def _follow(self, role: str, deaths: Sequence[Death]) -> None:
        """One process after the other, until one ends in peace."""
        for death in (*deaths, None):
            address = {"address": f"{HALL}/{self.died}"} if self.moves and role != "worker" else {}
            child = await self.begin(role, death if isinstance(death, tuple) else None, **address)
            if isinstance(death, float):
                await asyncio.wait([child.ended], timeout=death)
                child.kill()
            if await self.end(child, death is not None) == 0:
                return
            self.died += 1
            if not self.returns:
                self.note("done", f"plot {role}")
                if role == "worker":
                    return

    async def begin(self, role: str, fate: tuple[str, int] | None = None, **facts: Any) -> Child:
        """A process; its address is its part's."""
        given = {
            "folder": str(self.folder),
            "log": str(self.folder / "log"),
            "state": self.store,
            "role": role,
            "plot": self.plot,
            "seed": self.seed,
            "haste": self.haste,
            "address": WORKSHOP if role == "worker" else HALL,
            "fate": fate,
        }
        child = await self.forge.run(**{**given, **facts})
        self._log.append(child)
        return child

    async def end(self, child: Child, may_die: bool = False) -> int:
        """Its exit code, once it has ended. Raises StuckError for any but 0, and SIGKILL if it may die."""
        done, _ = await asyncio.wait([child.ended], timeout=PATIENCE)
        if not done:
            child.signal(signal.SIGUSR1)
            await asyncio.sleep(0.5)
            raise StuckError(f"process {child.pid} lived on for {PATIENCE:g} s")
        code = child.ended.result()
        if code and not (may_die and code == -signal.SIGKILL):
            raise StuckError(f"process {child.pid} ended with {code}")
        return code

    # -- what is seen of it from outside

    @property
    def now(self) -> float:
        """The processes' loop time."""
        return time.monotonic() * self.haste

    async def until(self, seen: Callable[[], Any], what: str) -> None:
        """Look again and again. Raises StuckError after a while."""
        end = time.monotonic() + PATIENCE
        while not seen():
            if time.monotonic() > end:
                raise StuckError(f"not seen within {PATIENCE:g} s: {what}")
            await asyncio.sleep(0.01)

    def ear(self, child: Child) -> Heard:
        """What the ears heard of a process."""
        return next((life for life in heard(self.folder / "ears") if life.pid == child.pid), Heard(child.pid))

    def noted(self, what: str, child: Child | None = None) -> list[list[Any]]:
        """The facts that processes noted."""
        return [
            facts
            for kind, pid, _, *facts in read(self.folder / "notes")
            if kind == what and (child is None or pid == child.pid)
        ]

    def note(self, what: str, *facts: Any) -> None:
        """As if a process had noted it."""
        line = json.dumps([what, os.getpid(), self.now, *facts]) + "\n"
        with (self.folder / "notes").open("a") as file:
            file.write(line)

    @property
    def log(self) -> str:
        """What the processes printed."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def points(self, role: str) -> Counter[str]:
        """Where the processes of a role came by, and how often."""
        pids = {pid for what, pid, _, *facts in read(self.folder / "notes") if what == "begins" and facts == [role]}
        return Counter(point for point, pid, *_ in read(self.folder / "points") if pid in pids)
