"""What only the durable engine promises: it outlives its process, and keeps DBOS to itself."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from orchestration.engines.engine import EngineError, Steps, Task, TaskRecord, TaskResult, TaskStatus
from orchestration.engines.local import LocalEngine

ROOT = Path(__file__).parents[3]
PATIENCE = 20.0

PROCESS = """
import asyncio, json, sys

def refuse(event, args):
    if event in ("socket.bind", "socket.connect", "socket.listen", "socket.getaddrinfo"):
        print("network:", event, args, flush=True)

sys.addaudithook(refuse)

from orchestration.engines.engine import Task, TaskResult
from orchestration.engines.local import LocalEngine

path, notes, run = sys.argv[1:]
assert "dbos" not in sys.modules

def note(what):
    with open(notes, "a") as file:
        file.write(json.dumps([run, what]) + "\\n")

async def body(task, steps):
    note("begun")
    values = []
    for name in ("first", "second", "third"):
        async def work():
            note(name)
            if run == "one" and name == "second":
                print("ready", flush=True)
                await asyncio.get_running_loop().create_future()
            return [name, run]
        values.append(await steps.step(name, work))
    note("ended")
    return TaskResult("done", {"values": values})

async def main():
    engine = LocalEngine(path)
    await engine.open(body)
    if run == "one":
        await engine.start(Task("t1", "lobby", "analyst", "compare"))
    while not (record := await engine.get("t1")).status.terminal:
        await asyncio.sleep(0.01)
    if run == "three":
        await asyncio.sleep(1.5)  # longer than DBOS needs to resume what it thinks is unfinished
    print(json.dumps([record.status, record.result.text, record.result.data]), flush=True)
    await engine.aclose()

asyncio.run(main())
"""


def process(path: Path, notes: Path, run: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", PROCESS, str(path), str(notes), run]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.crash
def test_kill_9_between_two_steps(tmp_path: Path) -> None:
    path, notes = tmp_path / "tasks.db", tmp_path / "notes"

    def noted() -> list[list[str]]:
        return [json.loads(line) for line in notes.read_text().splitlines()]

    with process(path, notes, "one") as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
        with process(path, notes, "meanwhile") as other:
            _, said = other.communicate(timeout=PATIENCE)
            assert other.returncode == 1
            assert f"another sottovoce uses this directory: {tmp_path} (process {one.pid})" in said
        one.kill()
        assert one.communicate(timeout=PATIENCE) == ("", "")
        assert one.returncode == -signal.SIGKILL
    before = [["one", "begun"], ["one", "first"], ["one", "second"]]
    assert noted() == before

    result = '["done", "done", {"values": [["first", "one"], ["second", "two"], ["third", "two"]]}]\n'
    with process(path, notes, "two") as two:
        assert two.communicate(timeout=PATIENCE) == (result, "")
    after = [["two", "begun"], ["two", "second"], ["two", "third"], ["two", "ended"]]
    assert noted() == before + after

    with process(path, notes, "three") as three:
        assert three.communicate(timeout=PATIENCE) == (result, "")
    assert noted() == before + after


def play(engine: LocalEngine, script: Callable[[LocalEngine], Awaitable[None]]) -> None:
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


async def ended(engine: LocalEngine, id: str) -> TaskRecord:
    while True:
        record = await engine.get(id)
        assert record is not None
        if record.status.terminal:
            return record
        await asyncio.sleep(0.005)


def test_nothing_is_loaded_and_nothing_written_before_it_is_opened(tmp_path: Path) -> None:
    source = """
        import sys
        from orchestration.engines.local import LocalEngine
        LocalEngine(sys.argv[1])
        print([name for name in ("dbos", "sqlalchemy", "numpy") if name in sys.modules])
    """
    command = [sys.executable, "-c", "\n".join(line.strip() for line in source.splitlines()), str(tmp_path / "x.db")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_durable_and_holds_no_pickles(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"

    async def script(engine: LocalEngine) -> None:
        async def stepping(task: Task, steps: Steps) -> TaskResult:
            return TaskResult(await steps.step("model", lambda: asyncio.sleep(0, "hello")))

        await engine.open(stepping)
        await engine.start(Task("t1", "lobby", "analyst", "compare"))
        await ended(engine, "t1")
        assert (tmp_path / "tasks.db-wal").exists()

    play(LocalEngine(path), script)
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("SELECT DISTINCT serialization FROM workflow_status").fetchall() == [("portable_json",)]
    versions = database.execute("SELECT DISTINCT executor_id, application_version FROM workflow_status").fetchall()
    assert versions == [("local", "1")]
    steps = database.execute("SELECT function_name, output, serialization FROM operation_outputs").fetchall()
    assert steps == [("model#1", '"hello"', "portable_json")]
    database.close()


def test_dbos_gets_sub_seconds_from_any_sqlite(tmp_path: Path) -> None:
    from orchestration.engines.dbos_host import _Connection

    connection = sqlite3.connect(tmp_path / "x.db", factory=_Connection)
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

    async def script(engine: LocalEngine) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(int)
        executor = loop._default_executor  # type: ignore[attr-defined]
        await engine.open(body)
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        await ended(engine, "t1")
        assert loop._default_executor is executor  # type: ignore[attr-defined]
        await engine.aclose()
        assert await asyncio.to_thread(lambda: 42) == 42
        names = {thread.name for thread in threading.enumerate()} - before
        assert {name for name in names if not name.startswith("asyncio_")} == set()

    play(LocalEngine(tmp_path / "tasks.db"), script)


def test_one_engine_is_open_in_a_process(tmp_path: Path) -> None:
    async def script(engine: LocalEngine) -> None:
        await engine.open(body)
        with pytest.raises(EngineError, match=r"a\.db: this process has a local engine open; aclose\(\) it first"):
            await LocalEngine(tmp_path / "b.db").open(body)
        await LocalEngine(tmp_path / "b.db").aclose()
        await engine.start(Task("t1", "lobby", "analyst", "still here"))
        assert (await ended(engine, "t1")).result == TaskResult("still here")

    play(LocalEngine(tmp_path / "a.db"), script)


def _garbage(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "where", "message"),
    [
        (_garbage, "tasks.db", r"tasks\.db: file is not a database; .*move it away"),
        (_directory, "tasks.db", r"tasks\.db: unable to open database file; create its directory"),
        (lambda _: None, "nowhere/tasks.db", r"nowhere/tasks\.db\.lock: No such file or directory; create its"),
    ],
    ids=["garbage", "directory", "missing"],
)
def test_a_file_that_cannot_be_used(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], spoil: Callable[[Path], None], where: str, message: str
) -> None:
    async def script(engine: LocalEngine) -> None:
        spoil(engine.path)
        for _ in range(2):
            with pytest.raises(EngineError, match=message):
                await engine.open(body)
        good = LocalEngine(tmp_path / "good.db")
        await good.open(body)
        await good.start(Task("t1", "lobby", "analyst", "fine"))
        assert (await ended(good, "t1")).result == TaskResult("fine")
        await good.aclose()

    play(LocalEngine(tmp_path / where), script)
    assert capfd.readouterr() == ("", "")


def test_dbos_is_quiet_about_what_we_do_on_purpose(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    class Listen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    ours, listen = logging.getLogger("sottovoce"), Listen()
    ours.addHandler(listen)

    async def script(engine: LocalEngine) -> None:
        await engine.open(body)
        for id in ("t1", "t2"):
            await engine.start(Task(id, "lobby", "analyst", "for ever"))
        assert await engine.cancel("t1")
        await engine.aclose()
        logging.getLogger("dbos").warning("something is wrong")

    try:
        play(LocalEngine(tmp_path / "tasks.db"), script)
    finally:
        ours.removeHandler(listen)
    assert said == ["something is wrong"]
    assert capfd.readouterr() == ("", "")


def test_a_start_nobody_waits_for_any_more_is_finished(tmp_path: Path) -> None:
    async def script(engine: LocalEngine) -> None:
        await engine.open(body)
        starting = asyncio.create_task(engine.start(Task("t1", "lobby", "analyst", "x")))
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled()
        while await engine.get("t1") is None:
            await asyncio.sleep(0.005)
        assert (await ended(engine, "t1")).result == TaskResult("x")

    play(LocalEngine(tmp_path / "tasks.db"), script)


def test_an_opening_nobody_waits_for_any_more_leaves_nothing(tmp_path: Path) -> None:
    async def script(engine: LocalEngine) -> None:
        opening = asyncio.create_task(engine.open(body))
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()
        await engine.open(body)
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        await ended(engine, "t1")

    play(LocalEngine(tmp_path / "tasks.db"), script)


def test_a_task_that_takes_its_process_down_each_time_is_given_up(tmp_path: Path) -> None:
    begun: list[str] = []

    async def script(engine: LocalEngine) -> None:
        async def counted(task: Task, steps: Steps) -> TaskResult:
            begun.append(task.id)
            waiting.set()
            return await body(task, steps)

        waiting = asyncio.Event()
        await engine.open(counted)
        await engine.start(Task("t1", "lobby", "analyst", "for ever"))
        await waiting.wait()
        await engine.aclose()
        database = sqlite3.connect(engine.path, isolation_level=None)
        database.execute("UPDATE workflow_status SET recovery_attempts = 10")
        database.close()
        await engine.open(counted)
        record = await ended(engine, "t1")
        assert record.status is TaskStatus.FAILED
        assert record.result is not None
        assert "given up: begun 11 times" in (record.result.error or "")
        assert begun == ["t1"]

    play(LocalEngine(tmp_path / "tasks.db"), script)


def test_what_cannot_be_written_is_the_callers_to_know(tmp_path: Path) -> None:
    async def script(engine: LocalEngine) -> None:
        async def stepping(task: Task, steps: Steps) -> TaskResult:
            return TaskResult(await steps.step("model", lambda: asyncio.sleep(0, "hello")))

        await engine.open(stepping)
        spoil = sqlite3.connect(engine.path, isolation_level=None)
        spoil.execute("DROP TABLE operation_outputs")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        record = await ended(engine, "t1")
        assert record.status is TaskStatus.FAILED
        assert record.result is not None
        assert f"EngineError: {engine.path}: no such table: main.operation_outputs" in (record.result.error or "")
        spoil.execute("DROP TABLE workflow_input")
        spoil.close()
        with pytest.raises(EngineError, match=r"tasks\.db: no such table: main.workflow_input"):
            await engine.start(Task("t2", "lobby", "analyst", "x"))

    play(LocalEngine(tmp_path / "tasks.db"), script)


def test_a_task_another_program_cancels_is_not_taken_for_failed(tmp_path: Path) -> None:
    async def script(engine: LocalEngine) -> None:
        seen: list[str] = []

        async def cancelled(task: Task, steps: Steps) -> TaskResult:
            async def work() -> str:
                other = sqlite3.connect(engine.path, isolation_level=None)
                other.execute("UPDATE workflow_status SET status = 'CANCELLED', owner_xid = NULL")
                other.close()
                return "x"

            try:
                await steps.step("model", work)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            return TaskResult("never")

        await engine.open(cancelled)
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        assert (await ended(engine, "t1")).status is TaskStatus.CANCELLED
        while not seen:
            await asyncio.sleep(0.005)

    play(LocalEngine(tmp_path / "tasks.db"), script)


def test_a_loop_that_ends_without_closing_the_engine_loses_no_task(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path / "tasks.db")
    begun: list[str] = []

    async def counted(task: Task, steps: Steps) -> TaskResult:
        begun.append(task.id)
        return await body(task, steps)

    async def begin() -> None:
        await engine.open(counted)
        await engine.start(Task("t1", "lobby", "analyst", "for ever"))
        while not begun:
            await asyncio.sleep(0.005)

    async def open_again() -> None:
        await engine.aclose()
        await engine.open(counted)

    async def look() -> None:
        while (await asyncio.to_thread(attempts)) < 2:
            await asyncio.sleep(0.02)
        assert begun == ["t1"]
        await engine.aclose()
        await engine.open(counted)
        while len(begun) < 2:
            await asyncio.sleep(0.005)
        record = await engine.get("t1")
        assert record is not None
        assert record.status is TaskStatus.RUNNING
        await engine.aclose()

    def attempts() -> int:
        database = sqlite3.connect(engine.path)
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
from orchestration.engines.local import LocalEngine

@DBOS.workflow()
def theirs():
    return "theirs"

async def main():
    try:
        await LocalEngine(sys.argv[2]).open(None)
    except EngineError as error:
        print(error)

DBOS(config={"name": "theirs", "system_database_url": f"sqlite:///{sys.argv[1]}", "log_level": "CRITICAL",
             "db_engine_kwargs": {"connect_args": {"factory": __import__("orchestration.engines.dbos_host").engines
                                                   .dbos_host._Connection}}})
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
