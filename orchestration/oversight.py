"""Oversight: an agent that looks on sees what callers say, beside the talk, and is heard only where it intervenes.

One look a room at a time, never in the way of an answer: what comes meanwhile is seen together in the next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from delivery.ledger import LedgerError, SpeakAs
from delivery.strategies import WaitForIdle
from orchestration.agent import Agent
from orchestration.asked import Asked, answering
from orchestration.event import RoomEvent
from orchestration.handoff_chain import HandoffChain
from orchestration.models.model import Message, Role, ToolCall, ToolSpec
from orchestration.models.watched import ModelSilentError
from orchestration.room import Room
from orchestration.room_trouble import RoomError
from orchestration.routing_hook import ROUTED_TO
from orchestration.status.entry import StatusLevel
from orchestration.tools import Tool
from voice.cancellation import cancelled_here

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.oversight")

PATIENCE = 120.0
"""Seconds that one look may take, with all the tools that are called in it; what comes meanwhile waits for it."""
TTL = 120.0
"""Seconds after which what it wanted to put right is not said any more, if it could not be until then."""
RULES = (
    "You look on at this conversation and do not take part in it: {who} answers the caller, and nobody hears what you "
    "write. If something has to be put right at once, call `intervene`. Otherwise write nothing, or just 'ok'."
)
INTERVENE = ToolSpec(
    name="intervene",
    description="Have something said to the caller, word for word, as soon as nobody speaks. Only where it matters.",
    schema={
        "type": "object",
        "properties": {"message": {"type": "string", "description": "One or two spoken sentences."}},
        "required": ["message"],
        "additionalProperties": False,
    },
)
SAID = "It will be said as soon as nobody speaks."


class Oversight:
    """Of one room's live talk, in whose `group` it lives. `spoken`: the talk is heard, not read."""

    def __init__(self, runtime: Runtime, room: Room, group: asyncio.TaskGroup, *, spoken: bool) -> None:
        self._runtime = runtime
        self._room = room
        self._group = group
        self._spoken = spoken
        self._unseen: dict[str, RoomEvent] = {}
        """The newest event that an agent is to look at; those before it are in its memory."""
        self._looking = False

    def see(self, agent_id: str, event: RoomEvent) -> None:
        """Have the agent look at an event soon."""
        self._unseen[agent_id] = event
        if not self._looking:
            self._looking = True
            self._group.create_task(self._look_at_all(), name=f"oversight of room {self._room.id}")

    async def _look_at_all(self) -> None:
        try:
            while self._unseen:
                agent_id = next(iter(self._unseen))
                event = self._unseen.pop(agent_id)
                if agent := self._room.agents.get(agent_id):
                    await self._look(agent, event)
        finally:
            self._looking = False

    async def _look(self, agent: Agent, event: RoomEvent) -> None:
        """One run of its model. What it writes is dropped; what it called is remembered."""
        asked = Asked(
            runtime=self._runtime,
            room=self._room,
            event=event,
            group=self._group,
            agent=agent,
            spoken=self._spoken,
            chain=HandoffChain(asyncio.get_running_loop().time()),
            late=self._late,
        )
        answering(asked)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._run(asked, agent)
        except ModelSilentError as error:
            if not any(stage.said for stage in asked.stages):  # not that it had nothing to say: it did not come to that
                log.warning("room %s: %s", self._room.id, error)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_here():
                raise
            log.error("room %s: %s could not look at %s", self._room.id, agent.id, event.id, exc_info=error)
        finally:
            asked.over = True
            for stage in asked.stages:
                self._room.memory.add(*stage.used, by=agent.id)

    async def _run(self, asked: Asked, agent: Agent) -> None:
        handoff = self._room.handoff.tool_for(asked, agent) if self._room.handoff else None
        tools = [*self._room.tools_of(agent.id), self._intervene(asked, agent), *([handoff] if handoff else [])]
        rules = RULES.format(who=asked.event.metadata.get(ROUTED_TO) or "no agent")
        prompt = f"{agent.prompt}\n\n{rules}".strip()
        shown = _up_to_caller(self._room.memory.messages(agent, asked.state), asked.event)
        async with aclosing(asked.reply(agent, messages=shown, tools=tools, prompt=prompt)) as pieces:
            async for _ in pieces:
                pass

    def _intervene(self, asked: Asked, agent: Agent) -> Tool:
        async def run(arguments: Mapping[str, Any]) -> str:
            message = arguments.get("message")
            if not isinstance(message, str):
                return "error: message: it is missing; give the words that are to be said"
            facts = {"agent": agent.id, "intervention": True}
            try:
                await self._runtime.deliver(
                    self._room.id,
                    message,
                    strategy=WaitForIdle(),
                    to=asked.caller,
                    ttl=TTL,
                    speak_as=SpeakAs.VERBATIM,
                    metadata=facts,
                )
            except (ValueError, RoomError, LedgerError) as error:
                log.warning("room %s: %s cannot intervene: %s", self._room.id, agent.id, error)
                return f"error: {error}" if isinstance(error, ValueError) else "error: it cannot be said now"
            self._runtime.status_bus.post(
                agent_id=agent.id,
                action=INTERVENE.name,
                status=StatusLevel.INFO,
                detail=message[:200],
                room=self._room.id,
            )
            return SAID

        return Tool(INTERVENE, run)

    def _late(self, agent: str, call: ToolCall, result: Message) -> None:
        """The look was broken off while a tool ran: the agent is to know what it has done all the same."""
        self._room.memory.add(Message(Role.ASSISTANT, "", (call,)), result, by=agent)


def _up_to_caller(messages: Sequence[Message], event: RoomEvent) -> list[Message]:
    """What was said up to the caller's last words, which come last: an answer to them may be under way already."""
    last = max((place for place, message in enumerate(messages) if message.role is Role.USER), default=None)
    if last is None:
        return [*messages, Message(Role.USER, event.text)]
    own = [message for message in messages[last + 1 :] if message.role is Role.TOOL or message.tool_calls]
    return [*messages[:last], *own, messages[last]]
