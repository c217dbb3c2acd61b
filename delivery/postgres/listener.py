"""What other processes changed: PostgreSQL's notifications, over a connection that is made anew when it breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import psycopg
from psycopg.pq import TransactionStatus

from delivery.hints import EVERYWHERE
from delivery.ledger import LedgerError
from delivery.postgres.connections import Connection, Connections
from delivery.postgres.trouble import explained

log = logging.getLogger("sottovoce.postgres")

CHANNEL = "sottovoce"
"""The channel of the database on which every change is told; the message is a room's name."""

CHECK = 5.0
"""Seconds of silence after which the connection is tried: one that was cut off says nothing either."""

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0
"""Seconds between two attempts to connect again: so long at first and at last, each twice the one before."""


class Listener:
    """Calls `tell(room)` for each change by another process, and `tell("*")` when some may have been missed."""

    def __init__(self, connections: Connections, tell: Callable[[str], None]) -> None:
        self._connections = connections
        self._tell = tell
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> None:
        """Listen from now on: nothing that changes after this returned is missed. Raises LedgerError."""
        await self._connect()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Hear no more."""
        self._closing = True
        if self._task is not None:
            if self._connection is not None and self._connection.info.transaction_status == TransactionStatus.ACTIVE:
                self._connections.cut(self._connection)  # cancelled, psycopg would ask the server to stop, and wait
            else:
                self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        await self._hang_up()

    async def _connect(self) -> None:
        connection = await self._connections.connect()
        try:
            with self._connections.deadline(connection):
                await connection.execute(f"LISTEN {CHANNEL}".encode())
        except BaseException:
            await self._connections.close(connection)
            raise
        self._connection = connection

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._connections.close(connection)

    async def _run(self) -> None:
        wait, warned = 0.0, False
        while not self._closing:
            try:
                if self._connection is None:
                    await self._connect()
                    self._tell(EVERYWHERE)
                wait, warned = 0.0, False
                await self._listen()
            except LedgerError as error:
                if not warned and not self._closing:
                    log.warning("cannot hear of other processes' changes, trying again: %s", error)
                warned = True
            await self._hang_up()
            await asyncio.sleep(wait)
            wait = min(max(_FIRST_WAIT, 2 * wait), _LONGEST_WAIT)

    async def _listen(self) -> None:
        connection = self._connection
        assert connection is not None
        while True:
            try:
                async for note in connection.notifies(timeout=CHECK):
                    if not self._connections.ours(note.pid):
                        self._tell(note.payload)
            except psycopg.Error as error:
                raise explained(error, self._connections.address) from error
            with self._connections.deadline(connection):
                await connection.execute(b"SELECT 1")
