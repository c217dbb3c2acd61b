"""What runs underneath the talk: one protocol, many patterns. Patterns are imported when they are first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestration.workers.worker import Context, FunctionWorker, Worker, worker

if TYPE_CHECKING:
    from orchestration.workers.agent_worker import AgentWorker
    from orchestration.workers.fan_out import FanOut, Sequence
    from orchestration.workers.review_loop import ReviewLoop

_HOMES = {"AgentWorker": "agent_worker", "FanOut": "fan_out", "ReviewLoop": "review_loop", "Sequence": "fan_out"}

__all__ = ["AgentWorker", "Context", "FanOut", "FunctionWorker", "ReviewLoop", "Sequence", "Worker", "worker"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestration.workers' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"orchestration.workers.{_HOMES[name]}"), name)
    return value
