"""Decide who works on what: rooms, agents, strategies and the tasks underneath the talk."""

from delivery.desk import Refuse
from orchestration.agent import Agent
from orchestration.hooks import HookContext, HookEvent, HookExecution, HookTrigger
from orchestration.memory import SlidingWindowMemory
from orchestration.room import Room
from orchestration.runtime import RoomError, Runtime
from orchestration.strategies.orchestration import Orchestration
from orchestration.strategies.supervisor import Supervisor
from orchestration.tools import Tool, tool

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "HookContext",
    "HookEvent",
    "HookExecution",
    "HookTrigger",
    "Orchestration",
    "Refuse",
    "Room",
    "RoomError",
    "Runtime",
    "SlidingWindowMemory",
    "Supervisor",
    "Tool",
    "tool",
]
