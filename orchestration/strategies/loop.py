"""Loop: an agent makes a piece of work, others judge it, and it is made anew until all of them approve it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from orchestration.agent import Agent
from orchestration.content import readable
from orchestration.engines.engine import TaskResult
from orchestration.hooks import HookTrigger
from orchestration.identity import valid_names
from orchestration.renamed import renamed
from orchestration.strategies.loop_records import LoopRecords
from orchestration.strategies.orchestration import Orchestration
from orchestration.strategies.reviewed import Reviewed
from orchestration.strategies.shared import Shared
from orchestration.strategies.task_tools import delegate_tool, task_tools
from orchestration.workers.review_loop import ReviewLoop
from orchestration.workers.worker import Context, Worker, as_worker

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

TOOL = "delegate_loop"
DELEGATION_MESSAGE = "I'm on it. It will be written and reviewed, and I will tell you when it is there."
NOT_APPROVED = "This is the last draft; the reviewers did not approve it."
"""What stands before a draft that was not approved, for the caller; `approved` says so to programs."""


class Loop(Orchestration):
    """`agent` makes what the caller asks for, the `reviewers` (agents, or coroutine functions made workers) judge it.

    It goes on until all of them approve, `max_iterations` times at most; `reviewer` is short for one reviewer.
    `strategy` "parallel" has all of them judge at once, "sequential" (also None) one after the other, each seeing what
    those before said. A draft that was never approved is a result all the same, and NOT_APPROVED stands before it.

    Where the answer is read (and with `async_delivery=False` everywhere), every message of the caller's is such a task,
    and the reply is what came of it. Where it is heard (and with `async_delivery=True` everywhere) the agent talks with
    the caller, or `host` does instead of it, and has the tool `delegate_loop`: the loop runs in the background, and the
    result is told when it is quiet. `delegation_message` is what the caller hears when work begins and the model says
    nothing after it; the model is told it, too ("": nothing is said then).

    In both cases `approved` and `iteration` (rounds that were judged) are in the metadata of what is told, for hooks,
    and in the context of the room's ConversationState, for the loop that ended last. `share_channels` are ids of the
    room's channels that see what goes on in the loop.
    """

    @renamed("Loop", delivery_strategy="it is called 'delivery' here, and is the Runtime's")
    def __init__(
        self,
        agent: Agent,
        reviewers: Sequence[Agent | Worker] | None = None,
        *,
        reviewer: Agent | Worker | None = None,
        max_iterations: int = 3,
        strategy: Literal["sequential", "parallel"] | None = None,
        async_delivery: bool | None = None,
        host: Agent | None = None,
        delegation_message: str = DELEGATION_MESSAGE,
        share_channels: Sequence[str] = (),
    ) -> None:
        """Raises ValueError naming the field: for no reviewers or both spellings of them, two of one id,
        `max_iterations` outside 1 to 20, an unknown strategy; TypeError for what is no agent and no worker, and for
        unknown arguments."""
        if not isinstance(agent, Agent):
            raise TypeError(f"agent: {agent!r:.60} is no Agent")
        if host is not None and not isinstance(host, Agent):
            raise TypeError(f"host: {host!r:.60} is no Agent")
        if not isinstance(async_delivery, bool | None):
            raise TypeError(f"async_delivery: {async_delivery!r:.60} is not known; use True, False or None")
        producer, judges = as_worker(agent), _judges(reviewers, reviewer)
        if host is not None and host.id in (producer.id, *(judge.id for judge in judges)):
            raise ValueError(f"host: {host.id!r} makes or reviews the work; leave `host` out, or choose another id")
        self.agent = agent
        self.host = host
        self.async_delivery = async_delivery
        self.delegation_message = delegation_message and readable(delegation_message, "delegation_message")
        self.share_channels = valid_names(share_channels, "share_channels")
        names = [producer.label, *(judge.label for judge in judges)]
        self.work = ReviewedWork(
            ReviewLoop(
                f"{agent.id}.loop",
                producer,
                judges,
                max_iterations=max_iterations,
                strategy=strategy,
                label=f"{', '.join(names[:-1])} and {names[-1]}",
            )
        )

    def agents(self) -> Sequence[Agent]:
        """Who talks: the host, or the agent itself."""
        return [self.host or self.agent]

    def workers(self) -> Sequence[Worker]:
        """The loop."""
        return [self.work]

    async def install(self, runtime: Runtime, room_id: str) -> None:
        """The agent that talks gets its tools; how loops end is written down."""
        room, talker = runtime.room(room_id), self.host or self.agent
        room.talker = talker
        shared = Shared(room, self.share_channels)
        tool = delegate_tool(runtime, room_id, self.work, TOOL, self.delegation_message, share_channels=shared)
        room.equip(tool, *task_tools(runtime, room_id), agent=talker.id)
        records = LoopRecords(runtime, room_id, self.work.id)
        room.responder = Reviewed(
            talker,
            frozenset([TOOL]),
            shared,
            others=room.responder,
            work=self.work,
            records=records,
            asynchronous=self.async_delivery,
        )
        runtime.hook(HookTrigger.ON_TASK_COMPLETED, room_id=room_id)(records.completed)
        runtime.hook(HookTrigger.AFTER_DELIVER, room_id=room_id)(records.delivered)


def _judges(reviewers: Sequence[Agent | Worker] | None, reviewer: Agent | Worker | None) -> list[Worker]:
    """Those who judge. Raises ValueError unless they are given in one of the two ways, TypeError for what is none."""
    if (reviewers is None) == (reviewer is None):
        both = "both are given" if reviewer is not None else "neither is given"
        raise ValueError(f"reviewers, reviewer: {both}; give a list of reviewers, or one reviewer")
    if reviewer is not None:
        reviewers = [reviewer]
    if not isinstance(reviewers, list | tuple):
        raise TypeError(f"reviewers: {reviewers!r:.60} is no list; give a list, or `reviewer`")
    return [_judge(each) for each in reviewers]


def _judge(it: Agent | Worker) -> Worker:
    """Raises TypeError, naming the field."""
    try:
        return as_worker(it)
    except TypeError as error:
        raise TypeError(f"reviewers{str(error).removeprefix('workers')}") from None


@dataclass(frozen=True, slots=True)
class ReviewedWork:
    """A review loop as a worker whose text is for the caller: it says so if the draft was not approved."""

    loop: ReviewLoop

    @property
    def id(self) -> str:
        """The loop's."""
        return self.loop.id

    @property
    def label(self) -> str:
        """Who works in it."""
        return self.loop.label

    async def run(self, input: str, context: Context) -> TaskResult:
        """Run the loop."""
        result = await self.loop.run(input, context)
        if result.error is not None or result.data["approved"]:
            return result
        return replace(result, text=f"{NOT_APPROVED}\n\n{result.text}")
