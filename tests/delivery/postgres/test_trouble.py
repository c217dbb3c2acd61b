"""A database in trouble: every error names it and the fix, never the password, and nothing is half written."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator

import pytest

from delivery.ledger import Ledger, LedgerError, Move, Status
from delivery.postgres import PostgresLedger, database
from tests.delivery.ledgers import play, result
from tests.postgres import HOST, PASSWORD, QUOTED, USER, Server

pytestmark = pytest.mark.postgres


def refused(url: str) -> str:
    """What `open` says of this database."""
    with pytest.raises(LedgerError) as refusal:
        asyncio.run(asyncio.wait_for(PostgresLedger(url).open(), 30.0))
    everything = "".join(traceback.format_exception(refusal.value))
    assert PASSWORD not in everything
    assert QUOTED not in everything
    return str(refusal.value)


def test_a_wrong_password(postgres_server: Server, postgres_url: str) -> None:
    said = refused(postgres_url.replace(QUOTED, "sesame"))
    assert said.startswith(f"PostgreSQL at {USER}@{HOST}:{postgres_server.port}/")
    assert said.endswith("the URL's user or password is wrong")
    assert "sesame" not in said
    assert "password" in refused(postgres_url.replace(f":{QUOTED}", ""))


def test_what_is_not_there(postgres_server: Server) -> None:
    assert 'database "nowhere" does not exist; create it first' in refused(postgres_server.url("nowhere"))
    assert "the URL's user or password is wrong" in refused(postgres_server.url("postgres", "nobody"))
    assert "no PostgreSQL listens there; start it" in refused(f"postgresql://{USER}:{QUOTED}@{HOST}:1/calls")
    assert "no PostgreSQL listens on that socket" in refused(f"postgresql://{USER}@/calls?host=/nowhere")
    assert "no such host is known" in refused(f"postgresql://{USER}:{QUOTED}@nowhere.invalid/calls")


def test_a_server_that_is_too_old(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OLDEST", 99)
    assert "PostgreSQL 1" in (said := refused(postgres_url))
    assert said.endswith("is too old; use 99 or newer")


def test_a_database_without_all_characters(postgres_server: Server) -> None:
    postgres_server.run(f"CREATE DATABASE narrow OWNER {USER} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    said = refused(postgres_server.url("narrow"))
    postgres_server.run("DROP DATABASE narrow")
    assert "its encoding is LATIN1" in said
    assert "createdb --encoding=UTF8" in said


def test_a_server_whose_connections_are_all_taken(postgres_server: Server, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres_server.run(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    try:
        assert "too many connections" in refused(postgres_url)
    finally:
        postgres_server.run(f"ALTER DATABASE {name} CONNECTION LIMIT -1")


@pytest.fixture
def guest(postgres_server: Server) -> Iterator[str]:
    """A role that may do nothing."""
    postgres_server.run(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    yield "guest"
    postgres_server.run("DROP ROLE guest")


def test_a_user_without_rights(postgres_server: Server, postgres_url: str, guest: str) -> None:
    theirs = postgres_url.replace(USER, guest, 1)
    assert "permission denied" in (said := refused(theirs))
    assert "GRANT it the right, or let the database's owner start sottovoce once" in said

    async def by_the_owner(ledger: Ledger) -> None:
        await ledger.put(result())

    async def by_the_guest(ledger: Ledger) -> None:
        assert await ledger.get("one") is not None
        with pytest.raises(LedgerError, match=r"permission denied.*GRANT"):
            await ledger.put(result("two"))
        assert await ledger.get("two") is None

    play(PostgresLedger(postgres_url), by_the_owner)
    postgres_server.run(f"GRANT USAGE ON SCHEMA sottovoce TO {guest}", postgres_url)
    postgres_server.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA sottovoce TO {guest}", postgres_url)
    play(PostgresLedger(theirs), by_the_guest)
    postgres_server.run(f"DROP OWNED BY {guest}", postgres_server.url(postgres_url.rpartition("/")[2], "postgres"))


def test_a_read_only_database(postgres_server: Server, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]

    async def script(ledger: Ledger) -> None:
        await ledger.put(result())
        postgres_server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        postgres_server.terminate(postgres_url)
        assert await ledger.get("one") is not None
        with pytest.raises(LedgerError, match=r"read-only.*name the primary"):
            await ledger.put(result("two"))
        assert await ledger.get("two") is None

    try:
        play(PostgresLedger(postgres_url), script)
        assert "it is read-only" in refused(postgres_url)
    finally:
        postgres_server.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")


FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON sottovoce.deliveries
        FOR EACH ROW WHEN (NEW.id = 'two') EXECUTE FUNCTION full_disk();
"""


def test_a_full_disk(postgres_server: Server, postgres_url: str) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.put(result())
        await ledger.put(result("two"))
        epoch = await ledger.take_room("lobby", "me")
        told: list[str] = []
        ledger.subscribe(told.append)
        postgres_server.run(FULL, postgres_url)
        for ask in (
            ledger.move("lobby", epoch, [Move("one", Status.HEARD), Move("two", Status.HEARD)]),
            ledger.cancel("two"),
        ):
            with pytest.raises(LedgerError, match=r"at sottovoce@.*No space left.*disk is full; free some space"):
                await ask
        assert [e.status for e in await ledger.entries("lobby")] == [Status.QUEUED] * 2
        assert told == []
        postgres_server.run("DROP FUNCTION full_disk CASCADE", postgres_url)
        await ledger.move("lobby", epoch, [Move("one", Status.HEARD), Move("two", Status.HEARD)])

    play(PostgresLedger(postgres_url), script)


def test_tables_that_are_gone(postgres_server: Server, postgres_url: str) -> None:
    async def script(ledger: Ledger) -> None:
        postgres_server.run("DROP SCHEMA sottovoce CASCADE", postgres_url)
        with pytest.raises(LedgerError, match="its tables are gone; restart"):
            await ledger.put(result())

    play(PostgresLedger(postgres_url), script)


def test_a_newer_releases_tables_are_refused(postgres_server: Server, postgres_url: str) -> None:
    async def script(ledger: Ledger) -> None:
        postgres_server.run("UPDATE sottovoce.schema SET version = 99", postgres_url)

    play(PostgresLedger(postgres_url), script)
    assert "its deliveries are in format 99, this release knows 2; a newer sottovoce wrote it" in refused(postgres_url)
    postgres_server.run("UPDATE sottovoce.schema SET version = 0", postgres_url)
    assert "already exists" in refused(postgres_url)
