"""The state of a conversation: every change makes another one, JSON gives it back exactly, and it never grows."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery import WaitForIdle
from orchestration import (
    ConversationPhase,
    ConversationState,
    PhaseTransition,
    Room,
    StateError,
    get_conversation_state,
    set_conversation_state,
)
from orchestration.state import KEY, MAX_CONTEXT, MAX_HISTORY, MAX_PHASE, MAX_REASON
from tests.orchestration.test_plain import MAPPINGS, TEXT

NOON = datetime(2026, 3, 21, 12, tzinfo=UTC)
PHASES = st.sampled_from([*ConversationPhase, "agent-handler", "Rückfrage", "x" * MAX_PHASE])
AGENTS = st.none() | st.sampled_from(["agent-triage", "agent-handler", "a"])
TIMES = st.datetimes(
    min_value=datetime(2, 1, 1),
    max_value=datetime(9998, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11, minutes=3))]),
)
TRANSITIONS = st.builds(
    PhaseTransition,
    PHASES,
    PHASES,
    AGENTS,
    AGENTS,
    TEXT,
    TIMES,
)
STATES = st.builds(
    ConversationState,
    phase=PHASES,
    active_agent_id=AGENTS,
    previous_agent_id=AGENTS,
    handoff_count=st.integers(0, 2**53 - 1),
    phase_history=st.lists(TRANSITIONS, max_size=4).map(tuple),
    context=MAPPINGS,
    forgotten=st.integers(0, 1_000),
)


def room(**metadata: Any) -> Room:
    return Room("lobby", WaitForIdle(), metadata=metadata)


# -- transitions


def test_a_conversation_begins_with_nobody() -> None:
    state = ConversationState()
    assert (state.phase, state.active_agent_id, state.handoff_count, state.phase_history) == ("intake", None, 0, ())
    assert not state.with_human


def test_a_handoff_is_a_new_state_with_a_record() -> None:
    before = ConversationState(active_agent_id="agent-triage")
    after = before.transition(
        to_phase="handling",
        to_agent="agent-handler",
        reason="a billing issue",
        timestamp=NOON,
        context={"plan": "gold"},
    )
    assert before == ConversationState(active_agent_id="agent-triage")
    step = PhaseTransition("intake", "handling", "agent-triage", "agent-handler", "a billing issue", NOON)
    assert after == ConversationState("handling", "agent-handler", "agent-triage", 1, (step,), {"plan": "gold"})


def test_without_an_agent_only_the_phase_changes() -> None:
    state = ConversationState(active_agent_id="a", previous_agent_id="b", handoff_count=3).transition("review")
    assert (state.phase, state.active_agent_id, state.previous_agent_id, state.handoff_count) == ("review", "a", "b", 3)


def test_a_human_has_it_until_an_agent_gets_it_back() -> None:
    state = ConversationState(active_agent_id="a").transition("escalation", None, "wants a person")
    assert (state.active_agent_id, state.previous_agent_id, state.with_human) == (None, "a", True)
    back = state.transition("handling", "b")
    assert (back.with_human, back.handoff_count) == (False, 2)


def test_a_transition_is_stamped_with_the_time_it_is_made() -> None:
    before = datetime.now(UTC)
    at = ConversationState().transition("handling").phase_history[0].timestamp
    assert before - timedelta(milliseconds=1) <= at <= datetime.now(UTC)
    assert at.tzinfo is UTC


def test_remembering_merges_into_the_context() -> None:
    state = ConversationState(context={"iteration": 1, "topic": "boats"}).remembering({"iteration": 2})
    assert state.context == {"iteration": 2, "topic": "boats"}
    assert state.phase_history == ()


@given(st.integers(0, 3 * MAX_HISTORY))
def test_the_newest_transitions_are_kept_and_the_others_counted(steps: int) -> None:
    state = ConversationState()
    for number in range(steps):
        state = state.transition(f"p{number}", f"agent-{number}")
    assert [each.to_phase for each in state.phase_history] == [f"p{n}" for n in range(steps)][-MAX_HISTORY:]
    assert state.forgotten + len(state.phase_history) == state.handoff_count == steps


def test_nothing_of_it_can_be_changed() -> None:
    state = ConversationState(context={"a": 1})
    with pytest.raises(FrozenInstanceError):
        state.phase = "handling"  # type: ignore[misc]
    with pytest.raises(TypeError):
        state.context["a"] = 2  # type: ignore[index]
    assert state in {state: 1}


# -- written and read


@given(STATES)
def test_json_gives_it_back_exactly(state: ConversationState) -> None:
    text = json.dumps(state.to_dict())
    again = ConversationState.from_dict(json.loads(text))
    assert again == state
    assert repr(again) == repr(state)
    assert json.dumps(again.to_dict()) == text


@given(STATES)
def test_a_room_gives_it_back_before_and_after_a_restart(state: ConversationState) -> None:
    empty = room(topic="boats")
    kept = set_conversation_state(empty, state)
    assert get_conversation_state(kept) is state
    assert json.loads(json.dumps(dict(kept.metadata))) == {"topic": "boats", KEY: state.to_dict()}
    restarted = room(**json.loads(json.dumps(dict(kept.metadata))))
    assert get_conversation_state(restarted) == state
    assert empty.metadata == {"topic": "boats"}
    assert kept.id == "lobby"


def test_a_room_without_one_is_at_its_beginning() -> None:
    assert get_conversation_state(room()) == ConversationState()


def test_what_is_stored_can_be_copied_and_is_not_to_be_changed() -> None:
    kept = set_conversation_state(room(), ConversationState(phase="review", context={"a": [1]}))
    for twin in (copy.deepcopy(kept.metadata), pickle.loads(pickle.dumps(kept.metadata))):
        assert get_conversation_state(room(**twin)) == ConversationState(phase="review", context={"a": [1]})
    with pytest.raises(TypeError, match="read-only"):
        kept.metadata[KEY]["phase"] = "handling"
    with pytest.raises(TypeError, match="read-only"):
        kept.metadata["tier"] = "gold"  # type: ignore[index]


def test_a_look_at_it_does_not_read_it_anew() -> None:
    kept = set_conversation_state(room(), ConversationState().transition("handling"))
    assert get_conversation_state(kept) is get_conversation_state(kept)


def test_the_written_form_is_ones_own() -> None:
    state = ConversationState(context={"tags": ["a"]})
    state.to_dict()["context"]["tags"].append("b")
    assert state.context == {"tags": ["a"]}


STEP = ConversationState().transition("handling", "a", timestamp=NOON).to_dict()["phase_history"][0]


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("intake", "str is no mapping"),
        ([], "list is no mapping"),
        ({"fase": "intake"}, "'fase' is no field of it; there are phase, active_agent_id, "),
        ({"phase": ""}, "phase: '' is no phase; use 1 to 64 printable characters"),
        ({"phase": None}, "phase: None is no phase"),
        ({"active_agent_id": "not an id"}, "active_agent_id: 'not an id' is no id"),
        ({"previous_agent_id": 5}, "previous_agent_id: 5 is no id"),
        ({"handoff_count": -1}, "handoff_count: -1 is no count"),
        ({"handoff_count": True}, "handoff_count: True is no count"),
        ({"forgotten": 1.5}, "forgotten: 1.5 is no count"),
        ({"context": []}, "context: list is no mapping"),
        ({"phase_history": {}}, "phase_history: dict is no list"),
        ({"phase_history": [STEP, 5]}, r"phase_history\[1\]: int is no mapping"),
        ({"phase_history": [{}]}, r"phase_history\[0\]: from_phase: it is missing"),
        ({"phase_history": [{**STEP, "by": "a"}]}, r"phase_history\[0\]: 'by' is no field of it"),
        ({"phase_history": [{**STEP, "timestamp": "noon"}]}, r"phase_history\[0\]: Invalid isoformat string: 'noon'"),
        ({"phase_history": [{**STEP, "timestamp": 5}]}, r"phase_history\[0\]: "),
        (
            {"phase_history": [{**STEP, "timestamp": "2026-03-21T12:00:00"}]},
            r"phase_history\[0\]: timestamp: .*time zone",
        ),
        ({"phase_history": [{**STEP, "to_agent": "?"}]}, r"phase_history\[0\]: to_agent: '\?' is no id"),
        ({"phase_history": [{**STEP, "reason": None}]}, r"phase_history\[0\]: reason: it must be text"),
    ],
)
def test_what_is_stored_wrong_is_named_with_a_way_out(stored: Any, said: str) -> None:
    with pytest.raises(StateError, match=rf"^room 'lobby': metadata\['_conversation_state'\]: {said}") as raised:
        get_conversation_state(room(**{KEY: stored}))
    assert str(raised.value).endswith("(remove the key to begin anew)")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: (
            st.lists(v)
            | st.dictionaries(
                st.sampled_from([*ConversationState.__slots__, *PhaseTransition.__slots__]) | st.text(), v
            )
        ),
        max_leaves=10,
    )
)
def test_whatever_is_stored_is_a_state_or_a_clear_error(stored: Any) -> None:
    try:
        state = get_conversation_state(room(**{KEY: stored}))
    except StateError:
        return
    assert ConversationState.from_dict(state.to_dict()) == state


# -- what is refused


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"to_phase": ""}, "to_phase: '' is no phase"),
        ({"to_phase": "x" * 65}, "to_phase: "),
        ({"to_phase": "a\nb"}, "to_phase: "),
        ({"to_phase": "x", "to_agent": ""}, "to_agent: '' is no id"),
        ({"to_phase": "x", "reason": "r" * (MAX_REASON + 1)}, "reason: it must be text of at most 500 characters"),
        ({"to_phase": "x", "reason": "a\0b"}, "reason: .* without NULs and half pairs"),
        ({"to_phase": "x", "reason": "\ud800"}, "reason: .* without NULs and half pairs"),
        ({"to_phase": "x", "context": {"a": "x" * MAX_CONTEXT}}, "context: more than 32000 characters"),
        ({"to_phase": "x", "timestamp": datetime(2026, 1, 1)}, "timestamp: .* is no time with a time zone"),
        (
            {"to_phase": "x", "timestamp": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))},
            "timestamp: .* is out of range",
        ),
    ],
)
def test_a_wrong_transition_is_refused(step: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        ConversationState().transition(**step)


def test_only_transitions_are_history_and_only_states_are_kept() -> None:
    with pytest.raises(ValueError, match=r"^phase_history: it may hold PhaseTransitions only"):
        ConversationState(phase_history=("intake",))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^state: dict is no ConversationState"):
        set_conversation_state(room(), {})  # type: ignore[arg-type]


def test_phases_are_plain_text_also_when_they_come_from_the_enum() -> None:
    state = ConversationState().transition(ConversationPhase.ESCALATION)
    assert type(state.phase) is str
    assert state.phase == ConversationPhase.ESCALATION
