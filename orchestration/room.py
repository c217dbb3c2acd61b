"""A Room: where callers and an agent meet. What is known of it apart from the live talk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from delivery.strategies import Strategy
from orchestration.agent import Agent
from orchestration.tools import Tool, unique

if TYPE_CHECKING:
    from orchestration.strategies.orchestration import Orchestration


@dataclass(slots=True)
class Room:
    """`talker` is the agent that answers callers (None: nobody does); `tools` are what it may use beside its own.

    `passing`: somebody's joining made it; it goes when its talk is over.
    """

    id: str
    delivery: Strategy
    orchestration: Orchestration | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    talker: Agent | None = None
    tools: list[Tool] = field(default_factory=list)
    passing: bool = False

    def equip(self, *tools: Tool) -> None:
        """Give the talker more tools in this room. Raises TypeError when a name is used twice."""
        unique([*(self.talker.tools if self.talker else ()), *self.tools, *tools])
        self.tools.extend(tools)
