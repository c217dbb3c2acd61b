"""Tasks and their results as JSON: what an engine keeps is what it gives back, and what it cannot keep is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from orchestration.engines.engine import Task, TaskResult

T = TypeVar("T")

MAX_ID = 128
"""Most characters of a task's id."""

MAX_JSON = 4_000_000
"""Most characters of JSON that one task, step or result may have; more belongs in a store of its own."""


def as_json(value: T, what: str) -> T:
    """`value` as it comes back after a crash (tuples as lists). Raises ValueError naming `what` if it is not JSON."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{what} must be JSON, so that it survives a restart: {error}") from error
    if len(text) > MAX_JSON:
        raise ValueError(f"{what} has {len(text)} characters of JSON; at most {MAX_JSON} are kept")
    again: T = json.loads(text)
    return again


def written_task(task: Task) -> dict[str, Any]:
    """The task as JSON. Raises ValueError naming the field that is wrong."""
    if not isinstance(task.id, str) or not 1 <= len(task.id.strip()) <= MAX_ID:
        raise ValueError(f"id of a task must be 1 to {MAX_ID} characters, not {task.id!r}")
    for field in ("room", "worker"):
        if not getattr(task, field):
            raise ValueError(f"{field} of task {task.id!r} must not be empty")
    if task.timeout is not None and not (math.isfinite(task.timeout) and task.timeout > 0):
        raise ValueError(f"timeout of task {task.id!r} must be seconds above 0, or None; not {task.timeout!r}")
    return as_json({**_flat(task), "metadata": dict(task.metadata)}, f"task {task.id!r}")


def read_task(written: Mapping[str, Any]) -> Task:
    """The task `written_task` wrote; fields of a newer release are left out."""
    return Task(**_known(Task, written))


def written_result(result: TaskResult) -> dict[str, Any]:
    """The result as JSON. Raises ValueError when its data is not JSON, TypeError when it is no TaskResult."""
    if not isinstance(result, TaskResult):
        raise TypeError(f"a task's body must return a TaskResult, not {type(result).__name__}")
    return as_json({**_flat(result), "data": dict(result.data)}, "a task's result")


def read_result(written: Mapping[str, Any]) -> TaskResult:
    """The result `written_result` wrote."""
    return TaskResult(**_known(TaskResult, written))


def _flat(value: Task | TaskResult) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _known(kind: type[Task] | type[TaskResult], written: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in written.items() if name in names}
