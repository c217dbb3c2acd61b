"""Loop: an agent makes a piece of work, others judge it, and it is made anew until all of them approve it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from delivery.ledger import LedgerError
from orchestration.agent import Agent
from orchestration.asked import ROUTED, Asked
from orchestration.content import made_speakable
from orchestration.engines.engine import TaskResult, TaskStatus
from orchestration.hooks import HookContext, HookEvent, HookTrigger
from orchestration.parts import listed
from orchestration.state import get_conversation_state, set_conversation_state
from orchestration.store.trouble import StaleRoomError
from orchestration.strategies.orchestration import Orchestration
from orchestration.strategies.task_tools import delegate_tool, task_tools
from orchestration.strategies.work import REFUSED, UNFINISHED, in_background, inline
from orchestration.tasks import REMEMBERED, delivery_of
from orchestration.workers.review_loop import ReviewLoop
from orchestration.workers.worker import Context, Worker, as_worker

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.loop")

DELEGATION_MESSAGE = "I'm on it. It will be written and reviewed, and I will tell you when it is there."
NOT_APPROVED = "This is the last draft; the reviewers did not approve it."
"""What stands before a draft that was not approved, for the caller; `approved` says so to programs."""
COULD_NOT = "I am sorry, {label} could not finish what you asked for."
CANNOT = "I am sorry, that cannot be begun: {why}"
PATIENCE = 5.0
"""Seconds that writing down how a loop ended may take; the result does not wait for it any longer."""
TRIES = 3
"""Times it is written when other processes write to the same room."""


class Loop(Orchestration):
    """`agent` makes what the caller asks for, the `reviewers` (agents, or coroutine functions made workers) judge it.

    It goes on until all of them approve, `max_iterations` times at most; `reviewer` is short for one reviewer.
    `strategy` "parallel" has all of them judge at once, "sequential" (also None) one after the other, each seeing what
    those before said. A draft that was never approved is a result all the same, and NOT_APPROVED stands before it.

    Where the answer is read (and with `async_delivery=False` everywhere), every message of the caller's is such a task,
    and the reply is what came of it. Where it is heard (and with `async_delivery=True` everywhere) the agent talks with
    the caller, or `host` does instead of it, and has the tool `delegate_loop`: the loop runs in the background, and the
    result is told when it is quiet. `delegation_message` is what the model is told to say when work begins.

    In both cases `approved` and `iteration` (rounds that were judged) are in the metadata of what is told, for hooks,
    and in the context of the room's ConversationState, for the loop that ended last. `share_channels` are ids of the
    room's channels that see what goes on in the loop.
    """

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
        **unknown: Any,
    ) -> None:
        """Raises ValueError naming the field: for no reviewers or both spellings of them, two of one id,
        `max_iterations` outside 1 to 20, an unknown strategy; TypeError for what is no agent and no worker, and for
        unknown arguments."""
        for name in unknown:
            hint = "; it is called 'delivery' here, and is the Runtime's" if name == "delivery_strategy" else ""
            raise TypeError(f"Loop got an unknown argument {name!r}{hint}")
        if not isinstance(agent, Agent):
            raise TypeError(f"agent: {agent!r:.60} is no Agent")
        if host is not None and not isinstance(host, Agent):
            raise TypeError(f"host: {host!r:.60} is no Agent")
        if async_delivery not in (True, False, None):
            raise ValueError(f"async_delivery: {async_delivery!r:.60} is not known; use True, False or None")
        producer, judges = as_worker(agent), _judges(reviewers, reviewer)
        if host is not None and host.id in (producer.id, *(judge.id for judge in judges)):
            raise ValueError(f"host: {host.id!r} makes or reviews the work; leave `host` out, or choose another id")
        self.agent = agent
        self.host = host
        self.async_delivery = async_delivery
        self.delegation_message = delegation_message
        self.share_channels = tuple(listed("share_channels", share_channels))
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
        room = runtime.room(room_id)
        room.talker = self.host or self.agent
        tool = delegate_tool(runtime, room_id, self.work, "delegate_loop", self.delegation_message)
        room.equip(tool, *task_tools(runtime, room_id))
        records = LoopRecords(runtime, room_id, self.work.id)
        room.responder = Reviewed(self, records)
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


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A room's responder: the answer is what comes of the loop, or the agent's that starts one in the background."""

    loop: Loop
    records: LoopRecords

    async def respond(self, asked: Asked) -> AsyncGenerator[str, None]:
        """The answer, piece by piece, or at once when the loop has ended."""
        if in_background(asked, self.loop.async_delivery):
            async with aclosing(ROUTED.respond(asked)) as pieces:
                async for piece in pieces:
                    yield piece
            asked.metadata.update(await self.records.told_in(asked))
        else:
            work = self.loop.work
            result = await inline(asked, work, asked.event.text, share_channels=self.loop.share_channels)
            if not result.data.keys() & {UNFINISHED, REFUSED}:
                asked.metadata.update(outcome(result.data))
                await self.records.write(outcome(result.data))
            yield _words(work, result)


@dataclass(slots=True)
class LoopRecords:
    """Writes how a room's loops end into the context of its conversation. The last one that ended stays there."""

    runtime: Runtime
    room_id: str
    worker: str
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _seen: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Deliveries of the loops that ended here, the last ones."""

    async def completed(self, event: HookEvent, context: HookContext) -> None:
        """A hook for the end of tasks."""
        if event.metadata["worker"] != self.worker or event.metadata["status"] == TaskStatus.CANCELLED:
            return
        self._seen.append(delivery_of(event.id))
        if (result := await self.runtime.tasks.result(event.id, within=0)) is not None:
            await self.write(outcome(result.data))

    async def delivered(self, event: HookEvent, context: HookContext) -> None:
        """A hook for the end of deliveries: a loop may have ended before this room was there, or in another process."""
        if self._ours(event.metadata) and event.id not in self._seen:
            await self.write(outcome(event.metadata))

    async def told_in(self, asked: Asked) -> dict[str, Any]:
        """How the loop ended that an agent tells of in its answer: it was over at once, or is told again. {}: none."""
        found: dict[str, Any] = {}
        for delivery in asked.carried:
            try:
                metadata = (await self.runtime.receipt(delivery).entry()).delivery.metadata
            except LedgerError as error:
                log.warning("room %s: what is told of %s is not known: %s", self.room_id, delivery, error)
            else:
                found |= outcome(metadata) if self._ours(metadata) else {}
        return found

    async def write(self, outcome: Mapping[str, Any]) -> None:
        """Keep it. Whatever is in the way is logged: the result is told all the same."""
        try:
            async with asyncio.timeout(PATIENCE), self._writing:
                await self._write(outcome)
        except Exception as error:
            log.warning("room %s: how its loop ended is not kept: %r", self.room_id, error)

    async def _write(self, outcome: Mapping[str, Any]) -> None:
        for left in reversed(range(TRIES)):
            room = self.runtime.room(self.room_id)
            state = get_conversation_state(room)
            if outcome.items() <= state.context.items():
                return
            try:
                await self.runtime.store.update_room(set_conversation_state(room, state.remembering(outcome)))
            except StaleRoomError:  # the room has now what another process made of it
                if not left:
                    raise
            else:
                return

    def _ours(self, metadata: Mapping[str, Any]) -> bool:
        """Whether this is a delivery of what came of the loop."""
        return metadata.get("worker") == self.worker and "approved" in metadata


def outcome(data: Mapping[str, Any]) -> dict[str, Any]:
    """How a loop ended: rounds that were judged, and whether the last draft was approved."""
    return {"iteration": data.get("iteration", 0), "approved": data.get("approved", False)}


def _words(work: Worker, result: TaskResult) -> str:
    """What a reader is told."""
    if result.error is None:
        return made_speakable(result.text)
    return CANNOT.format(why=result.error) if REFUSED in result.data else COULD_NOT.format(label=work.label)
