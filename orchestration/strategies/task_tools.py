"""The tools by which the agent that talks starts, watches, cancels and recalls background work.

A caller is told of their own work only, and of what is for everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.desk import Refuse
from delivery.ledger import OPEN_STATUSES, Entry, Status
from orchestration.content import made_speakable
from orchestration.engines.engine import TaskStatus
from orchestration.tasks import GRACE, Standing, delivery_of
from orchestration.tools import STARTED, Tool, tool
from orchestration.workers.worker import Worker

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

LOOKED_AT = 100
"""The newest results of a room among which one is recalled or dropped."""


def delegate_tool(runtime: Runtime, room_id: str, worker: Worker, name: str, message: str) -> Tool:
    """A tool that hands work to `worker` in the background and comes back at once.

    A worker that is done within the grace time is an ordinary tool result: the reply carries it.
    """

    async def delegate(task: str) -> str:
        try:
            started = await runtime.delegate(room_id, worker.id, task, caller=runtime.speaker(room_id))
        except (Refuse, ValueError) as refusal:
            return f"error: {refusal}"
        result = await runtime.tasks.result(started.id, within=GRACE)
        if result is None:
            return f"{STARTED} {message}"
        runtime.carry(room_id, delivery_of(started.id))
        if result.error is not None:
            return f"error: {worker.label} could not finish"
        return made_speakable(result.text) or "done"

    description = f"Hand work to {worker.label}. It runs in the background; the result is told when it is there."
    return tool(delegate, name=name, description=description)


def task_tools(runtime: Runtime, room_id: str) -> list[Tool]:
    """`task_status`, `cancel_task` and `recall`, for the room's background work."""

    async def unfinished() -> list[Standing]:
        speaker = runtime.speaker(room_id)
        return [one for one in await runtime.tasks.unfinished(room_id) if one.task.caller in (None, speaker)]

    async def found() -> list[Entry]:
        """Results, oldest first."""
        speaker = runtime.speaker(room_id)
        entries = await runtime.ledger.entries(room_id, list(Status), newest=True, limit=LOOKED_AT)
        return [e for e in entries if e.delivery.task and e.delivery.to in (None, speaker)]

    async def task_status() -> str:
        """How the background work is getting on."""
        return " ".join(map(_told, await unfinished())) or "Nothing is running in the background."

    async def cancel_task() -> str:
        """Stop the background work that was started last, or drop its result if that is there but was not told yet."""
        if tasks := await unfinished():
            last = tasks[-1].task
            done = await runtime.tasks.cancel(last.id)
            return f"All right, I dropped {last.input}." if done else "It has just finished."
        waiting = [e for e in await found() if e.status in OPEN_STATUSES]
        if not waiting:
            return "There is nothing to cancel."
        await runtime.receipt(waiting[-1].delivery.id).cancel()
        return f"All right, I dropped {waiting[-1].delivery.metadata.get('input', 'it')}."

    async def recall() -> str:
        """What was found so far: the newest result, whether it was heard or not."""
        told = [e for e in await found() if e.status not in (Status.CANCELLED, Status.REFUSED)]
        if not told:
            return "There is nothing yet."
        newest = told[-1]
        if newest.status in OPEN_STATUSES:
            runtime.carry(room_id, newest.delivery.id)  # told now, so not again by itself
        return newest.delivery.content

    return [tool(task_status), tool(cancel_task), tool(recall)]


def _told(standing: Standing) -> str:
    """How one task gets on."""
    if standing.status is TaskStatus.QUEUED:
        return f"{standing.task.input} is still waiting for its turn with {standing.label}."
    are = "are" if " and " in standing.label else "is"
    told = f"{standing.label} {are} still working on {standing.task.input}"
    parts = "; ".join(dict.fromkeys(standing.progress.values()))
    return f"{told}: {parts}." if parts else f"{told}."
