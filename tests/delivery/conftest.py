"""Every kind of ledger, for the suites that all of them must pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.ledger import Ledger
from delivery.memory import MemoryLedger
from delivery.postgres import PostgresLedger
from delivery.sqlite import SqliteLedger


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    if request.param == "postgres":
        return PostgresLedger(request.getfixturevalue("postgres_url"))
    return MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "ledger.db")
