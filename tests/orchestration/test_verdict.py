"""Verdicts: approval is said in a form that cannot be said by accident; all else is feedback."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.models.model import ToolCall
from orchestration.verdict import APPROVE_OUTPUT, MAX_FEEDBACK, Verdict


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
