"""What runs underneath the talk: one protocol, many patterns. Patterns are imported when they are first used."""

from typing import TYPE_CHECKING

from orchestration.workers.worker import Context, FunctionWorker, Worker, worker
from voice.lazy import lazily

if TYPE_CHECKING:
    from orchestration.workers.agent_worker import AgentWorker
    from orchestration.workers.fan_out import FanOut, Sequence
    from orchestration.workers.review_loop import ReviewLoop

_HOMES = {"AgentWorker": "agent_worker", "FanOut": "fan_out", "ReviewLoop": "review_loop", "Sequence": "fan_out"}

__all__ = ["AgentWorker", "Context", "FanOut", "FunctionWorker", "ReviewLoop", "Sequence", "Worker", "worker"]


__getattr__ = lazily(__name__, _HOMES)
