"""A host for one Pipecat service: a pipeline with nothing else in it, frames put in and everything that comes out told.

The pipeline is Pipecat's own (`PipelineWorker`), without runner, so that no signal handler is touched, and without
idle time-outs, observers and RTVI. Starting one takes a millisecond, without what the service connects to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pipecat.clocks.base_clock import BaseClock
from pipecat.frames.frames import DataFrame, ErrorFrame, Frame, StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.asyncio.task_manager import TaskManager
from pipecat.utils.errors import ErrorCategory, extract_http_status_code
from pipecat.workers.base_worker import WorkerParams

from voice.leg import RATE
from voice.provider_error import Cause, ProviderError

CONNECT = 10.0
"""Seconds in which a service must be set up, which is where most of them connect."""
CANCEL = 2.0
"""Seconds a service gets to stop."""

_CAUSES = {
    ErrorCategory.AUTHENTICATION: Cause.KEY,
    ErrorCategory.AUTHORIZATION: Cause.KEY,
    ErrorCategory.INVALID_REQUEST: Cause.REQUEST,
    ErrorCategory.APPLICATION: Cause.REQUEST,
    ErrorCategory.RATE_LIMIT: Cause.RATE,
    ErrorCategory.QUOTA: Cause.RATE,
    ErrorCategory.CONNECTIVITY: Cause.NETWORK,
    ErrorCategory.SERVER: Cause.SERVER,
}

Told = Callable[[Frame], None]


class Behind(DataFrame):
    """Put behind something: Pipecat's synthesizers let it through when all that was before it has come out."""


class HostClock(BaseClock):
    """Says what it was set to, in nanoseconds: who hosts a service decides what its time is counted from."""

    def __init__(self) -> None:
        self.now = 1

    def get_time(self) -> int:
        return self.now

    def start(self) -> None: ...


class _Ear(FrameProcessor):
    """Tells of every frame that comes by in one direction. It stands on either side of the service."""

    def __init__(self, direction: FrameDirection, told: Told) -> None:
        super().__init__(enable_direct_mode=True)
        self._side, self._told = direction, told

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is self._side:
            self._told(frame)
        await self.push_frame(frame, direction)


class Host:
    """`service` at work, from now until `aclose`. `told` is given each frame it sends down, `failed` what broke it. The
    first is the `StartFrame`: what is put in before that waits for it.

    After `failed` nothing is told any more; it is called once at most, and not after `close`.
    """

    def __init__(self, name: str, service: FrameProcessor, told: Told, failed: Callable[[ProviderError], None]) -> None:
        self.service = service
        self.clock = HostClock()
        self._name, self._told, self._failed = name, told, failed
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._started = asyncio.Event()
        self._over = self._closing = False
        ears = _Ear(FrameDirection.UPSTREAM, self._up), _Ear(FrameDirection.DOWNSTREAM, self._down)
        self._worker = PipelineWorker(
            Pipeline([ears[0], service, ears[1]]),
            params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
            clock=self.clock,
            cancel_on_idle_timeout=False,
            idle_timeout_secs=None,
            enable_rtvi=False,
            enable_turn_tracking=False,
            check_dangling_tasks=False,
            cancel_timeout_secs=CANCEL,
            setup_timeout_secs=CONNECT,
            start_timeout_secs=CONNECT,
        )
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"{name}: {type(service).__name__}")

    @property
    def over(self) -> bool:
        """Closed, or failed: nothing is put in or told any more."""
        return self._over

    def put(self, *frames: Frame) -> None:
        """Put frames in, in order; they wait until the service has started."""
        if not self._over:
            for frame in frames:
                self._frames.put_nowait(frame)

    def when_stopped(self, call: Callable[[], None]) -> None:
        """`call` when no task of it is left."""
        self._task.add_done_callback(lambda _: call())

    def close(self) -> None:
        """Stop the service now; `aclose` waits until it has stopped."""
        self._over = True
        if not self._closing:  # a second cancellation would break off Pipecat's own tidying up
            self._closing = True
            self._task.cancel()

    async def aclose(self) -> None:
        """Stop the service; no task of it is left. Twice does nothing."""
        self.close()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        tasks = TaskManager()
        try:
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(self._feed())
                try:
                    await self._worker.run(WorkerParams(task_manager=tasks))
                except asyncio.CancelledError:  # of Pipecat's own kind, before Python 3.12
                    raise asyncio.CancelledError from None
                finally:
                    feeding.cancel()
                    for left in tasks.current_tasks():
                        left.cancel()
        except Exception as error:  # told, not shown: it may quote a request
            self._fail(ProviderError(self._name, Cause.SERVER, self._what(error)))
            return
        started = self._started.is_set()
        cause = Cause.NETWORK if started else Cause.TIMEOUT
        self._fail(
            ProviderError(self._name, cause, f"{self._what()} {'ended by itself' if started else 'never began'}")
        )

    async def _feed(self) -> None:
        await self._started.wait()
        while True:
            await self._worker.queue_frame(await self._frames.get())

    def _down(self, frame: Frame) -> None:
        if isinstance(frame, StartFrame):
            self._started.set()
        if not self._over:
            self._told(frame)

    def _up(self, frame: Frame) -> None:
        if isinstance(frame, ErrorFrame):
            status = extract_http_status_code(frame.exception) if frame.exception else None
            cause = _CAUSES.get(frame.category or ErrorCategory.UNKNOWN, Cause.SERVER)
            self._fail(ProviderError(self._name, cause, self._what(frame.exception), status=status))

    def _fail(self, error: ProviderError) -> None:
        if not self._over:
            self.close()
            self._failed(error)

    def _what(self, error: BaseException | None = None) -> str:
        """The service and the kind of its error; never the text, into which vendors put addresses and headers."""
        service = type(self.service).__name__
        return f"{service} reported {type(error).__name__}" if error is not None else service
