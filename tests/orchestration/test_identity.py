"""A name belongs to whoever holds its token."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from delivery.database import Database
from delivery.postgres import PostgresLedger
from delivery.postgres.database import PostgresDatabase
from delivery.sqlite import SqliteLedger
from orchestration import identity
from orchestration.identity import (
    Identities,
    MemoryIdentities,
    NameTakenError,
    SqliteIdentities,
    TooManyNamesError,
    valid_name,
)
from orchestration.identity_postgres import PostgresIdentities
from tests.delivery.postgres.wire import Cut, wire
from tests.postgres import Server
from voice.clock import run


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def identities(request: pytest.FixtureRequest, tmp_path: Path) -> Identities:
    if request.param == "postgres":
        return PostgresIdentities(PostgresDatabase(request.getfixturevalue("postgres_url")))
    return MemoryIdentities() if request.param == "memory" else SqliteIdentities(Database(tmp_path / "s.db"))


def play(identities: Identities, script: Callable[[Identities], Awaitable[None]]) -> None:
    async def main() -> None:
        await identities.open()
        try:
            await script(identities)
        finally:
            await identities.aclose()

    (asyncio.run if isinstance(identities, PostgresIdentities) else run)(main())


def test_a_name_is_its_first_claimants(identities: Identities) -> None:
    async def script(identities: Identities) -> None:
        token = await identities.claim("lobby", "ann", None)
        assert len(token) >= 40
        assert await identities.claim("lobby", " ann ", token) == token
        for wrong in (None, "", token[:-1], token + "x", "\ud800", "x" * 10_000):
            with pytest.raises(NameTakenError, match="'ann' is taken in room 'lobby'"):
                await identities.claim("lobby", "ann", wrong)
        assert await identities.claim("lobby", "ann", token) == token

    play(identities, script)


def test_names_are_apart_by_room(identities: Identities) -> None:
    async def script(identities: Identities) -> None:
        tokens = {
            await identities.claim("lobby", "ann", None),
            await identities.claim("attic", "ann", None),
            await identities.claim("lobby", "bob", None),
        }
        assert len(tokens) == 3

    play(identities, script)


def test_a_token_of_ones_own_making_is_not_taken(identities: Identities) -> None:
    async def script(identities: Identities) -> None:
        assert await identities.claim("lobby", "ann", "sesame") != "sesame"

    play(identities, script)


def test_of_many_at_once_one_gets_the_name(identities: Identities) -> None:
    async def script(identities: Identities) -> None:
        claims = (identities.claim("lobby", "ann", None) for _ in range(10))
        outcomes = await asyncio.gather(*claims, return_exceptions=True)
        assert sum(isinstance(o, str) for o in outcomes) == 1
        assert sum(isinstance(o, NameTakenError) for o in outcomes) == 9

    play(identities, script)


def test_a_room_has_room_for_so_many(identities: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "MAX_NAMES", 2)

    async def script(identities: Identities) -> None:
        ann = await identities.claim("lobby", "ann", None)
        await identities.claim("lobby", "bob", None)
        with pytest.raises(TooManyNamesError, match="'lobby' already has 2 names"):
            await identities.claim("lobby", "eve", None)
        assert await identities.claim("lobby", "ann", ann) == ann
        await identities.claim("attic", "eve", None)

    play(identities, script)


@pytest.mark.parametrize("bad", ["", "   ", "x" * 65, "x" * 100_000, "a\nb", "a\x00b", "\u202eevil", "\ud800", None, 7])
def test_what_is_no_name_is_refused_by_field(identities: Identities, bad: str) -> None:
    async def script(identities: Identities) -> None:
        with pytest.raises(ValueError, match=r"^room must"):
            await identities.claim(bad, "ann", None)
        with pytest.raises(ValueError, match=r"^name must"):
            await identities.claim("lobby", bad, None)

    play(identities, script)


def test_a_name_is_stripped_and_composed() -> None:
    assert valid_name("  Zoe\u0308 Müller 2  ") == "Zoë Müller 2"
    assert valid_name("x" * 64) == "x" * 64
    assert valid_name("\N{GRINNING FACE}") == "\N{GRINNING FACE}"


def test_names_outlive_the_process_but_tokens_are_not_kept(tmp_path: Path) -> None:
    async def script() -> None:
        ledger = SqliteLedger(tmp_path / "s.db")
        await ledger.open()
        identities = SqliteIdentities(ledger.database)
        await identities.open()
        token = await identities.claim("lobby", "ann", None)
        await identities.aclose()
        await ledger.get("the file is still open")
        await ledger.aclose()
        assert token.encode() not in (tmp_path / "s.db").read_bytes()

        again = SqliteIdentities(Database(tmp_path / "s.db"))
        await again.open()
        assert await again.claim("lobby", "ann", token) == token
        await again.aclose()

    run(script())


def test_last_seen_is_kept(tmp_path: Path) -> None:
    async def script() -> None:
        database = Database(tmp_path / "s.db")
        identities = SqliteIdentities(database)
        await identities.open()
        token = await identities.claim("lobby", "ann", None)
        await database.write(lambda c: c.execute("UPDATE identities SET claimed_at = 5, seen_at = 5"))
        await identities.claim("lobby", "ann", token)

        def row(connection: sqlite3.Connection) -> tuple[float, float]:
            found = connection.execute("SELECT claimed_at, seen_at FROM identities").fetchone()
            return found["claimed_at"], found["seen_at"]

        claimed, seen = await database.read(row)
        assert claimed == 5
        assert seen > 1e9
        await identities.aclose()

    run(script())


@pytest.mark.postgres
def test_names_are_shared_by_processes_and_tokens_are_not_kept(postgres_server: Server, postgres_url: str) -> None:
    async def script() -> None:
        ledger = PostgresLedger(postgres_url)
        await ledger.open()
        ours, theirs = PostgresIdentities(ledger.database), PostgresIdentities(PostgresDatabase(postgres_url))
        await asyncio.gather(ours.open(), theirs.open())
        claims = (each.claim("lobby", "ann", None) for each in (ours, theirs) for _ in range(5))
        outcomes = await asyncio.gather(*claims, return_exceptions=True)
        (token,) = [outcome for outcome in outcomes if isinstance(outcome, str)]
        assert sum(isinstance(outcome, NameTakenError) for outcome in outcomes) == 9
        assert await theirs.claim("lobby", "ann", token) == await ours.claim("lobby", "ann", token) == token
        await ours.aclose()
        assert await ledger.get("the database is still open") is None
        await ledger.aclose()
        await theirs.aclose()
        assert token not in str(postgres_server.run("SELECT * FROM sottovoce.identities", postgres_url))

    asyncio.run(script())


@pytest.mark.postgres
def test_a_claim_whose_answer_was_lost_is_answered_all_the_same(postgres_url: str) -> None:
    async def script() -> None:
        async with wire(postgres_url) as line:
            identities = PostgresIdentities(PostgresDatabase(line.url))
            await identities.open()
            line.cut = Cut.AFTER
            token = await identities.claim("lobby", "ann", None)
            assert line.cuts == 1
            assert await identities.claim("lobby", "ann", token) == token
            await identities.aclose()

    asyncio.run(script())
