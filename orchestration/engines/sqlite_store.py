"""DBOS in a SQLite file: WAL, durable, shared by the processes of one machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from pathlib import Path
from typing import Any

from delivery.database import explained, write_ahead
from orchestration.engines.store import Bodies
from voice.clock import wall_time

log = logging.getLogger("sottovoce.engines")

BUSY_TIMEOUT_MS = 30_000

LOOK = 0.03
"""Seconds between two looks whether any process wrote into the file, while a body runs here.

`PRAGMA data_version` costs 10 us and asks the shared memory beside the file; 33 looks a second, with waking up for
them, are less than 1 % of a core. SQLite has no way to be told. A socket for each process would be quicker, but is one
more file to be left behind by a crash, with a path of at most 107 characters.
"""


AGAIN = 1.0
"""Seconds until a file that could not be looked at is looked at again."""

_LOST = """
    SELECT value FROM json_each(?1) WHERE value NOT IN (
        SELECT workflow_uuid FROM workflow_status WHERE workflow_uuid IN (SELECT value FROM json_each(?1))
        AND status = 'PENDING' AND executor_id = ?2)
"""


class SqliteStore:
    """The file at `path`, whose directory must be there. Processes may share it, on one machine and a local disk."""

    name = "sqlite"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    def settings(self) -> dict[str, Any]:
        """A connection like ours for DBOS."""
        Connection(self.path).close()  # says what is wrong with the file before DBOS does, in SQLite's own words
        return {
            "system_database_url": f"sqlite:///{self.path}",
            "db_engine_kwargs": {"connect_args": {"factory": Connection}},
        }

    def explained(self, error: BaseException) -> str | None:
        """SQLite's words and the fix."""
        return f"{self}: {explained(error)}" if isinstance(error, sqlite3.Error) else None

    async def watch(self, executor: str, bodies: Bodies) -> None:
        """Look at the file's version while bodies run, and at their rows when it has changed."""
        warned = False
        while True:
            await bodies.some.wait()
            try:
                with contextlib.closing(sqlite3.connect(self.path, timeout=0.1, isolation_level=None)) as connection:
                    await self._look(connection, executor, bodies)
            except sqlite3.Error as error:
                if not warned:
                    log.warning("%s: cancellations by other processes are not seen: %s", self, explained(error))
                warned = True
                await asyncio.sleep(AGAIN)

    async def _look(self, connection: sqlite3.Connection, executor: str, bodies: Bodies) -> None:
        seen = None
        while bodies.some.is_set():
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version != seen:
                mine = json.dumps(list(bodies))
                for (id,) in connection.execute(_LOST, (mine, executor)).fetchall():
                    bodies.lose(id)
                seen = version
            await asyncio.sleep(LOOK)

    def close(self) -> None:
        """DBOS closes its own."""


class Connection(sqlite3.Connection):
    """A connection as DBOS needs it and does not make it: WAL, durable, and with `unixepoch('subsec')`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        try:
            self.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            write_ahead(self)
            self.execute("PRAGMA synchronous = FULL")
            if sqlite3.sqlite_version_info < (3, 42):
                # On Python >= 3.12 DBOS asks for sub-seconds, which older SQLites (Debian 12: 3.40) answer with NULL.
                self.create_function("unixepoch", -1, lambda *_: wall_time())
        except BaseException:
            self.close()
            raise
