"""Presence: this process among those that share the ledger. It gives signs of life, by which others know that its rooms
and tasks are its own, and takes rooms that are nobody's."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from uuid import uuid4

from delivery.ledger import LEASE, Ledger, LedgerError, Process, RoomHeldError

log = logging.getLogger("sottovoce.presence")

EVERY = LEASE / 3
"""Seconds between two signs of life: two may be missed before the lease is over."""

LOOK_AGAIN = 0.25
"""Seconds between two looks whether a room is free that a process holds to which callers cannot be sent."""

Adopt = Callable[[frozenset[str]], Awaitable[None]]
"""Takes care of what these processes, which are gone, left unfinished."""


class Presence:
    """`arrive`, then `stay` for as long as the process uses the ledger, then `leave`.

    `address` is where callers reach this process and no other. `alone`: nobody shares the ledger, so no sign of life is
    needed.
    """

    def __init__(self, ledger: Ledger, address: str | None, *, alone: bool = False) -> None:
        self.process = Process(f"{os.getpid()}-{uuid4().hex[:8]}", address)
        self._ledger = ledger
        self._alone = alone
        self._loop = asyncio.get_running_loop()
        self._seen_at = float("-inf")
        self._gone: frozenset[str] = frozenset()

    # -- rooms

    async def take_room(self, room: str) -> int:
        """Take a room for this process; returns its epoch.

        A process that missed a sign of life, or to which callers cannot be sent, may be dead: its lease is waited for.
        Raises RoomHeldError when a living process has the room, LedgerError.
        """
        until = self._loop.time() + LEASE + EVERY
        while True:
            try:
                return await self._ledger.take_room(room, self.process.id)
            except RoomHeldError as held:
                reachable = held.holder.address not in (None, self.process.address) and held.age < 1.5 * EVERY
                if reachable or self._loop.time() >= until:
                    raise
            await asyncio.sleep(LOOK_AGAIN)

    async def leave_room(self, room: str, epoch: int) -> None:
        """Any process may have the room now."""
        try:
            await self._ledger.leave_room(room, epoch)
        except LedgerError as error:
            log.warning("room %s could not be let go; it is ours until this process ends: %s", room, error)

    def held(self) -> bool:
        """Whether nobody can have taken our rooms: our last sign of life is younger than a lease.

        Counted from before it was given, so we are the first to know.
        """
        return self._alone or self._loop.time() < self._seen_at + LEASE

    # -- signs of life

    async def arrive(self) -> None:
        """Give the first sign of life. Raises LedgerError."""
        await self._beat()

    async def stay(self, adopt: Adopt) -> None:
        """Give signs of life until cancelled; what others left is adopted meanwhile. A ledger away is waited for."""
        if self._alone:
            return
        away = False
        adopting: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            while True:
                if self._gone and (adopting is None or adopting.done()):
                    adopting = group.create_task(self._adopt(adopt, self._gone))
                await asyncio.sleep(EVERY)
                try:
                    await self._beat()
                except LedgerError as error:
                    if not away:
                        log.warning("this process cannot say that it lives, trying again: %s", error)
                    away = True
                else:
                    away = False

    async def leave(self) -> None:
        """Others may take what was ours at once."""
        if self._alone:
            return
        try:
            await self._ledger.leave(self.process.id)
        except LedgerError as error:
            log.warning("this process could not say that it goes; others will notice in %g s: %s", LEASE, error)

    async def _beat(self) -> None:
        if self._alone:
            return
        before = self._loop.time()
        self._gone = await self._ledger.beat(self.process)
        self._seen_at = before

    async def _adopt(self, adopt: Adopt, gone: frozenset[str]) -> None:
        try:
            await adopt(gone)
            await self._ledger.forget(gone)
        except Exception:  # they stay gone, so the next sign of life tells of them again
            log.exception("what the processes %s left cannot be taken over yet", ", ".join(sorted(gone)))
