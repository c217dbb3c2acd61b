"""Background tasks: whatever a worker, the ledger or a restart does, the caller is told of the end once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from delivery.ledger import Delivery, SpeakAs, Status
from delivery.strategies import Queued, WaitForIdle
from orchestration.content import MAX_CONTENT
from orchestration.engines.engine import EngineError, Task, TaskRecord, TaskResult, TaskStatus
from orchestration.engines.memory import MemoryEngine
from orchestration.tasks import (
    BEGINS,
    GRACE,
    LEDGER_RETRY,
    MAX_NOTE,
    REMEMBERED,
    UNKNOWN_WORKER,
    TaskNews,
    Tasks,
    delivery_of,
)
from orchestration.workers import Context, FanOut, Worker
from tests.orchestration.office import Ledger, Office, analyst, play, works
from voice.clock import now, run

QUEUED, RUNNING, DONE, FAILED, CANCELLED = TaskStatus
SORRY = "I am sorry, Analyst could not finish what you asked for."


# -- the straight way


def test_the_result_is_in_the_ledger_before_the_task_is_done() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        assert office.tasks.running("lobby")[0].task == task
        await asyncio.sleep(4.9)
        assert (await office.entries(), office.statuses()) == ([], [RUNNING])
        seen: list[tuple[TaskStatus, int]] = []
        office.tasks._announce = lambda news: seen.append((news.status, office.ledger.tries))
        entry = await office.told(task)
        assert seen == [(DONE, 1)]
        assert now() == 5.0
        assert (entry.status, entry.delivery.content) == (Status.QUEUED, "Boats float.")
        assert office.tasks.running("lobby") == []
        record = await office.engine.get(task.id)
        assert record is not None
        assert record.status is DONE

    play(script, works())


def test_the_delivery_says_for_whom_how_and_whence() -> None:
    async def script(office: Office) -> None:
        task = await office.start(
            "x" * 1000, strategy=Queued(buffer=2.0, max_wait=7.0), speak_as=SpeakAs.VERBATIM, metadata={"mine": 1}
        )
        delivery = (await office.told(task)).delivery
        assert delivery.id == delivery_of(task.id) == f"{task.id}:result:0"
        assert (delivery.room, delivery.to, delivery.task) == ("lobby", "ann", task.id)
        assert delivery.strategy == Queued(buffer=2.0, max_wait=7.0).written()
        assert (delivery.max_wait, delivery.speak_as) == (7.0, SpeakAs.VERBATIM)
        assert delivery.metadata == {"worker": "analyst", "input": "x" * MAX_NOTE, "label": "Analyst"}
        assert task.metadata["mine"] == 1

    play(script, works())


def test_the_agent_puts_a_result_into_its_words_unless_told_otherwise() -> None:
    async def script(office: Office) -> None:
        assert (await office.told(await office.start())).delivery.speak_as is SpeakAs.AGENT

    play(script, works())


def test_several_tasks_run_at_once_and_are_listed_by_room() -> None:
    async def script(office: Office) -> None:
        first, second = await office.start("one"), await office.start("two")
        other = await office.tasks.start("attic", "analyst", "three", strategy=WaitForIdle())
        assert [r.task.id for r in office.tasks.running("lobby")] == [first.id, second.id]
        assert [r.task.id for r in office.tasks.running("attic")] == [other.id]
        await asyncio.sleep(5.5)
        assert office.tasks.running("lobby") == office.tasks.running("attic") == []
        assert len(await office.entries()) == 2

    play(script, works())


# -- what goes wrong with the work


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (OSError("no network"), "OSError: no network"),
        (TimeoutError("theirs"), "TimeoutError: theirs"),
        (KeyError("analyst"), "KeyError: 'analyst'"),
        (asyncio.CancelledError(), "CancelledError: something it waited for was cancelled"),
        (TaskResult("half of it", error="the rest is missing"), "the rest is missing"),
        (TaskResult("half of it", error=""), ""),
        ({"not": "a text"}, "TypeError: a result's text must be text, and its error too, or None"),
    ],
)
@pytest.mark.parametrize("timeout", [300.0, None])
def test_a_failure_is_told(result: Any, error: str, timeout: float | None) -> None:
    async def script(office: Office) -> None:
        task = await office.start(timeout=timeout)
        entry = await office.told(task)
        assert (entry.delivery.content, entry.delivery.speak_as) == (SORRY, SpeakAs.VERBATIM)
        assert entry.delivery.to == "ann"
        assert office.statuses() == [RUNNING, FAILED]
        assert office.news[-1].error == error
        assert (await office.tasks.result(task.id, 0) or TaskResult("?")).error == error

    play(script, works(result=result))


def test_a_worker_that_takes_too_long_is_stopped_and_that_is_told() -> None:
    stopped: list[float] = []

    async def job(input: str, context: Context) -> str:
        try:
            await asyncio.sleep(1000)
        finally:
            stopped.append(now())
        return "never"

    async def script(office: Office) -> None:
        task = await office.start(timeout=30)
        assert (await office.told(task)).delivery.content == SORRY
        assert office.news[-1].error == "not done within 30 s"
        assert stopped == [30.0]
        assert now() == 30.0

    play(script, analyst(job))


def test_a_worker_whose_time_is_over_may_still_say_how_far_it_came() -> None:
    async def job(input: str, context: Context) -> str:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return "Half of it."

    async def script(office: Office) -> None:
        entry = await office.told(await office.start(timeout=30))
        assert (entry.delivery.content, now()) == ("Half of it.", 31.0)
        assert office.statuses() == [RUNNING, DONE]

    play(script, analyst(job))


@pytest.mark.parametrize("what", [50, None, b"half"])
def test_progress_that_is_no_text_is_an_error_of_the_worker(what: Any) -> None:
    async def job(input: str, context: Context) -> str:
        context.progress(what)
        return "never"

    async def script(office: Office) -> None:
        assert (await office.told(await office.start())).delivery.content == SORRY
        error = office.news[-1].error
        assert error is not None
        assert error.startswith(f"TypeError: progress: {type(what).__name__} is no text")

    play(script, analyst(job))


def test_what_a_worker_did_without_a_word_is_told_to_be_done() -> None:
    async def script(office: Office) -> None:
        for quiet in ("analyst", "dots"):
            entry = await office.told(await office.start(worker=quiet))
            assert entry.delivery.content == f"What you asked of {quiet.capitalize()} is done."
            assert entry.delivery.speak_as is SpeakAs.VERBATIM
        assert office.statuses().count(DONE) == 2

    async def dots(input: str, context: Context) -> str:
        return "...\n\0"

    play(script, works(result=None), analyst(dots, "dots"))


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a\0b\x1b[1m \ud800", "ab[1m"),
        ("x" * 200_000, "x" * MAX_CONTENT),
        ("one\ntwo", "one\ntwo"),
    ],
)
def test_a_text_that_cannot_be_spoken_as_it_is_is_not_lost(text: str, content: str) -> None:
    async def script(office: Office) -> None:
        assert (await office.told(await office.start())).delivery.content == content

    play(script, works(result=text))


def test_what_was_asked_may_be_long_in_any_script() -> None:
    async def script(office: Office) -> None:
        assert (await office.told(await office.start("日" * MAX_CONTENT))).delivery.content == "Boats float."

    play(script, works())


# -- what goes wrong with the ledger


def test_a_result_waits_for_a_ledger_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    async def script(office: Office) -> None:
        office.ledger.away = True
        task = await office.start()
        await asyncio.sleep(7.2)
        assert office.statuses() == [RUNNING]
        assert office.ledger.tries == 5
        office.ledger.away = False
        entry = await office.told(task)
        assert now() == 5 + 5 * LEDGER_RETRY
        assert entry.delivery.content == "Boats float."
        assert "the disk is full" in caplog.text

    play(script, works())


def test_a_result_that_could_not_be_stored_is_told_after_a_restart() -> None:
    async def script(office: Office) -> None:
        office.ledger.away = True
        task = await office.start()
        await asyncio.sleep(10.1)
        office.ledger.away = False
        await office.restart(works())
        assert (await office.told(task)).delivery.content == "Boats float."

    play(script, works())


def test_a_result_waits_for_its_ledger_longer_than_the_work_may_take() -> None:
    async def script(office: Office) -> None:
        office.ledger.away = True
        task = await office.start(timeout=10)
        await asyncio.sleep(3600)
        assert office.statuses() == [RUNNING]
        office.ledger.away = False
        assert (await office.told(task)).delivery.content == "Boats float."
        assert office.statuses() == [RUNNING, DONE]

    play(script, works())


def test_a_ledger_that_breaks_altogether_ends_the_task_with_an_error() -> None:
    async def script(office: Office) -> None:
        async def broken(delivery: Delivery, *, limit: int = 1000) -> bool:
            raise RuntimeError("a bug")

        office.ledger.put = broken  # type: ignore[method-assign]
        task = await office.start()
        result = await office.tasks.result(task.id, 1000)
        assert result == TaskResult("", error="broken off: RuntimeError a bug")
        assert office.tasks.running("lobby") == []

    play(script, works())


def test_the_same_task_run_twice_is_told_once_and_the_first_answer_stands() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        entry = await office.told(task)
        again = Tasks(MemoryEngine(), office.ledger, office.news.append)
        again.register(works(result="Boats sink."))
        await again.open()
        await again._engine.start(task)  # the record of the task was lost with its process
        await asyncio.sleep(0)
        assert await again.result(task.id, 1000) == TaskResult("Boats sink.")
        assert [e.delivery.content for e in await office.entries()] == [entry.delivery.content] == ["Boats float."]
        await again.aclose()

    play(script, works())


# -- restarts


def test_a_task_goes_on_after_a_restart_and_is_told_once() -> None:
    begun: list[float] = []

    async def job(input: str, context: Context) -> str:
        begun.append(now())
        first = await context.step("first", lambda: asyncio.sleep(3, "read"))
        return f"{first} {await context.step('second', lambda: asyncio.sleep(3, 'weighed'))}"

    async def script(office: Office) -> None:
        task = await office.start()
        await asyncio.sleep(4)
        await office.restart(analyst(job))
        assert [r.task for r in office.tasks.running("lobby")] == [task]
        entry = await office.told(task)
        assert entry.delivery.content == "read weighed"
        assert (begun, now()) == ([0.0, 4.0], 7.0)
        assert office.statuses() == [RUNNING, RUNNING, DONE]
        assert len(await office.entries()) == 1

    play(script, analyst(job))


def test_a_task_whose_worker_is_gone_after_a_restart_is_told_to_have_failed() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        await office.restart()
        entry = await office.told(task)
        assert entry.delivery.content == "I am sorry, analyst could not finish what you asked for."
        assert office.news[-1].error == "the worker 'analyst' is not known any more"
        assert now() == UNKNOWN_WORKER

    play(script, works())


def test_a_task_waits_for_a_worker_that_comes_with_a_room_made_later() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        await office.restart()
        await asyncio.sleep(3)
        office.tasks.register(replace(works(), id="other"))
        await asyncio.sleep(3)
        office.tasks.register(works())
        assert (await office.told(task)).delivery.content == "Boats float."
        assert now() == 11.0
        assert office.news[-1].label == "Analyst"

    play(script, works())


def test_closing_interrupts_and_tells_nobody_of_an_end() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        waiting = asyncio.create_task(office.tasks.result(task.id, 100))
        await asyncio.sleep(1)
        await office.tasks.aclose()
        assert await waiting is None
        assert office.statuses() == [RUNNING]
        assert office.tasks.running("lobby") == []

    play(script, works())


def test_a_task_that_took_its_process_down_each_time_is_told_to_have_failed() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        await asyncio.sleep(1)
        await office.tasks.aclose()
        office.engine._kept[task.id].begins = BEGINS
        await office.restart(works())
        entry = await office.told(task)
        assert (now(), entry.delivery.content, entry.delivery.to) == (1.0, SORRY, "ann")
        assert office.news[-1].status is FAILED
        assert office.news[-1].error == "given up: begun 10 times, and each time its process came to an end"
        record = await office.engine.get(task.id)
        assert record is not None
        assert record.status is FAILED
        assert len(await office.entries()) == 1

    play(script, works())


def test_one_more_begin_is_the_last_chance() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        await asyncio.sleep(1)
        await office.tasks.aclose()
        office.engine._kept[task.id].begins = BEGINS - 1
        await office.restart(works())
        assert (await office.told(task)).delivery.content == "Boats float."

    play(script, works())


# -- other processes


class Shared(MemoryEngine):
    """As if it were shared with another process."""

    def move(self, id: str) -> None:
        """Another process takes it over; its body here is cancelled."""
        self._running[id].cancel()


def test_a_task_that_another_process_took_over_has_not_failed_here(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        engine = Shared()
        office = await Office(engine=engine).open(works())
        task = await office.start()
        waiting = asyncio.create_task(office.tasks.result(task.id, 100))
        await asyncio.sleep(1)
        engine.move(task.id)
        assert await waiting is None
        assert office.statuses() == [RUNNING]
        assert office.tasks.running("lobby") == []
        assert "goes on in another process" in caplog.text
        (standing,) = await office.tasks.unfinished("lobby")
        assert (standing.task, standing.label, standing.status) == (task, "Analyst", RUNNING)
        await office.engine.report(task.id, {"": "reading"})
        assert [s.progress for s in await office.tasks.unfinished("lobby")] == [{"": "reading"}]
        assert await office.tasks.cancel(task.id)
        assert await office.tasks.unfinished("lobby") == []
        await office.tasks.aclose()

    run(main())


def test_a_task_that_another_process_cancelled_is_cancelled_here() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        await asyncio.sleep(1)
        assert await office.engine.cancel(task.id)
        result = await office.tasks.result(task.id, 100)
        assert result == TaskResult("", error="cancelled")
        assert (now(), office.statuses(), await office.entries()) == (1.0, [RUNNING, CANCELLED], [])

    play(script, works())


def test_what_runs_here_is_told_when_the_engine_is_away(caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryEngine):
        async def tasks(self, room: str, limit: int = 100, *, unfinished: bool = False) -> list[TaskRecord]:
            raise EngineError("no answer")

    async def main() -> None:
        office = await Office(engine=Away()).open(works())
        task = await office.start()
        assert [s.task for s in await office.tasks.unfinished("lobby")] == [task]
        assert "tasks of other processes are not told of: no answer" in caplog.text
        await office.tasks.aclose()

    run(main())


def test_a_task_whose_id_is_known_is_left_alone_and_takes_no_slot() -> None:
    async def script(office: Office) -> None:
        first = await office.start(id="mine")
        await office.start("ships", id="mine")
        await office.told(first)
        for _ in range(20):
            await office.start("ships", id="mine")
        assert office.tasks.running("lobby") == []
        assert (await office.told(await office.start())).delivery.metadata["input"] == "boats"
        assert len(await office.entries()) == 2

    play(script, works())


# -- how many at once


def limited(limit: int, per_room: int, seconds: float = 5.0) -> Callable[..., Any]:
    """Runs a script in an office of so many desks."""

    def decorate(script: Callable[[Office], Awaitable[None]]) -> None:
        async def main() -> None:
            office = Office(limit=limit, per_room=per_room)
            await office.open(works(seconds))
            await script(office)
            await office.tasks.aclose()

        run(main())

    return decorate


def test_more_than_may_run_wait_in_order() -> None:
    @limited(limit=2, per_room=2)
    async def script(office: Office) -> None:
        tasks = [await office.start(f"no. {n}") for n in range(5)]
        await asyncio.sleep(0.1)
        assert [r.status for r in office.tasks.running("lobby")] == [RUNNING, RUNNING, QUEUED, QUEUED, QUEUED]
        standings = await office.tasks.unfinished("lobby")
        assert [s.status for s in standings] == [RUNNING, RUNNING, QUEUED, QUEUED, QUEUED]
        record = await office.engine.get(tasks[2].id)
        assert record is not None
        assert record.status is QUEUED
        assert [n.status for n in office.news if n.task == tasks[2]] == [QUEUED]
        for task, at in zip(tasks, (5, 5, 10, 10, 15), strict=True):
            await office.told(task)
            assert now() == at
        assert [n.status for n in office.news if n.task == tasks[2]] == [QUEUED, RUNNING, DONE]
        assert len(await office.entries()) == 5


def test_a_room_that_asks_for_much_holds_up_no_other() -> None:
    @limited(limit=3, per_room=2)
    async def script(office: Office) -> None:
        many = [await office.start(f"no. {n}") for n in range(10)]
        other = await office.tasks.start("attic", "analyst", "x", strategy=WaitForIdle())
        last = await office.tasks.start("cellar", "analyst", "y", strategy=WaitForIdle())
        assert await office.tasks.result(other.id, 5.1) is not None
        assert await office.tasks.result(last.id, 5.1) is not None
        assert now() == 10
        await office.told(many[-1])
        assert now() == 25


def test_one_that_waits_can_be_cancelled_and_the_next_moves_up() -> None:
    @limited(limit=1, per_room=1)
    async def script(office: Office) -> None:
        first, second, third = [await office.start(f"no. {n}") for n in range(3)]
        await asyncio.sleep(1)
        assert await office.tasks.cancel(second.id)
        assert [n.status for n in office.news if n.task == second] == [QUEUED, CANCELLED]
        await office.told(third)
        assert now() == 10
        await office.told(first)


def test_the_time_for_the_work_counts_from_its_beginning() -> None:
    @limited(limit=1, per_room=1, seconds=8)
    async def script(office: Office) -> None:
        tasks = [await office.start(timeout=10) for n in range(3)]
        assert (await office.told(tasks[-1])).delivery.content == "Boats float."
        assert now() == 24


def test_one_that_waits_goes_on_after_a_restart() -> None:
    @limited(limit=1, per_room=1)
    async def script(office: Office) -> None:
        first, second = await office.start("one"), await office.start("two")
        await asyncio.sleep(1)
        await office.restart(works())
        await office.told(first)
        assert (await office.told(second)).delivery.content == "Boats float."
        assert now() == 11


def test_a_ledger_that_is_away_keeps_no_slot() -> None:
    @limited(limit=1, per_room=1)
    async def script(office: Office) -> None:
        office.ledger.away = True
        first, second = await office.start("one"), await office.start("two")
        await asyncio.sleep(9)
        assert [r.delivering for r in office.tasks.running("lobby")] == [True, False]
        await asyncio.sleep(2)
        office.ledger.away = False
        await office.told(first)
        await office.told(second)
        assert now() == 11


# -- grace


def test_a_result_within_the_grace_is_there_at_once_and_in_the_ledger_too() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        assert await office.tasks.result(task.id, GRACE) == TaskResult("Boats float.")
        assert now() == 0.2
        assert len(await office.entries()) == 1
        assert await office.tasks.result(task.id, GRACE) == TaskResult("Boats float.")

    play(script, works(0.2))


def test_a_result_after_the_grace_is_not_waited_for() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        assert await office.tasks.result(task.id, GRACE) is None
        assert now() == GRACE
        assert await office.tasks.result("nobody", GRACE) is None
        assert now() == GRACE

    play(script, works(0.3))


def test_a_task_that_is_over_before_its_start_returns_has_a_result() -> None:
    class Slow(MemoryEngine):
        async def start(self, task: Task) -> bool:
            begun = await super().start(task)
            await asyncio.sleep(1)
            return begun

    async def main() -> None:
        office = await Office(engine=Slow()).open(works(0))
        task = await office.start()
        assert await office.tasks.result(task.id, GRACE) == TaskResult("Boats float.")
        assert office.tasks.running("lobby") == []
        await office.tasks.aclose()

    run(main())


def test_only_the_last_results_are_remembered() -> None:
    async def script(office: Office) -> None:
        tasks = [await office.start() for _ in range(REMEMBERED + 1)]
        await asyncio.sleep(60)
        assert await office.tasks.result(tasks[0].id, 0) is None
        assert await office.tasks.result(tasks[1].id, 0) is not None

    play(script, works())


# -- cancelling


def test_a_cancelled_task_is_over_at_once_and_nothing_is_delivered() -> None:
    stopped: list[float] = []

    async def job(input: str, context: Context) -> str:
        try:
            await asyncio.sleep(10)
        finally:
            stopped.append(now())
        return "never"

    async def script(office: Office) -> None:
        task = await office.start()
        waiting = asyncio.create_task(office.tasks.result(task.id, 100))
        await asyncio.sleep(1)
        assert await office.tasks.cancel(task.id)
        assert office.tasks.running("lobby") == []
        assert office.statuses() == [RUNNING, CANCELLED]
        assert await waiting == TaskResult("", error="cancelled")
        await asyncio.sleep(100)
        assert (stopped, await office.entries()) == ([1.0], [])
        assert not await office.tasks.cancel(task.id)
        assert office.statuses() == [RUNNING, CANCELLED]

    play(script, analyst(job))


def test_what_is_unknown_or_over_cannot_be_cancelled() -> None:
    async def script(office: Office) -> None:
        assert not await office.tasks.cancel("nobody")
        task = await office.start()
        await office.told(task)
        assert not await office.tasks.cancel(task.id)
        assert office.statuses() == [RUNNING, DONE]

    play(script, works())


def test_a_result_on_its_way_into_the_ledger_is_not_cancelled() -> None:
    async def script(office: Office) -> None:
        office.ledger.away = True
        task = await office.start()
        await asyncio.sleep(6)
        assert not await office.tasks.cancel(task.id)
        office.ledger.away = False
        assert (await office.told(task)).delivery.content == "Boats float."

    play(script, works())


def test_starting_it_again_in_vain_leaves_the_task_as_it_was() -> None:
    async def script(office: Office) -> None:
        task = await office.start(id="boats")
        with pytest.raises(ValueError, match="timeout of task 'boats' must be seconds above 0"):
            await office.start(id="boats", timeout=-1)
        assert office.statuses() == [RUNNING]
        assert (await office.told(task)).delivery.content == "Boats float."
        assert office.statuses() == [RUNNING, DONE]

    play(script, works())


@pytest.mark.parametrize("bad", [{"caller": ""}, {"caller": "x" * 300}, {"caller": 5}, {"id": ""}])
def test_work_that_nobody_could_be_told_of_is_not_begun(bad: dict[str, Any]) -> None:
    async def script(office: Office) -> None:
        with pytest.raises(ValueError, match=r"could not be delivered: (to|task) must"):
            await office.start(**bad)
        assert office.news == []

    play(script, works())


def test_cancelling_that_fails_leaves_the_task_as_it_was() -> None:
    class Stubborn(MemoryEngine):
        async def cancel(self, id: str) -> bool:
            raise EngineError("the disk is full")

    async def main() -> None:
        office = await Office(engine=Stubborn()).open(works())
        task = await office.start()
        with pytest.raises(EngineError):
            await office.tasks.cancel(task.id)
        assert (await office.told(task)).delivery.content == "Boats float."
        assert office.statuses() == [RUNNING, DONE]
        await office.tasks.aclose()

    run(main())


# -- progress


def test_progress_of_parts_is_told_and_goes_with_them() -> None:
    async def part(input: str, context: Context) -> str:
        context.progress("reading " + "x" * 500)
        await asyncio.sleep(2 if context.label == "One" else 4)
        return "read"

    async def late(input: str, context: Context) -> str:
        escaped.append(context)
        return "read"

    escaped: list[Context] = []
    team = FanOut("analyst", [analyst(part, "one"), analyst(part, "two"), analyst(late, "three")], "Analyst")

    async def script(office: Office) -> None:
        task = await office.start()
        (running,) = office.tasks.running("lobby")
        await asyncio.sleep(1)
        assert running.progress == {
            "one": ("reading " + "x" * 500)[:MAX_NOTE],
            "two": ("reading " + "x" * 500)[:MAX_NOTE],
        }
        await asyncio.sleep(2)
        assert list(running.progress) == ["two"]
        await office.told(task)
        assert office.statuses("one") == [RUNNING, RUNNING, DONE]
        assert [n.label for n in office.news if n.part == "two"] == ["Two"] * 3
        before = len(office.news)
        escaped[0].progress("still here")
        assert len(office.news) == before

    play(script, team)


def test_an_audience_that_fails_disturbs_no_task(caplog: pytest.LogCaptureFixture) -> None:
    async def script(office: Office) -> None:
        def fail(news: TaskNews) -> None:
            raise OSError("the page is gone")

        office.tasks._announce = fail
        assert (await office.told(await office.start())).delivery.content == "Boats float."

    play(script, works())
    assert [r.levelno for r in caplog.records] == [logging.ERROR] * 2


# -- bad input


def test_an_unknown_worker_is_refused_by_name() -> None:
    async def script(office: Office) -> None:
        with pytest.raises(ValueError, match="worker: 'nobody' is not known; known are analyst"):
            await office.start(worker="nobody")
        assert office.news == []

    play(script, works())
    play(no_workers)


async def no_workers(office: Office) -> None:
    with pytest.raises(ValueError, match="known are none"):
        await office.start()


@pytest.mark.parametrize("bad", [{"timeout": 0}, {"timeout": float("nan")}, {"metadata": {"x": object()}}])
def test_a_task_that_cannot_be_kept_is_not_begun(bad: dict[str, Any]) -> None:
    async def script(office: Office) -> None:
        with pytest.raises(ValueError, match=r"timeout|JSON"):
            await office.start(**bad)
        assert office.tasks.running("lobby") == []
        assert office.statuses() == [RUNNING, FAILED]

    play(script, works())


@pytest.mark.parametrize("bad", [{"limit": 0}, {"per_room": -1}, {"limit": True}, {"per_room": 1.5}])
def test_a_limit_that_is_none_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))}: .* is no whole number above 0"):
        Tasks(MemoryEngine(), Ledger(), lambda news: None, **bad)


def test_workers_of_one_id_are_refused_all_or_none() -> None:
    first, same, other = works(), replace(works(), id="same"), works()
    tasks = Tasks(MemoryEngine(), Ledger(), lambda news: None)
    tasks.register(first)
    tasks.register(first)
    with pytest.raises(ValueError, match="workers: the id 'analyst' is used twice"):
        tasks.register(same, other)
    with pytest.raises(ValueError, match="worker: 'same' is not known"):
        tasks.check("same")
    equal: Sequence[Worker] = [FanOut("team", [first]), FanOut("team", [first])]
    tasks.register(*equal)
    tasks.check("team")
