"""What a room's agents remember of its conversation: each by its own memory, all of them what was said aloud."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestration.agent import Agent
from orchestration.memory import MemoryProvider, SlidingWindowMemory
from orchestration.models.model import Message
from orchestration.state import ConversationState


class RoomMemory:
    """Words are everybody's; a tool's call and answer are only for the agent that called it."""

    def __init__(self) -> None:
        self._words = SlidingWindowMemory()
        """What who comes later is told of what was said before."""
        self._own: dict[str, MemoryProvider] = {}

    def add(self, *messages: Message, by: str | None = None) -> None:
        """Remember what was said; `by`: only that agent."""
        if by is None:
            self._words.add(*messages)
            for memory in self._own.values():
                memory.add(*messages)
        elif by in self._own:
            self._own[by].add(*messages)

    def of(self, agent: Agent) -> MemoryProvider:
        """An agent's memory, made of its pattern with what was said so far."""
        if (memory := self._own.get(agent.id)) is None:
            memory = self._own[agent.id] = agent.memory.fresh() if agent.memory else SlidingWindowMemory()
            memory.add(*self._words.messages())
        return memory

    def messages(self, agent: Agent, state: ConversationState | None = None) -> Sequence[Message]:
        """What the agent's model is shown, oldest first."""
        return self.of(agent).messages(agent.id, state)

    def forget(self, agents: Iterable[str]) -> None:
        """These agents are gone."""
        for id in agents:
            self._own.pop(id, None)
