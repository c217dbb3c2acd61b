"""Tasks: background work from its start to the delivery of its result, which exists before anything is spoken of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

from delivery.ledger import Ledger, SpeakAs
from delivery.strategies import Strategy
from orchestration.engines.attempt import CANCELLED
from orchestration.engines.engine import EngineError, Steps, Task, TaskEngine, TaskResult, TaskStatus
from orchestration.progress import Progress
from orchestration.results import LEDGER_RETRY, MAX_NOTE, check_tellable, deliver, delivery_of, keepable
from orchestration.slots import Slots
from orchestration.staff import Staff
from orchestration.standing import Running, Standing, TaskNews
from orchestration.usage import Meter, Tab, charge_to
from orchestration.workers.worker import Context, Report, Share, Worker, finish

log = logging.getLogger("sottovoce.tasks")

GRACE = 0.25
"""A worker that ends within this many seconds is an ordinary tool result, not an announcement (house plan)."""
UNKNOWN_WORKER = 10.0
"""Seconds that a task of an earlier process waits for its worker: it may come with a room that is still to be made."""
REMEMBERED = 100
"""Results that are kept for whoever asks for them just after the end."""
BEGINS = 10
"""How often a task is begun in all; one whose process came to an end each time is then told to have failed."""
LISTED = 100
"""Most unfinished tasks of a room that are told of."""

SharedBy = Callable[[Task, str, str, str, Mapping[str, Any]], None]
"""Told of what a task shows to the channels that it shares with its room: (task, part id, label, text, metadata)."""


class Tasks:
    """A runtime's background tasks. `announce` is told of every change, in the event loop, and `share` of what workers
    tell the channels that their work shares with its room. What their models cost is counted in `meter`.

    At most `limit` run in this process at once, and `per_room` of one room; more wait for their turn, in order within a
    room, the rooms in turns. Raises ValueError naming the field that is wrong.
    """

    def __init__(
        self,
        engine: TaskEngine,
        ledger: Ledger,
        announce: Callable[[TaskNews], None],
        *,
        limit: int = 100,
        per_room: int = 10,
        share: SharedBy | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._announce = announce
        self._share = share
        self._meter = Meter() if meter is None else meter
        self._slots = Slots(limit, per_room)
        self._progress = Progress(engine)
        self._writing: asyncio.Task[None] | None = None
        self._staff = Staff()
        self._running: dict[str, Running] = {}
        self._results: dict[str, TaskResult] = {}
        self._closing = False

    def register(self, *workers: Worker, room: str | None = None) -> None:
        """Make workers known by their ids, all or none; with `room` for tasks of that room only, in which they come
        before those of everybody. Raises ValueError when another one has such an id there."""
        self._staff.register(*workers, room=room)

    def unregister(self, room: str) -> None:
        """The room's own workers are not known any more. Tasks that run or wait here keep theirs."""
        self._staff.unregister(room)

    def check(self, worker: str, room: str | None = None) -> None:
        """Raises ValueError for a worker that tasks (of that room) cannot be given to."""
        if not isinstance(worker, str) or self._staff.find(worker, room) is None:
            known = ", ".join(self._staff.names(room)) or "none"
            what = "is not known" if isinstance(worker, str) else "is no id"
            raise ValueError(f"worker: {worker!r:.80} {what}; known are {known}")

    async def open(self, process: str = "") -> None:
        """Start the engine for this process."""
        await self._engine.open(self._run, process)
        self._writing = asyncio.create_task(self._progress.write(), name="progress of tasks")

    async def adopt(self, gone: Collection[str]) -> None:
        """Take over what these processes, which are gone, left unfinished."""
        if adopted := await self._engine.adopt(gone):
            log.info("took over %d unfinished tasks of %s", adopted, ", ".join(sorted(gone)))

    async def aclose(self) -> None:
        """Stop; what is unfinished is resumed at the next `open` by an engine that can."""
        self._closing = True
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        await self._engine.aclose()
        for running in self._running.values():
            running.done.cancel()
        self._running.clear()

    async def start(
        self,
        room: str,
        worker: str,
        input: str,
        *,
        strategy: Strategy,
        id: str | None = None,
        caller: str | None = None,
        speak_as: SpeakAs = SpeakAs.AGENT,
        fold: bool = True,
        timeout: float | None = 300.0,
        metadata: Mapping[str, Any] | None = None,
        share_channels: Sequence[str] = (),
    ) -> Task:
        """Begin a task; its result is delivered to `room` under `strategy`, for `caller`. `timeout`: seconds of work.

        `share_channels` are the ids of channels to which it shows what goes on (in the task's metadata of that name).
        A task whose `id` is known is left alone. Raises ValueError for an unknown worker and what cannot be kept,
        EngineError when the engine cannot begin it.
        """
        self.check(worker, room)
        how = {"strategy": strategy.written(), "max_wait": strategy.max_wait, "speak_as": speak_as, "fold": fold}
        task = Task(
            id=uuid4().hex if id is None else id,
            room=room,
            worker=worker,
            input=input,
            caller=caller,
            timeout=timeout,
            metadata={
                **(metadata or {}),
                "deliver": how,
                "share_channels": list(share_channels),
                "room_worker": self._staff.find(worker, room, own=True) is not None,
            },
        )
        check_tellable(task)
        known = task.id in self._running
        running = self._note(task)
        try:
            begun = await self._engine.start(task)
        except Exception as error:
            if not known:  # else it is the first one's end that counts
                self._over(running, TaskStatus.FAILED, TaskResult("", error=str(error)))
            raise
        if not begun and not known:
            self._forget(running)
            running.done.cancel()
        return task

    async def result(self, id: str, within: float | None) -> TaskResult | None:
        """The task's result (its `error` says if it failed or was cancelled) if it ends here within so many seconds.

        None: however long it takes.
        """
        if (running := self._running.get(id)) is None:
            return self._results.get(id)
        await asyncio.wait([running.done], timeout=within)
        # Not from the results that are kept: when many tasks end at once it may be gone from there already.
        return running.done.result() if running.done.done() and not running.done.cancelled() else None

    async def cancel(self, id: str) -> bool:
        """Stop a task. False: unknown, or its work is over."""
        running = self._running.get(id)
        if running is None:
            return await self._engine.cancel(id)
        if running.delivering:
            return False
        running.cancelling = True
        cancelled = False
        try:
            cancelled = await self._engine.cancel(id)
        finally:
            running.cancelling = cancelled
        if cancelled:
            self._over(running, TaskStatus.CANCELLED, CANCELLED)
        return cancelled

    def running(self, room: str) -> list[Running]:
        """The tasks of a room that run in this process or wait for their turn here, oldest first."""
        return [r for r in self._running.values() if r.task.room == room]

    async def unfinished(self, room: str) -> list[Standing]:
        """The tasks of a room that are not over, in whatever process they are, oldest first."""
        here = {r.task.id: Standing(r.task, r.label, r.status, dict(r.progress)) for r in self.running(room)}
        standings = []
        try:
            for record in await self._engine.tasks(room, LISTED, unfinished=True):
                id = record.task.id
                if id in here:
                    standings.append(here.pop(id))
                elif id not in self._results:  # it was over here a moment ago
                    worker = self._staff.find(record.task.worker, room)
                    label = worker.label if worker else record.task.worker
                    standings.append(Standing(record.task, label, record.status, record.progress))
        except EngineError as error:
            log.warning("room %s: tasks of other processes are not told of: %s", room, error)
            return [Standing(r.task, r.label, r.status, dict(r.progress)) for r in self.running(room)]
        return [*standings, *here.values()]

    # -- what the engine runs

    async def _run(self, task: Task, steps: Steps) -> TaskResult:
        """A task's body: the worker, then the delivery of its result as the last step."""
        running = self._note(task)
        try:
            try:
                result = await self._in_turn(running, steps)
            finally:
                running.slot.release()
            running.delivering = True
            result = keepable(task, result)
            await deliver(self._ledger, task, running.label, result)
        except asyncio.CancelledError:
            if not self._closing:  # otherwise it is only interrupted, to be resumed
                await self._stopped(running)
            raise
        except BaseException as error:
            self._broken(running, error)
            raise
        self._over(running, TaskStatus.DONE if result.error is None else TaskStatus.FAILED, result)
        return result

    async def _in_turn(self, running: Running, steps: Steps) -> TaskResult:
        """The work, once it is this task's turn."""
        task = running.task
        if steps.begins > BEGINS:
            return TaskResult("", error=f"given up: begun {BEGINS} times, and each time its process came to an end")
        if not running.slot.granted:
            self._progress.report(task.id, {}, queued=True)
            await running.slot.wait()
            self._progress.report(task.id, {}, queued=False)
            self._tell(TaskNews(task, "", running.label, TaskStatus.RUNNING))
        return await self._work(running, steps)

    async def _work(self, running: Running, steps: Steps) -> TaskResult:
        task = running.task
        if running.worker is None:
            running.worker = await self._staff.coming(task.worker, task.room, UNKNOWN_WORKER, own=_of_room(task))
        if (worker := running.worker) is None:
            return TaskResult("", error=f"the worker {task.worker!r} is not known any more")
        running.label = worker.label
        charge_to(Tab(self._meter, task.room, lambda: worker.id))
        context = Context(task, steps, self._report_of(running), label=worker.label, share=self._share_of(running))
        try:
            async with asyncio.timeout(task.timeout):
                return await finish(worker, task.input, context)
        except TimeoutError:
            return TaskResult("", error=f"not done within {task.timeout:g} s")

    def _report_of(self, running: Running) -> Report:
        """What a worker tells of its progress to."""

        def report(part: str, label: str, status: str, progress: str) -> None:
            if not isinstance(progress, str):
                raise TypeError(f"progress: {type(progress).__name__} is no text; give a str")
            if running.done.done():
                return
            progress = progress[:MAX_NOTE]
            state = TaskStatus(status)
            before = running.progress.get(part)
            if progress:
                running.progress[part] = progress
            elif state.terminal:
                running.progress.pop(part, None)
            if running.progress.get(part) != before:
                self._progress.report(running.task.id, running.progress, queued=False)
            self._tell(TaskNews(running.task, part, label, state, progress))

        return report

    def _share_of(self, running: Running) -> Share:
        """What a worker tells the shared channels with. Whatever becomes of that, the work goes on."""

        def share(part: str, label: str, text: str, metadata: Mapping[str, Any]) -> None:
            if self._share is None or running.done.done():
                return
            try:
                self._share(running.task, part, label, text, metadata)
            except Exception:
                log.exception("task %s: its channels could not be told", running.task.id)

        return share

    def _note(self, task: Task) -> Running:
        running = self._running.get(task.id)
        if running is None:
            worker = self._staff.find(task.worker, task.room, own=_of_room(task))
            label = worker.label if worker else task.worker
            done = asyncio.get_running_loop().create_future()
            running = Running(task, worker, label, done, self._slots.ask(task.room))
            self._running[task.id] = running
            self._tell(TaskNews(task, "", label, running.status))
        return running

    async def _stopped(self, running: Running) -> None:
        """Its body was cancelled: on request, ours or another process's, or because another process has it now."""
        if not running.cancelling:
            try:
                record = await self._engine.get(running.task.id)
            except EngineError:  # what becomes of it is for others to say
                record = None
            if record is None or record.status is not TaskStatus.CANCELLED:
                log.warning("task %s goes on in another process", running.task.id)
                self._forget(running)
                running.done.cancel()
                return
        self._over(running, TaskStatus.CANCELLED, CANCELLED)

    def _broken(self, running: Running, error: BaseException) -> None:
        """It came to no result that could be delivered."""
        log.error("task %s was broken off, its result cannot be told", running.task.id, exc_info=error)
        self._over(running, TaskStatus.FAILED, TaskResult("", error=f"broken off: {type(error).__name__} {error}"))

    def _over(self, running: Running, status: TaskStatus, result: TaskResult) -> None:
        if running.done.done():
            return
        running.done.set_result(result)
        self._forget(running)
        self._results[running.task.id] = result
        if len(self._results) > REMEMBERED:
            del self._results[next(iter(self._results))]
        self._tell(TaskNews(running.task, "", running.label, status, error=result.error))

    def _forget(self, running: Running) -> None:
        running.slot.release()
        self._progress.forget(running.task.id)
        if self._running.get(running.task.id) is running:
            del self._running[running.task.id]

    def _tell(self, news: TaskNews) -> None:
        try:
            self._announce(news)
        except Exception:
            log.exception("task %s: telling of it failed", news.task.id)


def _of_room(task: Task) -> bool:
    """Whether it was given to one of the room's own workers. After a restart these may come later than the others."""
    return bool(task.metadata.get("room_worker"))


__all__ = [
    "BEGINS",
    "CANCELLED",
    "GRACE",
    "LEDGER_RETRY",
    "MAX_NOTE",
    "REMEMBERED",
    "UNKNOWN_WORKER",
    "Running",
    "SharedBy",
    "Standing",
    "TaskNews",
    "Tasks",
    "delivery_of",
]
