"""FanOut and Sequence: several workers on one job, at once or one after the other, merged into one result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence as Many
from dataclasses import dataclass

from orchestration.engines.engine import TaskResult
from orchestration.workers.handed import passed_on
from orchestration.workers.worker import Context, Worker


@dataclass(frozen=True, slots=True)
class FanOut:
    """All workers get the same input at once; the result has each one's text, in the order they are given.

    Raises ValueError for an empty list, or two workers of one id.
    """

    id: str
    workers: Many[Worker]
    label: str = "Team"

    def __post_init__(self) -> None:
        different(self.workers)

    async def run(self, input: str, context: Context) -> TaskResult:
        """Wait for all of them; what some could not do is said, and only if all fail has it failed."""
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(context.run_part(w.id, w, input)) for w in self.workers]
        return merge(self.workers, [p.result() for p in parts])


@dataclass(frozen=True, slots=True)
class Sequence:
    """Each worker gets what the one before made of it; the result is the last one's.

    A function gets that text alone. An agent is shown what was asked of all of them, too: who sees only a colleague's
    text does not know what it is for.

    Raises ValueError for an empty list, or two workers of one id.
    """

    id: str
    workers: Many[Worker]
    label: str = "Team"

    def __post_init__(self) -> None:
        different(self.workers)

    async def run(self, input: str, context: Context) -> TaskResult:
        """One after the other; the first that fails ends it."""
        for worker in self.workers:
            result = await context.run_part(worker.id, worker, input)
            if result.error is not None:
                break
            input = passed_on(input, worker.label, result.text)
        return result


def different(workers: Many[Worker], field: str = "workers") -> None:
    """Raises ValueError naming `field` unless there are workers and their ids, which keep their steps apart, differ."""
    if not workers:
        raise ValueError(f"{field}: the list is empty; give at least one")
    seen: set[str] = set()
    for worker in workers:
        if worker.id in seen:
            raise ValueError(f"{field}: the id {worker.id!r} is used twice; ids must differ")
        seen.add(worker.id)


def merge(workers: Many[Worker], results: Many[TaskResult]) -> TaskResult:
    """One text of many; `data["parts"]` keeps them apart."""
    texts = [
        r.text.strip() if r.error is None else f"{w.label} could not finish."
        for w, r in zip(workers, results, strict=True)
    ]
    parts = {w.id: {"text": r.text, "error": r.error} for w, r in zip(workers, results, strict=True)}
    errors = [r.error for r in results if r.error is not None]
    failed = len(errors) == len(results)
    return TaskResult(" ".join(filter(None, texts)), {"parts": parts}, error="; ".join(errors) if failed else None)
