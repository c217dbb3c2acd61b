"""Taking a turn into a room: who sees it and remembers it, and who answers."""

from __future__ import annotations

from orchestration.agent import Agent
from orchestration.asked import UNCLEAR
from orchestration.event import RoomEvent
from orchestration.host import Host
from orchestration.inbound import ChannelCategory
from orchestration.models.model import Message, Role
from orchestration.room import Room
from orchestration.room_records import SEEN_BY
from orchestration.routing_hook import ALWAYS_PROCESS, HELD_BY, ROUTED_TO
from orchestration.state import get_conversation_state
from voice.events import Turn

SURE = 0.5
"""Below this confidence the model is told that the words are a guess."""


def taken(host: Host, turn: Turn, event: RoomEvent) -> RoomEvent:
    """A turn is in the room: who may see it does. Returns it, with a mark when not all agents do."""
    room = host.room
    text = event.text if turn.confidence >= SURE else UNCLEAR.format(turn=event.text)
    seen = seen_by(room, event)
    if len(seen) < len(room.agents):
        event = event.stamped({SEEN_BY: [agent.id for agent in seen]})
        for agent in seen:
            room.memory.tell(agent, Message(Role.USER, text))
    else:
        room.memory.add(Message(Role.USER, text))
    host.tell(event)
    for agent in seen:
        if agent.id in event.metadata.get(ALWAYS_PROCESS, ()):
            host.oversee(agent.id, event)
    return event


def seen_by(room: Room, event: RoomEvent) -> list[Agent]:
    """The agents that see it."""
    agents = list(room.agents.values())
    source = room.channels.get(event.channel_id)
    if source is None or source.visibility == "all":
        return agents
    return [agent for agent in agents if source.shown_to(agent.id, ChannelCategory.INTELLIGENCE)]


def routed(room: Room, event: RoomEvent) -> Agent | None:
    """Who answers: the one to whom it was routed, unless the conversation was handed over while it waited."""
    marks = event.metadata
    if ROUTED_TO in marks:
        holder = get_conversation_state(room).active_agent_id
        if marks.get(HELD_BY, holder) == holder:
            return room.agents.get(marks[ROUTED_TO] or "")
    return room.talker
