"""DBOS in a Postgres database, in a schema of its own: shared by processes on any number of machines.

Importing this loads psycopg; SQLAlchemy is loaded when the engine is opened.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import psycopg

from delivery.postgres.address import Address
from delivery.postgres.trouble import explained
from orchestration.engines.engine import EngineError
from orchestration.engines.store import CHANNEL, Bodies

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger("sottovoce.engines")

SCHEMA = "sottovoce_tasks"
"""Where DBOS's tables are: apart from the ledger's, and from those of other programs that use DBOS."""

OLDEST = 13
"""The oldest PostgreSQL: the first with gen_random_uuid() of its own, which DBOS's tables use."""

CONNECTIONS = 8
"""Connections of a process; one more listens. DBOS's threads (4 and 3 of its own) use one each."""

NET = 5.0
"""Seconds without a notification after which the rows of running bodies are looked at all the same."""

AGAIN = 0.5
"""Seconds until a broken connection is made anew."""

_SESSION: dict[str, str | int] = {
    "client_encoding": "UTF8",
    "fallback_application_name": "sottovoce",
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # A process that was stopped in the middle of a transaction must not hold up the others.
    "options": "-c idle_in_transaction_session_timeout=5000",
}

_LOST = f"""
    SELECT id FROM unnest(%s::text[]) AS id WHERE NOT EXISTS (
        SELECT FROM {SCHEMA}.workflow_status WHERE workflow_uuid = id AND status = 'PENDING' AND executor_id = %s)
""".encode()  # noqa: S608 (only a name of ours)


class PostgresStore:
    """The database at `url` ("postgresql://user:password@host:5432/database"), which must be there.

    Its user needs no more than the right to create a schema in it, and that only at the first start. Raises ValueError
    for a URL that is not right.
    """

    name = "postgres"

    def __init__(self, url: str) -> None:
        self._address = Address(url)
        self._pool: Engine | None = None

    def __str__(self) -> str:
        return f"PostgreSQL at {self._address}"

    def settings(self) -> dict[str, Any]:
        """A pool of our own for DBOS: it is never told the password, and makes no database that is not there."""
        from sqlalchemy import create_engine

        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            if connection.info.server_version < OLDEST * 10_000:
                found = connection.info.server_version // 10_000
                raise EngineError(f"{self}: it is PostgreSQL {found}; {OLDEST} or newer is needed")
        self._pool = create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(self._conninfo()),
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=5,
            pool_pre_ping=True,
        )
        return {
            "system_database_engine": self._pool,
            "dbos_system_schema": SCHEMA,
            # It would wake a hundred times a second, for messages and events of which we have none.
            "use_listen_notify": False,
        }

    def explained(self, error: BaseException) -> str | None:
        """PostgreSQL's words and the fix."""
        return str(explained(error, self._address)) if isinstance(error, psycopg.Error) else None

    async def watch(self, executor: str, bodies: Bodies) -> None:
        """Listen; look at the rows of running bodies when told of one, after a break, and every few seconds."""
        warned = False
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._conninfo(), autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    warned = False
                    await self._listen(connection, executor, bodies)
            except psycopg.Error as error:
                if not warned:
                    told = explained(error, self._address)
                    log.warning("cancellations by other processes are not heard of, trying again: %s", told)
                warned = True
                await asyncio.sleep(AGAIN)

    async def _listen(self, connection: psycopg.AsyncConnection[Any], executor: str, bodies: Bodies) -> None:
        mine: list[str] = list(bodies)
        while True:
            if mine:
                # psycopg keeps what it is told meanwhile for the next round.
                for (id,) in await (await connection.execute(_LOST, (mine, executor))).fetchall():
                    bodies.lose(id)
            told = [note.payload async for note in connection.notifies(timeout=NET, stop_after=1)]
            mine = [id for id in told if id in bodies] if told else list(bodies)

    def close(self) -> None:
        """Close the pool."""
        if self._pool is not None:
            self._pool.dispose()
            self._pool = None

    def _conninfo(self) -> str:
        return self._address.conninfo(**_SESSION)
