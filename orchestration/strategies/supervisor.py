"""Supervisor: one agent talks with the caller, workers do the slow things underneath, results come when it is quiet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from orchestration.agent import Agent
from orchestration.strategies.orchestration import Orchestration
from orchestration.strategies.task_tools import delegate_tool, task_tools
from orchestration.workers.fan_out import FanOut, different
from orchestration.workers.fan_out import Sequence as InSequence
from orchestration.workers.worker import Worker, as_worker

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

DELEGATION_MESSAGE = "I'm on it. My colleagues are looking into that; I will tell you what they find."


class Supervisor(Orchestration):
    """`supervisor` talks; `workers` (agents, or coroutine functions made workers) run in the background.

    `strategy` "parallel" or "sequential" gives it one tool, `delegate_workers`; None gives it one tool a worker,
    `delegate_to_<id>`. In every case it can tell how tasks are getting on, cancel them, and recall what was found.
    `delegation_message` is what the model is told to say when work begins.
    """

    def __init__(
        self,
        supervisor: Agent,
        workers: Sequence[Agent | Worker],
        *,
        strategy: Literal["parallel", "sequential"] | None = None,
        delegation_message: str = DELEGATION_MESSAGE,
    ) -> None:
        """Raises ValueError for an empty list of workers, two of one id, or an unknown strategy.

        Raises TypeError for what is no agent and no worker.
        """
        if not isinstance(supervisor, Agent):
            raise TypeError(f"supervisor: {supervisor!r} is no Agent")
        self.supervisor = supervisor
        self.delegation_message = delegation_message
        team = [as_worker(w) for w in workers]
        different(team)
        if supervisor.id in (w.id for w in team):
            raise ValueError(f"workers: the id {supervisor.id!r} is the supervisor's; ids must differ")
        self._workers: list[Worker]
        match strategy:
            case "parallel":
                self._workers = [FanOut(f"{supervisor.id}.workers", team, _names(team))]
            case "sequential":
                self._workers = [InSequence(f"{supervisor.id}.workers", team, _names(team))]
            case None:
                self._workers = team
            case _:
                raise ValueError(f"strategy: {strategy!r} is not known; use 'parallel', 'sequential' or None")
        self._tools = ["delegate_workers"] if strategy else [_tool_name(w) for w in team]
        if len(set(self._tools)) < len(self._tools):
            raise ValueError(f"workers: two of the tools {', '.join(self._tools)} have one name; choose other ids")

    def agents(self) -> Sequence[Agent]:
        """Only the supervisor talks."""
        return [self.supervisor]

    def workers(self) -> Sequence[Worker]:
        """What its tools start."""
        return self._workers

    async def install(self, runtime: Runtime, room_id: str) -> None:
        """The supervisor talks, and gets its delegation and task tools."""
        room = runtime.room(room_id)
        room.talker = self.supervisor
        delegating = (
            delegate_tool(runtime, room_id, worker, name, self.delegation_message)
            for worker, name in zip(self._workers, self._tools, strict=True)
        )
        room.equip(*delegating, *task_tools(runtime, room_id))


def _tool_name(worker: Worker) -> str:
    """What models take for a tool's name: no dots, at most 64 characters."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", f"delegate_to_{worker.id}")[:64]


def _names(team: Sequence[Worker]) -> str:
    return " and ".join(w.label for w in team)
