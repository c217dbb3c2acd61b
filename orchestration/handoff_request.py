"""What an agent asks for when it hands a conversation over: the tool that models are shown, and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestration.content import made_speakable
from orchestration.event import known
from orchestration.models.model import ToolSpec
from orchestration.state import MAX_REASON, valid_phase

HUMAN = "human"
"""The target that is no agent: a person takes over."""
MAX_SUMMARY = 4_000
"""Most characters of what the next agent is told: about a thousand tokens; what is beyond is cut."""
MAX_TARGET = 64
"""Most characters of a target: ids have no more."""


class ChannelEscalation(StrEnum):
    """By which way the conversation is to go on."""

    SAME = "same"
    VOICE = "voice"
    EMAIL = "email"
    SMS = "sms"


HANDOFF_TOOL = ToolSpec(
    name="handoff_conversation",
    description=(
        "Give this conversation to somebody who can help the caller better. They answer from now on and see your "
        "summary, so the caller need not repeat anything. Say nothing more after it."
    ),
    schema={
        "type": "object",
        "properties": {
            "target": {"type": "string", "description": "Who takes over: an agent's id or alias, or human."},
            "reason": {"type": "string", "description": "Why you hand over, in one sentence."},
            "summary": {
                "type": "string",
                "description": "What the next one needs to know: the caller's wish, facts, names, what was done.",
            },
            "next_phase": {
                "type": "string",
                "description": "The phase of the conversation from now on. Mostly left out.",
            },
            "channel_escalation": {
                "type": "string",
                "enum": [each.value for each in ChannelEscalation],
                "description": "How the caller is reached from now on; the same way, if left out.",
            },
        },
        "required": ["target", "reason", "summary"],
        "additionalProperties": False,
    },
)
"""The tool without a list of targets; `HandoffRules.tool` makes the one that an agent is offered."""


@dataclass(frozen=True, slots=True)
class HandoffRequest:
    """The tool's arguments, checked. `target` is an id, an alias or HUMAN."""

    target: str
    reason: str
    summary: str
    next_phase: str | None = None
    channel_escalation: ChannelEscalation = ChannelEscalation.SAME

    @classmethod
    def parse(cls, arguments: Mapping[str, Any]) -> HandoffRequest:
        """What a model gave. Texts that are too long are cut, as no model counts characters.

        Raises ValueError naming the argument that is wrong.
        """
        if not isinstance(arguments, Mapping):
            raise ValueError(f"arguments: {type(arguments).__name__} is no object")
        if unknown := [name for name in arguments if name not in cls.__slots__]:
            raise ValueError(f"{unknown[0]!r:.40} is no argument; there are {', '.join(cls.__slots__)}")
        phase = arguments.get("next_phase")
        return cls(
            target=_text(arguments, "target", MAX_TARGET),
            reason=_text(arguments, "reason", MAX_REASON),
            summary=_text(arguments, "summary", MAX_SUMMARY),
            next_phase=None if phase in (None, "") else valid_phase(phase, "next_phase"),
            channel_escalation=known(
                ChannelEscalation, "channel_escalation", arguments.get("channel_escalation") or ChannelEscalation.SAME
            ),
        )


def _text(arguments: Mapping[str, Any], name: str, limit: int) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        what = "it is missing" if value is None else f"{type(value).__name__} is no text"
        raise ValueError(f"{name}: {what}")
    if not (text := made_speakable(value[: 2 * limit])):
        raise ValueError(f"{name}: it says nothing")
    return text if len(text) <= limit else text[: limit - 1] + "…"
