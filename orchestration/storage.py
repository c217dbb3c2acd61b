"""Where a runtime remembers: a directory with the ledger, the names and the task engine's file, or memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from delivery.ledger import Ledger
from orchestration.engines.engine import TaskEngine
from orchestration.identity import Identities


class StorageError(Exception):
    """The directory cannot be used; the message names it and the fix."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The parts that remember."""

    ledger: Ledger
    engine: TaskEngine
    identities: Identities


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
