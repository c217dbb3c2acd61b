"""A Verdict: what a reviewer says of a piece of work. It is structured; no word in a text is ever taken for approval.

A reviewer approves by calling the tool `approve_output`, by an answer that is a JSON object with `approved`, or by an
answer that is exactly `APPROVED`. Whatever else it says is feedback: "This is NOT APPROVED" approves nothing. Nor does
one who hands the work back with `handoff_conversation`, whatever it says or calls beside that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.engines.engine import TaskResult
from orchestration.handoff_request import HANDOFF_TOOL
from orchestration.models.model import ToolCall, ToolSpec

MAX_FEEDBACK = 20_000
"""Most characters of feedback that go back to the producer; what is beyond is cut."""

APPROVED = "APPROVED"

APPROVE_OUTPUT = ToolSpec(
    "approve_output",
    "Approve the work as it is. Do not call it when anything still has to change; say what instead.",
    {
        "type": "object",
        "properties": {"feedback": {"type": "string", "description": "Optional: what was good"}},
        "additionalProperties": False,
    },
)
"""The tool by which a reviewer approves."""

VERDICT = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean", "description": "Whether it is good as it is"},
        "feedback": {"type": "string", "description": "What has to change; empty if nothing"},
    },
    "required": ["approved", "feedback"],
    "additionalProperties": False,
}
"""The shape in which a reviewer writes its verdict whose model can be held to one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`feedback` says why, or what has to change."""

    approved: bool
    feedback: str = ""

    @classmethod
    def of(cls, answer: str, calls: Sequence[ToolCall] = ()) -> Verdict:
        """A reviewer's answer, and the tools it called with it. Never raises: what makes no sense does not approve."""
        back = [call.arguments for call in calls if call.name == HANDOFF_TOOL.name]
        approvals = [call.arguments for call in calls if call.name == APPROVE_OUTPUT.name]
        if back:
            why = [text for given in back for name in ("reason", "summary") if (text := _short(_get(given, name)))]
            return cls(False, _short("\n".join(why) or answer))
        if approvals:
            return cls(all(map(_fits, approvals)), _short(_get(approvals[-1], "feedback") or answer))
        text = answer.strip()
        found = _object(text)
        if found is not None and "approved" in found:
            return cls(found["approved"] is True, _short(found.get("feedback", "")))
        return cls(text == APPROVED, "" if text == APPROVED else _short(text))

    @classmethod
    def of_result(cls, result: TaskResult) -> Verdict | None:
        """What a worker returned: its data's `approved` and `feedback`, or else its text. None: it said nothing.

        A ReviewLoop's `approved` is not taken: it is of the review that was made there.
        """
        data = result.data
        if "approved" in data and "reviews" not in data:
            feedback = data.get("feedback")
            return cls(data["approved"] is True, _short(feedback if isinstance(feedback, str) else result.text))
        return cls.of(result.text) if result.text.strip() else None


def checked_approval(arguments: Mapping[str, Any]) -> None:
    """Raises ValueError for arguments that do not fit `approve_output`: one who gives them may mean the opposite."""
    if not isinstance(arguments, Mapping):
        raise ValueError(f"{type(arguments).__name__} is no object")
    for name, value in arguments.items():
        if name != "feedback":
            raise ValueError(f"{name!r:.40} is no argument; there is only feedback")
        if not isinstance(value, str):
            raise ValueError(f"feedback: {type(value).__name__} is no text")


def _fits(approval: Mapping[str, Any]) -> bool:
    try:
        checked_approval(approval)
    except ValueError:
        return False
    return True


def _get(arguments: object, name: str) -> object:
    return arguments.get(name) if isinstance(arguments, Mapping) else None


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object that the text is, also in a fenced block of Markdown; None: it is none."""
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        text = text[text.index("\n") : -3]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _short(feedback: object) -> str:
    return feedback.strip()[:MAX_FEEDBACK] if isinstance(feedback, str) else ""
