"""Reviewer: any worker as one who judges a piece of work. An agent judges by a tool, a function by what it returns."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestration.engines.engine import TaskResult
from orchestration.handoff_request import HANDOFF_TOOL, HandoffRequest
from orchestration.models.model import ToolSpec
from orchestration.verdict import APPROVE_OUTPUT, VERDICT, Verdict, checked_approval
from orchestration.workers.agent_worker import AgentWorker, LastTool, NoAnswerError, Reply
from orchestration.workers.handed import to_review
from orchestration.workers.worker import Context, Worker

log = logging.getLogger("sottovoce.workers")

COULD_NOT = "could not review"
"""What the review of one says who failed. Why is in the log: it is nothing that the producer can change."""

BY_TOOL = (
    f"If it is good as it is, call {APPROVE_OUTPUT.name}. "
    f"If anything has to change, call {HANDOFF_TOOL.name} and say what."
)
BY_TEXT = (
    'Answer with a JSON object alone: {"approved": true} if it is good as it is, or else {"approved": false, '
    '"feedback": "..."} with what has to change.'
)


@dataclass(frozen=True, slots=True)
class Review:
    """What one reviewer, called `label` by people, says of a draft."""

    reviewer: str
    label: str
    verdict: Verdict

    def told(self) -> str:
        """For the producer, and for the reviewers after this one."""
        said = "approved" if self.verdict.approved else "not approved"
        if self.verdict.feedback == COULD_NOT:
            return f"{self.label} {COULD_NOT}."
        return f"{self.label}: {said}. {self.verdict.feedback}".strip()

    def written(self) -> dict[str, Any]:
        """As JSON, for programs."""
        verdict = self.verdict
        return {"reviewer": self.reviewer, "approved": verdict.approved, "feedback": verdict.feedback}


@dataclass(frozen=True, slots=True)
class Reviewer:
    """`worker` as a reviewer of what `producer` makes. Run with a draft, its result is a verdict."""

    worker: Worker
    producer: Worker

    @property
    def id(self) -> str:
        """The worker's."""
        return self.worker.id

    @property
    def label(self) -> str:
        """The worker's."""
        return self.worker.label

    async def review(self, input: str, draft: str, earlier: str, name: str, context: Context) -> Review:
        """Judge a draft that was made of `input`, as the part `name`. One who fails does not approve."""
        how = BY_TOOL if isinstance(self.worker, AgentWorker) and not self.worker.writes else BY_TEXT
        result = await context.run_part(name, self, to_review(input, draft, earlier, how))
        if result.error is None:
            return Review(self.id, self.label, Verdict(result.data["approved"], result.data["feedback"]))
        log.warning("task %s: reviewer %s could not review: %s", context.task.id, self.id, result.error)
        return Review(self.id, self.label, Verdict(False, COULD_NOT))

    async def run(self, input: str, context: Context) -> TaskResult:
        """The verdict as `data`. What gives none has failed."""
        if isinstance(self.worker, AgentWorker):
            return await self._asked(self.worker, input, context)
        result = await self.worker.run(input, context)
        if not isinstance(result, TaskResult) or result.error is not None:
            return result
        verdict = Verdict.of_result(result)
        return TaskResult("", error="it said nothing") if verdict is None else _result(verdict)

    async def _asked(self, worker: AgentWorker, input: str, context: Context) -> TaskResult:
        """An agent has two more tools, and its turn is over with either; or it writes the verdict, if its model can."""

        def over(reply: Reply) -> None:
            verdict = Verdict.of(reply.text, reply.calls)
            said = verdict.feedback or ("Approved." if verdict.approved else "Not approved.")
            context.tell(said, final=True, approved=verdict.approved)

        try:
            reply = await worker.ask(input, context, last=self._last_tools(), schema=VERDICT, over=over)
        except NoAnswerError as error:
            return TaskResult("", error=str(error))
        return _result(Verdict.of(reply.text, reply.calls))

    def _last_tools(self) -> list[LastTool]:
        def check(arguments: Mapping[str, Any]) -> None:
            request = HandoffRequest.parse(arguments)
            if request.target != self.producer.id:
                raise ValueError(f"target: it can only be {self.producer.id!r}")

        return [LastTool(APPROVE_OUTPUT, checked_approval), LastTool(send_back(self.producer), check)]


def send_back(producer: Worker) -> ToolSpec:
    """The handoff tool as a reviewer has it: the work goes back to the one who made it, and to nobody else."""
    given = HANDOFF_TOOL.schema["properties"]
    properties = {
        "target": {"type": "string", "enum": [producer.id], "description": f"Who made the work: {producer.label}."},
        "reason": {**given["reason"], "description": "Why it cannot stay as it is, in one sentence."},
        "summary": {**given["summary"], "description": "What has to change, with all that is needed to change it."},
    }
    description = f"Send the work back to {producer.label} to be changed. Say nothing more after it."
    return replace(HANDOFF_TOOL, description=description, schema={**HANDOFF_TOOL.schema, "properties": properties})


def _result(verdict: Verdict) -> TaskResult:
    return TaskResult(verdict.feedback, {"approved": verdict.approved, "feedback": verdict.feedback})
