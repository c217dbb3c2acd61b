"""Decide who works on what: rooms, agents, strategies and the tasks underneath the talk.

Names are imported when they are first used, so that what needs only one of them (a test run's plugin, the command
line) does not pay for all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delivery.desk import Refuse
    from orchestration.agent import Agent
    from orchestration.hooks import HookContext, HookEvent, HookExecution, HookTrigger
    from orchestration.memory import SlidingWindowMemory
    from orchestration.room import Room
    from orchestration.runtime import RoomError, Runtime
    from orchestration.simulation import simulate
    from orchestration.speech import Speech
    from orchestration.status import (
        ALL_ROOMS,
        InMemoryStatusBackend,
        StatusBackend,
        StatusBus,
        StatusEntry,
        StatusError,
        StatusLevel,
    )
    from orchestration.strategies.orchestration import Orchestration
    from orchestration.strategies.supervisor import Supervisor
    from orchestration.tools import Tool, tool

__version__ = "0.1.0"

_HOMES = {
    "Refuse": "delivery.desk",
    "Agent": "orchestration.agent",
    "HookContext": "orchestration.hooks",
    "HookEvent": "orchestration.hooks",
    "HookExecution": "orchestration.hooks",
    "HookTrigger": "orchestration.hooks",
    "SlidingWindowMemory": "orchestration.memory",
    "Room": "orchestration.room",
    "RoomError": "orchestration.runtime",
    "Runtime": "orchestration.runtime",
    "simulate": "orchestration.simulation",
    "Speech": "orchestration.speech",
    "ALL_ROOMS": "orchestration.status",
    "InMemoryStatusBackend": "orchestration.status",
    "StatusBackend": "orchestration.status",
    "StatusBus": "orchestration.status",
    "StatusEntry": "orchestration.status",
    "StatusError": "orchestration.status",
    "StatusLevel": "orchestration.status",
    "Orchestration": "orchestration.strategies.orchestration",
    "Supervisor": "orchestration.strategies.supervisor",
    "Tool": "orchestration.tools",
    "tool": "orchestration.tools",
}

__all__ = [
    "ALL_ROOMS",
    "Agent",
    "HookContext",
    "HookEvent",
    "HookExecution",
    "HookTrigger",
    "InMemoryStatusBackend",
    "Orchestration",
    "Refuse",
    "Room",
    "RoomError",
    "Runtime",
    "SlidingWindowMemory",
    "Speech",
    "StatusBackend",
    "StatusBus",
    "StatusEntry",
    "StatusError",
    "StatusLevel",
    "Supervisor",
    "Tool",
    "simulate",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestration' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
