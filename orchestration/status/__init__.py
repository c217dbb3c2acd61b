"""What agents, tools and hooks tell each other of what they do: posted to one bus, read room by room."""

from orchestration.status.backend import StatusBackend, StatusError
from orchestration.status.bus import StatusBus
from orchestration.status.entry import StatusEntry, StatusLevel
from orchestration.status.filter import ALL_ROOMS, StatusFilter
from orchestration.status.memory import InMemoryStatusBackend

__all__ = [
    "ALL_ROOMS",
    "InMemoryStatusBackend",
    "StatusBackend",
    "StatusBus",
    "StatusEntry",
    "StatusError",
    "StatusFilter",
    "StatusLevel",
]
