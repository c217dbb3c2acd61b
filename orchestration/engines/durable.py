"""A TaskEngine on DBOS and embedded SQLite: tasks outlive their process, with no server and nothing to set up."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import itertools
import sqlite3
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from delivery.database import explained
from orchestration.engines.attempt import CANCELLED, attempt, status_of
from orchestration.engines.engine import Body, EngineError, Task, TaskRecord, TaskResult, TaskStatus
from orchestration.engines.process_lock import ProcessLock
from orchestration.engines.steps import RecordedSteps
from orchestration.engines.written import read_result, read_task, written_result, written_task

if TYPE_CHECKING:
    from dbos import WorkflowStatus

    from orchestration.engines.dbos_host import DbosHost, Record

T = TypeVar("T")

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


class LocalEngine:
    """Durable tasks in the SQLite file at `path`, whose directory must be there.

    Bodies run on the loop in which it was opened. One process uses a file at a time (a lock beside it sees to that),
    and one process has one LocalEngine open at a time (DBOS is one per process). A task's timeout begins anew when it
    is resumed.
    """

    name = "local"
    _open: ClassVar[LocalEngine | None] = None
    _numbers = itertools.count(1)

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = ProcessLock(self.path)
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._host: DbosHost | None = None
        self._body: Body | None = None
        self._loop: asyncio.AbstractEventLoop
        self._context: contextvars.Context

    async def open(self, body: Body, process: str = "") -> None:
        """Take the file, load DBOS, resume what was left unfinished (within about two seconds).

        Raises EngineError naming what is in the way and the fix.
        """
        if LocalEngine._open is not None:
            raise EngineError(f"{LocalEngine._open.path}: this process has a local engine open; aclose() it first")
        LocalEngine._open = self
        self._loop, self._context = asyncio.get_running_loop(), contextvars.copy_context()
        try:
            await _to_the_end(self._lock.take)
            self._body = body
            await _to_the_end(self._launch)
        except BaseException:
            await self._close()
            raise

    async def adopt(self, gone: Collection[str]) -> int:
        """Nothing yet: what another process left was resumed at `open`."""
        return 0

    async def report(self, id: str, progress: Mapping[str, str]) -> None:
        """Not kept yet."""

    async def start(self, task: Task) -> None:
        """Keep `task` and begin it, unless its id is known. Finished even if whoever waits for this is cancelled."""
        host = self._open_host()
        written = {**written_task(task), _ORDER: next(self._numbers)}
        await self._ask(host.begin(task.id, task.room, written))

    async def cancel(self, id: str) -> bool:
        """End it: its body gets CancelledError. False: unknown or already over."""
        if not await self._ask(self._open_host().cancel(id)):
            return False
        if id in self._running:
            self._running[id].cancel()
        return True

    async def get(self, id: str) -> TaskRecord | None:
        """One task, or None."""
        found = await self._ask(self._open_host().find(id))
        return None if found is None else _record(found)

    async def tasks(self, room: str, limit: int = 100) -> list[TaskRecord]:
        """The room's last `limit` tasks, oldest first."""
        if limit <= 0:
            return []
        found = await self._ask(self._open_host().list(room, limit + _WITHIN_A_SECOND))
        found.sort(key=lambda status: (status.created_at or 0, _written(status).get(_ORDER, 0)))
        return [_record(status) for status in found[-limit:]]

    async def aclose(self) -> None:
        """Interrupt what runs, leave it pending for the next `open`, and shut DBOS down."""
        if LocalEngine._open is not self:
            return
        self._body = None
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await self._close()

    async def _close(self) -> None:
        host, self._host, self._body = self._host, None, None
        try:
            if host is not None:
                await _to_the_end(host.stop)
        finally:
            self._lock.release()
            LocalEngine._open = None

    def _open_host(self) -> DbosHost:
        if self._host is None or self._body is None:
            raise EngineError(f"{self.path}: the local engine is closed; await open() first")
        return self._host

    async def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        # Shielded: a task half begun, kept but not running, would wait for the next start of the process.
        asked = self._open_host().ask(question)
        try:
            return await asyncio.shield(asyncio.wrap_future(asked))
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> EngineError:
        if isinstance(error, EngineError):
            return error
        cause = getattr(error, "orig", None)  # what SQLAlchemy wraps
        told = explained(cause) if isinstance(cause, sqlite3.Error) else f"{type(error).__name__}: {error}"
        return EngineError(f"{self.path}: {told}")

    def _launch(self) -> None:
        """Load and launch DBOS. Not on the loop."""
        module = importlib.import_module("orchestration.engines.dbos_host")
        host: DbosHost = module.DbosHost(self.path, self._run)
        try:
            host.start()
        except Exception as error:
            raise self._explained(error) from error
        self._host = host

    def _run(self, written: Mapping[str, Any], recorded: Mapping[str, Any], record: Record) -> Future[Any]:
        """Have the body run on our loop, in the context `open` was called in. Called in DBOS's thread."""

        async def kept(key: str, value: Any) -> None:
            try:
                await record(key, value)
            except Exception as error:
                raise self._explained(error) from error

        run = self._run_here(read_task(written), RecordedSteps(recorded, kept))
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
            del self._running[task.id]


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
        return TaskRecord(task, status, TaskResult("", error=_why(found)))
    return TaskRecord(task, status)


def _why(found: WorkflowStatus) -> str:
    if found.status == "ERROR":
        return f"DBOS: {found.error}"
    return f"given up: begun {found.recovery_attempts} times, and each time its process came to an end"
