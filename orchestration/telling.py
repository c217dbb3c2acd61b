"""Telling: results of background work, put into the words of the agent that talks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from orchestration.fence import tell
from orchestration.models.model import Message, Role, TextDelta
from orchestration.models.watched import watched
from orchestration.room import Room


async def in_own_words(room: Room, results: Sequence[str], *, written: bool) -> AsyncGenerator[str, None]:
    """The results as the agent tells them that has the conversation, or as they are where none has it.

    They are fenced, so that nothing in them is taken for an instruction, and no tool is offered beside them. Raises
    what the model and `watched` raise; whoever asks bounds its time (`delivery.wording`).
    """
    agent = room.talker
    if agent is None:
        yield "\n".join(results)
        return
    shown = [*room.memory.messages(agent), Message(Role.USER, tell(results, written=written))]
    stream = agent.model.stream(shown, prompt=agent.prompt)
    async with aclosing(watched(stream, f"the model of agent {agent.id!r}", agent.id)) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                yield delta.text
