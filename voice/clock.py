"""Time: what the event loop says it is, and a loop whose time jumps instead of passing.

The only file in the house that reads a wall or a thread clock. Everything else asks the loop (`now()`), so a call of
an hour is played in a second by a `VirtualLoop` with nothing patched, and every timer fires at exactly its due time.

The rule of virtual time, in `_Selector.select`: first take what is really ready; if a thread is working for us, wait
for it while time stands still; if nothing is left to wait for, say so at once (`Stalled`); otherwise jump to the next
timer. Timers of equal time fire in the order in which they were set; different floats are different times.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import heapq
import itertools
import math
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DAY = 24 * 3600.0
"""The default limit of a virtual loop, seconds."""

PATIENCE = 60.0
"""How long a virtual loop stands still for a silent thread before it calls that a hang, wall seconds."""

SPINS = 1_000_000
"""How many passes a virtual loop makes at one instant before it calls that a hang (a few wall seconds)."""

_ASYNCIO = str(Path(asyncio.__file__).parent)
_LISTED = 20

_REAL_IO = (
    *("add_reader", "add_writer", "connect_read_pipe", "connect_write_pipe", "subprocess_exec", "subprocess_shell"),
    *("create_connection", "create_server", "create_unix_connection", "create_unix_server"),
    *("create_datagram_endpoint", "connect_accepted_socket", "start_tls", "sendfile", "getaddrinfo", "getnameinfo"),
    *("sock_accept", "sock_connect", "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into"),
    *("sock_sendall", "sock_sendfile", "sock_sendto"),
)


def now() -> float:
    """The running loop's time, seconds. Raises RuntimeError where no loop runs."""
    return asyncio.get_running_loop().time()


def wall_time() -> float:
    """Seconds since the epoch: to stamp logs and to show to people, never to measure or to wait by."""
    return time.time()


def wall_seconds() -> float:
    """Seconds of wall time since some fixed instant: to measure real work in benchmarks and the command line."""
    return time.perf_counter()


def cpu_seconds() -> float:
    """Seconds of processor time, user and system, that this process has used."""
    return time.process_time()


class Stalled(RuntimeError):  # noqa: N818 (it names a state of the loop)
    """A virtual loop can never go on: nobody is left to wake it. The message lists who waits, and where."""


class TimeLimitError(RuntimeError):
    """A virtual loop would pass its limit of virtual seconds. The message lists who waits, and where."""


class RealIOError(RuntimeError):
    """A socket, pipe, process or name look-up was asked of a virtual loop, whose time no peer keeps."""


class Hold:
    """Keeps a virtual loop's time still until `release()`, or to the end of a `with` block.

    Take it in the loop's thread before a foreign thread sets to work for the loop; release it anywhere, once the
    thread has posted (`call_soon_threadsafe`) what it had to say. Releasing twice does nothing.
    """

    __slots__ = ("_loop", "reason")

    def __init__(self, loop: VirtualLoop | None, reason: str) -> None:
        self._loop = loop
        self.reason = reason
        if loop is not None:
            loop._holds.add(self)

    def release(self) -> None:
        """Let time go on, after everything this thread has posted to the loop so far has been run."""
        loop = self._loop
        if loop is None:
            return
        if _running_loop() is loop:
            loop._holds.discard(self)
            return
        try:
            loop.call_soon_threadsafe(loop._holds.discard, self)
        except RuntimeError:
            if not loop.is_closed():  # a closed loop has no time to keep still
                raise

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def hold(reason: str) -> Hold:
    """Keep the running loop's time still if it is virtual; a plain loop's hold does nothing.

    For code that works with a thread of its own and must behave the same under both clocks.
    """
    loop = asyncio.get_running_loop()
    return Hold(loop if isinstance(loop, VirtualLoop) else None, reason)


def run(
    main: Coroutine[Any, Any, T],
    *,
    start: float = 0.0,
    limit: float | None = DAY,
    patience: float | None = PATIENCE,
    debug: bool | None = None,
) -> T:
    """Like `asyncio.run`, in a `VirtualLoop` of these parameters."""
    with asyncio.Runner(debug=debug, loop_factory=lambda: VirtualLoop(start, limit, patience)) as runner:
        return runner.run(main)


class _Timer(asyncio.TimerHandle):
    """A timer that knows when it was set, so that the heap, which is not stable, keeps timers of one time in order."""

    __slots__ = ("order",)
    order: int
    _when: float
    _scheduled: bool

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, _Timer):
            return NotImplemented
        return self._when < other._when or (self._when == other._when and self.order < other.order)


class _Job(Executor):
    """Stands before an executor for one job and holds the loop's time until that job's result is handed over."""

    def __init__(self, loop: VirtualLoop, executor: Executor, name: str) -> None:
        self._executor = executor
        self._hold = Hold(loop, name)
        self._future: Future[Any] | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future = self._executor.submit(fn, *args, **kwargs)
        self._future = future
        return future

    def handed_over(self) -> None:
        """To be called once the callback that hands over the result was added: ours must come after it."""
        if self._future is None:
            self._hold.release()
        else:
            self._future.add_done_callback(lambda _: self._hold.release())


class _Selector(selectors.DefaultSelector):
    """The real selector, asked without waiting; where the loop would wait for a timer, its time jumps."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        loop = self.loop
        if ready or timeout == 0:
            if not loop._holds:
                loop._turn()
        elif loop._holds:
            ready = self._stand_still()
        else:
            loop._jump()
        return ready

    def _stand_still(self) -> list[tuple[selectors.SelectorKey, int]]:
        patience = self.loop._patience
        began = time.monotonic()
        ready = super().select(patience)
        if not ready and patience is not None and time.monotonic() - began >= patience:
            raise Stalled(self.loop._complaint(f"nothing was heard for {patience:g} wall seconds from"))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as there is nothing left to do now.

    `start` is its first time, seconds. It is 0.0 unless told, and that is meant: code that tests a time for truth
    (`if self.since:`) or takes 0.0 for "never" passes on a machine that has been up for a while; here it fails at once.

    `limit`: the most virtual seconds it may pass, `TimeLimitError` beyond; None for no limit. `patience`: the wall
    seconds it waits for a thread that says nothing, `Stalled` beyond; None for ever.

    Jobs in an executor and every `hold()` keep time still. Signals and Ctrl-C work, but a loop that has only a signal
    to wait for is stalled unless it holds. Sockets, pipes, processes and name look-ups raise `RealIOError`.
    """

    # asyncio's own names, unchanged since 3.4; the tests would miss them on every Python we support.
    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float
    _closed = True  # until asyncio has made it: a refused parameter leaves no loop to be closed
    if TYPE_CHECKING:

        def _check_thread(self) -> None: ...
        def _check_callback(self, callback: object, method: str) -> None: ...

    def __init__(self, start: float = 0.0, limit: float | None = DAY, patience: float | None = PATIENCE) -> None:
        if not math.isfinite(start):
            raise ValueError(f"start must be a finite number of seconds, not {start!r}")
        for name, value in (("limit", limit), ("patience", patience)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be seconds > 0, or None for none, not {value!r}")
        self._start = self._now = float(start)
        self._limit = math.inf if limit is None else limit
        self._patience = patience
        self._holds: set[Hold] = set()
        self._spins = 0
        self._order = itertools.count()
        self._pool: Executor | None = None
        self._pool_closed = False
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self._set_now(self._now)

    def time(self) -> float:
        """The virtual time, seconds."""
        return self._now

    def hold(self, reason: str) -> Hold:
        """Keep time still until the hold is released; `reason` names it in errors."""
        return Hold(self, reason)

    @property
    def holds(self) -> tuple[str, ...]:
        """The reasons why time stands still: jobs in executors, and the holds that were taken."""
        return tuple(each.reason for each in self._holds.copy())

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` at the time `when`, after the timers of that time which were set before."""
        if math.isnan(when):
            raise ValueError("when must be a time in seconds, not NaN")
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        if self.get_debug():
            self._check_thread()
            self._check_callback(callback, "call_at")
        timer = _Timer(when, callback, args, self, context)
        timer.order = next(self._order)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run `func` in another thread or process; time stands still until its result was handed over."""
        chosen = self._default_pool() if executor is None else executor
        job = _Job(self, chosen, f"{_name(func)} in an executor")
        try:
            return super().run_in_executor(job, func, *args)
        finally:
            job.handed_over()

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:  # type: ignore[override]
        """Use `executor` where `run_in_executor` is given None."""
        super().set_default_executor(executor)
        self._pool = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the default executor's threads. Time stands still meanwhile, so `timeout` never comes."""
        self._pool_closed = True
        with self.hold("the default executor's shutdown"):
            await super().shutdown_default_executor()

    def _default_pool(self) -> Executor:
        if self._pool_closed:
            raise RuntimeError("Executor shutdown has been called")
        if self._pool is None:
            pool = ThreadPoolExecutor(thread_name_prefix="virtual")
            self.set_default_executor(pool)
            return pool
        return self._pool

    def _set_now(self, when: float) -> None:
        self._now = when
        self._spins = 0
        # The loop fires what is due before now + resolution: with the next float there, exactly what is due by now.
        self._clock_resolution = math.nextafter(when, math.inf) - when

    def _turn(self) -> None:
        """Count a pass that took no time."""
        self._spins += 1
        if self._spins > SPINS:
            self._spins = 0
            raise Stalled(self._complaint(f"{SPINS} passes took no time: does something poll with sleep(0)?"))

    def _jump(self) -> None:
        """Go to the next timer; the loop has thrown away cancelled ones, so it is the head of the heap."""
        when = self._scheduled[0].when() if self._scheduled else math.inf
        if when == math.inf:
            raise Stalled(self._complaint("nothing is left that could wake"))
        if when - self._start > self._limit:
            raise TimeLimitError(
                f"the next timer, at {when:g} s, is beyond the limit of {self._limit:g} virtual seconds"
                f" (now {self._now:g} s, start {self._start:g} s): something never ends, or give a larger limit"
                f"{self._waiting()}"
            )
        if when > self._now:
            self._set_now(when)

    def _complaint(self, what: str) -> str:
        return f"time stands still at {self._now:g} s: {what}{self._waiting()}"

    def _waiting(self) -> str:
        """Who waits, and where: a line each."""
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        lines = [f"  {reason}" for reason in sorted(self.holds)]
        lines += [f"  task {task.get_name()!r} {_where(task)}" for task in tasks[:_LISTED]]
        if len(tasks) > _LISTED:
            lines.append(f"  and {len(tasks) - _LISTED} more tasks")
        return "".join(f"\n{line}" for line in lines)


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(self: VirtualLoop, *_args: Any, **_options: Any) -> NoReturn:
        raise RealIOError(
            f"{name}() is refused in virtual time: nobody out there waits while a clock jumps."
            " Play the other side in memory, or run this in a plain asyncio loop"
        )

    refuse.__name__ = name
    refuse.__doc__ = "Refused: raises RealIOError."
    return refuse


for _method in _REAL_IO:
    setattr(VirtualLoop, _method, _refusal(_method))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _name(func: Callable[..., object]) -> str:
    while isinstance(func, functools.partial):  # to_thread makes a partial of a context's run
        in_context = isinstance(getattr(func.func, "__self__", None), contextvars.Context)
        func = func.args[0] if in_context else func.func
    return str(getattr(func, "__qualname__", None) or repr(func))


def _where(task: asyncio.Task[Any]) -> str:
    """The line of ours in which a task is suspended, and what it calls there."""
    frames: list[FrameType] = []
    at: object = task.get_coro()
    while at is not None:
        kind = next((kind for kind in ("cr", "gi", "ag") if hasattr(at, f"{kind}_frame")), None)
        frame = getattr(at, f"{kind}_frame", None)
        if frame is None:
            break
        frames.append(frame)
        at = getattr(at, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
    if not frames:
        return "is about to run"
    ours = next((f for f in reversed(frames) if not f.f_code.co_filename.startswith(_ASYNCIO)), frames[-1])
    inner = "" if ours is frames[-1] else f", in {frames[-1].f_code.co_qualname}"
    return f"waits at {ours.f_code.co_filename}:{ours.f_lineno} in {ours.f_code.co_qualname}{inner}"
