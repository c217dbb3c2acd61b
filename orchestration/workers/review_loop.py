"""ReviewLoop: one makes a piece of work, others judge it, and it is made anew until all of them approve."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence as Many
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from orchestration.content import says_something
from orchestration.engines.engine import TaskResult
from orchestration.workers.fan_out import different
from orchestration.workers.handed import to_revise
from orchestration.workers.reviewer import Review, Reviewer
from orchestration.workers.rounds import MAX_ITERATIONS
from orchestration.workers.worker import Context, Worker

log = logging.getLogger("sottovoce.workers")


@dataclass(frozen=True, slots=True)
class ReviewLoop:
    """`producer` makes it, `reviewers` judge it, at most `max_iterations` times.

    "parallel" reviewers judge at once. "sequential" ones (also None) are a chain: each sees what those before it said.
    All of them judge every draft, also after a refusal: the feedback of all goes back together, so that one more round
    is enough for it, and a reviewer at the end of the chain is heard before the rounds are used up.

    Agents are shown the whole case: what was asked, the last draft, what was said of it. A function that reviews gets
    the draft alone; one that produces gets the input, and from the second round on all of that as one text.

    A reviewer that fails does not approve, and the loop goes on. A producer that fails ends it, with its last draft if
    there is one. A draft that was never approved is a result all the same: see `approved` in the result's data.

    Raises ValueError for no reviewer, two of one id, the producer among them, `max_iterations` outside 1 to 20, and an
    unknown strategy.
    """

    id: str
    producer: Worker
    reviewers: Many[Worker]
    _: KW_ONLY
    max_iterations: int = 3
    strategy: Literal["sequential", "parallel"] | None = None
    label: str = "Team"

    def __post_init__(self) -> None:
        different(self.reviewers, "reviewers")
        if self.producer.id in (r.id for r in self.reviewers):
            raise ValueError(f"reviewers: {self.producer.id!r} is the producer; nobody approves their own work")
        most = self.max_iterations
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MAX_ITERATIONS:
            raise ValueError(f"max_iterations: {most!r:.60} is no whole number from 1 to {MAX_ITERATIONS}")
        if self.strategy not in ("sequential", "parallel", None):
            raise ValueError(f"strategy: {self.strategy!r:.60} is not known; use 'sequential', 'parallel' or None")

    async def run(self, input: str, context: Context) -> TaskResult:
        """The last draft. `data` has `approved`, `iteration` (rounds that were judged), and the last `reviews`."""
        draft, reviews, judged = "", list[Review](), 0
        for round_ in range(1, self.max_iterations + 1):
            context.progress(f"writing, round {round_}")
            task = to_revise(input, draft, told(reviews)) if judged else input
            made = await context.run_part(f"{round_}/{self.producer.id}", self.producer, task)
            failed = made.error if says_something(made.text) else made.error or f"{self.producer.label} made nothing"
            if failed is not None:
                if not judged:
                    return TaskResult("", _data(reviews, judged), error=failed)
                log.warning("task %s: the draft of round %d is the last: %s", context.task.id, judged, failed)
                break
            draft, judged = made.text, round_
            context.progress(f"in review, round {round_}")
            reviews = await self._reviewed(input, draft, round_, context)
            if all(review.verdict.approved for review in reviews):
                break
        return TaskResult(draft, _data(reviews, judged))

    async def _reviewed(self, input: str, draft: str, round_: int, context: Context) -> list[Review]:
        """What all reviewers say of a draft, in the order in which they are given."""
        reviewers = [Reviewer(worker, self.producer) for worker in self.reviewers]

        async def review(reviewer: Reviewer, earlier: Many[Review]) -> Review:
            return await reviewer.review(input, draft, told(earlier), f"{round_}/{reviewer.id}", context)

        if self.strategy == "parallel":
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(review(reviewer, ())) for reviewer in reviewers]
            return [task.result() for task in running]
        reviews: list[Review] = []
        for reviewer in reviewers:
            reviews.append(await review(reviewer, reviews))
        return reviews


def told(reviews: Many[Review]) -> str:
    """What all of them say, one after the other."""
    return "\n\n".join(review.told() for review in reviews)


def _data(reviews: Many[Review], judged: int) -> dict[str, object]:
    approved = bool(reviews) and all(review.verdict.approved for review in reviews)
    return {"approved": approved, "iteration": judged, "reviews": [review.written() for review in reviews]}
