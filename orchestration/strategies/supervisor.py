"""Supervisor: one agent talks with the caller, workers do the slow things underneath, results come when it is quiet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from orchestration.agent import Agent
from orchestration.content import readable
from orchestration.identity import valid_names
from orchestration.renamed import renamed
from orchestration.strategies.orchestration import Orchestration
from orchestration.strategies.shared import Shared
from orchestration.strategies.supervised import REFINE, Plan, Supervised
from orchestration.strategies.task_tools import delegate_tool, task_tools
from orchestration.workers.fan_out import FanOut, different
from orchestration.workers.fan_out import Sequence as InSequence
from orchestration.workers.worker import Worker, as_worker

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

DELEGATION_MESSAGE = "I'm on it. My colleagues are looking into that; I will tell you what they find."


class Supervisor(Orchestration):
    """`supervisor` talks; `workers` (agents, or coroutine functions made workers) work. No worker talks with a caller.

    With `auto_delegate` the house decides the flow. Where answers are read, every message is worked on while its answer
    waits: the supervisor says what is to be worked on (pass 1, which nobody hears; `refine_task=False` leaves it out,
    `refine_instruction` replaces what it is asked), the workers do it, the supervisor presents what they found (pass
    2). Where answers are heard, the supervisor talks, and has the tool `delegate_workers`, which begins work in the
    background: nobody wants a run for each utterance.

    Without it the supervisor's model decides, by `delegate_workers`, or (without a `strategy`) by a tool for each
    worker, `delegate_to_<id>`. `strategy` "sequential" hands each worker what the one before made; "parallel" (also
    None with `auto_delegate`) gives all of them the same.

    `async_delivery` says whether work is done in the background (True), its result delivered when it is quiet, or while
    the answer waits (False); None: in the background where answers are heard, otherwise not. `wait_for_result` says the
    same the other way round; with `auto_delegate` the first counts more, without it the second.

    `delegation_message` is what the caller hears when work begins in the background and the model says nothing after
    it; the model is told it, too ("": nothing is said then). `share_channels` are ids of the room's channels that see
    what workers say and do. In every case the supervisor can tell how work is getting on, cancel it, and recall what
    was found.
    """

    @renamed(
        "Supervisor",
        delivery_strategy="it is called 'delivery' here, and is the Runtime's",
        agents="the one that talks is called 'supervisor' here, the others 'workers'",
        agent="the one that talks is called 'supervisor' here",
        supervisor_id="give the Agent itself, as 'supervisor'",
        async_mode="async_delivery",
    )
    def __init__(
        self,
        supervisor: Agent,
        workers: Sequence[Agent | Worker],
        *,
        strategy: Literal["parallel", "sequential"] | None = None,
        auto_delegate: bool = False,
        async_delivery: bool | None = None,
        refine_task: bool = True,
        refine_instruction: str | None = None,
        delegation_message: str = DELEGATION_MESSAGE,
        wait_for_result: bool | None = None,
        share_channels: Sequence[str] | None = None,
    ) -> None:
        """Raises ValueError for an empty list of workers, two of one id, an unknown strategy, and texts that are none;
        TypeError for what is no agent, no worker, no list or no choice, and for unknown arguments."""
        if not isinstance(supervisor, Agent):
            raise TypeError(f"supervisor: {supervisor!r} is no Agent")
        self.supervisor = supervisor
        self.delegation_message = "" if delegation_message == "" else readable(delegation_message, "delegation_message")
        self.share_channels = valid_names(() if share_channels is None else share_channels, "share_channels")
        for field, value in (("auto_delegate", auto_delegate), ("refine_task", refine_task)):
            _choice(field, value, (True, False))
        for field, choice in (("async_delivery", async_delivery), ("wait_for_result", wait_for_result)):
            _choice(field, choice, (True, False, None))
        background = None if wait_for_result is None else not wait_for_result
        first, second = (async_delivery, background) if auto_delegate else (background, async_delivery)
        self.in_background = second if first is None else first
        team = _team(supervisor, workers)
        how = "parallel" if auto_delegate and strategy is None else strategy
        one = _together(f"{supervisor.id}.workers", team, how)
        self._workers = [one] if one else team
        self._tools = ["delegate_workers"] if one else [_tool_name(w) for w in team]
        if len(set(self._tools)) < len(self._tools):
            raise ValueError(f"workers: two of the tools {', '.join(self._tools)} have one name; choose other ids")
        instruction = REFINE if refine_instruction is None else readable(refine_instruction, "refine_instruction")
        self._plan = Plan(one, self.in_background, refine_task, instruction) if auto_delegate and one else None

    def agents(self) -> Sequence[Agent]:
        """Only the supervisor talks."""
        return [self.supervisor]

    def workers(self) -> Sequence[Worker]:
        """Those that are set to work."""
        return self._workers

    async def install(self, runtime: Runtime, room_id: str) -> None:
        """The supervisor gets its delegation and task tools, and a hand in its answers."""
        room, agent = runtime.room(room_id), self.supervisor
        room.attach(agent)
        shared = Shared(room, self.share_channels)
        inline = None if self.in_background is None else not self.in_background
        delegating = [
            delegate_tool(runtime, room_id, worker, name, self.delegation_message, inline=inline, share_channels=shared)
            for worker, name in zip(self._workers, self._tools, strict=True)
        ]
        room.equip(*delegating, *task_tools(runtime, room_id), agent=agent.id)
        room.responder = Supervised(agent, frozenset(self._tools), shared, plan=self._plan, others=room.responder)


def _team(supervisor: Agent, workers: Sequence[Agent | Worker]) -> list[Worker]:
    """The workers. Raises ValueError, TypeError."""
    if not isinstance(workers, list | tuple):
        raise TypeError(f"workers: {workers!r:.60} is no list; give a list of agents and workers")
    team = [as_worker(w) for w in workers]
    different(team)
    if supervisor.id in (w.id for w in team):
        raise ValueError(f"workers: the id {supervisor.id!r} is the supervisor's; ids must differ")
    return team


def _together(id: str, team: Sequence[Worker], strategy: object) -> Worker | None:
    """All of them as one worker; None: each is one of its own. Raises ValueError."""
    names = " and ".join(w.label for w in team)
    match strategy:
        case "parallel":
            return FanOut(id, team, names)
        case "sequential":
            return InSequence(id, team, names)
        case None:
            return None
        case _:
            raise ValueError(f"strategy: {strategy!r} is not known; use 'parallel', 'sequential' or None")


def _choice(field: str, value: object, choices: tuple[bool | None, ...]) -> None:
    """Raises TypeError naming the field."""
    if not any(value is choice for choice in choices):
        raise TypeError(f"{field}: {value!r:.60} is not known; use {', '.join(map(str, choices))}")


def _tool_name(worker: Worker) -> str:
    """What models take for a tool's name: no dots, at most 64 characters."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", f"delegate_to_{worker.id}")[:64]
