"""What runs underneath the talk: one protocol, many patterns."""

from orchestration.workers.agent_worker import AgentWorker
from orchestration.workers.fan_out import FanOut, Sequence
from orchestration.workers.review_loop import ReviewLoop
from orchestration.workers.worker import Context, FunctionWorker, Worker, worker

__all__ = ["AgentWorker", "Context", "FanOut", "FunctionWorker", "ReviewLoop", "Sequence", "Worker", "worker"]
