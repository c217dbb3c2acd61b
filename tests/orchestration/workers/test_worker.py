"""Workers: a function or an agent does a job once, however often its process dies, and fails in plain words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from orchestration.agent import Agent
from orchestration.engines.engine import TaskResult
from orchestration.workers import AgentWorker, Context, worker
from orchestration.workers.worker import as_worker, finish, unshared
from tests.orchestration.models.double import Double
from tests.orchestration.workers.bench import Bench
from voice.clock import run

# -- functions


@worker(role="Analyst")
async def analyst(topic: str, context: Context) -> str:
    context.progress("reading")
    read = await context.step("read", lambda: value(f"{topic} read"))
    return f"{read} and weighed"


async def value(it: Any) -> Any:
    return it


def test_a_function_is_a_worker() -> None:
    bench = Bench()
    assert (analyst.id, analyst.label) == ("analyst", "Analyst")
    assert bench.run(analyst) == TaskResult("compare read and weighed")
    assert bench.reports == [("", "Team", "running", "reading")]


def test_it_may_return_a_result_or_nothing() -> None:
    @worker()
    async def whole(topic: str, context: Context) -> TaskResult:
        return TaskResult("text", {"price": 3})

    @worker(id="quiet-one")
    async def nothing(topic: str, context: Context) -> None:
        return None

    assert Bench().run(whole) == TaskResult("text", {"price": 3})
    assert Bench().run(nothing) == TaskResult("")
    assert (whole.label, nothing.id, nothing.label) == ("whole", "quiet-one", "quiet-one")


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (3, "TypeError: a result's text must be text, and its error too, or None"),
        ({"text": "x"}, "TypeError: a result's text must be text, and its error too, or None"),
        (TaskResult(None), "TypeError: a result's text must be text, and its error too, or None"),  # type: ignore[arg-type]
        (TaskResult("x", error=OSError()), "TypeError: a result's text must be text"),  # type: ignore[arg-type]
        (TaskResult("x", data=[1]), "TypeError: a result's data must be a mapping, not list"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_result_is_a_failure(result: Any, error: str) -> None:
    @worker()
    async def odd(topic: str, context: Context) -> str:
        return result  # type: ignore[no-any-return]

    failed = Bench().run(odd)
    assert failed.text == ""
    assert failed.error is not None
    assert failed.error.startswith(error)


def test_a_worker_of_another_make_is_held_to_it_too() -> None:
    class Odd:
        id = label = "odd"

        async def run(self, input: str, context: Context) -> TaskResult:
            return None  # type: ignore[return-value]

    assert Bench().run(Odd()).error == "TypeError: a worker must return a TaskResult, not NoneType"


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (OSError("no network"), "OSError: no network"),
        (OSError(), "OSError"),
        (TimeoutError(), "TimeoutError"),
        (KeyError("topic"), "KeyError: 'topic'"),
        (asyncio.CancelledError(), "CancelledError: something it waited for was cancelled"),
    ],
)
def test_what_a_worker_raises_is_a_failure_and_logged(
    raised: BaseException, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    @worker()
    async def broken(topic: str, context: Context) -> str:
        raise raised

    assert Bench().run(broken) == TaskResult("", error=error)
    assert [(r.levelno, r.exc_info is not None) for r in caplog.records] == [(logging.ERROR, True)]
    assert "task t1: worker broken failed" in caplog.text


def test_cancelling_a_worker_is_no_result() -> None:
    @worker()
    async def slow(topic: str, context: Context) -> str:
        await asyncio.sleep(100)
        return "never"

    async def main() -> None:
        task = asyncio.create_task(finish(slow, "x", Bench().context()))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())


def test_a_finished_step_is_not_repeated_when_the_task_is_resumed() -> None:
    done: list[str] = []

    async def pay() -> dict[str, Any]:
        done.append("paid")
        return {"receipt": 7, "lines": ("a", "b")}

    @worker()
    async def buyer(what: str, context: Context) -> str:
        receipt = await context.step("pay", pay)
        if len(done) == len(seen):
            raise OSError("the process dies")
        seen.append(receipt)
        return f"receipt {receipt['receipt']} {receipt['lines']}"

    seen: list[Any] = [None]
    bench = Bench()
    assert bench.run(buyer).error == "OSError: the process dies"
    seen.append(None)
    assert bench.run(buyer) == TaskResult("receipt 7 ['a', 'b']")
    assert done == ["paid"]


def test_a_step_whose_work_is_nothing_to_await_says_so() -> None:
    @worker()
    async def reader(topic: str, context: Context) -> str:
        return await context.step("read", lambda: topic)  # type: ignore[arg-type, return-value]

    error = "TypeError: work of step 'read': it gave str, nothing to await; give a coroutine function"
    assert Bench().run(reader).error == error


def test_the_steps_of_parts_are_kept_apart_whatever_they_are_called() -> None:
    @worker()
    async def inner(topic: str, context: Context) -> str:
        return str(await context.step("y/z", lambda: value(f"{context.part}")))

    @worker()
    async def outer(topic: str, context: Context) -> str:
        await context.step("x:y/z", lambda: value("outer"))
        first = await context.run_part("x", inner, topic)
        second = await context.run_part("x/y", inner, topic)
        return f"{first.text} {second.text}"

    bench = Bench()
    assert bench.run(outer).text == "x x/y"
    assert set(bench.recorded) == {":x:y/z#1", "x:y/z#1", "x/y:y/z#1"}
    assert bench.run(outer).text == "x x/y"


def test_a_part_reports_how_it_gets_on_and_its_failure_stays_in_it() -> None:
    @worker(role="Broken one")
    async def broken(topic: str, context: Context) -> str:
        context.progress("trying")
        raise OSError("no network")

    @worker()
    async def outer(topic: str, context: Context) -> str:
        ok = await context.run_part("a", analyst, topic)
        bad = await context.run_part("b", broken, topic)
        return f"{ok.text}; {bad.error}"

    bench = Bench()
    assert bench.run(outer).text == "compare read and weighed; OSError: no network"
    assert bench.reports == [
        ("a", "Analyst", "running", ""),
        ("a", "Analyst", "running", "reading"),
        ("a", "Analyst", "done", ""),
        ("b", "Broken one", "running", ""),
        ("b", "Broken one", "running", "trying"),
        ("b", "Broken one", "failed", ""),
    ]


def test_a_part_that_is_cancelled_says_so() -> None:
    @worker()
    async def slow(topic: str, context: Context) -> str:
        await asyncio.sleep(100)
        return "never"

    bench = Bench()

    async def main() -> None:
        task = asyncio.create_task(bench.context().run_part("a", slow, "x"))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())
    assert [status for _, _, status, _ in bench.reports] == ["running", "cancelled"]


@pytest.mark.parametrize("id", ["two words", "a/b", "a:b", "x" * 65, "-"])
def test_a_bad_id_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match=r"^id: .* is no id"):
        worker(id=id)(analyst.job)


def test_what_is_no_coroutine_function_is_refused() -> None:
    with pytest.raises(TypeError, match=r"worker 'plain': .* write `async def`"):

        @worker()  # type: ignore[arg-type]
        def plain(topic: str, context: Context) -> str:
            return topic

    with pytest.raises(TypeError, match=r"write @worker\(\), with brackets"):

        @worker  # type: ignore[arg-type]
        async def bare(topic: str, context: Context) -> str:
            return topic

    with pytest.raises(TypeError, match="worker 'short': it must take an input and a Context"):

        @worker()  # type: ignore[arg-type]
        async def short(topic: str) -> str:
            return topic

    with pytest.raises(ValueError, match="'<lambda>' is no id"):
        worker()(lambda topic, context: value(topic))


def test_what_goes_on_is_told_to_the_shared_channels_by_parts_too() -> None:
    @worker()
    async def inner(topic: str, context: Context) -> str:
        context.tell("halfway", percent=50)
        return topic

    @worker()
    async def outer(topic: str, context: Context) -> str:
        context.tell("begun")
        return (await context.run_part("a", inner, topic)).text

    bench = Bench()
    bench.run(outer)
    assert bench.told == [("", "begun", {}), ("a", "halfway", {"percent": 50})]
    assert replace(bench.context(), share=unshared).tell("nobody hears") is None  # type: ignore[func-returns-value]


def test_a_shared_channel_that_fails_does_not_stop_the_work(caplog: pytest.LogCaptureFixture) -> None:
    def share(part: str, label: str, text: str, metadata: Mapping[str, Any]) -> None:
        raise OSError("no channel")

    replace(Bench().context(), share=share).tell("begun")
    assert "task t1: telling the shared channels failed" in caplog.text


# -- what may work


def test_agents_and_workers_may_work_and_nothing_else() -> None:
    agent = Agent("tech", model=Double([[]]))
    assert as_worker(agent) == AgentWorker(agent)
    assert as_worker(analyst) is analyst
    for it in (analyst.job, "analyst", None, object()):
        with pytest.raises(TypeError, match=r"workers: .* is neither an Agent nor a worker"):
            as_worker(it)  # type: ignore[arg-type]


def test_a_worker_of_another_make_needs_an_id_that_can_be_found_again() -> None:
    class Odd:
        id = "no id"
        label = "odd"

        async def run(self, input: str, context: Context) -> TaskResult:
            return TaskResult("")

    with pytest.raises(ValueError, match="id: 'no id' is no id"):
        as_worker(Odd())
