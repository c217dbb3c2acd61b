"""What only the durable engine promises: it outlives its process, and keeps DBOS to itself."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from delivery.ledger import Status
from delivery.memory import MemoryLedger
from delivery.strategies import WaitForIdle
from orchestration.engines.durable import DurableEngine
from orchestration.engines.engine import EngineError, Steps, Task, TaskRecord, TaskResult, TaskStatus
from orchestration.tasks import Tasks, delivery_of
from orchestration.workers import Context, FunctionWorker

ROOT = Path(__file__).parents[3]
PATIENCE = 20.0


def play(engine: DurableEngine, script: Callable[[DurableEngine], Awaitable[None]]) -> None:
    async def main() -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await script(engine)
        finally:
            await engine.aclose()

    asyncio.run(main())


async def body(task: Task, steps: Steps) -> TaskResult:
    if task.input == "for ever":
        await asyncio.get_running_loop().create_future()
    return TaskResult(task.input)


async def ended(engine: DurableEngine, id: str) -> TaskRecord:
    while True:
        record = await engine.get(id)
        assert record is not None
        if record.status.terminal:
            return record
        await asyncio.sleep(0.005)


def test_nothing_is_loaded_and_nothing_written_before_it_is_opened(tmp_path: Path) -> None:
    source = """
        import sys
        from orchestration.engines.durable import DurableEngine
        DurableEngine.in_file(sys.argv[1])
        print([name for name in ("dbos", "sqlalchemy", "numpy") if name in sys.modules])
    """
    command = [sys.executable, "-c", "\n".join(line.strip() for line in source.splitlines()), str(tmp_path / "x.db")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_durable_and_holds_no_pickles(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"

    async def script(engine: DurableEngine) -> None:
        async def stepping(task: Task, steps: Steps) -> TaskResult:
            return TaskResult(await steps.step("model", lambda: asyncio.sleep(0, "hello")))

        await engine.open(stepping, "one")
        await engine.start(Task("t1", "lobby", "analyst", "compare"))
        await ended(engine, "t1")
        assert (tmp_path / "tasks.db-wal").exists()

    play(DurableEngine.in_file(path), script)
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("SELECT DISTINCT serialization FROM workflow_status").fetchall() == [("portable_json",)]
    versions = database.execute("SELECT DISTINCT executor_id, application_version FROM workflow_status").fetchall()
    assert versions == [("one", "1")]
    steps = database.execute("SELECT function_name, output, serialization FROM operation_outputs").fetchall()
    assert steps == [("model#1", '"hello"', "portable_json")]
    database.close()


def test_dbos_gets_sub_seconds_from_any_sqlite(tmp_path: Path) -> None:
    from orchestration.engines.sqlite_store import Connection

    connection = sqlite3.connect(tmp_path / "x.db", factory=Connection)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.execute("CREATE TABLE t (id INTEGER, at INTEGER DEFAULT (unixepoch('subsec') * 1000))")
    for n in range(50):
        connection.execute("INSERT INTO t (id) VALUES (?)", (n,))
    at, now = connection.execute("SELECT at, (julianday('now') - 2440587.5) * 86400000 FROM t").fetchone()
    assert abs(now - at) < 60_000
    fraction = connection.execute("SELECT count(*) FROM t WHERE at % 1000 > 0").fetchone()[0]
    assert fraction > 0
    connection.close()


def test_our_loop_keeps_its_executor_and_dbos_its_threads(tmp_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate()}

    async def script(engine: DurableEngine) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(int)
        executor = loop._default_executor  # type: ignore[attr-defined]
        await engine.open(body, "one")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        await ended(engine, "t1")
        assert loop._default_executor is executor  # type: ignore[attr-defined]
        await engine.aclose()
        assert await asyncio.to_thread(lambda: 42) == 42
        names = {thread.name for thread in threading.enumerate()} - before
        assert {name for name in names if not name.startswith("asyncio_")} == set()

    play(DurableEngine.in_file(tmp_path / "tasks.db"), script)


def test_one_engine_is_open_in_a_process(tmp_path: Path) -> None:
    async def script(engine: DurableEngine) -> None:
        await engine.open(body, "one")
        with pytest.raises(EngineError, match=r"a\.db: this process has an engine open; aclose\(\) it first"):
            await DurableEngine.in_file(tmp_path / "b.db").open(body, "one")
        await DurableEngine.in_file(tmp_path / "b.db").aclose()
        await engine.start(Task("t1", "lobby", "analyst", "still here"))
        assert (await ended(engine, "t1")).result == TaskResult("still here")

    play(DurableEngine.in_file(tmp_path / "a.db"), script)


def _garbage(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "where", "message"),
    [
        (_garbage, "tasks.db", r"tasks\.db: file is not a database; .*move it away"),
        (_directory, "tasks.db", r"tasks\.db: unable to open database file; create its directory"),
        (lambda _: None, "nowhere/tasks.db", r"nowhere/tasks\.db: unable to open database file; create its"),
    ],
    ids=["garbage", "directory", "missing"],
)
def test_a_file_that_cannot_be_used(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], spoil: Callable[[Path], None], where: str, message: str
) -> None:
    async def script(engine: DurableEngine) -> None:
        spoil(tmp_path / where)
        for _ in range(2):
            with pytest.raises(EngineError, match=message):
                await engine.open(body, "one")
        good = DurableEngine.in_file(tmp_path / "good.db")
        await good.open(body, "one")
        await good.start(Task("t1", "lobby", "analyst", "fine"))
        assert (await ended(good, "t1")).result == TaskResult("fine")
        await good.aclose()

    play(DurableEngine.in_file(tmp_path / where), script)
    assert capfd.readouterr() == ("", "")


def test_dbos_is_quiet_about_what_we_do_on_purpose(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    class Listen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    ours, listen = logging.getLogger("sottovoce"), Listen()
    ours.addHandler(listen)

    async def script(engine: DurableEngine) -> None:
        await engine.open(body, "one")
        for id in ("t1", "t2"):
            await engine.start(Task(id, "lobby", "analyst", "for ever"))
        assert await engine.cancel("t1")
        await engine.aclose()
        logging.getLogger("dbos").warning("something is wrong")

    try:
        play(DurableEngine.in_file(tmp_path / "tasks.db"), script)
    finally:
        ours.removeHandler(listen)
    assert said == ["something is wrong"]
    assert capfd.readouterr() == ("", "")


def test_a_start_nobody_waits_for_any_more_is_finished(tmp_path: Path) -> None:
    async def script(engine: DurableEngine) -> None:
        await engine.open(body, "one")
        starting = asyncio.create_task(engine.start(Task("t1", "lobby", "analyst", "x")))
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled()
        while await engine.get("t1") is None:
            await asyncio.sleep(0.005)
        assert (await ended(engine, "t1")).result == TaskResult("x")

    play(DurableEngine.in_file(tmp_path / "tasks.db"), script)


def test_an_opening_nobody_waits_for_any_more_leaves_nothing(tmp_path: Path) -> None:
    async def script(engine: DurableEngine) -> None:
        opening = asyncio.create_task(engine.open(body, "one"))
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()
        await engine.open(body, "one")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        await ended(engine, "t1")

    play(DurableEngine.in_file(tmp_path / "tasks.db"), script)


def test_a_task_given_up_is_told_once_and_by_one(tmp_path: Path) -> None:
    """Each of ten processes that began it died of it; the next one tells the caller, and nobody after that."""
    ledger = MemoryLedger()

    async def script(engine: DurableEngine) -> None:
        async def job(input: str, context: Context) -> None:
            begun.set()
            await asyncio.get_running_loop().create_future()

        async def open_tasks(process: str) -> Tasks:
            tasks = Tasks(engine, ledger, lambda news: None)
            tasks.register(FunctionWorker("analyst", job, "Analyst"))
            await tasks.open(process)
            return tasks

        begun = asyncio.Event()
        await ledger.open()
        tasks = await open_tasks("one")
        task = await tasks.start("lobby", "analyst", "boats", strategy=WaitForIdle(), caller="ann")
        await begun.wait()
        await tasks.aclose()
        database = sqlite3.connect(tmp_path / "tasks.db", isolation_level=None)
        database.execute("UPDATE workflow_status SET recovery_attempts = 10")
        database.close()
        for process, gone in (("two", "one"), ("three", "two")):
            tasks = await open_tasks(process)
            await tasks.adopt({"one", gone})
            record = await ended(engine, task.id)
            assert record.status is TaskStatus.FAILED
            assert record.result is not None
            assert (record.result.error or "").startswith("given up: begun 10 times")
            await tasks.aclose()
        (entry,) = await ledger.entries("lobby", list(Status))
        assert (entry.delivery.id, entry.delivery.to) == (delivery_of(task.id), "ann")
        assert entry.delivery.content == "I am sorry, Analyst could not finish what you asked for."

    play(DurableEngine.in_file(tmp_path / "tasks.db"), script)


@pytest.mark.parametrize("when", ["between steps", "in a step"])
def test_who_lost_a_task_begins_no_step_of_it_and_tells_nobody_of_a_failure(tmp_path: Path, when: str) -> None:
    """Even one that was not told, because it was stopped meanwhile."""
    ledger = MemoryLedger()
    begun: list[str] = []

    async def job(input: str, context: Context) -> str:
        async def work(name: str) -> str:
            begun.append(name)
            if when == "in a step":
                taken_over()
            return name

        await context.step("first", lambda: work("first"))
        if when == "between steps":
            taken_over()
        return await context.step("second", lambda: work("second"))

    def taken_over() -> None:
        database = sqlite3.connect(tmp_path / "tasks.db", isolation_level=None)
        database.execute("UPDATE workflow_status SET executor_id = 'two', owner_xid = 'theirs'")
        database.close()

    async def script(engine: DurableEngine) -> None:
        engine._store.watch = lambda *_: asyncio.sleep(PATIENCE)  # type: ignore[method-assign]
        tasks = Tasks(engine, ledger, lambda news: None)
        tasks.register(FunctionWorker("analyst", job, "Analyst"))
        await ledger.open()
        await tasks.open("one")
        task = await tasks.start("lobby", "analyst", "boats", strategy=WaitForIdle())
        assert await tasks.result(task.id, PATIENCE) is None
        assert tasks.running("lobby") == []
        assert begun == ["first"]
        assert await ledger.entries("lobby", list(Status)) == []
        record = await engine.get(task.id)
        assert record is not None
        assert record.status is TaskStatus.RUNNING
        await tasks.aclose()

    play(DurableEngine.in_file(tmp_path / "tasks.db"), script)


def test_what_cannot_be_written_is_the_callers_to_know(tmp_path: Path) -> None:
    async def script(engine: DurableEngine) -> None:
        async def stepping(task: Task, steps: Steps) -> TaskResult:
            return TaskResult(await steps.step("model", lambda: asyncio.sleep(0, "hello")))

        await engine.open(stepping, "one")
        spoil = sqlite3.connect(tmp_path / "tasks.db", isolation_level=None)
        spoil.execute("DROP TABLE operation_outputs")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        record = await ended(engine, "t1")
        assert record.status is TaskStatus.FAILED
        assert record.result is not None
        assert f"EngineError: {tmp_path}/tasks.db: no such table: main.operation_outputs" in (record.result.error or "")
        spoil.execute("DROP TABLE workflow_input")
        spoil.close()
        with pytest.raises(EngineError, match=r"tasks\.db: no such table: main.workflow_input"):
            await engine.start(Task("t2", "lobby", "analyst", "x"))

    play(DurableEngine.in_file(tmp_path / "tasks.db"), script)


def test_a_task_another_program_cancels_is_not_taken_for_failed(tmp_path: Path) -> None:
    async def script(engine: DurableEngine) -> None:
        seen: list[str] = []

        async def cancelled(task: Task, steps: Steps) -> TaskResult:
            async def work() -> str:
                other = sqlite3.connect(tmp_path / "tasks.db", isolation_level=None)
                other.execute("UPDATE workflow_status SET status = 'CANCELLED', owner_xid = NULL")
                other.close()
                return "x"

            try:
                await steps.step("model", work)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            return TaskResult("never")

        await engine.open(cancelled, "one")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        assert (await ended(engine, "t1")).status is TaskStatus.CANCELLED
        while not seen:
            await asyncio.sleep(0.005)

    play(DurableEngine.in_file(tmp_path / "tasks.db"), script)


def test_a_loop_that_ends_without_closing_the_engine_loses_no_task(tmp_path: Path) -> None:
    engine = DurableEngine.in_file(tmp_path / "tasks.db")
    begun: list[str] = []

    async def counted(task: Task, steps: Steps) -> TaskResult:
        begun.append(task.id)
        return await body(task, steps)

    async def begin() -> None:
        await engine.open(counted, "one")
        await engine.start(Task("t1", "lobby", "analyst", "for ever"))
        while not begun:
            await asyncio.sleep(0.005)

    async def open_again() -> None:
        await engine.aclose()
        await engine.open(counted, "two")
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, engine.adopt({"one"}))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def look() -> None:
        while (await asyncio.to_thread(attempts)) < 2:
            await asyncio.sleep(0.02)
        await engine.aclose()
        before = len(begun)
        await engine.open(counted, "three")
        try:
            assert await engine.adopt({"one", "two"}) == 1  # the second may have ended before it had taken it over
            while len(begun) == before:
                await asyncio.sleep(0.005)
            record = await engine.get("t1")
            assert record is not None
            assert record.status is TaskStatus.RUNNING
        finally:
            await engine.aclose()

    def attempts() -> int:
        database = sqlite3.connect(tmp_path / "tasks.db")
        count: int = database.execute("SELECT recovery_attempts FROM workflow_status").fetchone()[0]
        database.close()
        return count

    asyncio.run(begin())
    asyncio.run(open_again())
    asyncio.run(asyncio.wait_for(look(), PATIENCE))


OTHERS = """
import asyncio, sys
from dbos import DBOS
from orchestration.engines.engine import EngineError
from orchestration.engines.durable import DurableEngine
from orchestration.engines.sqlite_store import Connection

@DBOS.workflow()
def theirs():
    return "theirs"

async def main():
    try:
        await DurableEngine.in_file(sys.argv[2]).open(None, "one")
    except EngineError as error:
        print(error)

DBOS(config={"name": "theirs", "system_database_url": f"sqlite:///{sys.argv[1]}", "log_level": "CRITICAL",
             "db_engine_kwargs": {"connect_args": {"factory": Connection}}})
DBOS.launch()
asyncio.run(main())
print(theirs())
DBOS.destroy()
"""


def test_a_process_that_runs_dbos_itself_is_told_and_left_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OTHERS, str(tmp_path / "theirs.db"), str(tmp_path / "tasks.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    said = "this process runs DBOS for something else already, and it can run only once"
    assert done.stdout.splitlines() == [said, "theirs"]
