"""A Verdict: what a reviewer says of a piece of work. It is structured; no word in a text is ever taken for approval.

A reviewer approves by calling the tool `approve_output`, by an answer that is a JSON object with `approved`, or by an
answer that is exactly `APPROVED`. Whatever else it says is feedback: "This is NOT APPROVED" approves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """`feedback` says why, or what has to change."""

    approved: bool
    feedback: str = ""

    @classmethod
    def of(cls, answer: str, calls: Sequence[ToolCall] = ()) -> Verdict:
        """A reviewer's answer, and the tools it called with it. Never raises: what makes no sense does not approve."""
        for call in calls:
            if call.name == APPROVE_OUTPUT.name:
                return cls(True, _short(call.arguments.get("feedback", answer)))
        text = answer.strip()
        found = _object(text)
        if found is not None and "approved" in found:
            return cls(found["approved"] is True, _short(found.get("feedback", "")))
        return cls(text == APPROVED, "" if text == APPROVED else _short(text))


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
