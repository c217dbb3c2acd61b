"""One SQLite file, many calls: durable, apart from one another, and clear about what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery import database as database_module
from delivery.database import NOW, Database
from delivery.ledger import LedgerError
from voice.clock import run, wall_time

_TABLE = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT UNIQUE)"


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[Database]:
    database = Database(path, **options)
    await database.open()
    try:
        await database.migrate("notes", [_TABLE])
        yield database
    finally:
        await database.aclose()


def note(text: str) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))

    return work


def notes(connection: sqlite3.Connection) -> list[str]:
    return [row["text"] for row in connection.execute("SELECT text FROM notes ORDER BY id")]


def test_the_file_is_set_to_keep_what_it_acknowledged(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:

            def settings(connection: sqlite3.Connection) -> tuple[str, int]:
                return (
                    connection.execute("PRAGMA journal_mode").fetchone()[0],
                    connection.execute("PRAGMA synchronous").fetchone()[0],
                )

            assert await database.read(settings) == ("wal", 2)

    run(script())


def test_the_databases_clock_is_seconds_since_1970_to_the_millisecond(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            before = wall_time()
            now = await database.read(lambda connection: connection.execute(f"SELECT {NOW}").fetchone()[0])
            assert before - 0.002 <= now <= wall_time() + 0.002

    run(script())


def test_all_work_is_done_in_one_thread_that_is_not_ours(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            here = threading.get_ident()
            threads = {await database.write(lambda _: threading.get_ident()) for _ in range(3)}
            threads.add(await database.read(lambda _: threading.get_ident()))
            assert len(threads) == 1
            assert here not in threads

    run(script())


def test_calls_that_wait_together_share_a_commit_and_fail_alone(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            commits: list[str] = []
            await database.read(lambda connection: connection.set_trace_callback(commits.append))
            outcomes = await asyncio.gather(
                *(database.write(note(f"n{n}")) for n in range(10)),
                database.write(_raise_after_writing),
                *(database.write(note(f"m{n}")) for n in range(10)),
                return_exceptions=True,
            )
            assert [str(o) for o in outcomes if o is not None] == ["changed my mind"]
            assert sum(statement == "COMMIT" for statement in commits) <= 2
            assert len(await database.read(notes)) == 20

    run(script())


def _raise_after_writing(connection: sqlite3.Connection) -> None:
    note("half")(connection)
    raise LedgerError("changed my mind")


def test_a_call_sqlite_refuses_does_not_fail_its_neighbours(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            outcomes = await asyncio.gather(
                database.write(note("x")),
                database.write(note("x")),
                database.write(note("y")),
                return_exceptions=True,
            )
            assert outcomes[0] is outcomes[2] is None
            assert isinstance(outcomes[1], LedgerError)
            assert "UNIQUE" in str(outcomes[1])
            assert await database.read(notes) == ["x", "y"]

    run(script())


def test_a_call_cancelled_before_its_turn_is_not_run(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            begun, go = threading.Event(), threading.Event()

            def slow(connection: sqlite3.Connection) -> None:
                begun.set()
                assert go.wait(10)
                note("slow")(connection)

            told: list[None] = []
            first = asyncio.create_task(database.write(slow, then=told.append))
            await asyncio.to_thread(begun.wait)
            second = asyncio.create_task(database.write(note("second")))
            await asyncio.sleep(0)
            first.cancel()
            second.cancel()
            await asyncio.wait([first, second])
            go.set()
            assert await database.read(notes) == ["slow"]
            assert told == [None]

    run(script())


def test_closing_finishes_what_waits(tmp_path: Path) -> None:
    async def script() -> None:
        database = Database(tmp_path / "a.db")
        await database.open()
        await database.migrate("notes", [_TABLE])
        writes = [asyncio.create_task(database.write(note(f"n{n}"))) for n in range(5)]
        await asyncio.sleep(0)
        await database.aclose()
        await asyncio.gather(*writes)
        async with opened(tmp_path / "a.db") as again:
            assert len(await again.read(notes)) == 5

    run(script())


def test_the_last_to_close_it_closes_the_file(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            await database.open()
            await database.aclose()
            await database.write(note("still open"))
        with pytest.raises(LedgerError, match=r"a\.db: closed"):
            await database.write(note("too late"))
        assert not (tmp_path / "a.db-wal").exists()

    run(script())


def test_too_many_waiting_calls_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "MAX_WAITING", 3)

    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            writes = [asyncio.create_task(database.write(note(f"n{n}"))) for n in range(4)]
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            assert outcomes[:3] == [None] * 3
            assert "wait for the disk" in str(outcomes[3])

    run(script())


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            await database.migrate("notes", [_TABLE, "CREATE TABLE later (x)"])
            with pytest.raises(LedgerError, match=r"a\.db: its notes are in format 2.* knows 1.*upgrade"):
                await database.migrate("notes", [_TABLE])
            await database.migrate("notes", [_TABLE, "CREATE TABLE later (x)", "CREATE TABLE latest (x)"])
            await database.write(lambda connection: connection.execute("INSERT INTO latest VALUES (1)"))

    run(script())


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            with pytest.raises(LedgerError, match="syntax error"):
                await database.migrate("notes", [_TABLE, "CREATE TABLE later (x); NONSENSE"])
            await database.migrate("notes", [_TABLE, "CREATE TABLE later (x)"])

    run(script())


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"nowhere/a\.db: unable to open.*create its directory"):
        run(Database(tmp_path / "nowhere" / "a.db").open())


def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(LedgerError, match=r"a\.db: .*not an SQLite database; move it away"):
        run(Database(path).open())
    assert path.read_bytes().startswith(b"Dear diary")


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def fill() -> None:
        async with opened(path) as database:
            for n in range(200):
                await database.write(note(f"{n}" * 200))

    run(fill())
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)

    async def script() -> None:
        async with opened(path) as database:
            await database.read(notes)

    with pytest.raises(LedgerError, match=r"a\.db: .*damaged; move it away or restore"):
        run(script())


@pytest.fixture
def nobody() -> Iterator[None]:
    """Be an ordinary user for a while: root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("nobody")
def test_a_read_only_file() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "a.db")
        path.touch(mode=0o444)
        with pytest.raises(LedgerError, match=r"a\.db: .*read-only; make the file and its directory writable"):
            run(Database(path).open())


@pytest.mark.usefixtures("nobody")
def test_a_read_only_directory() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o555)
        with pytest.raises(LedgerError, match=r"a\.db: .*create its directory and make it writable"):
            run(Database(Path(directory, "a.db")).open())
        Path(directory).chmod(0o755)


def test_a_file_that_became_read_only(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            await database.read(lambda connection: connection.execute("PRAGMA query_only = ON"))
            with pytest.raises(LedgerError, match=r"a\.db: .*read-only; make the file and its directory writable"):
                await database.write(note("x"))
            await database.read(lambda connection: connection.execute("PRAGMA query_only = OFF"))
            await database.write(note("y"))
            assert await database.read(notes) == ["y"]

    run(script())


def test_several_may_make_one_file_at_the_same_moment(tmp_path: Path) -> None:
    """SQLite refuses all but one at once to switch to WAL, without waiting; that shows in one round of thirty or so."""
    refused: list[LedgerError] = []

    async def use(path: Path) -> None:
        database = Database(path)
        await database.open()
        await database.aclose()

    def begin(path: Path, together: threading.Barrier) -> None:
        together.wait()
        try:
            asyncio.run(use(path))
        except LedgerError as error:
            refused.append(error)

    for number in range(30):
        together = threading.Barrier(6)
        given = (tmp_path / f"{number}.db", together)
        threads = [threading.Thread(target=begin, args=given) for _ in range(together.parties)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert refused == []


def test_a_file_somebody_else_has_locked(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db", busy_timeout=0.01) as database:
            other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            writes = (database.write(note(f"n{n}")) for n in range(5))
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            assert all("a.db: database is locked; another program" in str(o) for o in outcomes)
            assert await database.read(notes) == []
            other.execute("COMMIT")
            other.close()
            await database.write(note("after"))
            assert await database.read(notes) == ["after"]

    run(script())


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async def script() -> None:
        async with opened(tmp_path / "a.db") as database:
            await database.read(lambda connection: connection.execute("PRAGMA max_page_count = 40"))
            texts = [f"{n}" * 3000 for n in range(1000, 1060)]
            outcomes = await asyncio.gather(*(database.write(note(text)) for text in texts), return_exceptions=True)
            refused = [o for o in outcomes if o is not None]
            assert refused
            assert all(isinstance(o, LedgerError) and "free some space" in str(o) for o in refused)
            kept = [text for text, o in zip(texts, outcomes, strict=True) if o is None]
            assert kept
            assert await database.read(notes) == kept
            await database.read(lambda connection: connection.execute("PRAGMA max_page_count = 4000"))
            await database.write(note("after"))
            assert await database.read(notes) == [*kept, "after"]

    run(script())
