"""The seam for task engines: start, cancel and look up background tasks that outlive the process which began them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class EngineError(Exception):
    """The engine could not be opened, or is not open; the message names what is in the way and the fix."""


class TaskStatus(StrEnum):
    """Where a task stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether this is an end."""
        return self in (TaskStatus.DONE, TaskStatus.FAILED, TaskStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Task:
    """Work to be done underneath a room's talk. Everything in it is JSON, so that it survives a restart.

    `worker` names a worker registered with the runtime; `input` is what it is asked; `caller` is whose turn started it.
    `timeout` is seconds of work (None: no limit), for the body to keep: an engine does not know what of a body is work.
    """

    id: str
    room: str
    worker: str
    input: str
    caller: str | None = None
    parent: str | None = None
    timeout: float | None = 300.0
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What came of a task: `text` to be told, `data` (JSON) for programs, `error` when it failed."""

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as the engine knows it; `result` once it ended, `progress` what its parts last reported (by name)."""

    task: Task
    status: TaskStatus
    result: TaskResult | None = None
    progress: Mapping[str, str] = field(default_factory=dict)


class Steps(Protocol):
    """What an engine offers a running task: steps that are not repeated after a crash.

    `begins` is how often the task was begun, this time included: the body gives up one that is begun too often.
    """

    @property
    def begins(self) -> int: ...

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` once; after a crash a finished step's recorded (JSON) value is returned instead.

        Steps of one task are told apart by `name` and order. Concurrent steps must have different names.
        """
        ...


Body = Callable[[Task, Steps], Awaitable[TaskResult]]
"""Runs a task to its result. Must be safe to begin again after a crash; what must not repeat goes in steps.
It also tells the desk of the result (the last step): when it returns, the result is in the ledger."""


class TaskEngine(Protocol):
    """Runs tasks durably (as far as it can) on the event loop it was opened in, beside other processes' engines."""

    name: str

    async def open(self, body: Body, process: str) -> None:
        """Make it ready. `process` is this process's id, unique for every start of a program.

        Raises EngineError; so does everything else while it is not open.
        """
        ...

    async def adopt(self, gone: Collection[str]) -> int:
        """Take over and resume every unfinished task of these processes, which are gone; returns how many.

        When several processes do so at once, each task goes to one of them.
        """
        ...

    async def start(self, task: Task) -> bool:
        """Begin `task`; when this returns, it will run even if the process dies. False: its id is known, and the task
        of that id is left alone."""
        ...

    async def cancel(self, id: str) -> bool:
        """Cancel it in whatever process it runs: its body gets CancelledError. False: unknown or already over."""
        ...

    async def report(self, id: str, progress: Mapping[str, str], *, queued: bool = False) -> None:
        """What the parts of a running task are at, for whoever asks in any process; the last report counts.

        `queued`: its body runs but waits for its turn, which does not count as begun.
        """
        ...

    async def get(self, id: str) -> TaskRecord | None: ...

    async def tasks(self, room: str, limit: int = 100, *, unfinished: bool = False) -> list[TaskRecord]:
        """A room's last `limit` tasks (of those `unfinished`), oldest first, of all processes."""
        ...

    async def forget(self, older: float, limit: int = 500) -> int:
        """Delete what is kept of tasks that ended more than `older` seconds ago, at most `limit` of them; returns how
        many. Their ids may be used again. Several processes may do so."""
        ...

    async def aclose(self) -> None:
        """Stop. Running tasks are interrupted, not ended: a durable engine's are resumed by who adopts them."""
        ...
