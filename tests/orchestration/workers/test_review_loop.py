"""Review loops: made, judged and made anew until all approve; who fails, and what a restart repeats."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.agent import Agent
from orchestration.engines.engine import TaskResult
from orchestration.workers import AgentWorker, Context, FanOut, FunctionWorker, ReviewLoop, Worker
from orchestration.workers import Sequence as InSequence
from orchestration.workers.handed import Handed
from orchestration.workers.review_loop import MAX_ITERATIONS
from orchestration.workers.reviewer import COULD_NOT
from tests.orchestration.models.double import Double, Part, calls
from tests.orchestration.workers.bench import Bench
from voice.clock import now, run

Strategy = Literal["sequential", "parallel"] | None

Says = str | TaskResult | Exception | None


class Cast:
    """Workers that say one thing after the other, the last one again and again, and note what they are given."""

    def __init__(self) -> None:
        self.given: dict[str, list[str]] = {}
        self.times: list[tuple[str, float]] = []

    def one(self, id: str, *says: Says, seconds: float = 0.0) -> FunctionWorker:
        given = self.given[id] = []

        async def job(input: str, context: Context) -> Any:
            self.times.append((id, now()))
            given.append(input)
            await asyncio.sleep(seconds)
            said = says[min(len(given), len(says)) - 1]
            if isinstance(said, Exception):
                raise said
            return said

        return FunctionWorker(id, job, id.title())


def timed(worker: Worker, bench: Bench | None = None) -> tuple[TaskResult, float]:
    async def main() -> tuple[TaskResult, float]:
        return await worker.run("a poem", (bench or Bench()).context()), now()

    return run(main())


def review(reviewer: str, approved: bool, feedback: str = "") -> dict[str, Any]:
    return {"reviewer": reviewer, "approved": approved, "feedback": feedback}


# -- how it goes


def test_it_ends_with_the_first_approval() -> None:
    cast, bench = Cast(), Bench()
    loop = ReviewLoop("loop", cast.one("poet", "one", "two"), [cast.one("critic", "Longer.", "APPROVED")])
    result, _ = timed(loop, bench)
    assert result == TaskResult("two", {"approved": True, "iteration": 2, "reviews": [review("critic", True)]})
    assert cast.given["critic"] == ["one", "two"]
    assert [(part, progress) for part, _, _, progress in bench.reports if progress] == [
        ("", "writing, round 1"),
        ("", "in review, round 1"),
        ("", "writing, round 2"),
        ("", "in review, round 2"),
    ]
    assert [(part, label) for part, label, status, _ in bench.reports if status == "done"] == [
        ("1/poet", "Poet"),
        ("1/critic", "Critic"),
        ("2/poet", "Poet"),
        ("2/critic", "Critic"),
    ]


def test_the_producer_gets_the_input_then_its_draft_and_what_all_said_of_it() -> None:
    cast = Cast()
    poet = cast.one("poet", "roses are red", "roses are blue")
    refusal = TaskResult("", {"approved": False, "feedback": "Other flowers."})
    timed(ReviewLoop("loop", poet, [cast.one("a", "No rhyme."), cast.one("b", refusal)], max_iterations=2))
    first, second = cast.given["poet"]
    assert first == "a poem"
    assert second.startswith("a poem\n")
    draft, feedback = second.index("\nroses are red\n"), second.index("\nA: not approved. No rhyme.\n")
    assert draft < feedback < second.index("\nB: not approved. Other flowers.\n")


@pytest.mark.parametrize("strategy", ["parallel", "sequential", None])
def test_what_is_never_approved_is_a_result_all_the_same(strategy: Strategy) -> None:
    cast = Cast()
    reviewers = [cast.one("a", "APPROVED"), cast.one("b", "This is NOT APPROVED.")]
    result, _ = timed(ReviewLoop("loop", cast.one("poet", "1", "2", "3"), reviewers, strategy=strategy))
    assert result.error is None
    assert result.text == "3"
    assert result.data == {
        "approved": False,
        "iteration": 3,
        "reviews": [review("a", True), review("b", False, "This is NOT APPROVED.")],
    }


def test_parallel_reviewers_judge_at_once_and_are_listed_in_their_order() -> None:
    cast = Cast()
    reviewers = [cast.one("slow", "APPROVED", seconds=5), cast.one("quick", "APPROVED", seconds=1)]
    result, took = timed(ReviewLoop("loop", cast.one("poet", "x", seconds=2), reviewers, strategy="parallel"))
    assert took == 7
    assert cast.times == [("poet", 0), ("slow", 2), ("quick", 2)]
    assert [r["reviewer"] for r in result.data["reviews"]] == ["slow", "quick"]


@pytest.mark.parametrize("strategy", ["sequential", None])
def test_sequential_reviewers_judge_one_after_the_other_also_after_a_refusal(strategy: Strategy) -> None:
    cast = Cast()
    reviewers = [cast.one("a", "No.", seconds=1), cast.one("b", "APPROVED", seconds=1)]
    loop = ReviewLoop("loop", cast.one("poet", "x"), reviewers, strategy=strategy, max_iterations=1)
    result, took = timed(loop)
    assert took == 2
    assert cast.times == [("poet", 0), ("a", 0), ("b", 1)]
    assert result.data["reviews"] == [review("a", False, "No."), review("b", True)]


@pytest.mark.parametrize(("strategy", "shown"), [("sequential", True), (None, True), ("parallel", False)])
def test_in_a_chain_each_sees_what_those_before_it_said(strategy: Strategy, shown: bool) -> None:
    cast = Cast()
    reviewers = [cast.one("a", "Off key."), cast.one("b", OSError()), cast.one("c", "APPROVED")]
    timed(ReviewLoop("loop", cast.one("poet", "la la"), reviewers, strategy=strategy, max_iterations=1))
    (last,) = cast.given["c"]
    assert last == "la la"
    assert isinstance(last, Handed)
    assert ("A: not approved. Off key." in last.shown, "B could not review." in last.shown) == (shown, shown)
    (first,) = cast.given["a"]
    assert isinstance(first, Handed)
    assert "Off key" not in first.shown


def test_agents_are_shown_what_was_asked_and_the_draft() -> None:
    models = [Double([["la la"]]), Double([["Off key."]])]
    poet, critic = (AgentWorker(Agent(id, model=m)) for id, m in zip(("poet", "critic"), models, strict=True))
    timed(ReviewLoop("loop", poet, [critic], max_iterations=2))
    (judged,) = models[1].asked[0].messages
    assert judged.text.index("\na poem\n") < judged.text.index("\nla la\n")
    assert models[0].asked[0].messages[0].text == "a poem"
    (again,) = models[0].asked[1].messages
    assert again.text.index("a poem\n") < again.text.index("\nla la\n") < again.text.index("not approved. Off key.")


# -- who fails


@pytest.mark.parametrize(
    "failure", [OSError("secret"), TimeoutError(), "", " \n", None, TaskResult("APPROVED", error="half")]
)
@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
def test_a_reviewer_that_fails_does_not_approve_and_the_loop_goes_on(failure: Says, strategy: Strategy) -> None:
    cast, bench = Cast(), Bench()
    reviewers = [cast.one("a", failure, "APPROVED"), cast.one("b", "APPROVED")]
    result, _ = timed(ReviewLoop("loop", cast.one("poet", "x", "y"), reviewers, strategy=strategy), bench)
    assert result == TaskResult(
        "y", {"approved": True, "iteration": 2, "reviews": [review("a", True), review("b", True)]}
    )
    assert "A could not review.\n" in cast.given["poet"][1]
    assert "secret" not in cast.given["poet"][1]
    assert [status for part, _, status, _ in bench.reports if part == "1/a"] == ["running", "failed"]


def test_why_a_reviewer_could_not_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    cast = Cast()
    loop = ReviewLoop("loop", cast.one("poet", "x"), [cast.one("a", OSError("no network"))], max_iterations=1)
    result, _ = timed(loop)
    assert result.data["reviews"] == [review("a", False, COULD_NOT)]
    assert "task t1: reviewer a could not review: OSError: no network" in caplog.text


def test_a_reviewer_that_stalls_past_its_own_bound_could_not_review() -> None:
    critic = AgentWorker(Agent("critic", model=Double([[1000.0, "APPROVED"], ["APPROVED"]])))
    result, took = timed(ReviewLoop("loop", Cast().one("poet", "x"), [critic]))
    assert (result.data["approved"], result.data["iteration"]) == (True, 2)
    assert took == 60


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (OSError("no ink"), "OSError: no ink"),
        ("", "Poet made nothing"),
        (None, "Poet made nothing"),
        (TaskResult("half", error="no ink"), "no ink"),
        (TaskResult("half", error=""), ""),
    ],
)
def test_a_producer_that_fails_at_once_has_failed(failure: Says, error: str) -> None:
    cast = Cast()
    result, _ = timed(ReviewLoop("loop", cast.one("poet", failure), [cast.one("critic", "No.")]))
    assert result == TaskResult("", {"approved": False, "iteration": 0, "reviews": []}, error=error)
    assert cast.given["critic"] == []


@pytest.mark.parametrize("failure", [OSError("no ink"), "", TaskResult("half", error="no ink")])
def test_a_producer_that_fails_later_ends_it_with_its_last_draft(
    failure: Says, caplog: pytest.LogCaptureFixture
) -> None:
    cast = Cast()
    result, _ = timed(ReviewLoop("loop", cast.one("poet", "one", failure), [cast.one("critic", "No.")]))
    assert result == TaskResult("one", {"approved": False, "iteration": 1, "reviews": [review("critic", False, "No.")]})
    assert (logging.WARNING, "orchestration") in [(r.levelno, r.pathname.split("/")[-3]) for r in caplog.records]
    assert "the draft of round 1 is the last: " in caplog.text


# -- what a restart repeats


@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
def test_a_loop_that_is_resumed_pays_for_nothing_twice(strategy: Strategy) -> None:
    def cast(*replies: Sequence[Part]) -> tuple[ReviewLoop, list[Double]]:
        models = [Double([["one"], ["two"], ["three"]]), Double([["No."]]), Double(replies)]
        poet, a, b = (AgentWorker(Agent(id, model=m)) for id, m in zip(("poet", "a", "b"), models, strict=True))
        return ReviewLoop("loop", poet, [a, b], strategy=strategy, max_iterations=2), models

    bench = Bench()
    loop, models = cast(["Nor I."], [1000.0])

    async def dies() -> None:
        task = asyncio.create_task(loop.run("a poem", bench.context()))
        await asyncio.sleep(2)
        task.cancel()
        await asyncio.wait([task])

    run(dies())
    assert [len(m.asked) for m in models] == [2, 2, 2]
    assert set(bench.recorded) == {f"{part}:model 0#1" for part in ("1/poet", "1/a", "1/b", "2/poet", "2/a")}
    told = len(bench.told)

    again, resumed = cast([calls("approve_output")])
    result, _ = timed(again, bench)
    assert result.text == "two"
    assert result.data["reviews"] == [review("a", False, "No."), review("b", True)]
    assert [len(m.asked) for m in resumed] == [0, 0, 1]
    assert resumed[2].asked[0].messages == models[2].asked[1].messages
    assert [text for _, text, _ in bench.told[told:]] == ["Approved."]


def test_a_resumed_loop_goes_on_in_its_round() -> None:
    class Dies(BaseException):
        """The process comes to an end."""

    made: list[str] = []

    async def poet(input: str, context: Context) -> str:
        async def write() -> str:
            made.append(input)
            return f"draft {len(made)}"

        return await context.step("write", write)

    async def critic(input: str, context: Context) -> str:
        if input == "draft 2" and not resumed:
            raise Dies
        return "APPROVED" if input == "draft 2" else "No."

    loop = ReviewLoop("loop", FunctionWorker("poet", poet, "Poet"), [FunctionWorker("critic", critic, "Critic")])
    bench, resumed = Bench(), False
    with pytest.raises(Dies):
        timed(loop, bench)
    resumed = True
    result, _ = timed(loop, bench)
    assert (result.text, result.data["iteration"], len(made)) == ("draft 2", 2, 2)


# -- patterns within it


def test_patterns_make_and_judge_too() -> None:
    cast = Cast()
    makers = InSequence("makers", [cast.one("research", "facts"), cast.one("poet", "one", "two")])
    judges = FanOut("judges", [cast.one("a", "APPROVED"), cast.one("b", "APPROVED")])
    inner = ReviewLoop("inner", cast.one("critic", "No.", "APPROVED"), [cast.one("chief", "APPROVED")])
    bench = Bench()
    result, _ = timed(ReviewLoop("loop", makers, [judges, inner], max_iterations=2), bench)
    assert result.text == "two"
    assert [(r["reviewer"], r["approved"]) for r in result.data["reviews"]] == [
        ("judges", False),  # two words side by side are not the one that approves
        ("inner", True),
    ]
    assert "2/inner/1/critic" in {part for part, *_ in bench.reports}


def test_what_an_inner_loop_approved_is_a_review_not_the_work() -> None:
    cast = Cast()
    inner = ReviewLoop("inner", cast.one("critic", "Bad."), [cast.one("chief", "APPROVED")])
    result, _ = timed(ReviewLoop("loop", cast.one("poet", "x"), [inner], max_iterations=1))
    assert result.data["reviews"] == [review("inner", False, "Bad.")]


def test_agents_of_a_sequence_that_makes_it_see_the_feedback() -> None:
    model = Double([["one"], ["two"]])
    cast = Cast()
    makers = InSequence("makers", [cast.one("research", "facts"), AgentWorker(Agent("poet", model=model))])
    timed(ReviewLoop("loop", makers, [cast.one("critic", "Off key.", "APPROVED")]))
    (shown,) = model.asked[1].messages
    assert all(text in shown.text for text in ("a poem", "one", "Off key.", "facts"))


# -- what may be asked for


def test_what_cannot_work_is_refused() -> None:
    cast = Cast()
    poet, critic = cast.one("poet", "x"), cast.one("critic", "x")
    with pytest.raises(ValueError, match="reviewers: the list is empty"):
        ReviewLoop("loop", poet, [])
    with pytest.raises(ValueError, match="reviewers: the id 'critic' is used twice"):
        ReviewLoop("loop", poet, [critic, critic])
    with pytest.raises(ValueError, match="reviewers: 'poet' is the producer"):
        ReviewLoop("loop", poet, [critic, poet])
    for most in (0, -1, MAX_ITERATIONS + 1, True, 2.0, "3", None):
        with pytest.raises(ValueError, match=r"max_iterations: .* is no whole number from 1 to 20"):
            ReviewLoop("loop", poet, [critic], max_iterations=most)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="strategy: 'chained' is not known"):
        ReviewLoop("loop", poet, [critic], strategy="chained")  # type: ignore[arg-type]
    assert ReviewLoop("loop", poet, [critic], max_iterations=MAX_ITERATIONS).max_iterations == 20


# -- in every case

VERDICTS: dict[str, Says] = {
    "yes": "APPROVED",
    "json": '{"approved": true}',
    "data": TaskResult("", {"approved": True}),
    "no": "Again.",
    "not": "This is NOT APPROVED",
    "raises": OSError("no network"),
    "nothing": "",
}
APPROVING = {"yes", "json", "data"}


@given(data=st.data(), most=st.integers(1, 5), strategy=st.sampled_from(["sequential", "parallel", None]))
def test_it_is_approved_if_and_only_if_all_approved_in_the_last_round(
    data: st.DataObject, most: int, strategy: Strategy
) -> None:
    logging.disable(logging.CRITICAL)
    rounds = st.lists(st.sampled_from(sorted(VERDICTS)), min_size=most, max_size=most)
    says = data.draw(st.lists(rounds, min_size=1, max_size=4))
    fails_in = data.draw(st.integers(1, 8))
    drafts: list[Says] = [f"draft {n}" if n != fails_in else OSError("no ink") for n in range(1, most + 1)]
    cast = Cast()
    reviewers = [cast.one(f"r{n}", *(VERDICTS[word] for word in words)) for n, words in enumerate(says)]
    try:
        result, _ = timed(
            ReviewLoop("loop", cast.one("poet", *drafts), reviewers, max_iterations=most, strategy=strategy)
        )
    finally:
        logging.disable(logging.NOTSET)

    approving = [n for n in range(1, most + 1) if all(words[n - 1] in APPROVING for words in says)]
    judged = min([most, fails_in - 1, *approving])
    approved = judged in approving
    assert result.data["approved"] is approved
    assert approved == (judged > 0 and all(r["approved"] for r in result.data["reviews"]))
    assert result.data["iteration"] == judged
    assert len(cast.given["poet"]) == (judged if approved or judged == most else judged + 1) <= most
    assert [len(cast.given[r.id]) for r in reviewers] == [judged] * len(reviewers)
    assert result.text == (f"draft {judged}" if judged else "")
    assert (result.error is None) == (judged > 0)
    assert [r["reviewer"] for r in result.data["reviews"]] == ([r.id for r in reviewers] if judged else [])
