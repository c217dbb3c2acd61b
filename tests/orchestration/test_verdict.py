"""Verdicts: approval is said in a form that cannot be said by accident; all else is feedback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.engines.engine import TaskResult
from orchestration.handoff_request import HANDOFF_TOOL
from orchestration.models.model import ToolCall
from orchestration.verdict import APPROVE_OUTPUT, MAX_FEEDBACK, Verdict, checked_approval


@pytest.mark.parametrize(
    "answer",
    ["APPROVED", " APPROVED\n", '{"approved": true}', '```json\n{"approved": true, "feedback": ""}\n```'],
)
def test_what_approves(answer: str) -> None:
    assert Verdict.of(answer) == Verdict(True)


@pytest.mark.parametrize(
    "answer",
    [
        "This is NOT APPROVED.",
        "NOT APPROVED",
        "APPROVED, once the tests pass",
        "approved",
        "Approved.",
        "I would have APPROVED it, but no.",
        "",
        '{"approved": "true"}',
        '{"approved": 1}',
        '{"approved": false, "feedback": "APPROVED"}',
        '{"verdict": "APPROVED"}',
        "[true]",
        "true",
        "[" * 100_000,
    ],
)
def test_what_does_not(answer: str) -> None:
    assert not Verdict.of(answer).approved


def test_the_tool_approves_whatever_is_said_beside_it() -> None:
    call = ToolCall("1", APPROVE_OUTPUT.name, {"feedback": " Well done. "})
    assert Verdict.of("NOT APPROVED would be too hard.", [ToolCall("0", "look_up"), call]) == Verdict(
        True, "Well done."
    )
    assert Verdict.of("Good.", [ToolCall("1", APPROVE_OUTPUT.name)]) == Verdict(True, "Good.")
    assert not Verdict.of("Good.", [ToolCall("1", "approve")]).approved


@pytest.mark.parametrize(
    "arguments", [{"approved": False}, {"feedback": 3}, {"feedback": "Good.", "but": "no"}, [], "x"]
)
def test_an_approval_with_arguments_it_does_not_have_approves_nothing(arguments: Any) -> None:
    odd = ToolCall("1", APPROVE_OUTPUT.name, arguments)
    for calls in ([odd], [odd, ToolCall("2", APPROVE_OUTPUT.name)], [ToolCall("2", APPROVE_OUTPUT.name), odd]):
        assert not Verdict.of("APPROVED", calls).approved
    with pytest.raises(ValueError, match=r"feedback: .* is no text|is no argument|is no object"):
        checked_approval(arguments)


@pytest.mark.parametrize(
    ("arguments", "feedback"),
    [
        ({"target": "writer", "reason": "Too long.", "summary": " Cut it. "}, "Too long.\nCut it."),
        ({"summary": "Cut it."}, "Cut it."),
        ({"reason": 3}, "APPROVED"),
        ({}, "APPROVED"),
        ("odd", "APPROVED"),
    ],
)
def test_what_is_handed_back_is_not_approved_whatever_is_beside_it(arguments: Any, feedback: str) -> None:
    back, approval = ToolCall("1", HANDOFF_TOOL.name, arguments), ToolCall("2", APPROVE_OUTPUT.name)
    for calls in ([back], [back, approval], [approval, back]):
        assert Verdict.of("APPROVED", calls) == Verdict(False, feedback)


def test_a_result_is_a_verdict_by_its_data_or_else_its_text() -> None:
    assert Verdict.of_result(TaskResult("No.", {"approved": True})) == Verdict(True, "No.")
    assert Verdict.of_result(TaskResult("x", {"approved": True, "feedback": " Good. "})) == Verdict(True, "Good.")
    assert Verdict.of_result(TaskResult("APPROVED", {"approved": False})) == Verdict(False, "APPROVED")
    assert Verdict.of_result(TaskResult("", {"approved": 1})) == Verdict(False)
    assert Verdict.of_result(TaskResult("APPROVED", {"score": 3})) == Verdict(True)
    assert Verdict.of_result(TaskResult(" ", {"score": 3})) is None


def test_that_a_review_was_approved_approves_no_work() -> None:
    loop = TaskResult("Bad.", {"approved": True, "iteration": 1, "reviews": []})
    assert Verdict.of_result(loop) == Verdict(False, "Bad.")


def test_feedback_is_what_has_to_change() -> None:
    assert Verdict.of("Handle the empty list.") == Verdict(False, "Handle the empty list.")
    assert Verdict.of('{"approved": false, "feedback": "Too long."}') == Verdict(False, "Too long.")
    assert Verdict.of('{"approved": false, "feedback": ["Too long."]}') == Verdict(False)
    assert len(Verdict.of("x" * 50_000).feedback) == MAX_FEEDBACK


@given(st.text())
def test_no_text_around_the_word_approves(text: str) -> None:
    verdict = Verdict.of(f"{text} APPROVED {text}")
    assert verdict.approved is (text.strip() == "")


@given(st.dictionaries(st.sampled_from(["approved", "feedback", "x"]), st.none() | st.booleans() | st.text()))
def test_an_object_approves_by_true_alone(found: dict[str, object]) -> None:
    assert Verdict.of(json.dumps(found)).approved is (found.get("approved") is True)
