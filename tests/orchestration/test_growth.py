"""A process that lives long stays small: nothing of what is over stays behind, however many tasks there were."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from delivery.ended import Ended
from delivery.ledger import Status
from delivery.memory import MemoryLedger
from orchestration import Agent, Orchestration, Runtime, Supervisor
from orchestration.engines.engine import TaskResult
from orchestration.engines.memory import MemoryEngine
from orchestration.models.scripted import Scripted
from orchestration.room import Room
from orchestration.rooms import LiveChannel
from orchestration.simulation import simulate
from orchestration.status import InMemoryStatusBackend
from orchestration.tasks import delivery_of
from orchestration.workers import Context, FanOut, FunctionWorker, Worker
from voice.clock import run

KEPT = 50
"""Of what is over so many are kept in these tests, to see sooner whether it is bounded."""

ALLOWED = 64
"""Most bytes that a delegation may leave behind; in the beginning it was 12 KiB."""


async def reading(input: str, context: Context) -> TaskResult:
    context.progress("reading")
    return TaskResult(f"About {input}: boats float.", {"rows": [1, 2, 3]})


TEAM = FanOut("team", [FunctionWorker(id, reading, id) for id in ("one", "two")])


class Team(Orchestration):
    """Nobody talks, a team works."""

    def agents(self) -> Sequence[Agent]:
        return []

    def workers(self) -> Sequence[Worker]:
        return [TEAM]

    async def install(self, runtime: Runtime, room_id: str) -> None:
        """Nothing."""


async def delegated(runtime: Runtime, first: int, last: int) -> None:
    """Tasks in a few rooms, one after the other, whose results nobody wants any more."""
    for number in range(first, last):
        room = f"room{number % 5}"
        task = await runtime.delegate(room, "team", f"no. {number}")
        assert await runtime.tasks.result(task.id, 10) is not None
        assert await runtime.receipt(delivery_of(task.id)).cancel() is Status.CANCELLED
        await asyncio.sleep(0.01)  # the status bus writes behind


def test_tasks_leave_nothing_behind() -> None:
    async def main() -> None:
        async with Runtime(
            orchestration=Team(),
            state=None,
            ledger=MemoryLedger(keep=KEPT, keep_per_room=5),
            engine=MemoryEngine(keep=KEPT),
            status=InMemoryStatusBackend(max_entries=KEPT),
            channels=_silent,
        ) as runtime:
            tracemalloc.start()
            try:
                sizes = []
                for first, last in ((0, 500), (500, 2500)):
                    await delegated(runtime, first, last)
                    gc.collect()
                    sizes.append(tracemalloc.get_traced_memory()[0])
            finally:
                tracemalloc.stop()
            assert (sizes[1] - sizes[0]) / 2000 < ALLOWED
            for room in range(5):
                assert len(await runtime.ledger.entries(f"room{room}", list(Status))) <= KEPT

    run(main())


def _silent(room: Room) -> AbstractAsyncContextManager[LiveChannel]:
    raise AssertionError("nobody calls")


def census() -> Counter[str]:
    """How many things of ours there are, by kind."""
    gc.collect()
    kinds = Counter(str(type(thing)) for thing in gc.get_objects())
    return Counter({kind: n for kind, n in kinds.items() if kind.startswith(("<class 'delivery", "<class 'orch"))})


def test_results_that_are_heard_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.store.memory.MAX_TIMELINE", KEPT)
    host = Agent("host", model=Scripted([]))

    async def main() -> None:
        async with simulate(Runtime(orchestration=Supervisor(host, [TEAM]))) as call:
            runtime = call.runtime
            assert isinstance(runtime.ledger, MemoryLedger)
            assert isinstance(runtime.tasks._engine, MemoryEngine)
            assert isinstance(runtime.status_bus.backend, InMemoryStatusBackend)
            runtime.ledger._ended = Ended(KEPT, 5)
            runtime.ledger._ended.hold(call.room, [])
            runtime.tasks._engine._keep = runtime.status_bus.backend.max_entries = KEPT

            async def heard(times: int) -> None:
                for _ in range(times):
                    task = await runtime.delegate(call.room, "team", "boats")
                    assert await runtime.tasks.result(task.id, 10) is not None
                    assert (await runtime.receipt(delivery_of(task.id))).status is Status.HEARD
                    call.timeline.clear()  # the simulation's own

            await heard(100)
            before = census()
            await heard(200)
            grown = {kind: n for kind, n in (census() - before).items() if n > 20}
            assert grown == {}

    run(main(), limit=None)
