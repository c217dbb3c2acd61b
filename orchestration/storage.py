"""Where a runtime remembers: a directory of SQLite files, a PostgreSQL database, or memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from delivery.ledger import Ledger
from orchestration.engines.engine import TaskEngine
from orchestration.identity import Identities
from orchestration.status.backend import StatusBackend
from orchestration.store.store import RoomStore


class StorageError(Exception):
    """The directory or the database's URL cannot be used; the message names it and the fix."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The parts that remember."""

    ledger: Ledger
    engine: TaskEngine
    identities: Identities
    status: StatusBackend
    rooms: RoomStore


def storage(state: str | Path | None) -> Storage:
    """At a URL, in a directory, or (None) in memory. Raises StorageError."""
    if state is None:
        return in_memory()
    return at_url(state) if isinstance(state, str) and "://" in state else in_directory(Path(state))


def in_memory() -> Storage:
    """Nothing survives the process; for simulations."""
    from delivery.memory import MemoryLedger
    from orchestration.engines.memory import MemoryEngine
    from orchestration.identity import MemoryIdentities
    from orchestration.status.memory import InMemoryStatusBackend
    from orchestration.store.memory import MemoryRoomStore

    return Storage(MemoryLedger(), MemoryEngine(), MemoryIdentities(), InMemoryStatusBackend(), MemoryRoomStore())


def in_directory(path: Path) -> Storage:
    """Everything survives: SQLite files in `path`, which is made if need be. Raises StorageError when it cannot be."""
    from delivery.sqlite import SqliteLedger
    from orchestration.engines.durable import DurableEngine
    from orchestration.identity import SqliteIdentities
    from orchestration.status.sqlite import SqliteStatusBackend
    from orchestration.store.sqlite import SqliteRoomStore

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file is in the way" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise StorageError(f"state: {path} cannot be made: {reason}; choose another directory") from error
    ledger = SqliteLedger(path / "sottovoce.db")
    engine, database = DurableEngine.in_file(path / "tasks.db"), ledger.database
    identities, status = SqliteIdentities(database), SqliteStatusBackend(database)
    return Storage(ledger, engine, identities, status, SqliteRoomStore(database))


def at_url(url: str) -> Storage:
    """Everything survives, and other processes share it: the PostgreSQL database at `url` ("postgresql://...").

    Loads psycopg. Raises StorageError for a URL that is not right, never showing its password.
    """
    from delivery.postgres import PostgresLedger
    from orchestration.engines.durable import DurableEngine
    from orchestration.identity_postgres import PostgresIdentities
    from orchestration.status.postgres import PostgresStatusBackend
    from orchestration.store.postgres import PostgresRoomStore

    try:
        ledger = PostgresLedger(url)
        engine, database = DurableEngine.in_postgres(url), ledger.database
        identities, status = PostgresIdentities(database), PostgresStatusBackend(database)
        return Storage(ledger, engine, identities, status, PostgresRoomStore(database))
    except ValueError as error:
        raise StorageError(f"state: {error}") from None
