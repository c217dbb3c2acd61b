"""Where background tasks stand: what is told of them while they run or wait, and what of every change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestration.engines.engine import Task, TaskResult, TaskStatus
from orchestration.slots import Slot
from orchestration.workers.worker import Worker


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a task stands that is not over: `queued` (it waits for its turn) or `running`, here or elsewhere."""

    task: Task
    label: str
    status: TaskStatus
    progress: Mapping[str, str]


@dataclass(slots=True)
class Running:
    """A task of this process that is not over, and how far its parts are. It waits for its `slot`, or has it.

    `worker` is the one it was begun with, whoever may be known by that id later; None: it is still to come.
    """

    task: Task
    worker: Worker | None
    label: str
    done: asyncio.Future[TaskResult]
    slot: Slot
    progress: dict[str, str] = field(default_factory=dict)
    cancelling: bool = False
    delivering: bool = False
    """Its work is over and its result on the way into the ledger."""

    @property
    def status(self) -> TaskStatus:
        """Queued or running."""
        return TaskStatus.RUNNING if self.slot.granted else TaskStatus.QUEUED


@dataclass(frozen=True, slots=True)
class TaskNews:
    """Something changed about a task or a part of it (`part` "" is the task itself)."""

    task: Task
    part: str
    label: str
    status: TaskStatus
    progress: str = ""
    error: str | None = None
