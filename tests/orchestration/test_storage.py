"""Where a runtime remembers, and what is said when it cannot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from delivery.memory import MemoryLedger
from delivery.sqlite import SqliteLedger
from orchestration import Runtime
from orchestration.engines.durable import DurableEngine
from orchestration.engines.memory import MemoryEngine
from orchestration.identity import NameTakenError, SqliteIdentities
from orchestration.storage import StorageError, in_directory, in_memory
from voice.simulated import SimulatedChannel


def test_in_memory_nothing_is_shared() -> None:
    one, other = in_memory(), in_memory()
    assert isinstance(one.ledger, MemoryLedger)
    assert isinstance(one.engine, MemoryEngine)
    assert one.ledger is not other.ledger


def test_in_a_directory_that_is_made_everything_is_kept(tmp_path: Path) -> None:
    parts = in_directory(tmp_path / "deep" / "state")
    assert (tmp_path / "deep" / "state").is_dir()
    assert isinstance(parts.ledger, SqliteLedger)
    assert isinstance(parts.engine, DurableEngine)
    assert isinstance(parts.identities, SqliteIdentities)
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


def test_a_runtime_that_is_opened_again_knows_what_it_was_told(tmp_path: Path) -> None:
    def made() -> Runtime:
        return Runtime(state=tmp_path / "state", channels=lambda _: SimulatedChannel())

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
