"""Tasks: background work from its start to the delivery of its result, which exists before anything is spoken of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from delivery.ledger import ConflictError, Delivery, Ledger, LedgerError, SpeakAs
from delivery.strategies import Strategy
from orchestration.engines.engine import Steps, Task, TaskEngine, TaskResult, TaskStatus
from orchestration.workers.worker import Context, Worker

log = logging.getLogger("sottovoce.tasks")

GRACE = 0.25
"""A worker that ends within this many seconds is an ordinary tool result, not an announcement (house plan)."""
LEDGER_RETRY = 0.5
"""Seconds until a result that could not be stored is stored again."""


@dataclass(slots=True)
class Running:
    """A task that runs in this process, and how far its parts are."""

    task: Task
    label: str
    done: asyncio.Future[TaskResult]
    progress: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskNews:
    """Something changed about a task or a part of it (`part` "" is the task itself)."""

    task: Task
    part: str
    label: str
    status: TaskStatus
    progress: str = ""
    error: str | None = None


class Tasks:
    """A runtime's background tasks. `announce` is told of every change, in the event loop."""

    def __init__(self, engine: TaskEngine, ledger: Ledger, announce: Callable[[TaskNews], None]) -> None:
        self._engine = engine
        self._ledger = ledger
        self._announce = announce
        self._workers: dict[str, Worker] = {}
        self._running: dict[str, Running] = {}

    def register(self, worker: Worker) -> None:
        """Make a worker known by its id. Raises ValueError when another one has that id."""
        if self._workers.setdefault(worker.id, worker) is not worker:
            raise ValueError(f"workers: the id {worker.id!r} is used twice; ids must differ")

    async def open(self) -> None:
        """Start the engine; it resumes what an earlier process left unfinished."""
        await self._engine.open(self._run)

    async def aclose(self) -> None:
        """Stop; what is unfinished is resumed at the next `open` by an engine that can."""
        await self._engine.aclose()

    async def start(
        self,
        room: str,
        worker: str,
        input: str,
        *,
        strategy: Strategy,
        caller: str | None = None,
        speak_as: SpeakAs = SpeakAs.AGENT,
        timeout: float | None = 300.0,
        metadata: Mapping[str, Any] | None = None,
    ) -> Task:
        """Begin a task; its result is delivered to `room` under `strategy`, for `caller`.

        Raises ValueError for an unknown worker.
        """
        if worker not in self._workers:
            raise ValueError(f"worker: {worker!r} is not known; known are {', '.join(sorted(self._workers)) or 'none'}")
        deliver = {"strategy": strategy.written(), "max_wait": strategy.max_wait, "speak_as": speak_as.value}
        task = Task(
            id=uuid4().hex,
            room=room,
            worker=worker,
            input=input,
            caller=caller,
            timeout=timeout,
            metadata={**(metadata or {}), "deliver": deliver},
        )
        self._note(task)
        await self._engine.start(task)
        return task

    async def result(self, id: str, within: float) -> TaskResult | None:
        """The task's result if it ends in this process within so many seconds."""
        running = self._running.get(id)
        if running is None:
            return None
        done, _ = await asyncio.wait([running.done], timeout=within)
        return running.done.result() if done and not running.done.cancelled() else None

    async def cancel(self, id: str) -> bool:
        """Stop a task. False: unknown or already over."""
        running = self._running.get(id)
        cancelled = await self._engine.cancel(id)
        if cancelled and running is not None:
            self._over(running, TaskStatus.CANCELLED, TaskResult("", error="cancelled"))
        return cancelled

    def running(self, room: str) -> list[Running]:
        """The tasks of a room that run in this process, oldest first."""
        return [r for r in self._running.values() if r.task.room == room]

    # -- what the engine runs

    async def _run(self, task: Task, steps: Steps) -> TaskResult:
        """A task's body: the worker, then the delivery of its result as the last step."""
        running = self._note(task)

        def report(part: str, label: str, status: str, progress: str) -> None:
            if progress:
                running.progress[part] = progress
            self._announce(TaskNews(task, part, label, TaskStatus(status), progress))

        try:
            worker = self._workers[task.worker]
            async with asyncio.timeout(task.timeout):
                result = await worker.run(task.input, Context(task, steps, report, label=worker.label))
        except TimeoutError:
            result = TaskResult("", error=f"not done within {task.timeout:g} s")
        except KeyError:
            result = TaskResult("", error=f"the worker {task.worker!r} is not known any more")
        except Exception as error:
            log.exception("task %s (%s) failed", task.id, task.worker)
            result = TaskResult("", error=f"{type(error).__name__}: {error}")
        await self._deliver(task, running.label, result)
        self._over(running, TaskStatus.FAILED if result.error else TaskStatus.DONE, result)
        return result

    async def _deliver(self, task: Task, label: str, result: TaskResult) -> None:
        """Put the result into the ledger. The same task gives the same id, so doing it again does nothing.

        A ledger that is away for a while is waited for: the result is not lost.
        """
        how = task.metadata["deliver"]
        failed = result.error is not None
        delivery = Delivery(
            id=f"{task.id}:result:0",
            room=task.room,
            content=f"I am sorry, {label} could not finish what you asked for." if failed else result.text,
            strategy=how["strategy"],
            to=task.caller,
            task=task.id,
            max_wait=how["max_wait"],
            speak_as=SpeakAs.VERBATIM if failed else SpeakAs(how["speak_as"]),
            metadata={"worker": task.worker, "input": task.input, "label": label},
        )
        while True:
            try:
                await self._ledger.put(delivery)
            except ConflictError:
                return  # the task was resumed and answered otherwise than before: what was told first stands
            except LedgerError as error:
                log.warning("task %s: its result cannot be stored, trying again: %s", task.id, error)
                await asyncio.sleep(LEDGER_RETRY)
            else:
                return

    def _note(self, task: Task) -> Running:
        running = self._running.get(task.id)
        if running is None:
            worker = self._workers.get(task.worker)
            label = worker.label if worker else task.worker
            running = Running(task, label, asyncio.get_running_loop().create_future())
            self._running[task.id] = running
            self._announce(TaskNews(task, "", label, TaskStatus.RUNNING))
        return running

    def _over(self, running: Running, status: TaskStatus, result: TaskResult) -> None:
        self._running.pop(running.task.id, None)
        if not running.done.done():
            running.done.set_result(result)
            self._announce(TaskNews(running.task, "", running.label, status, error=result.error))
