"""A few connections to one PostgreSQL database: no use of them lasts longer than it may, broken ones are made anew."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from delivery.ledger import LedgerError
from delivery.postgres.address import Address
from delivery.postgres.trouble import BrokenError, HungError, LostError, explained

Connection = psycopg.AsyncConnection[dict[str, Any]]

CONNECT_TIMEOUT = 3.0
"""Seconds a server may take to let us in (each, when the URL names several)."""

REST = 0.25
"""Seconds after a failed attempt during which nobody else tries: so many callers wait for one answer, not in turn."""

_BREATH = 0.05
"""Seconds until a connection that broke while it was made is tried once more."""

_SETTINGS: dict[str, str | int] = {
    "client_encoding": "UTF8",
    "fallback_application_name": "sottovoce",
    "connect_timeout": int(CONNECT_TIMEOUT),
}

_SESSION = """
    SET statement_timeout = {statement};
    SET lock_timeout = {lock};
    SET idle_in_transaction_session_timeout = {idle};
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
"""A commit that returns is on the disk, whatever the database's default is."""


class Connections:
    """At most `size` at once, each lent for at most `timeout` seconds; then its socket is shut, whatever it waits for.

    The server gives up a little earlier by itself, so that its own, clearer words arrive: a statement at 0.8 of
    `timeout`, a wait for a lock at 0.6, and at 0.4 it ends a transaction in which nothing is asked any more, so that
    a process that was stopped in the middle of one does not hold up the others.
    """

    def __init__(self, address: Address, size: int, timeout: float) -> None:
        self.address = address
        self.timeout = timeout
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._connecting = asyncio.Lock()
        self._failed: tuple[float, str] | None = None
        self._idle: list[Connection] = []
        self._pids: dict[Connection, int] = {}
        self._overdue: set[Connection] = set()
        self._spoiled: set[Connection] = set()
        shares = {"statement": 0.8, "lock": 0.6, "idle": 0.4}
        self._session = _SESSION.format(**{name: max(1, int(timeout * 1000 * part)) for name, part in shares.items()})

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """A connection in autocommit. Raises LedgerError when none is to be had; psycopg's errors come out as such.

        BrokenError: the connection is no more, and whatever was not committed with it.
        """
        try:
            async with asyncio.timeout(self.timeout):
                await self._free.acquire()
        except TimeoutError:
            raise LedgerError(
                f"PostgreSQL at {self.address}: all {self._size} connections were busy for {self.timeout:g} s; "
                "the server may be overloaded"
            ) from None
        try:
            connection = self._idle.pop() if self._idle else await self.connect()
            try:
                with self.deadline(connection):
                    yield connection
            finally:
                await self._take_back(connection)
        finally:
            self._free.release()

    async def connect(self) -> Connection:
        """A connection beside those that are lent; `close` it. Raises LedgerError in bounded time."""
        loop = asyncio.get_running_loop()
        async with self._connecting:
            if self._failed is not None and loop.time() < self._failed[0] + REST:
                raise LostError(self._failed[1])
            try:
                connection = await self._connect_at_once()
            except BrokenError:
                raise
            except LedgerError as error:
                self._failed = loop.time(), str(error)
                raise
            self._failed = None
            self._pids[connection] = connection.info.backend_pid
            return connection

    def ours(self, pid: int) -> bool:
        """Whether a connection of ours has this number at the server."""
        return pid in self._pids.values()

    async def close(self, connection: Connection) -> None:
        """End a connection."""
        self._overdue.discard(connection)
        self._spoiled.discard(connection)
        self._pids.pop(connection, None)
        await connection.close()

    @contextlib.contextmanager
    def deadline(self, connection: Connection) -> Iterator[None]:
        """Shut the connection's socket when the block takes longer than `timeout`; psycopg's errors are explained."""
        timer = asyncio.get_running_loop().call_later(self.timeout, self.cut, connection)
        try:
            yield
        except psycopg.Error as error:
            # After an error in a pipeline psycopg believes to have prepared statements that the server never saw.
            self._spoiled.add(connection)
            if connection in self._overdue:
                raise HungError(
                    f"PostgreSQL at {self.address}: no answer for {self.timeout:g} s; the server hangs or is cut off. "
                    "What was asked may have been done all the same: ask again with the same id"
                ) from error
            told = explained(error, self.address)
            raise (BrokenError(str(told)) if connection.closed else told) from error
        finally:
            timer.cancel()

    async def renew(self) -> None:
        """Close those that are not lent: one broke, so the others are probably broken too; or it is all over."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await self.close(connection)

    async def _connect_at_once(self) -> Connection:
        try:
            return await self._connect()
        except BrokenError:
            await asyncio.sleep(_BREATH)
            return await self._connect()

    async def _connect(self) -> Connection:
        limit = CONNECT_TIMEOUT * self.address.hosts
        try:
            async with asyncio.timeout(limit):
                connection = await psycopg.AsyncConnection.connect(
                    self.address.conninfo(**_SETTINGS), autocommit=True, row_factory=dict_row
                )
        except TimeoutError:
            raise HungError(
                f"PostgreSQL at {self.address}: nobody answered within {limit:g} s; "
                "look at host, port and firewall, and whether the server is well"
            ) from None
        except (psycopg.Error, OSError) as error:
            raise explained(error, self.address) from None
        try:
            with self.deadline(connection):
                await connection.execute(self._session.encode())
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _take_back(self, connection: Connection) -> None:
        whole = not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE
        if whole and connection not in self._overdue | self._spoiled:
            self._idle.append(connection)
        else:
            await self.close(connection)

    def cut(self, connection: Connection) -> None:
        """End whatever it waits for. psycopg's own way to cancel would ask a server that does not answer."""
        self._overdue.add(connection)
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)
