"""Workers: what runs underneath the talk. A coroutine function, an agent and each pattern of them are workers alike."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Never, Protocol, TypeVar

from orchestration.agent import Agent, valid_id
from orchestration.engines.engine import Steps, Task, TaskResult
from voice.cancellation import cancelled_here

log = logging.getLogger("sottovoce.workers")

T = TypeVar("T")


class Report(Protocol):
    """Told of how a task, or a part of it, gets on: (part id, label, status, progress)."""

    def __call__(self, part: str, label: str, status: str, progress: str) -> None: ...


class Share(Protocol):
    """Tells the channels that the work shares with its room what goes on in it: (part id, label, text, metadata)."""

    def __call__(self, part: str, label: str, text: str, metadata: Mapping[str, Any]) -> None: ...


def unshared(part: str, label: str, text: str, metadata: Mapping[str, Any]) -> None:
    """No channel is shared with the work."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a running worker has at hand: durable steps, progress to report, channels to tell, parts of its own.

    `part` is the path of this worker inside the task; it keeps the steps of concurrent parts apart.
    """

    task: Task
    steps: Steps
    report: Report
    part: str = ""
    label: str = ""
    share: Share = unshared

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` once, even if the process dies and the task is resumed. Its value must be JSON.

        Raises ValueError when it is not, and what `work` raises; then it is not done, and runs again.
        """
        return await self.steps.step(f"{self.part}:{name}", work)

    def progress(self, text: str) -> None:
        """Say how far it is, for the page and for "how is it going?"."""
        self.report(self.part, self.label, "running", text)

    def tell(self, text: str, **metadata: Any) -> None:
        """Show the channels that this work shares with its room what goes on. One that fails does not stop the work."""
        try:
            self.share(self.part, self.label, text, metadata)
        except Exception:
            log.exception("task %s: telling the shared channels failed", self.task.id)

    async def run_part(self, name: str, worker: Worker, input: str) -> TaskResult:
        """Run a worker as a part of this task; parts that run side by side need different names.

        A failing part becomes a result with `error`.
        """
        part = f"{self.part}/{name}" if self.part else name
        self.report(part, worker.label, "running", "")
        status = "cancelled"
        try:
            context = Context(self.task, self.steps, self.report, part, worker.label, self.share)
            result = await finish(worker, input, context)
            status = "done" if result.error is None else "failed"
        finally:
            self.report(part, worker.label, status, "")
        return result


class Worker(Protocol):
    """Something that does a job: `id` names it for good (resumed tasks look it up), `label` is for people."""

    @property
    def id(self) -> str: ...
    @property
    def label(self) -> str: ...

    async def run(self, input: str, context: Context) -> TaskResult:
        """Do the job. Must be safe to begin again after a crash; what must not repeat goes in `context.step`."""
        ...


async def finish(worker: Worker, input: str, context: Context) -> TaskResult:
    """Run a worker to its result. What it raises, or returns in a wrong shape, becomes a result with `error`."""
    try:
        return _checked(await worker.run(input, context))
    except (Exception, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and cancelled_here():
            raise
        log.exception("task %s: worker %s failed", context.task.id, worker.id)
        what = str(error) or "something it waited for was cancelled" * isinstance(error, asyncio.CancelledError)
        return TaskResult("", error=f"{type(error).__name__}: {what}".rstrip(": "))


def _checked(result: TaskResult) -> TaskResult:
    """Raises TypeError for what is no result, or has no text."""
    if not isinstance(result, TaskResult):
        raise TypeError(f"a worker must return a TaskResult, not {type(result).__name__}")
    if not isinstance(result.text, str) or not isinstance(result.error, str | None):
        raise TypeError("a result's text must be text, and its error too, or None")
    if not isinstance(result.data, Mapping):
        raise TypeError(f"a result's data must be a mapping, not {type(result.data).__name__}")
    return result


Job = Callable[[str, Context], Awaitable[TaskResult | str | None]]


@dataclass(frozen=True, slots=True)
class FunctionWorker:
    """A plain coroutine function `(input, context) -> text or TaskResult` as a worker."""

    id: str
    job: Job
    label: str

    async def run(self, input: str, context: Context) -> TaskResult:
        """Call it. Nothing returned is an empty text."""
        result = await self.job(input, context)
        return result if isinstance(result, TaskResult) else TaskResult("" if result is None else result)


def worker(*bare: Never, id: str | None = None, role: str = "") -> Callable[[Job], FunctionWorker]:
    """Decorator: make a worker of a coroutine function. `role` is what people call it.

    Raises ValueError for a bad id (default: the function's name), TypeError when it is no coroutine function of
    an input and a Context, and when the brackets are missing.
    """
    if bare:
        raise TypeError("worker takes its arguments by name; write @worker(), with brackets, or @worker(role=...)")

    def make(job: Job) -> FunctionWorker:
        name = valid_id(id or getattr(job, "__name__", ""))
        if not inspect.iscoroutinefunction(job):
            raise TypeError(f"worker {name!r}: {job!r} is no coroutine function; write `async def`")
        try:
            inspect.signature(job).bind("", None)
        except TypeError:
            raise TypeError(f"worker {name!r}: it must take an input and a Context, and need no more") from None
        return FunctionWorker(name, job, role or name)

    return make


def as_worker(it: Worker | Agent) -> Worker:
    """An agent becomes a worker; a worker is one. Raises TypeError for anything else, ValueError for a bad id."""
    if isinstance(it, Agent):
        from orchestration.workers.agent_worker import AgentWorker

        return AgentWorker(it)
    if callable(getattr(it, "run", None)) and isinstance(getattr(it, "label", None), str):
        valid_id(getattr(it, "id", None))
        return it
    raise TypeError(f"workers: {it!r} is neither an Agent nor a worker (decorate a coroutine function with @worker())")
