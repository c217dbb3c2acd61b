"""A bench on which a worker is run: real recorded steps, and what it reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestration.engines.engine import Task, TaskResult
from orchestration.engines.steps import RecordedSteps
from orchestration.workers import Context, Worker
from orchestration.workers.worker import finish
from voice.clock import run

TASK = Task("t1", "lobby", "analyst", "compare")


@dataclass
class Bench:
    """`recorded` are the steps that are done; a second run on the same bench resumes."""

    recorded: dict[str, Any] = field(default_factory=dict)
    reports: list[tuple[str, str, str, str]] = field(default_factory=list)

    def context(self) -> Context:
        """A fresh run, as after a restart."""

        async def record(key: str, value: Any) -> None:
            self.recorded[key] = value

        def report(part: str, label: str, status: str, progress: str) -> None:
            self.reports.append((part, label, status, progress))

        return Context(TASK, RecordedSteps(self.recorded, record), report, label="Team")

    def run(self, worker: Worker, input: str = "compare") -> TaskResult:
        """In virtual time."""
        return run(finish(worker, input, self.context()))
