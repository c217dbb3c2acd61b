"""What a model asks for: its arguments fit, are cut to size, or are refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import HANDOFF_TOOL
from orchestration.handoff_request import MAX_SUMMARY, ChannelEscalation, HandoffRequest
from orchestration.state import MAX_REASON

ASKED = {"target": "billing", "reason": "A billing issue.", "summary": "Ann's last invoice is wrong."}


def test_a_request_is_what_the_model_gave() -> None:
    assert HandoffRequest.parse(ASKED) == HandoffRequest("billing", "A billing issue.", "Ann's last invoice is wrong.")
    full = HandoffRequest.parse({**ASKED, "next_phase": "resolution", "channel_escalation": "voice"})
    assert (full.next_phase, full.channel_escalation) == ("resolution", ChannelEscalation.VOICE)
    empty = HandoffRequest.parse({**ASKED, "next_phase": "", "channel_escalation": None})
    assert (empty.next_phase, empty.channel_escalation) == (None, ChannelEscalation.SAME)


def test_the_tool_asks_for_what_a_request_takes() -> None:
    schema = HANDOFF_TOOL.schema
    assert HANDOFF_TOOL.name == "handoff_conversation"
    assert list(schema["properties"]) == list(HandoffRequest.__slots__)
    assert schema["required"] == ["target", "reason", "summary"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["channel_escalation"]["enum"] == ["same", "voice", "email", "sms"]
    assert all(each["description"] for each in schema["properties"].values())


def test_what_is_too_long_is_cut_and_what_cannot_be_stored_left_out() -> None:
    long = HandoffRequest.parse({**ASKED, "reason": "r" * 9_000, "summary": "a\0b\ud800c\x1b" + "s" * 9_000})
    assert (len(long.reason), long.reason[-2:]) == (MAX_REASON, "r…")
    assert (len(long.summary), long.summary[:4], long.summary[-1]) == (MAX_SUMMARY, "abcs", "…")
    exact = HandoffRequest.parse({**ASKED, "reason": "r" * MAX_REASON})
    assert exact.reason == "r" * MAX_REASON


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"target": None}, "target: it is missing"),
        ({"target": ""}, "target: it says nothing"),
        ({"target": ["billing"]}, "target: list is no text"),
        ({"reason": " "}, "reason: it says nothing"),
        ({"summary": 5}, "summary: int is no text"),
        ({"summary": "..."}, "summary: it says nothing"),
        ({"next_phase": 5}, "next_phase: 5 is no phase"),
        ({"next_phase": "a\nb"}, r"next_phase: 'a\\nb' is no phase"),
        ({"channel_escalation": "pigeon"}, "channel_escalation: 'pigeon' is not known; use 'same', 'voice', "),
        ({"agent": "billing"}, "'agent' is no argument; there are target, reason, summary, "),
    ],
)
def test_arguments_that_do_not_fit_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        HandoffRequest.parse({**ASKED, **wrong})


def test_arguments_are_an_object() -> None:
    with pytest.raises(ValueError, match=r"^arguments: str is no object"):
        HandoffRequest.parse("billing")  # type: ignore[arg-type]


@given(
    st.dictionaries(
        st.sampled_from([*HandoffRequest.__slots__, "more"]),
        st.none() | st.text() | st.integers() | st.lists(st.text()),
    )
)
def test_whatever_a_model_gives_is_a_request_or_a_clear_error(arguments: dict[str, Any]) -> None:
    try:
        request = HandoffRequest.parse(arguments)
    except ValueError:
        return
    for text in (request.target, request.reason, request.summary):
        assert text.strip()
        assert "\0" not in text
