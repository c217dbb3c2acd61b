"""Decide who works on what: rooms, agents, strategies and the tasks underneath the talk.

Names are imported when they are first used, so that what needs only one of them (a test run's plugin, the command
line) does not pay for all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delivery.desk import Refuse
    from orchestration.agent import Agent
    from orchestration.asked import Asked, Responder
    from orchestration.engines.engine import EngineError, TaskResult
    from orchestration.event import RoomEvent
    from orchestration.handoff import HandoffRules
    from orchestration.handoff_handler import HandoffHandler, setup_handoff
    from orchestration.handoff_memory import HandoffMemoryProvider
    from orchestration.handoff_request import HANDOFF_TOOL
    from orchestration.hooks import HookContext, HookEvent, HookExecution, HookTrigger
    from orchestration.inbound import ChannelCategory, ChannelType, InboundMessage, InboundResult, TextContent
    from orchestration.memory import MemoryProvider, SlidingWindowMemory
    from orchestration.pipeline import ConversationPipeline, PipelineStage
    from orchestration.room import Room
    from orchestration.room_trouble import RoomElsewhereError, TooManyMessagesError, TooManyRoomsError
    from orchestration.routing import ConversationRouter, Route, Router, RoutingConditions, RoutingRule
    from orchestration.routing_cascade import CascadeRouter, Tier
    from orchestration.routing_model import ModelRouter
    from orchestration.routing_semantic import SemanticRouter
    from orchestration.runtime import RoomError, Runtime
    from orchestration.simulation import simulate
    from orchestration.speech import Speech
    from orchestration.state import (
        ConversationPhase,
        ConversationState,
        PhaseTransition,
        StateError,
        get_conversation_state,
        set_conversation_state,
    )
    from orchestration.status import (
        ALL_ROOMS,
        InMemoryStatusBackend,
        StatusBackend,
        StatusBus,
        StatusEntry,
        StatusError,
        StatusLevel,
    )
    from orchestration.store import RoomStore, StaleRoomError, StoreError
    from orchestration.strategies.loop import Loop
    from orchestration.strategies.orchestration import Orchestration
    from orchestration.strategies.pipeline import Pipeline
    from orchestration.strategies.supervisor import Supervisor
    from orchestration.strategies.swarm import Swarm
    from orchestration.text_channel import Binding, TextChannel
    from orchestration.tools import Tool, tool
    from orchestration.verdict import Verdict

__version__ = "0.1.0"

_HOMES = {
    "Binding": "orchestration.text_channel",
    "EngineError": "orchestration.engines.engine",
    "RoomStore": "orchestration.store",
    "StoreError": "orchestration.store",
    "TaskResult": "orchestration.engines.engine",
    "TooManyRoomsError": "orchestration.room_trouble",
    "RoomElsewhereError": "orchestration.room_trouble",
    "TooManyMessagesError": "orchestration.room_trouble",
    "TextChannel": "orchestration.text_channel",
    "InboundResult": "orchestration.inbound",
    "Responder": "orchestration.asked",
    "Asked": "orchestration.asked",
    "Refuse": "delivery.desk",
    "Agent": "orchestration.agent",
    "RoomEvent": "orchestration.event",
    "HandoffRules": "orchestration.handoff",
    "HandoffHandler": "orchestration.handoff_handler",
    "setup_handoff": "orchestration.handoff_handler",
    "HandoffMemoryProvider": "orchestration.handoff_memory",
    "HANDOFF_TOOL": "orchestration.handoff_request",
    "HookContext": "orchestration.hooks",
    "HookEvent": "orchestration.hooks",
    "HookExecution": "orchestration.hooks",
    "HookTrigger": "orchestration.hooks",
    "ChannelCategory": "orchestration.inbound",
    "ChannelType": "orchestration.inbound",
    "InboundMessage": "orchestration.inbound",
    "TextContent": "orchestration.inbound",
    "MemoryProvider": "orchestration.memory",
    "SlidingWindowMemory": "orchestration.memory",
    "ConversationPipeline": "orchestration.pipeline",
    "PipelineStage": "orchestration.pipeline",
    "Room": "orchestration.room",
    "ConversationRouter": "orchestration.routing",
    "Route": "orchestration.routing",
    "Router": "orchestration.routing",
    "RoutingConditions": "orchestration.routing",
    "RoutingRule": "orchestration.routing",
    "CascadeRouter": "orchestration.routing_cascade",
    "Tier": "orchestration.routing_cascade",
    "ModelRouter": "orchestration.routing_model",
    "SemanticRouter": "orchestration.routing_semantic",
    "RoomError": "orchestration.runtime",
    "StaleRoomError": "orchestration.store",
    "Runtime": "orchestration.runtime",
    "simulate": "orchestration.simulation",
    "Speech": "orchestration.speech",
    "ConversationPhase": "orchestration.state",
    "ConversationState": "orchestration.state",
    "PhaseTransition": "orchestration.state",
    "StateError": "orchestration.state",
    "get_conversation_state": "orchestration.state",
    "set_conversation_state": "orchestration.state",
    "ALL_ROOMS": "orchestration.status",
    "InMemoryStatusBackend": "orchestration.status",
    "StatusBackend": "orchestration.status",
    "StatusBus": "orchestration.status",
    "StatusEntry": "orchestration.status",
    "StatusError": "orchestration.status",
    "StatusLevel": "orchestration.status",
    "Loop": "orchestration.strategies.loop",
    "Orchestration": "orchestration.strategies.orchestration",
    "Pipeline": "orchestration.strategies.pipeline",
    "Supervisor": "orchestration.strategies.supervisor",
    "Swarm": "orchestration.strategies.swarm",
    "Tool": "orchestration.tools",
    "Verdict": "orchestration.verdict",
    "tool": "orchestration.tools",
}

__all__ = [
    "ALL_ROOMS",
    "HANDOFF_TOOL",
    "Agent",
    "Asked",
    "Binding",
    "CascadeRouter",
    "ChannelCategory",
    "ChannelType",
    "ConversationPhase",
    "ConversationPipeline",
    "ConversationRouter",
    "ConversationState",
    "EngineError",
    "HandoffHandler",
    "HandoffMemoryProvider",
    "HandoffRules",
    "HookContext",
    "HookEvent",
    "HookExecution",
    "HookTrigger",
    "InMemoryStatusBackend",
    "InboundMessage",
    "InboundResult",
    "Loop",
    "MemoryProvider",
    "ModelRouter",
    "Orchestration",
    "PhaseTransition",
    "Pipeline",
    "PipelineStage",
    "Refuse",
    "Responder",
    "Room",
    "RoomElsewhereError",
    "RoomError",
    "RoomEvent",
    "RoomStore",
    "Route",
    "Router",
    "RoutingConditions",
    "RoutingRule",
    "Runtime",
    "SemanticRouter",
    "SlidingWindowMemory",
    "Speech",
    "StaleRoomError",
    "StateError",
    "StatusBackend",
    "StatusBus",
    "StatusEntry",
    "StatusError",
    "StatusLevel",
    "StoreError",
    "Supervisor",
    "Swarm",
    "TaskResult",
    "TextChannel",
    "TextContent",
    "Tier",
    "TooManyMessagesError",
    "TooManyRoomsError",
    "Tool",
    "Verdict",
    "get_conversation_state",
    "set_conversation_state",
    "setup_handoff",
    "simulate",
    "tool",
]

_ELSEWHERE = {
    "AIChannel": "Agent",
    "RealtimeVoiceChannel": "runtime.join, which needs no channel,",
    "RoomKit": "Runtime",
    "WebSocketChannel": "TextChannel",
    "MockAIProvider": "orchestration.models.Prepared",
    "Immediate": "delivery.Immediate",
    "Queued": "delivery.Queued",
    "WaitForIdle": "delivery.WaitForIdle",
}
"""Names that are looked for here by who knows RoomKit, and what they are."""


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        # No AttributeError: `from orchestration import` would leave its text out.
        raise ImportError(f"orchestration has no {name!r}; it is {_ELSEWHERE[name]} here")
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestration' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
