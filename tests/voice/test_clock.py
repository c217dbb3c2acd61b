"""Virtual time jumps exactly to the next timer, stands still for threads, and never hangs in silence."""

from __future__ import annotations

import ast
import asyncio
import concurrent.futures
import functools
import heapq
import math
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice import clock
from voice.clock import RealIOError, Stalled, TimeLimitError, VirtualLoop, now, run


@contextmanager
def a_loop(**options: Any) -> Iterator[VirtualLoop]:
    """A loop for tests that look at it from outside; what its executor still runs is waited for."""
    loop = VirtualLoop(**options)
    try:
        yield loop
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def sleeps(seconds: float, times: int = 1) -> float:
    for _ in range(times):
        await asyncio.sleep(seconds)
    return now()


async def released(hold: clock.Hold, gate: threading.Event) -> None:
    gate.wait()
    hold.release()


# Time


def test_time_starts_at_zero_unless_told() -> None:
    assert run(sleeps(0)) == 0.0
    assert run(sleeps(0), start=1234.5) == 1234.5


def test_a_sleep_ends_exactly_when_it_is_due() -> None:
    due = 7.3
    for _ in range(10):
        due += 0.1
    assert run(sleeps(0.1, times=10), start=7.3) == due


@pytest.mark.parametrize("start", [0.0, 1e-300, 1.0, 12345.678, 2.0**40, -5.5])
def test_a_timer_never_fires_before_its_float(start: float) -> None:
    async def main() -> list[float]:
        fired: list[float] = []
        loop = asyncio.get_running_loop()
        first = start + 1.0
        for when in (math.nextafter(first, math.inf), first):
            loop.call_at(when, lambda: fired.append(now()))
        await asyncio.sleep(3)
        return fired

    assert run(main(), start=start) == [start + 1.0, math.nextafter(start + 1.0, math.inf)]


def test_a_jump_costs_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    jumps: list[float] = []
    jump = VirtualLoop._jump
    monkeypatch.setattr(VirtualLoop, "_jump", lambda loop: (jump(loop), jumps.append(loop.time())))
    assert run(sleeps(0.1, times=5)) == jumps[-1]
    assert len(jumps) == 5


def test_years_pass_in_one_jump_past_asyncios_longest_wait() -> None:
    year = 365 * 24 * 3600.0
    assert run(sleeps(year, times=3), limit=None) == 3 * year


def test_busy_polling_takes_no_time() -> None:
    async def main() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return now()

    assert run(main()) == 0.0


def test_a_time_in_the_past_is_due_now() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_at(-5.0, done.set_result, None)
        await done
        await asyncio.sleep(1e-320)
        return now()

    assert run(main(), start=3.0) == 3.0


def test_timers_of_one_time_fire_in_the_order_they_were_set() -> None:
    async def main() -> list[int]:
        fired: list[int] = []
        loop = asyncio.get_running_loop()
        timers = [loop.call_at(5.0, fired.append, n) for n in range(1000)]
        for timer in timers[1::3]:  # enough of them that the loop rebuilds its heap
            timer.cancel()
        for timer in timers[::3]:
            timer.cancel()
        await asyncio.sleep(5.0)
        return fired

    assert run(main()) == list(range(2, 1000, 3))


def test_timers_set_later_for_the_same_time_come_later() -> None:
    async def main() -> list[str]:
        fired: list[str] = []
        loop = asyncio.get_running_loop()
        loop.call_later(1.0, loop.call_later, 1.0, fired.append, "third")
        loop.call_at(2.0, fired.append, "first")
        loop.call_later(2.0, fired.append, "second")
        await asyncio.sleep(3.0)
        return fired

    assert run(main()) == ["first", "second", "third"]


@settings(deadline=None)
@given(
    chains=st.lists(
        st.lists(st.one_of(st.sampled_from([0.0, 0.02, 0.1, 0.5]), st.floats(0, 100, allow_nan=False)), max_size=6),
        max_size=8,
    ),
    start=st.sampled_from([0.0, 0.1, 1000.0, 1e9]),
)
def test_any_tasks_wake_exactly_when_due_and_in_order(chains: list[list[float]], start: float) -> None:
    woke: list[tuple[float, int]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        everyone = asyncio.Event()
        open_chains = sum(1 for chain in chains if chain)
        if not open_chains:
            return

        def step(number: int, left: list[float]) -> None:
            nonlocal open_chains
            woke.append((now(), number))
            if left:
                loop.call_at(now() + left[0], step, number, left[1:])
            else:
                open_chains -= 1
                if not open_chains:
                    everyone.set()

        for number, chain in enumerate(chains):
            if chain:
                loop.call_at(start + chain[0], step, number, chain[1:])
        await everyone.wait()

    run(main(), start=start)

    expected: list[tuple[float, int]] = []
    set_so_far = len(chains)
    heap = [(start + chain[0], n, n, chain[1:]) for n, chain in enumerate(chains) if chain]
    heapq.heapify(heap)
    while heap:
        due, _, number, left = heapq.heappop(heap)
        expected.append((due, number))
        if left:
            heapq.heappush(heap, (due + left[0], set_so_far, number, left[1:]))
            set_so_far += 1
    assert woke == expected


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0, 50, allow_nan=False), max_size=5), max_size=6))
def test_any_sleeping_tasks_see_time_rise_and_wake_when_due(plans: list[list[float]]) -> None:
    seen: list[float] = []

    async def sleeper(plan: list[float]) -> None:
        for seconds in plan:
            due = now() + seconds
            await asyncio.sleep(seconds)
            assert now() == due
            seen.append(now())

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for plan in plans:
                group.create_task(sleeper(plan))

    run(main())
    assert seen == sorted(seen)
    assert len(seen) == sum(len(plan) for plan in plans)


# What asyncio offers works as it does elsewhere


def test_timeouts_come_on_time() -> None:
    async def main() -> list[float]:
        times = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.Event().wait()
        times.append(now())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 1.5)
        times.append(now())
        async with asyncio.timeout(10):
            await asyncio.sleep(1)
        times.append(now())
        assert await asyncio.wait_for(sleeps(1), 10) == 6.0
        done, pending = await asyncio.wait([asyncio.ensure_future(sleeps(9))], timeout=1)
        assert not done
        pending.pop().cancel()
        times.append(now())
        return times

    assert run(main()) == [2.5, 4.0, 5.0, 7.0]


def test_a_queue_between_tasks() -> None:
    async def main() -> list[tuple[int, float]]:
        queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)

        async def produce() -> None:
            for n in range(3):
                await asyncio.sleep(1)
                await queue.put(n)

        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            return [(await queue.get(), now()) for _ in range(3)]

    assert run(main()) == [(0, 1.0), (1, 2.0), (2, 3.0)]


def test_an_async_generator_left_open_is_closed() -> None:
    closed: list[float] = []

    async def counting() -> Any:
        try:
            while True:
                yield now()
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(0.5)
            closed.append(now())

    left_open = counting()

    async def main() -> None:
        async for moment in left_open:
            if moment >= 2:
                break

    run(main())
    assert closed == [2.5]


def test_it_serves_a_runner_and_debug_mode() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop, debug=True) as runner:
        assert runner.run(sleeps(0.5, times=4)) == 2.0
        assert runner.run(sleeps(1)) == 3.0
        with pytest.raises(TypeError, match="coroutine"):
            runner.get_loop().call_at(5, sleeps, None)
    assert run(sleeps(1), debug=True) == 1.0


def test_bad_parameters_name_the_field() -> None:
    with pytest.raises(ValueError, match="start"):
        VirtualLoop(start=math.nan)
    with pytest.raises(ValueError, match="limit"):
        VirtualLoop(limit=0)
    with pytest.raises(ValueError, match="patience"):
        VirtualLoop(patience=-1)
    with a_loop() as loop, pytest.raises(ValueError, match="when"):
        loop.call_at(math.nan, print)


def test_a_closed_loop_takes_no_timers() -> None:
    loop = VirtualLoop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_at(1.0, print)


# Threads: time stands still for them


def test_time_stands_still_while_a_job_is_out() -> None:
    gate = threading.Event()

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        ticks: list[float] = []
        loop.call_later(0.001, lambda: ticks.append(now()))
        job = loop.run_in_executor(None, gate.wait)
        for _ in range(50):  # passes of the loop while the thread works: no timer may fire
            await asyncio.sleep(0)
        assert ticks == []
        gate.set()
        await job
        assert now() == 0.0
        await asyncio.sleep(1)
        return ticks

    assert run(main()) == [0.001]


def test_the_loop_goes_on_while_a_job_is_out() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        gate = threading.Event()
        loop.call_soon(lambda: loop.call_soon(loop.call_at, 0.0, gate.set))  # a timer that is due now still fires
        await asyncio.to_thread(gate.wait)
        return now()

    assert run(main()) == 0.0


def test_a_job_wakes_its_task_before_time_goes_on() -> None:
    async def main() -> None:
        late: list[float] = []
        asyncio.get_running_loop().call_later(1e-9, lambda: late.append(now()))
        for _ in range(200):
            await asyncio.to_thread(int)
            assert now() == 0.0
        assert late == []

    run(main())


def test_a_cancelled_jobs_thread_still_holds_time() -> None:
    gate = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        started = threading.Event()

        def work() -> None:
            started.set()
            gate.wait()

        job = loop.run_in_executor(None, work)
        loop.call_later(5, lambda: None)
        started.wait()
        job.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert job.cancelled()
        assert loop.holds == (f"{work.__qualname__} in an executor",)
        gate.set()
        await asyncio.sleep(5)
        assert not loop.holds

    run(main())


def test_a_job_cancelled_before_it_began_holds_nothing() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        gate = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = loop.run_in_executor(pool, gate.wait)
            second = loop.run_in_executor(pool, gate.wait)
            second.cancel()
            gate.set()
            await first
            await asyncio.sleep(3)
        return now()

    assert run(main()) == 3.0


def test_a_failing_job_lets_time_go_on() -> None:
    async def main() -> float:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await sleeps(2)

    assert run(main()) == 2.0


def test_a_job_refused_by_its_executor_holds_nothing() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        pool = concurrent.futures.ThreadPoolExecutor(1)
        pool.shutdown()
        with pytest.raises(RuntimeError, match="shutdown"):
            loop.run_in_executor(pool, int)
        return await sleeps(2)

    assert run(main()) == 2.0


def test_jobs_that_start_jobs_when_they_end() -> None:
    async def main() -> tuple[list[int], float]:
        loop = asyncio.get_running_loop()
        ended: list[int] = []
        everything = loop.create_future()

        def next_job(number: int, _previous: asyncio.Future[Any] | None = None) -> None:
            ended.append(number)
            if number == 20:
                everything.set_result(None)
            else:
                loop.run_in_executor(None, int).add_done_callback(functools.partial(next_job, number + 1))

        next_job(0)
        loop.call_later(1, lambda: ended.append(-1))
        await everything
        return ended, now()

    assert run(main()) == (list(range(21)), 0.0)


def test_an_executor_of_the_users_own_and_one_that_works_at_once() -> None:
    class AtOnce(concurrent.futures.Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()
            future.set_result(fn(*args, **kwargs))
            return future

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine"))
        assert (await asyncio.to_thread(lambda: threading.current_thread().name)).startswith("mine")
        assert await loop.run_in_executor(AtOnce(), abs, -3) == 3
        assert await sleeps(1) == 1.0

    run(main())


def test_the_default_executor_shuts_down_in_no_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        gate = threading.Event()
        job = loop.run_in_executor(None, gate.wait)
        loop.call_soon(gate.set)
        await loop.shutdown_default_executor()
        await job
        with pytest.raises(RuntimeError, match="shutdown"):
            await asyncio.to_thread(int)
        return now()

    assert run(main()) == 0.0


def test_a_hold_covers_a_foreign_thread() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        heard: list[str] = []
        hold = loop.hold("the recognizer's thread")
        gate = threading.Event()

        def foreign() -> None:
            gate.wait()
            loop.call_soon_threadsafe(heard.append, "word")
            hold.release()
            hold.release()

        thread = threading.Thread(target=foreign)
        thread.start()
        loop.call_later(0.01, heard.append, "timer")
        assert loop.holds == ("the recognizer's thread",)
        loop.call_soon(gate.set)
        await asyncio.sleep(0.01)
        thread.join()
        assert not loop.holds
        return heard

    assert run(main()) == ["word", "timer"]


def test_the_houses_hold_works_in_both_clocks() -> None:
    async def main() -> list[tuple[str, ...]]:
        loop = asyncio.get_running_loop()
        with clock.hold("a block"):
            inside = getattr(loop, "holds", ())
        return [inside, getattr(loop, "holds", ())]

    assert run(main()) == [("a block",), ()]
    assert asyncio.run(main()) == [(), ()]


def test_a_hold_released_after_the_loop_was_closed() -> None:
    loop = VirtualLoop()
    hold = loop.hold("late")
    loop.close()
    hold.release()


@pytest.mark.parametrize("seed", range(300))
def test_timers_and_jobs_in_any_mixture_come_out_exactly(seed: int) -> None:
    """The trial behind the rule: each task sleeps and works in threads; only the sleeps take time."""
    dice = random.Random(seed)
    plans = [
        [dice.choice([0.0, 0.02, 0.02, dice.random()]) * dice.choice([-1, 1]) for _ in range(dice.randint(1, 6))]
        for _ in range(dice.randint(1, 6))
    ]

    async def play(plan: list[float]) -> float:
        due = now()
        for seconds in plan:
            if seconds < 0:  # a job, of a size that has nothing to do with the virtual clock
                await asyncio.to_thread(sum, range(int(-seconds * 2000)))
            else:
                await asyncio.sleep(seconds)
                due += seconds
            assert now() == due
        return due

    async def main() -> None:
        ends = await asyncio.gather(*(play(plan) for plan in plans))
        assert now() == max(ends)

    run(main())


# Nothing hangs in silence


async def waits_for_ever() -> None:
    await asyncio.Event().wait()


def test_a_loop_that_nobody_can_wake_says_who_waits_and_where() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits_for_ever(), name="the deaf one")
            await asyncio.sleep(2)

    with pytest.raises(Stalled) as caught:
        run(main())
    message = str(caught.value)
    line = waits_for_ever.__code__.co_firstlineno + 1
    assert "at 2 s" in message
    assert f"'the deaf one' waits at {__file__}:{line} in waits_for_ever, in Event.wait" in message
    assert "main, in TaskGroup.__aexit__" in message


def test_a_timer_at_infinity_wakes_nobody() -> None:
    with pytest.raises(Stalled):
        run(sleeps(math.inf))


def test_a_long_list_of_waiters_is_cut() -> None:
    async def main() -> None:
        await asyncio.gather(*(waits_for_ever() for _ in range(50)))

    with pytest.raises(Stalled, match="and 31 more tasks"):
        run(main())


def test_waiters_in_generators_and_bare_futures_are_found() -> None:
    class Awaited:
        def __await__(self) -> Any:
            yield from asyncio.get_running_loop().create_future().__await__()

    async def main() -> None:
        await Awaited()

    with pytest.raises(Stalled, match=r"in .*Awaited\.__await__"):
        run(main())


def test_a_stalled_loops_tasks_are_cancelled_and_can_clean_up() -> None:
    cleaned: list[float] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            cleaned.append(now())

    with pytest.raises(Stalled):
        run(main())
    assert cleaned == [1.0]


def test_a_silent_thread_is_named_when_patience_ends() -> None:
    gate = threading.Event()

    def deaf() -> None:
        gate.wait()

    with a_loop(patience=0.01) as loop:
        hold = loop.hold("something foreign")
        try:
            with pytest.raises(Stalled) as caught:
                loop.run_until_complete(asyncio.wait_for(_in_thread(deaf), 5))
        finally:
            hold.release()
            loop._patience = None
            gate.set()
        assert f"{deaf.__qualname__} in an executor" in str(caught.value)
        assert "something foreign" in str(caught.value)
        assert "0.01 wall seconds" in str(caught.value)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))


async def _in_thread(work: Callable[[], None]) -> None:
    await asyncio.to_thread(work)


def test_polling_for_something_that_cannot_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "SPINS", 1000)

    async def main() -> None:
        done: list[int] = []
        asyncio.get_running_loop().call_later(1, done.append, 1)
        while not done:
            await asyncio.sleep(0)

    with pytest.raises(Stalled, match="1000 passes took no time"):
        run(main())


def test_polling_while_a_thread_works_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "SPINS", 100)

    async def main() -> float:
        gate = threading.Event()
        job = asyncio.get_running_loop().run_in_executor(None, gate.wait)
        for _ in range(1000):
            await asyncio.sleep(0)
        gate.set()
        await job
        return now()

    assert run(main()) == 0.0


def test_spins_are_counted_for_one_instant_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "SPINS", 100)
    assert run(sleeps(1, times=1000)) == 1000.0


def test_the_limit_is_named_and_counts_from_the_start() -> None:
    assert run(sleeps(10), start=100, limit=10) == 110.0
    with pytest.raises(TimeLimitError, match=r"beyond the limit of 10 virtual seconds .*now 109 s"):
        run(sleeps(3, times=4), start=100, limit=10)
    with pytest.raises(TimeLimitError, match="86400"):
        run(sleeps(clock.DAY + 1))


# The real world stays outside


CALLS: dict[str, Callable[[asyncio.AbstractEventLoop, socket.socket], Any]] = {
    "create_connection": lambda loop, _: loop.create_connection(asyncio.Protocol, "127.0.0.1", 9),
    "create_server": lambda loop, _: loop.create_server(asyncio.Protocol, "127.0.0.1", 0),
    "create_unix_connection": lambda loop, _: loop.create_unix_connection(asyncio.Protocol, "/tmp/x"),
    "create_unix_server": lambda loop, _: loop.create_unix_server(asyncio.Protocol, "/tmp/x"),
    "create_datagram_endpoint": lambda loop, s: loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=s),
    "connect_accepted_socket": lambda loop, s: loop.connect_accepted_socket(asyncio.Protocol, s),
    "sock_recv": lambda loop, s: loop.sock_recv(s, 1),
    "sock_sendall": lambda loop, s: loop.sock_sendall(s, b""),
    "sock_connect": lambda loop, s: loop.sock_connect(s, ("127.0.0.1", 9)),
    "sock_accept": lambda loop, s: loop.sock_accept(s),
    "add_reader": lambda loop, s: loop.add_reader(s, print),
    "add_writer": lambda loop, s: loop.add_writer(s, print),
    "getaddrinfo": lambda loop, _: loop.getaddrinfo("localhost", 80),
    "subprocess_exec": lambda loop, _: loop.subprocess_exec(asyncio.SubprocessProtocol, sys.executable),
    "connect_read_pipe": lambda loop, s: loop.connect_read_pipe(asyncio.Protocol, s),
}


@pytest.mark.parametrize("name", CALLS)
def test_real_io_is_refused_by_name(name: str) -> None:
    async def main() -> None:
        with socket.socket() as sock, pytest.raises(RealIOError, match=rf"{name}\(\) is refused"):
            await CALLS[name](asyncio.get_running_loop(), sock)

    run(main())


def test_asyncios_streams_and_processes_are_refused() -> None:
    async def refused(doing: Coroutine[Any, Any, object]) -> None:
        with pytest.raises(RealIOError):
            await doing

    run(refused(asyncio.open_connection("127.0.0.1", 9)))
    run(refused(asyncio.create_subprocess_exec(sys.executable)))
    run(refused(asyncio.create_subprocess_shell("true")))


def test_every_way_out_that_asyncio_knows_is_refused() -> None:
    ways = ("sock_", "create_", "connect_", "subprocess_", "add_", "start_tls", "sendfile", "get", "remove_")
    inside = {"create_task", "create_future", "add_signal_handler", "remove_signal_handler", "get_debug"}
    inside |= {"get_exception_handler", "get_task_factory", "remove_reader", "remove_writer"}
    found = {name for name in dir(asyncio.AbstractEventLoop) if name.startswith(ways)} - inside
    assert found == set(clock._REAL_IO)
    assert all(getattr(VirtualLoop, name).__qualname__.startswith("_refusal") for name in found)


# Signals


def test_a_signal_handler_runs_while_time_stands_still() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        got = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, got.set)
        with loop.hold("a signal to come"):
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1)).start()
            await got.wait()
        loop.remove_signal_handler(signal.SIGUSR1)
        return now()

    assert run(main()) == 0.0


def test_what_is_really_ready_comes_before_a_jump() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        handled: list[float] = []
        loop.add_signal_handler(signal.SIGUSR1, lambda: handled.append(now()))
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(1)
        loop.remove_signal_handler(signal.SIGUSR1)
        return handled

    assert run(main()) == [0.0]


def test_ctrl_c_ends_a_run_that_waits_for_a_thread() -> None:
    gate = threading.Event()
    cleaned: list[float] = []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        gate.wait()

    async def main() -> None:
        try:
            await asyncio.to_thread(work)
        finally:
            cleaned.append(now())
            gate.set()

    with pytest.raises(KeyboardInterrupt):
        run(main())
    assert cleaned == [0.0]


# The other clocks


def test_the_real_clocks_rise() -> None:
    for read in (clock.wall_time, clock.wall_seconds, clock.cpu_seconds):
        first = read()
        assert 0 < first <= read()
    assert clock.wall_time() > 1.7e9


def test_now_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        now()


def test_the_fixed_points_in_asyncio_are_as_we_left_them() -> None:
    """What VirtualLoop relies on and asyncio does not promise: seen to be missing here before anywhere else."""
    loop = VirtualLoop()
    try:
        assert loop._scheduled == []
        assert loop._clock_resolution == math.ulp(0.0)
        source = Path(asyncio.base_events.__file__).read_text()
        names = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
        assert {"_scheduled", "_clock_resolution", "_check_thread", "_check_callback"} <= names
    finally:
        loop.close()
