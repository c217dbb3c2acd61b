"""What a room's agents remember of its conversation: each by its own memory, all of them what was said aloud."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from orchestration.agent import Agent
from orchestration.memory import MemoryProvider, SlidingWindowMemory
from orchestration.models.model import Message
from orchestration.state import ConversationState

log = logging.getLogger("sottovoce.conversation")


class RoomMemory:
    """Words are everybody's; a tool's call and answer are only for the agent that called it.

    One agent's memory that fails is its own loss: it is logged, and the others remember all the same.
    """

    def __init__(self) -> None:
        self._words = SlidingWindowMemory()
        """What who comes later is told of what was said before."""
        self._own: dict[str, MemoryProvider] = {}

    def add(self, *messages: Message, by: str | None = None) -> None:
        """Remember what was said; `by`: only that agent."""
        if by is None:
            self._words.add(*messages)
            for agent in self._own:
                self._add(agent, messages)
        elif by in self._own:
            self._add(by, messages)

    def tell(self, agent: Agent, *messages: Message) -> None:
        """Have only this agent remember what was said."""
        with _alone(agent.id):
            self.of(agent).add(*messages)

    def of(self, agent: Agent) -> MemoryProvider:
        """An agent's memory, made of its pattern with what was said so far."""
        if (memory := self._own.get(agent.id)) is None:
            memory = self._own[agent.id] = agent.memory.fresh() if agent.memory else SlidingWindowMemory()
            self._add(agent.id, self._words.messages())
        return memory

    def messages(self, agent: Agent, state: ConversationState | None = None) -> Sequence[Message]:
        """What the agent's model is shown, oldest first."""
        return self.of(agent).messages(agent.id, state)

    def _add(self, agent: str, messages: Sequence[Message]) -> None:
        with _alone(agent):
            self._own[agent].add(*messages)


@contextmanager
def _alone(agent: str) -> Iterator[None]:
    """What somebody's own memory raises is logged."""
    try:
        yield
    except Exception:
        log.exception("what was said is not remembered by agent %s", agent)
