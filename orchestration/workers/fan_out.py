"""FanOut and Sequence: several workers on one job, at once or one after the other, merged into one result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence as Many
from dataclasses import dataclass

from orchestration.engines.engine import TaskResult
from orchestration.workers.worker import Context, Worker


@dataclass(frozen=True, slots=True)
class FanOut:
    """All workers get the same input at once; the result has each one's text, in the order they are given."""

    id: str
    workers: Many[Worker]
    label: str = "Team"

    async def run(self, input: str, context: Context) -> TaskResult:
        """Wait for all of them; what some could not do is said, and only if all fail has it failed."""
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(context.run_part(w.id, w, input)) for w in self.workers]
        return merge(self.workers, [p.result() for p in parts])


@dataclass(frozen=True, slots=True)
class Sequence:
    """Each worker gets what the one before made of it; the result is the last one's."""

    id: str
    workers: Many[Worker]
    label: str = "Team"

    async def run(self, input: str, context: Context) -> TaskResult:
        """One after the other; the first that fails ends it."""
        result = TaskResult(input)
        for worker in self.workers:
            result = await context.run_part(worker.id, worker, result.text)
            if result.error:
                return result
        return result


def merge(workers: Many[Worker], results: Many[TaskResult]) -> TaskResult:
    """One text of many; `data["parts"]` keeps them apart."""
    texts = [
        r.text if not r.error else f"The {w.label.lower()} could not finish."
        for w, r in zip(workers, results, strict=True)
    ]
    parts = {w.id: {"text": r.text, "error": r.error} for w, r in zip(workers, results, strict=True)}
    failed = all(r.error for r in results)
    return TaskResult(
        " ".join(texts), {"parts": parts}, error="; ".join(r.error or "" for r in results) if failed else None
    )
