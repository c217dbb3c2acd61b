"""DBOS in a thread and an event loop of its own: it keeps the tasks; their bodies run elsewhere, on the house's loop.

Imports DBOS (0.4 to 1.8 s of CPU), so only `DurableEngine.open` imports this file, off the loop.

DBOS is one per process, and it takes over the loop it is launched in: it replaces that loop's default executor, by one
that is dead after `destroy`, and runs recovered workflows there. So it gets a loop of its own, and nothing of it can
block ours. Between the two only futures pass.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSContextSetAuth,
    DBOSPortableJSONSerializer,
    SetWorkflowID,
    WorkflowStatus,
)
from dbos import error as dbos_error

from orchestration.engines import dbos_patience, dbos_tables
from orchestration.engines.engine import EngineError
from orchestration.engines.steps import Check
from orchestration.engines.store import Bodies, Store
from voice.clock import wall_time

T = TypeVar("T")

log = logging.getLogger("sottovoce.engines.dbos")

APPLICATION = "sottovoce"
VERSION = "1"
"""The format of what is kept. Not our release: DBOS resumes only its own version's tasks, and ours outlive releases."""

_POLL = 0.1
"""Seconds between DBOS's looks for messages, of which we send none: it is what `destroy` has to wait for."""

_THREADS = 4
"""Threads that write for DBOS. More only wait for each other: SQLite has one writer."""

_DROPPED = 1000
"""Tasks cancelled here that are remembered, in case their bodies are just about to begin."""

_LEAVE = 5.0
"""Seconds given to workflows whose bodies have ended; one that takes longer stays pending and is resumed."""

Record = Callable[[str, Any], Awaitable[None]]
OPEN_STATES = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
_ENDS = ["SUCCESS", "ERROR", "CANCELLED"]


class Run(Protocol):
    """Runs a task's body on the house's loop; called in DBOS's thread. The future is done when the body has let go."""

    def __call__(
        self, written: Mapping[str, Any], recorded: Mapping[str, Any], record: Record, begins: int, check: Check
    ) -> Future[Any]: ...


class _Fresh(dict[str, Any]):
    """A task as it is first begun; one that is resumed comes out of the database as a plain dict."""


@DBOS.workflow(name=dbos_tables.WORKFLOW, max_recovery_attempts=None)  # giving up is for whoever tells of it
async def _workflow(written: dict[str, Any]) -> Any:
    return await DbosHost.current().work(written)


class DbosHost:
    """DBOS in `store`, as the executor of that name. Its `async` methods belong on `loop`; `start` and `stop` block."""

    _current: DbosHost | None = None

    def __init__(self, store: Store, executor: str, run: Run, stop_body: Callable[[str], None]) -> None:
        self._store = store
        self._executor = executor
        self._run = run
        self._stop_body = stop_body
        self._flows: dict[asyncio.Task[Any], str] = {}
        self._begins: dict[str, int] = {}
        self.waiting: set[str] = set()
        """Tasks of which it was reported that they wait for their turn."""
        self._lost: set[str] = set()
        self._dropped: dict[str, None] = {}
        self._unsure: set[str] = set()
        self._bodies: Bodies
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
        """Launch DBOS. Raises what DBOS and the store raise, and leaves nothing running."""
        _quieten()
        dbos_patience.install()
        dbos_patience.closing.clear()
        DbosHost._current = self
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            DbosHost._current = None
            self._thread.join()
            raise

    def stop(self, interrupted: Collection[str]) -> None:
        """Shut DBOS down, once all bodies have ended or were interrupted; the tasks of these stay pending.

        Those that had begun are `interrupted`: that was no crash, so it does not count.
        """
        try:
            self._settled(interrupted)
            dbos_patience.closing.set()
            # Not on its own loop: its threads wait for that loop while this waits for them.
            DBOS.destroy()
        finally:
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._store.close()
            DbosHost._current = None

    def _settled(self, interrupted: Collection[str]) -> None:
        try:
            self.ask(self._settle(interrupted)).result()
        except TimeoutError:
            log.warning("the last of the tasks could not be written within %g s; they are run again", _LEAVE)
        except Exception as error:  # the database is away: they count as begun, that is all
            log.warning("the tasks that were interrupted could not be written: %s", error)

    def ask(self, question: Coroutine[Any, Any, T]) -> Future[T]:
        """Have one of our coroutines run on `loop`. A database that is away is an error at once."""

        async def impatient() -> T:
            dbos_patience.patient.set(False)
            return await question

        return asyncio.run_coroutine_threadsafe(impatient(), self.loop)

    async def begin(self, id: str, room: str, written: Mapping[str, Any]) -> bool:
        """Keep a task and begin it. False: its id is known."""
        if await self.find(id) is not None:
            return False
        # DBOS lists workflows by who asked for them: for us that is the room.
        with SetWorkflowID(id), DBOSContextSetAuth(room, None):
            await DBOS.start_workflow_async(_workflow, _Fresh(written))
        return True

    async def adopt(self, gone: Collection[str]) -> int:
        """Take over and resume what these executors left unfinished; returns how many."""
        token = uuid4().hex
        others = set(gone) - {self._executor}
        lost, self._unsure = self._unsure, {*self._unsure, token}
        taken = await asyncio.to_thread(dbos_tables.take, self._executor, others, lost, token, VERSION)
        self._unsure = set()
        for status in taken:
            id = status["workflow_uuid"]
            await self._let_go(id)
            self._begins[id] = status["recovery_attempts"]
            try:
                await asyncio.to_thread(dbos_tables.resume, status, token)
            except Exception:  # it cannot be read, which DBOS writes down as its end; the others go on
                del self._begins[id]
                log.exception("task %s cannot be resumed", id)
        return len(taken)

    async def cancel(self, id: str) -> bool:
        """End a task that is not over yet. What runs of it in other processes is stopped there."""
        if (found := await self.find(id)) is None or found.status not in OPEN_STATES:
            return False
        await DBOS.cancel_workflow_async(id)
        found = await self.find(id)
        if found is None or found.status != "CANCELLED":
            return False
        if id in self._bodies:
            self._lose(id)
            return True
        self._dropped[id] = None  # it may be about to begin here
        if len(self._dropped) > _DROPPED:
            del self._dropped[next(iter(self._dropped))]
        await asyncio.to_thread(dbos_tables.tell, id)
        return True

    async def report(self, id: str, progress: Mapping[str, str], queued: bool) -> None:
        """Write down what a task that runs here is at. One that waits for its turn was not begun yet."""
        begun = (id in self.waiting) - queued
        await asyncio.to_thread(
            dbos_tables.report, self._executor, id, {"progress": dict(progress), "queued": queued}, begun
        )
        if queued and id in self._flows.values():
            self.waiting.add(id)
        else:
            self.waiting.discard(id)

    async def find(self, id: str) -> WorkflowStatus | None:
        """What DBOS knows of a task."""
        return next(iter(await DBOS.list_workflows_async(workflow_ids=[id])), None)

    async def list(self, room: str, limit: int, unfinished: bool) -> list[WorkflowStatus]:
        """The room's newest tasks; before Python 3.12, those of one second in any order."""
        states = sorted(OPEN_STATES) if unfinished else None
        return await DBOS.list_workflows_async(user=room, status=states, limit=limit, sort_desc=True)

    async def forget(self, older: float, limit: int) -> int:
        """Delete some of the tasks that ended so many seconds ago; returns how many."""
        before = datetime.fromtimestamp(wall_time() - older, UTC).isoformat()
        # Their steps go with them, and what is large of them. What ended before then was made before then (`end_time`),
        # and of that there is an index.
        found = await DBOS.list_workflows_async(
            status=_ENDS, end_time=before, completed_before=before, limit=limit, load_input=False, load_output=False
        )
        if found:
            await DBOS.delete_workflows_async([status.workflow_id for status in found])
        return len(found)

    async def work(self, written: dict[str, Any]) -> Any:
        """The workflow: have the body run, and return its result."""
        dbos_patience.patient.set(True)
        id = DBOS.workflow_id
        flow = asyncio.current_task()
        assert id is not None
        assert flow is not None
        self._flows[flow] = id
        flow.add_done_callback(self._flows.pop)
        try:
            fresh = isinstance(written, _Fresh)
            recorded = {} if fresh else await self._recorded(id)
            context = contextvars.copy_context()

            async def record(key: str, value: Any) -> None:
                kept = context.run(asyncio.run_coroutine_threadsafe, _keep(key, value), self.loop)
                try:
                    await asyncio.wrap_future(kept)
                except (dbos_error.DBOSWorkflowCancelledError, dbos_error.DBOSWorkflowConflictIDError):
                    await self._interrupted(id)

            async def check() -> None:
                asked = asyncio.to_thread(dbos_tables.owner, id)
                if await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self.loop)) != token:
                    await self._interrupted(id)

            token = dbos_tables.token()
            begins = self._begins.pop(id, 1)
            if id in self._dropped:
                raise asyncio.CancelledError
            self._bodies.add(id)
            result = await asyncio.wrap_future(self._run(dict(written), recorded, record, begins, check))
            if id in self._lost:
                raise asyncio.CancelledError
        finally:
            self._bodies.discard(id)
            self._lost.discard(id)
            self.waiting.discard(id)
        return result

    async def _interrupted(self, id: str) -> None:
        """In a body, on the house's loop: the task was cancelled, or is another process's now.

        The body is cancelled as from outside: an error would be taken for the task's own, and told to the caller.
        """
        self._lost.add(id)
        self._stop_body(id)  # again, if it went on after the first time
        await asyncio.get_running_loop().create_future()

    def _lose(self, id: str) -> None:
        """A task whose body runs here was cancelled, or is another process's now: whatever comes of it is void."""
        if id not in self._lost:
            self._lost.add(id)
            self._stop_body(id)

    async def _let_go(self, id: str) -> None:
        """Stop what still runs here of a task that was another process's meanwhile."""
        old = [flow for flow, its in self._flows.items() if its == id]
        if old:
            self._lose(id)
            await asyncio.wait(old, timeout=_LEAVE)

    async def _recorded(self, id: str) -> dict[str, Any]:
        """The finished steps of a resumed task.

        Asked for outside the workflow's context, where the question itself would become a step. Their numbers are
        skipped: DBOS knows a step by its number and would hold a new one against the old one's name. If they cannot be
        read, as DBOS is being shut down, the task stays unfinished: raised on, the error would be taken for its end.
        """
        question = DBOS.list_workflow_steps_async(id)
        try:
            steps = await asyncio.get_running_loop().create_task(question, context=contextvars.Context())
        except Exception as error:
            log.warning("task %s is not resumed here, its steps cannot be read: %s", id, error)
            raise asyncio.CancelledError from error
        for _ in range(max((step["function_id"] for step in steps), default=0)):
            DBOS.reserve_step()
        return {step["function_name"]: step["output"] for step in steps if step["error"] is None}

    async def _settle(self, interrupted: Collection[str]) -> None:
        """Wait until the interrupted workflows have let go, and the finished ones have written what came of them."""
        async with asyncio.timeout(_LEAVE):
            while self._flows:
                await asyncio.wait(self._flows)
            if interrupted:
                await asyncio.to_thread(dbos_tables.spare, self._executor, interrupted)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._bodies = Bodies(self._lose)
        try:
            self._launch()
        except BaseException as error:
            self._store.close()
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        watching = asyncio.create_task(self._store.watch(self._executor, self._bodies))
        await self._stop.wait()
        watching.cancel()
        await asyncio.wait([watching])

    def _launch(self) -> None:
        DBOS(config=self._config())
        if DBOS.application_version != VERSION:
            raise EngineError("this process runs DBOS for something else already, and it can run only once")
        dbos_tables.quieten()
        try:
            DBOS.launch()
        except BaseException:
            DBOS.destroy()
            raise

    def _config(self) -> DBOSConfig:
        config = DBOSConfig(
            name=APPLICATION,
            executor_id=self._executor,
            application_version=VERSION,
            serializer=DBOSPortableJSONSerializer(),
            max_executor_threads=_THREADS,
            notification_listener_polling_interval_sec=_POLL,
            enable_otlp=False,
            log_level="WARNING",
        )
        config.update(self._store.settings())
        return config


async def _keep(key: str, value: Any) -> None:
    """Record a step that is done. Its work was done elsewhere, so that it ran on the house's loop."""
    await DBOS.run_step_async({"name": key}, lambda: value)


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
