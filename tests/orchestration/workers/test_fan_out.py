"""Several workers on one job: what is merged of it, what some of them could not do, and what a restart repeats."""

from __future__ import annotations

import asyncio

import pytest

from orchestration.agent import Agent
from orchestration.engines.engine import TaskResult
from orchestration.workers import AgentWorker, Context, FanOut, FunctionWorker, Sequence, Worker
from tests.orchestration.models.double import Double
from tests.orchestration.workers.bench import Bench
from voice.clock import now, run


def works(id: str, seconds: float = 1.0, text: str | None = None, error: Exception | None = None) -> FunctionWorker:
    """Takes so long, in one step, and then says or fails so."""

    async def job(input: str, context: Context) -> str:
        async def work() -> str:
            done.append(id)
            await asyncio.sleep(seconds)
            return f"{id} on {input}."

        made = await context.step("work", work)
        if error:
            raise error
        return made if text is None else text

    return FunctionWorker(id, job, id.title())


done: list[str] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def timed(team: Worker, bench: Bench | None = None) -> tuple[TaskResult, float]:
    async def main() -> tuple[TaskResult, float]:
        return await team.run("boats", (bench or Bench()).context()), now()

    return run(main())


def test_all_work_at_once_and_are_merged_in_their_order() -> None:
    result, took = timed(FanOut("team", [works("slow", 5), works("quick", 1)]))
    assert took == 5
    assert done == ["slow", "quick"]
    assert result == TaskResult(
        "slow on boats. quick on boats.",
        {
            "parts": {
                "slow": {"text": "slow on boats.", "error": None},
                "quick": {"text": "quick on boats.", "error": None},
            }
        },
    )


def test_what_some_could_not_do_is_said() -> None:
    result, took = timed(FanOut("team", [works("a", 1, error=OSError("no network")), works("b", 3)]))
    assert took == 3
    assert result.text == "A could not finish. b on boats."
    assert result.error is None
    assert result.data["parts"]["a"] == {"text": "", "error": "OSError: no network"}


def test_when_all_fail_it_has_failed() -> None:
    result, _ = timed(FanOut("team", [works("a", error=OSError("one")), works("b", error=ValueError("two"))]))
    assert result.error == "OSError: one; ValueError: two"


def test_nothing_said_is_not_merged() -> None:
    result, _ = timed(FanOut("team", [works("a", text=""), works("b", text=" yes "), works("c", text="\n")]))
    assert result.text == "yes"
    assert result.error is None


def test_a_failure_without_words_is_one_all_the_same() -> None:
    async def job(input: str, context: Context) -> TaskResult:
        return TaskResult("half", error="")

    odd = FunctionWorker("odd", job, "Odd")
    assert timed(FanOut("team", [odd]))[0].error == ""
    assert timed(Sequence("team", [odd, works("b")]))[0] == TaskResult("half", error="")
    assert done == []


def test_finished_parts_are_not_repeated_when_it_is_resumed() -> None:
    bench = Bench()
    team = FanOut("team", [works("slow", 5), works("quick", 1)])

    async def dies() -> None:
        task = asyncio.create_task(team.run("boats", bench.context()))
        await asyncio.sleep(2)
        task.cancel()
        await asyncio.wait([task])

    run(dies())
    assert done == ["slow", "quick"]
    assert set(bench.recorded) == {"quick:work#1"}
    result, _ = timed(team, bench)
    assert done == ["slow", "quick", "slow"]
    assert result.text == "slow on boats. quick on boats."


def test_teams_of_teams_keep_their_steps_apart() -> None:
    bench = Bench()
    teams = [FanOut(id, [works("a"), works("b")]) for id in ("one", "two")]
    result, took = timed(FanOut("all", [*teams, works("a")]), bench)
    assert result.text == "a on boats. b on boats. a on boats. b on boats. a on boats."
    assert took == 1
    assert set(bench.recorded) == {f"{part}:work#1" for part in ("one/a", "one/b", "two/a", "two/b", "a")}


def test_in_a_sequence_each_gets_what_the_one_before_made() -> None:
    result, took = timed(Sequence("team", [works("a", 1), works("b", 2)]))
    assert (result.text, took) == ("b on a on boats..", 3)


def test_in_a_sequence_the_first_that_fails_ends_it() -> None:
    result, took = timed(Sequence("team", [works("a", error=OSError("no network")), works("b")]))
    assert (result, took) == (TaskResult("", error="OSError: no network"), 1)
    assert done == ["a"]


def test_in_a_sequence_agents_see_what_was_asked_and_functions_do_not() -> None:
    model = Double([["Then sail."]])
    seen: list[str] = []

    async def last(input: str, context: Context) -> str:
        seen.append(input)
        return input

    agent = AgentWorker(Agent("writer", model=model))
    result, _ = timed(Sequence("team", [works("a"), FanOut("inner", [agent]), FunctionWorker("last", last, "Last")]))
    assert result.text == "Then sail."
    assert seen == ["Then sail."]
    (shown,) = model.asked[0].messages
    assert (
        shown.text.index("\nboats\n")
        < shown.text.index("A worked on it before you")
        < shown.text.index("\na on boats.\n")
    )


def test_a_sequence_within_a_sequence_knows_what_the_outer_one_was_asked() -> None:
    model = Double([["Then sail."]])
    inner = Sequence("inner", [works("b"), AgentWorker(Agent("writer", model=model))])
    timed(Sequence("team", [works("a"), inner]))
    (shown,) = model.asked[0].messages
    assert "\nboats\n" in shown.text
    assert "\nb on a on boats..\n" in shown.text


def test_an_agent_that_comes_first_is_asked_and_nothing_else() -> None:
    model = Double([["Ok."]])
    timed(Sequence("team", [AgentWorker(Agent("writer", model=model))]))
    assert [m.text for m in model.asked[0].messages] == ["boats"]


def test_a_resumed_sequence_goes_on_where_it_was() -> None:
    bench = Bench()
    assert timed(Sequence("team", [works("a"), works("b", error=OSError())]), bench)[0].error == "OSError"
    assert timed(Sequence("team", [works("a"), works("b")]), bench)[0].text == "b on a on boats.."
    assert done == ["a", "b"]


@pytest.mark.parametrize("team", [FanOut, Sequence])
def test_a_team_needs_workers_of_different_names(team: type[FanOut] | type[Sequence]) -> None:
    with pytest.raises(ValueError, match="workers: the list is empty"):
        team("team", [])
    with pytest.raises(ValueError, match="workers: the id 'a' is used twice"):
        team("team", [works("a"), works("b"), works("a")])
