"""The writer: what a scheduler wants remembered goes into the ledger in order, however long the ledger is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from delivery.ledger import FencedError, Ledger, LedgerError, Move
from delivery.signals import Interrupted, Record, Settled

log = logging.getLogger("sottovoce.desk")

RETRY = 1.0
"""Seconds until something that failed (the ledger, a wording) is tried again."""

Note = Record | Settled | Interrupted


class Writer:
    """`written` is told of each note once all before it, and itself, are durable; `fenced` ends it all."""

    def __init__(
        self,
        room: str,
        epoch: int,
        ledger: Ledger,
        written: Callable[[Note], None],
        fenced: Callable[[FencedError], None],
    ) -> None:
        self._room = room
        self._epoch = epoch
        self._ledger = ledger
        self._written = written
        self._fenced = fenced
        self._notes: asyncio.Queue[Note] = asyncio.Queue()

    def put(self, note: Note) -> None:
        """Write this after what was put before."""
        self._notes.put_nowait(note)

    async def join(self) -> None:
        """Returns when all is written."""
        await self._notes.join()

    async def run(self) -> None:
        """Write until another process has taken the room."""
        while True:
            note = await self._notes.get()
            if isinstance(note, Record):
                try:
                    await self._write(note.moves)
                except FencedError as error:
                    return self._fenced(error)
            self._written(note)
            self._notes.task_done()

    async def _write(self, moves: tuple[Move, ...]) -> None:
        while True:
            try:
                await self._ledger.move(self._room, self._epoch, moves)
            except FencedError:
                raise
            except LedgerError as error:
                log.warning("room %s: cannot write the ledger, trying again: %s", self._room, error)
                await asyncio.sleep(RETRY)
            else:
                return
