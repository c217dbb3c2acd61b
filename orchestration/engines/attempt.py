"""One run of a task's body: it ends with a result, whatever the body does, or is interrupted from outside."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from orchestration.engines.engine import Body, Steps, Task, TaskResult, TaskStatus
from orchestration.engines.written import read_result, written_result
from voice.cancellation import cancelled_here

log = logging.getLogger("sottovoce.engines")

CANCELLED = TaskResult("", error="cancelled")
"""The result of a task that was cancelled."""


async def attempt(body: Body, task: Task, steps: Steps) -> TaskResult:
    """Run `body` once. What it raises becomes a result with `error`; only cancelling this coroutine gets out."""
    try:
        return _as_kept(await body(task, steps))
    except asyncio.CancelledError as error:
        if cancelled_here():
            raise
        return _failed(task, "CancelledError: something it waited for was cancelled", error)
    except Exception as error:
        return _failed(task, f"{type(error).__name__}: {error}", error)


def status_of(result: TaskResult) -> TaskStatus:
    """Where a task stands that ended with `result`."""
    return TaskStatus.DONE if result.error is None else TaskStatus.FAILED


def _as_kept(result: Any) -> TaskResult:
    return read_result(written_result(result))


def _failed(task: Task, error: str, cause: BaseException) -> TaskResult:
    log.warning("task %s (%s) failed: %s", task.id, task.worker, error, exc_info=cause)
    return TaskResult("", error=error)
