"""What a background task's news look like on the status bus: begun, how far, done or failed; and so for its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestration.engines.engine import TaskStatus
from orchestration.status.entry import MAX_NAME, StatusLevel

if TYPE_CHECKING:
    from orchestration.tasks import TaskNews

ACTION = "task"
"""The action of all these entries."""

MAX_SHOWN = 200
"""Most characters of what was asked, of progress and of an error that are shown."""

_LEVELS = {
    TaskStatus.QUEUED: StatusLevel.PENDING,
    TaskStatus.RUNNING: StatusLevel.PENDING,
    TaskStatus.DONE: StatusLevel.COMPLETED,
    TaskStatus.FAILED: StatusLevel.FAILED,
    TaskStatus.CANCELLED: StatusLevel.FAILED,
}


def told(news: TaskNews) -> dict[str, Any]:
    """The arguments of `StatusBus.post`. The agent is the worker, also of a part; the detail is how far it is, or
    what the task was asked.

    `metadata` has task, state (a TaskStatus), and where there are any part, caller and error. The error may hold
    internals, so it is for programs: details go into prompts.
    """
    facts = {"part": news.part, "caller": news.task.caller, "error": news.error and news.error[:MAX_SHOWN]}
    worker = news.part.rpartition("/")[2] or news.task.worker
    return {
        "agent_id": worker[:MAX_NAME],
        "action": ACTION,
        "status": StatusLevel.INFO if news.progress else _LEVELS[news.status],
        "detail": (news.progress or news.task.input)[:MAX_SHOWN],
        "metadata": {"task": news.task.id, "state": news.status.value, **{k: v for k, v in facts.items() if v}},
        "room": news.task.room,
    }
