"""The durable engine in Postgres: what is in its way is named with the fix, and a server that comes back is enough."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from orchestration.engines.durable import DurableEngine
from orchestration.engines.engine import EngineError, Steps, Task, TaskResult
from orchestration.engines.postgres_store import SCHEMA
from tests.postgres import PASSWORD, QUOTED, USER, Server

pytestmark = pytest.mark.postgres

PATIENCE = 40.0


@pytest.fixture(autouse=True)
def no_password_is_told(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    dbos = logging.getLogger("dbos")
    dbos.addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG)
    yield
    dbos.removeHandler(caplog.handler)
    told = "".join([caplog.text, *capfd.readouterr()])
    assert PASSWORD not in told
    assert QUOTED not in told


@pytest.fixture
def not_our_database(postgres_server: Server, postgres_url: str) -> Iterator[str]:
    """The superuser's URL of a database that is the superuser's own."""
    name = postgres_url.rpartition("/")[2]
    postgres_server.run(f"ALTER DATABASE {name} OWNER TO postgres")
    yield postgres_server.url(name, "postgres")
    postgres_server.run(f"ALTER DATABASE {name} OWNER TO {USER}")


async def body(task: Task, steps: Steps) -> TaskResult:
    if task.input == "for ever":
        await asyncio.get_running_loop().create_future()
    return TaskResult(await steps.step("model", lambda: asyncio.sleep(0, task.input)))


async def ended(engine: DurableEngine, id: str) -> TaskResult:
    while (record := await engine.get(id)) is None or not record.status.terminal:
        await asyncio.sleep(0.005)
    assert record.result is not None
    return record.result


def play(engine: DurableEngine, script: Callable[[DurableEngine], Awaitable[None]]) -> None:
    async def main() -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await script(engine)
        finally:
            await engine.aclose()

    asyncio.run(main())


def refused(url: str, message: str) -> None:
    async def script(engine: DurableEngine) -> None:
        for _ in range(2):
            with pytest.raises(EngineError, match=message) as caught:
                await engine.open(body, "one")
            assert PASSWORD not in str(caught.value)

    play(DurableEngine.in_postgres(url), script)


def test_who_may_not_come_in_is_told_why(postgres_server: Server, postgres_url: str) -> None:
    where = f"PostgreSQL at {USER}@127.0.0.1:{postgres_server.port}"
    wrong = postgres_url.replace(QUOTED, "nonsense")
    refused(wrong, rf"{where}/.*password authentication failed.*the URL's user or password is wrong")
    refused(postgres_server.url("nowhere"), rf"{where}/nowhere: .*create it first")
    refused(postgres_url.replace(f":{postgres_server.port}/", ":1/"), "no PostgreSQL listens there; start it")


@pytest.mark.usefixtures("not_our_database")
def test_who_may_make_no_schema_is_told_so(postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    refused(postgres_url, f"{name}: permission denied for database {name}.*; its user may not do this; GRANT")


def test_a_schema_made_by_another_is_not_enough(
    postgres_server: Server, postgres_url: str, not_our_database: str
) -> None:
    postgres_server.run(f"CREATE SCHEMA {SCHEMA}", not_our_database)
    postgres_server.run(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {USER}", not_our_database)
    refused(postgres_url, f"permission denied for schema {SCHEMA}.*; its user may not do this; GRANT")


def test_a_user_who_may_do_nothing_but_use_the_tables_is_enough(postgres_server: Server, postgres_url: str) -> None:
    async def script(engine: DurableEngine) -> None:
        await engine.open(body, "one")
        await engine.aclose()
        name = postgres_url.rpartition("/")[2]
        superuser = postgres_server.url(name, "postgres")
        postgres_server.run(f"ALTER SCHEMA {SCHEMA} OWNER TO postgres", superuser)
        postgres_server.run(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {USER}", superuser)
        await engine.open(body, "two")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        assert await ended(engine, "t1") == TaskResult("x")

    play(DurableEngine.in_postgres(postgres_url), script)


def test_only_a_schema_of_its_own_is_made(postgres_server: Server, postgres_url: str) -> None:
    async def script(engine: DurableEngine) -> None:
        await engine.open(body, "one")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        await ended(engine, "t1")

    play(DurableEngine.in_postgres(postgres_url), script)
    made = postgres_server.run(
        "SELECT DISTINCT nspname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'",
        postgres_url,
    )
    assert made == [(SCHEMA,)]
    kept = postgres_server.run(f"SELECT executor_id, serialization FROM {SCHEMA}.workflow_status", postgres_url)
    assert kept == [("one", "portable_json")]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://a:b@c/d", "must begin with postgresql://"),
        ("postgresql://a:b@c", "must name a database"),
        ("", "must begin with postgresql://"),
    ],
)
def test_a_url_that_is_not_right(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DurableEngine.in_postgres(url)


def test_a_server_that_is_away_for_a_while(postgres_server: Server, postgres_url: str) -> None:
    """Calls are refused at once and change nothing later; a task waits, and nothing of it is lost."""

    async def script(engine: DurableEngine) -> None:
        go_on, begun = asyncio.Event(), asyncio.Event()

        async def waiting(task: Task, steps: Steps) -> TaskResult:
            begun.set()
            await go_on.wait()
            return TaskResult(await steps.step("model", lambda: asyncio.sleep(0, task.input)))

        await engine.open(waiting, "one")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        await begun.wait()
        await asyncio.to_thread(postgres_server.stop)
        try:
            asks: list[Awaitable[Any]] = [engine.get("t1"), engine.cancel("t1"), engine.report("t1", {"": "x"})]
            asks += [engine.adopt({"two"}), engine.tasks("lobby"), engine.start(Task("t2", "lobby", "analyst", "y"))]
            for ask in asks:
                with pytest.raises(EngineError, match=r"no PostgreSQL listens there; start it|went away|shut down"):
                    await ask
            go_on.set()
            await asyncio.sleep(0.1)
        finally:
            await asyncio.to_thread(postgres_server.start)
        assert await ended(engine, "t1") == TaskResult("x")
        assert await engine.get("t2") is None

    play(DurableEngine.in_postgres(postgres_url), script)


def test_a_process_can_end_while_the_server_is_away(postgres_server: Server, postgres_url: str) -> None:
    async def script(engine: DurableEngine) -> None:
        go_on, begun = asyncio.Event(), asyncio.Event()

        async def waiting(task: Task, steps: Steps) -> TaskResult:
            begun.set()
            await go_on.wait()
            return TaskResult(await steps.step("model", lambda: asyncio.sleep(0, task.input)))

        await engine.open(waiting, "one")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        await begun.wait()
        await asyncio.to_thread(postgres_server.stop)
        try:
            go_on.set()
            await asyncio.sleep(0.1)
            await engine.aclose()
        finally:
            await asyncio.to_thread(postgres_server.start)
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dbos")]
        await engine.open(body, "two")
        assert await engine.adopt({"one"}) == 1
        assert await ended(engine, "t1") == TaskResult("x")

    play(DurableEngine.in_postgres(postgres_url), script)


def test_a_listener_that_is_cut_off_listens_again(postgres_server: Server, postgres_url: str) -> None:
    async def script(engine: DurableEngine) -> None:
        stopped = asyncio.Event()

        async def waiting(task: Task, steps: Steps) -> TaskResult:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                stopped.set()
            return TaskResult("never")

        await engine.open(waiting, "one")
        await engine.start(Task("t1", "lobby", "analyst", "x"))
        await asyncio.to_thread(postgres_server.terminate, postgres_url)
        cancelled = f"UPDATE {SCHEMA}.workflow_status SET status = 'CANCELLED', owner_xid = NULL"
        await asyncio.to_thread(postgres_server.run, cancelled, postgres_url)
        await stopped.wait()

    play(DurableEngine.in_postgres(postgres_url), script)
