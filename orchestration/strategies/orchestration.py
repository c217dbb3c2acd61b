"""The seam for orchestrations: which agents there are, which workers, and how they are wired into a room."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestration.agent import Agent
from orchestration.workers.worker import Worker

if TYPE_CHECKING:
    from orchestration.runtime import Runtime


class Orchestration(ABC):
    """Subclass to build your own. One object may serve many rooms, so it keeps no state of a room.

    Every room that has it calls `install` once, when it is made. There, `room = runtime.room(room_id)` can be given:

    - `room.talker = agent`: who answers first (else the first of `agents`); `room.attach(agent)`: more agents
    - `room.equip(tool, agent=id)`: tools of one of its agents, or (without `agent`) of all of them
    - `room.responder`: what makes the answers, in a room that is heard and one that is read alike. Its `respond(asked)`
      yields the words. `asked.reply(agent)` has an agent make some, `asked.spoken` tells whether they are heard, and
      what is put into `asked.metadata` is seen by AFTER_BROADCAST hooks. Without one, the agent that has the
      conversation answers
    - `room.handoff`: lets agents hand the conversation over in mid-answer
    - `runtime.hook(trigger, room_id=room_id)(function)`: a hook of this room, which goes with it
    - `await runtime.store.change_state(room, lambda state: state.transition(...))`: how far the conversation is, kept
      for good; one change after the other
    - work underneath: `await runtime.delegate(room_id, worker_id, text)` begins it, and its result is told when it is
      quiet; `orchestration.strategies.work.inline` has an answer wait for it

    See examples/custom_strategy.py.
    """

    @abstractmethod
    def agents(self) -> Sequence[Agent]:
        """The agents that talk with callers; they are in a room before `install` is called for it."""

    def workers(self) -> Sequence[Worker]:
        """What may run in the background; known to the runtime before tasks of an earlier process are resumed."""
        return ()

    @abstractmethod
    async def install(self, runtime: Runtime, room_id: str) -> None:
        """Wire it into the room. What this raises is what `create_room` raises, and there is no room then."""


def known_orchestration(it: object) -> Orchestration | None:
    """Raises TypeError when it is no orchestration."""
    if not isinstance(it, Orchestration | None):
        raise TypeError(f"orchestration: {it!r} is no Orchestration, like Supervisor(...), nor None")
    return it
