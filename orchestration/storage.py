"""Where a runtime remembers: a directory of SQLite files, a PostgreSQL database, or memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from delivery.ledger import Ledger
from orchestration.engines.engine import TaskEngine
from orchestration.identity import Identities


class StorageError(Exception):
    """The directory or the database's URL cannot be used; the message names it and the fix."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The parts that remember."""

    ledger: Ledger
    engine: TaskEngine
    identities: Identities


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

    return Storage(MemoryLedger(), MemoryEngine(), MemoryIdentities())


def in_directory(path: Path) -> Storage:
    """Everything survives: SQLite files in `path`, which is made if need be. Raises StorageError when it cannot be."""
    from delivery.sqlite import SqliteLedger
    from orchestration.engines.durable import DurableEngine
    from orchestration.identity import SqliteIdentities

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file is in the way" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise StorageError(f"state: {path} cannot be made: {reason}; choose another directory") from error
    ledger = SqliteLedger(path / "sottovoce.db")
    return Storage(ledger, DurableEngine.in_file(path / "tasks.db"), SqliteIdentities(ledger.database))


def at_url(url: str) -> Storage:
    """Everything survives, and other processes share it: the PostgreSQL database at `url` ("postgresql://...").

    Loads psycopg. Raises StorageError for a URL that is not right, never showing its password.
    """
    from delivery.postgres import PostgresLedger
    from orchestration.engines.durable import DurableEngine
    from orchestration.identity_postgres import PostgresIdentities

    try:
        ledger = PostgresLedger(url)
        return Storage(ledger, DurableEngine.in_postgres(url), PostgresIdentities(ledger.database))
    except ValueError as error:
        raise StorageError(f"state: {error}") from None
