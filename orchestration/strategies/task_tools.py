"""The tools by which the agent that talks starts, watches, cancels and recalls background work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.ledger import Status
from orchestration.tasks import GRACE
from orchestration.tools import STARTED, Tool, tool
from orchestration.workers.worker import Worker

if TYPE_CHECKING:
    from orchestration.runtime import Runtime


def delegate_tool(runtime: Runtime, room_id: str, worker: Worker, name: str, message: str) -> Tool:
    """A tool that hands work to `worker` in the background and comes back at once.

    A worker that is done within the grace time is an ordinary tool result: the reply carries it.
    """

    async def delegate(task: str) -> str:
        started = await runtime.delegate(room_id, worker.id, task, caller=runtime.speaker(room_id))
        result = await runtime.tasks.result(started.id, within=GRACE)
        if result is None:
            return f"{STARTED} {message}"
        runtime.carry(room_id, f"{started.id}:result:0")
        return f"error: {worker.label} could not finish" if result.error else result.text

    description = f"Hand work to {worker.label}. It runs in the background; the result is told when it is there."
    return tool(delegate, name=name, description=description)


def task_tools(runtime: Runtime, room_id: str) -> list[Tool]:
    """`task_status`, `cancel_task` and `recall`, for the room's background work."""

    async def task_status() -> str:
        """How the background work is getting on."""
        running = runtime.tasks.running(room_id)
        if not running:
            return "Nothing is running in the background."
        return " ".join(
            f"{r.label} {'are' if ' and ' in r.label else 'is'} still working on {r.task.input}"
            f"{': ' + '; '.join(dict.fromkeys(r.progress.values())) if r.progress else ''}."
            for r in running
        )

    async def cancel_task() -> str:
        """Stop the background work that was started last."""
        running = runtime.tasks.running(room_id)
        if not running:
            return "There is nothing to cancel."
        last = running[-1]
        done = await runtime.tasks.cancel(last.task.id)
        return f"All right, I dropped {last.task.input}." if done else "It has just finished."

    async def recall() -> str:
        """What was found so far: the newest result, whether it was heard or not."""
        entries = await runtime.ledger.entries(room_id, list(Status), newest=True, limit=20)
        found = [e for e in entries if e.delivery.task and e.status not in (Status.CANCELLED, Status.REFUSED)]
        if not found:
            return "There is nothing yet."
        return found[-1].delivery.content

    return [tool(task_status), tool(cancel_task), tool(recall)]
