"""Lives: one caller over several processes, of which some die; ledger and engine outlive them, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from delivery.ledger import Entry, Ledger, LedgerError, Status
from delivery.memory import MemoryLedger
from orchestration import Runtime
from orchestration.engines.memory import MemoryEngine
from orchestration.session import Session
from tests.scenarios.scenes import house
from voice.clock import run
from voice.simulated import SimulatedCaller, SimulatedChannel

ROOM = "lobby"
LEASE = 10.0
"""Seconds after which a dead process has surely been missed."""


class MortalLedger:
    """A process's own way to the shared ledger; once it is dead, nothing it asks is done."""

    def __init__(self, shared: MemoryLedger) -> None:
        self._shared = shared
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._shared, name)
        if name == "subscribe":
            return method
        if name == "aclose":
            return _nothing

        async def ask(*args: Any, **kwargs: Any) -> Any:
            if self.dead:
                raise LedgerError("this process is dead")
            return await method(*args, **kwargs)

        return ask


async def _nothing() -> None:
    """The shared ledger stays open."""


class Life:
    """One process: its runtime, and Anna's end of the line in it."""

    def __init__(self, runtime: Runtime, session: Session, ledger: MortalLedger) -> None:
        assert isinstance(session.channel, SimulatedChannel)
        self.runtime, self.session, self.ledger = runtime, session, ledger
        self.anna: SimulatedCaller = session.channel.join("anna")

    @property
    def heard(self) -> list[str]:
        return [line.heard for line in self.anna.lines]


class Lives:
    """What stays when a process dies."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.engine = MemoryEngine()
        self.heard: list[str] = []
        """What Anna heard in lives that are over, line by line."""

    @asynccontextmanager
    async def begin(self, *, engine: MemoryEngine | None = None, **options: Any) -> AsyncIterator[Life]:
        """A process, until it ends in peace; or dies, if `kill` was called."""
        ledger = MortalLedger(self.ledger)
        runtime = Runtime(
            orchestration=house().orchestration,
            state=None,
            ledger=cast("Ledger", ledger),
            engine=engine or self.engine,
            channels=lambda _: SimulatedChannel(),
            **options,
        )
        async with runtime:
            life = Life(runtime, await runtime.enter(ROOM), ledger)
            await asyncio.sleep(0)
            yield life
            self.heard += life.heard

    async def kill(self, life: Life) -> None:
        """kill -9: not another word, nothing more is written."""
        life.ledger.dead = True
        life.anna.ear.silence()
        life.anna.hang_up()

    async def entries(self) -> list[Entry]:
        return await self.ledger.entries(ROOM, list(Status))


def live(script: Callable[[Lives], Awaitable[None]]) -> None:
    """Play it in virtual time."""

    async def main() -> None:
        lives = Lives()
        await lives.ledger.open()
        await script(lives)
        await lives.ledger.aclose()

    run(main())
