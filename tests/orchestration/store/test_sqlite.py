"""Rooms in the ledger's SQLite file: beside its tables, and what went wrong is told by its path."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from delivery.database import Database
from delivery.sqlite import SqliteLedger
from orchestration.store import StoreError
from orchestration.store.sqlite import SqliteRoomStore
from tests.orchestration.store.stores import event, ids
from voice.clock import run


def test_it_shares_the_ledgers_file(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = SqliteLedger(tmp_path / "s.db")
        await ledger.open()
        store = SqliteRoomStore(ledger.database)
        await store.open()
        await ledger.take_room("lobby", "here")
        await store.save("lobby", {"n": 1}, 0)
        await store.aclose()
        await store.aclose()
        assert await ledger.get("the file is still open") is None
        await ledger.aclose()

    run(main())


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteRoomStore(Database(tmp_path / "missing" / "s.db"))
        for _ in range(2):
            with pytest.raises(StoreError, match=r"missing/s\.db: .*create its directory"):
                await store.open()
        (tmp_path / "missing").mkdir()
        await store.open()
        await store.aclose()

    run(main())


def test_a_locked_file_is_told_and_works_again(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteRoomStore(Database(tmp_path / "s.db", busy_timeout=0.01))
        await store.open()
        other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program holds its lock"):
            await store.save("lobby", {"n": 1}, 0)
        with pytest.raises(StoreError, match="another program holds its lock"):
            await store.add("lobby", [event(1)])
        other.execute("ROLLBACK")
        other.close()
        assert await store.save("lobby", {"n": 1}, 0) == 1
        await store.add("lobby", [event(1)])
        assert ids(await store.timeline("lobby")) == ["e1"]
        await store.aclose()

    run(main())
