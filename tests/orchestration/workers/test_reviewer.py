"""Reviewers: agents judge by a tool, functions by what they return, and nothing else approves."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.agent import MAX_ROUNDS, Agent
from orchestration.engines.engine import TaskResult
from orchestration.models.model import ToolCall
from orchestration.verdict import VERDICT, Verdict
from orchestration.workers import AgentWorker, Context, FunctionWorker
from orchestration.workers.reviewer import BY_TEXT, BY_TOOL, COULD_NOT, Review, Reviewer, send_back
from tests.orchestration.models.double import Double, Part, Writer, calls
from tests.orchestration.workers.bench import Bench
from voice.clock import run


async def nothing(input: str, context: Context) -> str:
    return ""


POET = FunctionWorker("poet", nothing, "The poet")


async def scan(line: str) -> str:
    """Count its feet."""
    return f"{line}: five feet"


def sent_back(id: str = "b", **arguments: Any) -> ToolCall:
    return ToolCall(
        id, "handoff_conversation", {"target": "poet", "reason": "Off key.", "summary": "Sing D.", **arguments}
    )


def approved(id: str = "a", **arguments: Any) -> ToolCall:
    return calls("approve_output", id, **arguments)


def judged(*replies: list[Part], bench: Bench | None = None) -> tuple[Verdict, Double]:
    model = Double(replies)
    critic = AgentWorker(Agent("critic", model=model, prompt="You know verse.", tools=[scan]))
    return verdict(critic, bench), model


def verdict(worker: Any, bench: Bench | None = None) -> Verdict:
    async def main() -> Review:
        return await Reviewer(worker, POET).review("a poem", "la la", "", "1/critic", (bench or Bench()).context())

    return run(main()).verdict


# -- agents


def test_an_agent_has_two_more_tools_and_keeps_its_own_prompt() -> None:
    said, model = judged([approved()])
    assert said == Verdict(True)
    assert (model.asked[0].prompt, model.asked[0].tools) == (
        "You know verse.",
        ("scan", "approve_output", "handoff_conversation"),
    )


def test_the_work_can_go_back_to_its_producer_only() -> None:
    spec = send_back(POET)
    assert spec.schema["properties"]["target"]["enum"] == ["poet"]
    assert set(spec.schema["properties"]) == {"target", "reason", "summary"}
    assert spec.schema["required"] == ["target", "reason", "summary"]
    assert "The poet" in spec.description


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ([approved()], Verdict(True)),
        (["Fine.", approved()], Verdict(True, "Fine.")),
        ([approved(feedback="Well sung.")], Verdict(True, "Well sung.")),
        ([sent_back()], Verdict(False, "Off key.\nSing D.")),
        (["I approve. APPROVED", sent_back()], Verdict(False, "Off key.\nSing D.")),
        ([approved(), sent_back()], Verdict(False, "Off key.\nSing D.")),
        ([sent_back(), approved()], Verdict(False, "Off key.\nSing D.")),
        ([approved("a"), sent_back("a")], Verdict(False, "Off key.\nSing D.")),
        ([approved("a"), approved("a")], Verdict(True)),
        ([approved("a"), sent_back(target="human")], Verdict(False, "Off key.\nSing D.")),
        ([approved("a"), approved("b", approved=False)], Verdict(False)),
        (["APPROVED"], Verdict(True)),
        (['{"approved": true, "feedback": "Yes."}'], Verdict(True, "Yes.")),
        (["This is NOT APPROVED"], Verdict(False, "This is NOT APPROVED")),
    ],
)
def test_what_an_agent_says_of_it(reply: list[Part], said: Verdict) -> None:
    verdict, model = judged(reply)
    assert verdict == said
    assert len(model.asked) == 1


def test_a_model_that_can_be_held_to_a_shape_writes_its_verdict() -> None:
    for text, said in {
        '{"approved": true, "feedback": ""}': Verdict(True),
        '{"approved": false, "feedback": "Off key."}': Verdict(False, "Off key."),
        '{"approved": "true", "feedback": "Yes."}': Verdict(False, "Yes."),
        "APPROVED, mostly": Verdict(False, "APPROVED, mostly"),
    }.items():
        writer, bench = Writer(text), Bench()
        critic = AgentWorker(Agent("critic", model=writer, prompt="You know verse."))
        assert verdict(critic, bench) == said
        ((messages, prompt, schema),) = writer.asked
        assert (prompt, schema) == ("You know verse.", VERDICT)
        assert BY_TEXT in messages[0].text
        assert BY_TOOL not in messages[0].text
        assert verdict(AgentWorker(Agent("critic", model=Writer())), bench) == said  # resumed, it is not asked again


def test_one_that_has_tools_to_use_is_offered_all_of_them() -> None:
    class Both(Double):
        write_json = Writer.write_json

    model = Both([[approved()]])
    assert verdict(AgentWorker(Agent("critic", model=model, tools=[scan]))) == Verdict(True)
    assert model.asked[0].tools == ("scan", "approve_output", "handoff_conversation")


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        (
            approved(approved=False),
            "error: the arguments do not fit: 'approved' is no argument; there is only feedback",
        ),
        (approved(feedback=3), "error: the arguments do not fit: feedback: int is no text"),
        (sent_back(target="human"), "error: the arguments do not fit: target: it can only be 'poet'"),
        (sent_back(summary=None), "error: the arguments do not fit: summary: it is missing"),
        (ToolCall("c", "handoff_conversation", {}), "error: the arguments do not fit: target: it is missing"),
        (calls("approve"), "error: there is no tool 'approve'"),
    ],
)
def test_a_verdict_that_does_not_fit_is_asked_for_again(call: ToolCall, wrong: str) -> None:
    said, model = judged([call], [sent_back()])
    assert said == Verdict(False, "Off key.\nSing D.")
    assert [m.text for m in model.asked[1].messages[2:]] == [wrong]


def test_its_own_tools_run_as_usual_also_beside_the_verdict() -> None:
    bench = Bench()
    said, model = judged([calls("scan", line="la la")], [calls("scan", line="la"), approved()], bench=bench)
    assert said == Verdict(True)
    assert [m.text for m in model.asked[1].messages[2:]] == ["la la: five feet"]
    assert [(text, dict(metadata)) for _, text, metadata in bench.told] == [
        ("scan", {"tool": "scan", "status": "started"}),
        ("scan", {"tool": "scan", "status": "done"}),
        ("Approved.", {"final": True, "approved": True}),
        ("scan", {"tool": "scan", "status": "started"}),
        ("scan", {"tool": "scan", "status": "done"}),
    ]


def test_the_verdict_tools_stand_before_its_own_of_that_name() -> None:
    async def approve_output() -> str:
        raise AssertionError("not asked")

    model = Double([[approved()]])
    critic = AgentWorker(Agent("critic", model=model, tools=[approve_output]))
    assert verdict(critic) == Verdict(True)
    assert model.asked[0].tools == ("approve_output", "handoff_conversation")


@pytest.mark.parametrize(
    "replies", [[[]], [[" \n"]], [[OSError("no network")]], [[1000.0]], [[calls("scan", line="x")]], [[calls("fly")]]]
)
def test_an_agent_that_comes_to_no_verdict_could_not_review(replies: list[list[Part]]) -> None:
    said, model = judged(*replies)
    assert said == Verdict(False, COULD_NOT)
    assert len(model.asked) <= MAX_ROUNDS


def test_what_the_shared_channels_are_told_of_a_refusal() -> None:
    bench = Bench()
    judged([sent_back()], bench=bench)
    assert bench.told == [("1/critic", "Off key.\nSing D.", {"final": True, "approved": False})]
    judged(['{"approved": false}'], bench=(bench := Bench()))
    assert bench.told == [("1/critic", "Not approved.", {"final": True, "approved": False})]


# -- functions


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("APPROVED", Verdict(True)),
        ('{"approved": false, "feedback": "No."}', Verdict(False, "No.")),
        ("It is approved.", Verdict(False, "It is approved.")),
        (TaskResult("", {"approved": True}), Verdict(True)),
        (TaskResult("Well.", {"approved": True}), Verdict(True, "Well.")),
        (TaskResult("APPROVED", {"approved": False, "feedback": "No."}), Verdict(False, "No.")),
        (TaskResult("x", {"approved": "yes", "feedback": 3}), Verdict(False, "x")),
        (TaskResult("APPROVED", {"score": 9}), Verdict(True)),
        (TaskResult("", {"score": 9}), Verdict(False, COULD_NOT)),
        (TaskResult("", {"approved": True}, error="half"), Verdict(False, COULD_NOT)),
        (TaskResult("", [1]), Verdict(False, COULD_NOT)),  # type: ignore[arg-type]
        ("", Verdict(False, COULD_NOT)),
        (None, Verdict(False, COULD_NOT)),
        (3, Verdict(False, COULD_NOT)),
    ],
)
def test_what_a_function_says_of_it(returned: Any, said: Verdict) -> None:
    async def critic(draft: str, context: Context) -> Any:
        assert draft == "la la"
        return returned

    assert verdict(FunctionWorker("critic", critic, "Critic")) == said
