"""A TaskEngine on DBOS: tasks outlive their process, in a SQLite file (no server, nothing to set up) or in Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import itertools
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from orchestration.engines.attempt import CANCELLED, attempt, status_of
from orchestration.engines.engine import Body, EngineError, Task, TaskRecord, TaskResult, TaskStatus
from orchestration.engines.steps import Check, RecordedSteps
from orchestration.engines.store import Store
from orchestration.engines.written import read_result, read_task, written_result, written_task

if TYPE_CHECKING:
    from dbos import WorkflowStatus

    from orchestration.engines.dbos_host import DbosHost, Record

T = TypeVar("T")

ANSWER = 10.0
"""Seconds a call waits for the database. Tasks that run wait for it as long as it takes."""

_ORDER = "sottovoce_order"
"""Beside a task's own fields: the how manieth this process began, as DBOS's times are whole seconds before 3.12."""

_WITHIN_A_SECOND = 100
"""Most tasks a room begins in one second, among which DBOS may pick any when asked for the newest."""

_STATES = {
    "ENQUEUED": TaskStatus.QUEUED,
    "DELAYED": TaskStatus.QUEUED,
    "PENDING": TaskStatus.RUNNING,
    "CANCELLED": TaskStatus.CANCELLED,
    "ERROR": TaskStatus.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": TaskStatus.FAILED,
}


class DurableEngine:
    """Durable tasks in `store`, which several processes may share.

    Bodies run on the loop in which it was opened. One process has one open at a time (DBOS is one per process). A
    task's timeout begins anew when it is resumed.
    """

    _open: ClassVar[DurableEngine | None] = None
    _numbers = itertools.count(1)

    def __init__(self, store: Store) -> None:
        self.name = store.name
        self._store = store
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._host: DbosHost | None = None
        self._body: Body | None = None
        self._loop: asyncio.AbstractEventLoop
        self._context: contextvars.Context

    @classmethod
    def in_file(cls, path: str | Path) -> Self:
        """In the SQLite file at `path`, whose directory must be there: for the processes of one machine."""
        from orchestration.engines.sqlite_store import SqliteStore

        return cls(SqliteStore(path))

    @classmethod
    def in_postgres(cls, url: str) -> Self:
        """In the database at `url` ("postgresql://..."), in a schema of its own. Loads psycopg.

        Raises ValueError for a URL that is not right.
        """
        from orchestration.engines.postgres_store import PostgresStore

        return cls(PostgresStore(url))

    async def open(self, body: Body, process: str) -> None:
        """Load DBOS and join those that use the store. What others left is resumed by `adopt`.

        Raises EngineError naming what is in the way and the fix.
        """
        if DurableEngine._open is not None:
            raise EngineError(f"{DurableEngine._open._store}: this process has an engine open; aclose() it first")
        if not process:
            raise EngineError("process must not be empty: its tasks are found by it when it is gone")
        DurableEngine._open = self
        self._loop, self._context = asyncio.get_running_loop(), contextvars.copy_context()
        try:
            self._body = body
            await _to_the_end(lambda: self._launch(process))
        except BaseException:
            await self._close()
            raise

    async def adopt(self, gone: Collection[str]) -> int:
        """Take over and resume what these processes left unfinished; returns how many tasks that were."""
        return await self._ask(self._open_host().adopt(gone))

    async def report(self, id: str, progress: Mapping[str, str], *, queued: bool = False) -> None:
        """What the parts of a task that runs here are at; of any other it changes nothing."""
        await self._ask(self._open_host().report(id, progress, queued))

    async def start(self, task: Task) -> bool:
        """Keep `task` and begin it, unless its id is known. Finished even if whoever waits for this is cancelled."""
        host = self._open_host()
        written = {**written_task(task), _ORDER: next(self._numbers)}
        return await self._ask(host.begin(task.id, task.room, written))

    async def cancel(self, id: str) -> bool:
        """End it: its body gets CancelledError. False: unknown or already over."""
        return await self._ask(self._open_host().cancel(id))

    async def get(self, id: str) -> TaskRecord | None:
        """One task, or None."""
        found = await self._ask(self._open_host().find(id))
        return None if found is None else _record(found)

    async def tasks(self, room: str, limit: int = 100, *, unfinished: bool = False) -> list[TaskRecord]:
        """The room's last `limit` tasks (of those `unfinished`), oldest first."""
        if limit <= 0:
            return []
        found = await self._ask(self._open_host().list(room, limit + _WITHIN_A_SECOND, unfinished))
        found.sort(key=lambda status: (status.created_at or 0, _written(status).get(_ORDER, 0)))
        return [_record(status) for status in found[-limit:]]

    async def forget(self, older: float, limit: int = 500) -> int:
        """Delete what is kept of tasks that ended more than `older` seconds ago, at most `limit`; returns how many."""
        return await self._ask(self._open_host().forget(older, limit))

    async def aclose(self) -> None:
        """Interrupt what runs, leave it pending for whoever adopts it, and shut DBOS down."""
        if DurableEngine._open is not self:
            return
        self._body = None
        running = dict(self._running)
        begun = running.keys() - (self._host.waiting if self._host else set())
        for task in running.values():
            task.cancel()
        if running:
            await asyncio.wait(running.values())
        await self._close(begun)

    async def _close(self, interrupted: Collection[str] = ()) -> None:
        host, self._host, self._body = self._host, None, None
        try:
            if host is not None:
                await _to_the_end(lambda: host.stop(interrupted))
        finally:
            DurableEngine._open = None

    def _open_host(self) -> DbosHost:
        if self._host is None or self._body is None:
            raise EngineError(f"{self._store}: the engine is closed; await open() first")
        return self._host

    async def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        # Shielded: a task half begun, kept but not running, would wait until this process is gone.
        asked = asyncio.wrap_future(self._open_host().ask(question))
        try:
            async with asyncio.timeout(ANSWER) as deadline:
                return await asyncio.shield(asked)
        except Exception as error:
            if deadline.expired():
                asked.add_done_callback(_heard)
                told = f"{self._store}: no answer for {ANSWER:g} s; it is not known whether it will still be done"
                raise EngineError(told) from None
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> EngineError:
        if isinstance(error, EngineError):
            return error
        cause = getattr(error, "orig", None) or error  # what SQLAlchemy wraps
        return EngineError(self._store.explained(cause) or f"{self._store}: {type(error).__name__}: {error}")

    def _launch(self, process: str) -> None:
        """Load and launch DBOS. Not on the loop."""
        module = importlib.import_module("orchestration.engines.dbos_host")
        host: DbosHost = module.DbosHost(self._store, process, self._run, self._stop)
        try:
            host.start()
        except Exception as error:
            raise self._explained(error) from error
        self._host = host

    def _stop(self, id: str) -> None:
        """Cancel a body that runs on our loop. Called in DBOS's thread."""

        def stop() -> None:
            if id in self._running:
                self._running[id].cancel()

        with contextlib.suppress(RuntimeError):  # our loop is closed, and the body with it
            self._loop.call_soon_threadsafe(stop)

    def _run(
        self, written: Mapping[str, Any], recorded: Mapping[str, Any], record: Record, begins: int, check: Check
    ) -> Future[Any]:
        """Have the body run on our loop, in the context `open` was called in. Called in DBOS's thread."""

        async def kept(key: str, value: Any) -> None:
            try:
                await record(key, value)
            except Exception as error:
                raise self._explained(error) from error

        run = self._run_here(read_task(written), RecordedSteps(recorded, kept, begins, check))
        try:
            return self._context.copy().run(asyncio.run_coroutine_threadsafe, run, self._loop)
        except RuntimeError:  # our loop is closed: leave the task as it is, for the next process
            run.close()
            gone: Future[Any] = Future()
            gone.cancel()
            return gone

    async def _run_here(self, task: Task, steps: RecordedSteps) -> Any:
        running = asyncio.current_task()
        body = self._body
        if body is None or running is None:
            raise asyncio.CancelledError
        self._running[task.id] = running
        try:
            return written_result(await attempt(body, task, steps))
        finally:
            if self._running.get(task.id) is running:
                del self._running[task.id]


def _heard(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for this answer any more, nor for its error."""
    if not answer.cancelled():
        answer.exception()


async def _to_the_end(work: Callable[[], None]) -> None:
    """Do blocking `work` in a thread. Cancelling this waits for it all the same: half of it cannot be left undone."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        raise


def _written(status: WorkflowStatus) -> Mapping[str, Any]:
    assert status.input is not None
    written: Mapping[str, Any] = status.input["args"][0]
    return written


def _record(found: WorkflowStatus) -> TaskRecord:
    task = read_task(_written(found))
    if found.status == "SUCCESS":
        result = read_result(found.output or {})
        return TaskRecord(task, status_of(result), result)
    status = _STATES[found.status]
    if status is TaskStatus.CANCELLED:
        return TaskRecord(task, status, CANCELLED)
    if status is TaskStatus.FAILED:
        return TaskRecord(task, status, TaskResult("", error=f"DBOS: {found.error or found.status}"))
    said: dict[str, Any] = found.attributes or {}
    if status is TaskStatus.RUNNING and said.get("queued"):
        status = TaskStatus.QUEUED
    return TaskRecord(task, status, progress=said.get("progress", {}))
