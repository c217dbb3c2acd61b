"""A town: one store, one caller, and the processes that come and go. Plays a plot until all is settled, then judges."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.forge import Child, Forge
from tests.crash.judge import Verdict, judge
from tests.crash.plots import NOT_WANTED

HASTE = 5.0
"""Loop seconds in one of the wall's: a minute's call takes twelve seconds."""
PATIENCE = 60.0
"""Seconds of the wall a process may live."""
ADDRESS = "http://town.test"

Death = tuple[str, int] | float
"""How a process dies: at the n-th time it comes by a point of its life, or from outside after so many seconds."""


@dataclass
class Town:
    """`store`: what the runtimes' `state` is. `deaths`: how its first processes die, one each."""

    folder: Path
    store: str
    plot: str
    seed: int = 0
    deaths: Sequence[Death] = ()
    haste: float = HASTE
    died: list[str] = field(default_factory=list)

    async def play(self, forge: Forge) -> Verdict:
        """Let processes follow each other until one ends in peace."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for death in (*self.deaths, None):
            child = await self._begin(forge, death)
            if isinstance(death, float):
                await asyncio.wait([child.ended], timeout=death)
                child.kill()
            code = await self._end(child)
            if code == -signal.SIGKILL and death is not None:
                self.died.append(str(death))
            elif code == 0:
                return judge(self.folder, len(self.died), NOT_WANTED.get(self.plot, ()))
            else:
                return Verdict(len(self.died), faults=[f"a process ended with {code}: {self.log[-3000:]}"])
        raise AssertionError("the last process has no fate")

    async def _begin(self, forge: Forge, death: Death | None) -> Child:
        return await forge.run(
            folder=str(self.folder),
            log=str(self.folder / "log"),
            state=self.store,
            role="both",
            plot=self.plot,
            seed=self.seed,
            haste=self.haste,
            address=ADDRESS,
            fate=death if isinstance(death, tuple) else None,
        )

    async def _end(self, child: Child) -> int:
        """Its exit code. One that does not end tells where it is, and dies."""
        done, _ = await asyncio.wait([child.ended], timeout=PATIENCE)
        if not done:
            child.signal(signal.SIGUSR1)
            await asyncio.sleep(0.5)
            child.kill()
            await child.ended
            return 124
        return child.ended.result()

    @property
    def log(self) -> str:
        """What the processes printed."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def points(self) -> Counter[str]:
        """Where the processes came by, and how often."""
        return Counter((self.folder / "points").read_text().splitlines())
