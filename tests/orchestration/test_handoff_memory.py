"""The agent that was handed a conversation is shown the note of the one before it, as data, and nobody else is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import ConversationState, HandoffMemoryProvider, HandoffRules, SlidingWindowMemory
from orchestration.handoff import Handoff
from orchestration.handoff_chain import HandoffChain
from orchestration.models.model import Message, Role
from tests.orchestration.test_fence import HOSTILE

HELLO = Message(Role.USER, "My invoice is wrong.")
RULES = HandoffRules({"agent-triage": "", "agent-billing": "", "agent-support": ""})


def handed(summary: str, to: str = "agent-billing", state: ConversationState | None = None) -> ConversationState:
    state = state or ConversationState(active_agent_id="agent-triage")
    asked = {"target": to, "reason": "A billing issue.", "summary": summary}
    made = RULES.decide(state, state.active_agent_id or "", asked, HandoffChain(0.0), now=0.0)
    assert isinstance(made, Handoff)
    return made.state


def memory() -> HandoffMemoryProvider:
    kept = HandoffMemoryProvider(SlidingWindowMemory(5))
    kept.add(HELLO)
    return kept


def parts(text: str) -> tuple[str, str, str]:
    """What stands before the fence, in it, and behind it; the key stands for itself."""
    found = re.search(
        r"^<context (?P<key>[0-9a-f]{16})>\n(?P<text>.*?)^</context (?P=key)>$", text, re.DOTALL | re.MULTILINE
    )
    assert found is not None
    return text[: found.start()].replace(found["key"], "KEY"), found["text"], text[found.end() :]


def told(state: ConversationState) -> str:
    first, *rest = memory().messages("agent-billing", state)
    assert rest == [HELLO]
    assert first.role is Role.USER
    return first.text


def test_the_receiving_agent_is_shown_the_note_first() -> None:
    text = told(handed("Ann, premium plan, account 12345."))
    assert text.startswith("[Context from previous agent (agent-triage)]")
    assert parts(text)[1] == "Why it was handed over: A billing issue.\nAnn, premium plan, account 12345.\n"


def test_nobody_else_is_shown_it() -> None:
    state = handed("Ann, premium plan.")
    assert memory().messages("agent-triage", state) == [HELLO]
    assert memory().messages("agent-support", state) == [HELLO]
    assert memory().messages() == [HELLO]
    assert memory().messages("agent-billing", ConversationState(active_agent_id="agent-billing")) == [HELLO]
    moved = state.transition("handling", "agent-support")
    assert memory().messages("agent-support", moved) == [HELLO]
    assert memory().messages("agent-billing", moved) == [HELLO]
    gone = handed("Ann is angry.", "human", state)
    assert memory().messages("", gone) == [HELLO]


def test_the_last_note_counts() -> None:
    state = handed("Two.", state=handed("One.", "agent-support"))
    assert "(agent-support)" in told(state)
    assert "Two." in told(state)
    assert "One." not in told(state)


def test_the_same_note_has_the_same_words_in_every_turn() -> None:
    state = handed("Ann, premium plan.")
    assert told(state) == told(ConversationState.from_dict(state.to_dict()))
    assert told(state) != told(handed("Bob, premium plan."))


@given(st.text(min_size=1, max_size=80) | st.sampled_from([each.replace("result", "context") for each in HOSTILE]))
def test_whatever_a_note_holds_it_stays_in_its_fence(summary: str) -> None:
    before, inside, behind = parts(told(handed(f"Ann. {summary}")))
    assert (before, behind) == parts(told(handed("Ann.")))[::2]
    assert not re.search(r"<\s*/?\s*context", inside, re.IGNORECASE)


def test_a_fresh_one_shares_nothing() -> None:
    one = memory()
    two = one.fresh()
    assert isinstance(two.inner, SlidingWindowMemory)
    assert list(two.messages()) == []
    for number in range(9):
        two.add(Message(Role.USER, str(number)))
    assert [m.text for m in two.messages()] == ["4", "5", "6", "7", "8"]
    assert one.messages() == [HELLO]


def test_what_is_no_memory_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^inner: 50 is no memory; give one, like SlidingWindowMemory\(\)"):
        HandoffMemoryProvider(50)  # type: ignore[arg-type]
