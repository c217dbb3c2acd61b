"""Telling: results of background work, put into the words of the agent that talks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from orchestration.fence import tell
from orchestration.models.model import Message, Role, TextDelta
from orchestration.room import Room


async def in_own_words(room: Room, results: Sequence[str], *, written: bool) -> AsyncGenerator[str, None]:
    """The results as the agent tells them that has the conversation, or as they are where none has it.

    They are fenced, so that nothing in them is taken for an instruction, and no tool is offered beside them. Raises
    what the model raises; whoever asks bounds its time (`delivery.wording`).
    """
    agent = room.talker
    if agent is None:
        yield "\n".join(results)
        return
    shown = [*room.memory.messages(agent), Message(Role.USER, tell(results, written=written))]
    async with aclosing(agent.model.stream(shown, prompt=agent.prompt)) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                yield delta.text
