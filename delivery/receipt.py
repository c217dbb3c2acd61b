"""A Receipt: what became of a delivery, to be awaited in any process, before or after a crash."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from typing import Any

from delivery.hints import EVERYWHERE
from delivery.ledger import Entry, Ledger, LedgerError, Status

REFRESH = 5.0
"""Seconds after which the ledger is read again without a hint."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a delivery. `heard` and `remainder` are its wording, split where the caller stopped hearing it."""

    id: str
    status: Status
    heard: str
    remainder: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Where a delivery came to. `heard` is what was heard of it by then; `cuts` how often it was cut short or failed.

    An interruption is a step back to `queued` with one cut more.
    """

    status: Status
    heard: str
    cuts: int
    reason: str = ""


class Receipt:
    """Awaiting it gives the `Outcome`, once the delivery has come to its end. An interruption is no end.

    It reads the ledger, so it can be made for any id at any time, also by another process; and it reads it again every
    few seconds, as a hint may be lost. Raises LedgerError when it cannot; awaiting it once more is fine.
    """

    def __init__(self, id: str, ledger: Ledger) -> None:
        self.id = id
        self._ledger = ledger

    def __repr__(self) -> str:
        return f"Receipt({self.id!r})"

    def __await__(self) -> Generator[Any, None, Outcome]:
        return self._end().__await__()

    async def entry(self) -> Entry:
        """How it stands now. Raises LedgerError when the id is not known."""
        entry = await self._ledger.get(self.id)
        if entry is None:
            raise LedgerError(f"no delivery has the id {self.id!r}")
        return entry

    async def status(self) -> Status:
        """Where it stands now."""
        return (await self.entry()).status

    async def queued(self) -> Receipt:
        """Returns when it is durable (it is, once the ledger has it)."""
        await self.entry()
        return self

    async def steps(self) -> AsyncIterator[Step]:
        """Where it stands now, and then every step until its end. Steps that follow each other fast may be skipped."""
        last = None
        async for entry in self._watch():
            text = _text(entry)
            step = Step(entry.status, text[: entry.heard_chars].strip(), entry.attempts, entry.reason)
            if step != last:
                yield step
            last = step

    async def cancel(self) -> Status:
        """It is not wanted any more; if it is being spoken, it stops at the next word. Returns how it stands.

        Raises LedgerError when the id is not known, or the ledger is away.
        """
        return self._known(await self._ledger.cancel(self.id))

    async def replay(self, *, whole: bool = False) -> Status:
        """Queue it again if it ended unheard (dead, expired, refused, cancelled, dropped). Returns how it stands.

        `whole`: from its beginning, not from the last heard word. Raises LedgerError as `cancel` does.
        """
        return self._known(await self._ledger.replay(self.id, whole=whole))

    async def _end(self) -> Outcome:
        async for entry in self._watch():
            if entry.status.terminal:
                text, heard = _text(entry), entry.heard_chars
                return Outcome(self.id, entry.status, text[:heard].strip(), text[heard:].strip(), entry.reason)
        raise AssertionError("it is watched until its end")

    async def _watch(self) -> AsyncIterator[Entry]:
        """The entry at every hint of a change, until its end."""
        changed = asyncio.Event()
        entry = await self.entry()
        room = entry.delivery.room

        def notice(where: str) -> None:
            if where in (room, EVERYWHERE):
                changed.set()

        stop = self._ledger.subscribe(notice)
        try:
            while not (entry := await self.entry()).status.terminal:
                yield entry
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH):
                        await changed.wait()
                changed.clear()
        finally:
            stop()
        yield entry

    def _known(self, status: Status | None) -> Status:
        if status is None:
            raise LedgerError(f"no delivery has the id {self.id!r}")
        return status


def _text(entry: Entry) -> str:
    """What is spoken of it."""
    return entry.delivery.content if entry.wording is None else entry.wording
