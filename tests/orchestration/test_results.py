"""Results: what can be told and kept of them is, whatever a worker returns."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.record import MAX_NOTES, written
from delivery.strategies import WaitForIdle
from orchestration.content import MAX_CONTENT
from orchestration.engines.engine import Task, TaskResult, TaskStatus
from orchestration.engines.written import written_result
from orchestration.results import MAX_ERROR, MAX_FACTS, MAX_NOTE, facts, keepable, result_delivery
from tests.orchestration.office import Office, play, works

HOW = {"strategy": WaitForIdle().written(), "max_wait": 30.0, "speak_as": "agent", "fold": True}
TASK = Task("t1", "lobby", "analyst", "compare", metadata={"deliver": HOW})

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_what_is_short_and_scalar_goes_with_the_delivery() -> None:
    data = {"approved": True, "iteration": 3, "score": 0.5, "verdict": "x" * MAX_NOTE, "fine": ""}
    assert facts(data) == data


@pytest.mark.parametrize(
    "left_out",
    [
        {"text": "x" * (MAX_NOTE + 1)},
        {"none": None},
        {"parts": {"a": 1}},
        {"list": [1]},
        {"bytes": b"x"},
        {"nan": math.nan},
        {"infinite": -math.inf},
        {"huge": 10**30},
        {"worker": "me", "input": "mine", "label": "Me"},
        {"_private": 1},
        {"": 1},
        {"a\nb": 1},
        {1: 1},
    ],
)
def test_what_is_not_is_left_out(left_out: dict[Any, Any]) -> None:
    assert facts({**left_out, "approved": True}) == {"approved": True}


def test_the_first_few_are_enough() -> None:
    assert facts({f"k{n:03}": n for n in range(100)}) == {f"k{n:03}": n for n in range(MAX_FACTS)}
    large = {"k" * 6000 + str(n): n for n in range(10)}
    assert list(facts({**large, "approved": True}).values()) == [0, 1, True]


@given(st.dictionaries(st.text(max_size=300), JSON, max_size=30))
def test_whatever_a_result_holds_its_delivery_can_be_kept(data: dict[str, Any]) -> None:
    delivery = result_delivery(TASK, "Analyst", TaskResult("done", data))
    assert len(written(delivery)["metadata"]) < MAX_NOTES / 2
    assert delivery.metadata["worker"] == "analyst"
    assert set(delivery.metadata) <= {*data, "worker", "input", "label"}


def test_the_most_that_can_go_with_a_delivery_is_little_enough() -> None:
    data = {"\N{PILE OF POO}" * 200 + str(n): "\N{PILE OF POO}" * 200 for n in range(30)}
    task = Task("t1", "lobby", "w" * 64, "\N{PILE OF POO}" * 20_000, metadata={"deliver": HOW})
    assert len(written(result_delivery(task, "l" * 200, TaskResult("done", data)))["metadata"]) < MAX_NOTES / 2


@pytest.mark.parametrize(
    "result",
    [
        TaskResult("x" * 5_000_000),
        TaskResult("done", {"big": "x" * 5_000_000}),
        TaskResult("done", {"when": date(2026, 1, 1)}),
        TaskResult("done", {"nan": math.nan}),
        TaskResult("done", {"a": {1, 2}}, error="x" * 5_000_000),
    ],
)
def test_a_result_that_cannot_be_kept_is_cut(result: TaskResult, caplog: pytest.LogCaptureFixture) -> None:
    kept = keepable(TASK, result)
    written_result(kept)
    assert kept.text == result.text[:MAX_CONTENT]
    assert kept.data == {}
    assert kept.error == (result.error and result.error[:MAX_ERROR])
    assert "task t1: of its result only the text is kept" in caplog.text


def test_a_result_that_can_be_kept_is_kept_as_it_is() -> None:
    result = TaskResult("x" * 100_000, {"rows": [1, 2]}, error="")
    assert keepable(TASK, result) is result
    assert keepable(TASK, TaskResult("", error="x" * 2000)) == TaskResult("", error="x" * MAX_ERROR)


@pytest.mark.parametrize(
    "result",
    [TaskResult("Boats float. " * 500_000), TaskResult("Boats float.", {"when": date(2026, 1, 1), "approved": True})],
)
def test_the_engine_knows_of_the_end_that_was_told(result: TaskResult) -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        entry = await office.told(task)
        assert entry.delivery.content.startswith("Boats float.")
        assert len(entry.delivery.content) <= MAX_CONTENT
        record = await office.engine.get(task.id)
        assert record is not None
        assert record.status is office.news[-1].status is TaskStatus.DONE
        assert record.result is not None
        assert record.result.text == result.text[:MAX_CONTENT]

    play(script, works(result=result))


def test_what_a_loop_says_of_itself_goes_with_its_result() -> None:
    async def script(office: Office) -> None:
        metadata = (await office.told(await office.start())).delivery.metadata
        assert metadata == {
            "approved": False, "iteration": 3, "worker": "analyst", "input": "boats", "label": "Analyst"
        }  # fmt: skip

    play(script, works(result=TaskResult("Boats float.", {"approved": False, "iteration": 3, "rounds": [1, 2, 3]})))
