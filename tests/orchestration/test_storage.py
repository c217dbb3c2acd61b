"""Where a runtime remembers, and what is said when it cannot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from delivery.ledger import LedgerError
from delivery.memory import MemoryLedger
from delivery.postgres import PostgresLedger
from delivery.sqlite import SqliteLedger
from orchestration import Runtime
from orchestration.engines.durable import DurableEngine
from orchestration.engines.memory import MemoryEngine
from orchestration.identity import NameTakenError, SqliteIdentities
from orchestration.identity_postgres import PostgresIdentities
from orchestration.status import InMemoryStatusBackend
from orchestration.status.postgres import PostgresStatusBackend
from orchestration.status.sqlite import SqliteStatusBackend
from orchestration.storage import StorageError, at_url, in_directory, in_memory, storage
from orchestration.store import MemoryRoomStore
from orchestration.store.postgres import PostgresRoomStore
from orchestration.store.sqlite import SqliteRoomStore
from voice.simulated import SimulatedChannel


def test_in_memory_nothing_is_shared() -> None:
    one, other = in_memory(), in_memory()
    assert isinstance(one.ledger, MemoryLedger)
    assert isinstance(one.engine, MemoryEngine)
    assert isinstance(one.status, InMemoryStatusBackend)
    assert isinstance(one.rooms, MemoryRoomStore)
    assert one.ledger is not other.ledger
    assert one.status is not other.status
    assert one.rooms is not other.rooms


def test_in_a_directory_that_is_made_everything_is_kept(tmp_path: Path) -> None:
    parts = in_directory(tmp_path / "deep" / "state")
    assert (tmp_path / "deep" / "state").is_dir()
    assert isinstance(parts.ledger, SqliteLedger)
    assert isinstance(parts.engine, DurableEngine)
    assert isinstance(parts.identities, SqliteIdentities)
    assert isinstance(parts.status, SqliteStatusBackend)
    assert isinstance(parts.rooms, SqliteRoomStore)
    in_directory(tmp_path / "deep" / "state")


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_file_in_the_way_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"^state: /.* cannot be made: a file is in the way; choose another"):
        in_directory(tmp_path / path)


def test_a_runtime_that_cannot_keep_anything_does_not_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    runtime = Runtime(state=tmp_path / "file", channels=lambda _: SimulatedChannel())
    for _ in range(2):
        with pytest.raises(StorageError, match="a file is in the way"):
            asyncio.run(runtime.__aenter__())


def test_at_a_url_everything_is_in_one_database() -> None:
    parts = at_url("postgresql://ann:secret@nowhere.invalid/calls")
    assert isinstance(parts.ledger, PostgresLedger)
    assert isinstance(parts.engine, DurableEngine)
    assert isinstance(parts.identities, PostgresIdentities)
    assert isinstance(parts.status, PostgresStatusBackend)
    assert isinstance(parts.rooms, PostgresRoomStore)
    assert parts.engine.name == "postgres"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("mysql://ann:secret@db/calls", "^state: the database's URL must begin with postgresql://, not with mysql://"),
        ("postgresql://ann:secret@db", "^state: the database's URL must name a database"),
        ("postgresql+psycopg://ann:secret@db/calls", "^state: the database's URL must begin with postgresql://"),
    ],
)
def test_a_wrong_url_is_said_without_its_password(state: str, message: str) -> None:
    with pytest.raises(StorageError, match=message) as wrong:
        storage(state)
    assert "secret" not in str(wrong.value)


def test_a_state_is_a_url_a_directory_or_nothing(tmp_path: Path) -> None:
    assert isinstance(storage("postgresql://db/calls").ledger, PostgresLedger)
    assert isinstance(storage(str(tmp_path / "state")).ledger, SqliteLedger)
    assert isinstance(storage(tmp_path / "state").ledger, SqliteLedger)
    assert isinstance(storage(None).ledger, MemoryLedger)


def test_a_runtime_whose_database_is_not_there_does_not_open() -> None:
    runtime = Runtime(state="postgresql://ann:secret@127.0.0.1:1/calls", channels=lambda _: SimulatedChannel())
    with pytest.raises(LedgerError, match=r"^PostgreSQL at ann@127\.0\.0\.1:1/calls: .*refused.*start it"):
        asyncio.run(runtime.__aenter__())


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return str(tmp_path / "state")


def test_a_runtime_that_is_opened_again_knows_what_it_was_told(state: str) -> None:
    def made() -> Runtime:
        return Runtime(state=state, channels=lambda _: SimulatedChannel())

    async def main() -> None:
        async with asyncio.timeout(60):
            async with made() as first:
                await first.deliver("lobby", "The boat is here.", id="boat")
                token = await first.identities.claim("lobby", "ann", None)
            async with made() as second:
                entry = await second.receipt("boat").entry()
                assert entry.delivery.content == "The boat is here."
                assert await second.identities.claim("lobby", "ann", token) == token
                with pytest.raises(NameTakenError):
                    await second.identities.claim("lobby", "ann", None)

    asyncio.run(main())
