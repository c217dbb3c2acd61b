"""DBOS in a thread and an event loop of its own: it keeps the tasks; their bodies run elsewhere, on the house's loop.

Imports DBOS (0.4 to 1.8 s of CPU), so only `LocalEngine.open` imports this file, off the loop.

DBOS is one per process, and it takes over the loop it is launched in: it replaces that loop's default executor, by one
that is dead after `destroy`, and runs recovered workflows there. So it gets a loop of its own, and nothing of it can
block ours. Between the two only futures pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSContextSetAuth,
    DBOSPortableJSONSerializer,
    SetWorkflowID,
    WorkflowStatus,
)
from dbos import error as dbos_error

from orchestration.engines.engine import EngineError
from voice.clock import wall_time

T = TypeVar("T")

log = logging.getLogger("sottovoce.engines.dbos")

APPLICATION = "sottovoce"
VERSION = "1"
"""The format of what is kept. Not our release: DBOS resumes only its own version's tasks, and ours outlive releases."""

EXECUTOR = "local"
"""Whose tasks to resume. The lock beside the file makes this process the only executor the file knows, so the id must
not change from start to start, and needs not differ from any other's."""

BEGINS = 10
"""How often a task is begun in all; one that takes the process down each time is then given up."""

BUSY_TIMEOUT_MS = 30_000

_POLL = 0.1
"""Seconds between DBOS's looks for messages, of which we send none: it is what `destroy` has to wait for."""

_THREADS = 4
"""Threads that write for DBOS. More only wait for each other: SQLite has one writer."""
_LEAVE = 5.0
"""Seconds given to workflows whose bodies have ended; one that takes longer stays pending and is resumed."""

Record = Callable[[str, Any], Awaitable[None]]
OPEN_STATES = frozenset({"PENDING", "ENQUEUED", "DELAYED"})


class Run(Protocol):
    """Runs a task's body on the house's loop; called in DBOS's thread. Cancelling its future cancels the body."""

    def __call__(self, written: Mapping[str, Any], recorded: Mapping[str, Any], record: Record) -> Future[Any]: ...


@DBOS.workflow(name="sottovoce.task", max_recovery_attempts=BEGINS - 1)
async def _workflow(written: dict[str, Any]) -> Any:
    return await DbosHost.current().work(written)


class DbosHost:
    """DBOS on the SQLite file at `database`. Its `async` methods belong on `loop`; `start` and `stop` block."""

    _current: DbosHost | None = None

    def __init__(self, database: Path, run: Run) -> None:
        self._database = database
        self._run = run
        self._flows: set[asyncio.Task[Any]] = set()
        self._begun: set[str] = set()
        self._cancelled: set[str] = set()
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="dbos", daemon=True)
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    @classmethod
    def current(cls) -> DbosHost:
        """The one that is started."""
        assert cls._current is not None
        return cls._current

    def start(self) -> None:
        """Launch DBOS; it begins to resume unfinished tasks. Raises what DBOS raises, and leaves nothing running."""
        _quieten()
        DbosHost._current = self
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            DbosHost._current = None
            self._thread.join()
            raise

    def stop(self) -> None:
        """Shut DBOS down, once all bodies were interrupted or have ended; the interrupted tasks stay pending."""
        try:
            with contextlib.suppress(TimeoutError):
                self.ask(self._settle()).result()
            # Not on its own loop: its threads wait for that loop while this waits for them.
            DBOS.destroy()
        finally:
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            DbosHost._current = None

    def ask(self, question: Coroutine[Any, Any, T]) -> Future[T]:
        """Have one of our coroutines run on `loop`."""
        return asyncio.run_coroutine_threadsafe(question, self.loop)

    async def begin(self, id: str, room: str, written: Mapping[str, Any]) -> None:
        """Keep a task and begin it; an id that is known is left alone."""
        if await self.find(id) is not None:
            return
        self._begun.add(id)
        # DBOS lists workflows by who asked for them: for us that is the room.
        with SetWorkflowID(id), DBOSContextSetAuth(room, None):
            await DBOS.start_workflow_async(_workflow, dict(written))

    async def cancel(self, id: str) -> bool:
        """End a task that is not over yet. What runs of it is for the caller to stop."""
        if (found := await self.find(id)) is None or found.status not in OPEN_STATES:
            return False
        self._cancelled.add(id)
        await DBOS.cancel_workflow_async(id)
        found = await self.find(id)
        if found is not None and found.status == "CANCELLED":
            return True
        self._cancelled.discard(id)
        return False

    async def find(self, id: str) -> WorkflowStatus | None:
        """What DBOS knows of a task."""
        return next(iter(await DBOS.list_workflows_async(workflow_ids=[id])), None)

    async def list(self, room: str, limit: int) -> list[WorkflowStatus]:
        """The room's newest tasks; before Python 3.12, those of one second in any order."""
        return await DBOS.list_workflows_async(user=room, limit=limit, sort_desc=True)

    async def work(self, written: dict[str, Any]) -> Any:
        """The workflow: have the body run, and return its result."""
        id = DBOS.workflow_id
        flow = asyncio.current_task()
        assert id is not None
        assert flow is not None
        self._flows.add(flow)
        flow.add_done_callback(self._flows.discard)
        try:
            recorded = {} if id in self._begun else await self._recorded(id)
            context = contextvars.copy_context()

            async def record(key: str, value: Any) -> None:
                kept = context.run(asyncio.run_coroutine_threadsafe, _keep(key, value), self.loop)
                try:
                    await asyncio.wrap_future(kept)
                except (dbos_error.DBOSWorkflowCancelledError, dbos_error.DBOSWorkflowConflictIDError):
                    # Cancelled a moment ago, or by another program; the body must not take that for a failure.
                    self._cancelled.add(id)
                    raise asyncio.CancelledError from None

            result = await asyncio.wrap_future(self._run(written, recorded, record))
            if id in self._cancelled:
                raise asyncio.CancelledError
        finally:
            self._begun.discard(id)
            self._cancelled.discard(id)
        return result

    async def _recorded(self, id: str) -> dict[str, Any]:
        """The finished steps of a resumed task.

        Asked for outside the workflow's context, where the question itself would become a step. Their numbers are
        skipped: DBOS knows a step by its number and would hold a new one against the old one's name.
        """
        question = DBOS.list_workflow_steps_async(id)
        steps = await asyncio.get_running_loop().create_task(question, context=contextvars.Context())
        for _ in range(max((step["function_id"] for step in steps), default=0)):
            DBOS.reserve_step()
        return {step["function_name"]: step["output"] for step in steps if step["error"] is None}

    async def _settle(self) -> None:
        """Wait until the interrupted workflows have let go, and the finished ones have written what came of them."""
        async with asyncio.timeout(_LEAVE):
            while self._flows:
                await asyncio.wait(self._flows)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            self._launch()
        except BaseException as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        await self._stop.wait()

    def _launch(self) -> None:
        DBOS(config=self._config())
        if DBOS.application_version != VERSION:
            raise EngineError("this process runs DBOS for something else already, and it can run only once")
        try:
            DBOS.launch()
        except BaseException:
            DBOS.destroy()
            raise

    def _config(self) -> DBOSConfig:
        return DBOSConfig(
            name=APPLICATION,
            system_database_url=f"sqlite:///{self._database}",
            db_engine_kwargs={"connect_args": {"factory": _Connection}},
            executor_id=EXECUTOR,
            application_version=VERSION,
            serializer=DBOSPortableJSONSerializer(),
            max_executor_threads=_THREADS,
            notification_listener_polling_interval_sec=_POLL,
            enable_otlp=False,
            log_level="WARNING",
        )


async def _keep(key: str, value: Any) -> None:
    """Record a step that is done. Its work was done elsewhere, so that it ran on the house's loop."""
    await DBOS.run_step_async({"name": key}, lambda: value)


class _Connection(sqlite3.Connection):
    """A connection as DBOS needs it and does not make it: WAL, durable, and with `unixepoch('subsec')`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        try:
            self.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            self.execute("PRAGMA journal_mode = WAL")
            self.execute("PRAGMA synchronous = FULL")
            if sqlite3.sqlite_version_info < (3, 42):
                # On Python >= 3.12 DBOS asks for sub-seconds, which older SQLites (Debian 12: 3.40) answer with NULL.
                self.create_function("unixepoch", -1, lambda *_: wall_time())
        except BaseException:
            self.close()
            raise


class _Relay(logging.Handler):
    """Hands DBOS's warnings to our log, less those that tell of what we do on purpose."""

    _EXPECTED = ("Asyncio task cancelled", "DBOS failed to launch")

    def emit(self, record: logging.LogRecord) -> None:
        if log.isEnabledFor(record.levelno) and not record.getMessage().startswith(self._EXPECTED):
            log.handle(record)


def _quieten() -> None:
    """Keep DBOS from writing to the console: it adds a handler of its own unless there is one."""
    logger = logging.getLogger("dbos")
    if not any(isinstance(handler, _Relay) for handler in logger.handlers):
        logger.addHandler(_Relay())
    logger.propagate = False
