"""A bench on which a worker is run: real recorded steps, what it reported, and what the shared channels were told."""

from __future__ import annotations

from collections.abc import Mapping
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
    told: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    """Part, text and metadata."""

    def context(self) -> Context:
        """A fresh run, as after a restart."""

        async def record(key: str, value: Any) -> None:
            self.recorded[key] = value

        def report(part: str, label: str, status: str, progress: str) -> None:
            self.reports.append((part, label, status, progress))

        def share(part: str, label: str, text: str, metadata: Mapping[str, Any]) -> None:
            self.told.append((part, text, metadata))

        return Context(TASK, RecordedSteps(self.recorded, record), report, label="Team", share=share)

    def run(self, worker: Worker, input: str = "compare") -> TaskResult:
        """In virtual time."""
        return run(finish(worker, input, self.context()))
