"""Stages: checked when they are made, and turned into a router, a phase map and the transitions that are allowed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import ConversationPipeline, ConversationState, PipelineStage, Route
from orchestration.routing import Via
from tests.orchestration.test_event import event
from voice.clock import run

WRITING = ConversationPipeline(
    [
        PipelineStage(phase="analysis", agent_id="agent-discuss", next="coding"),
        PipelineStage(phase="coding", agent_id="agent-coder", next="review"),
        PipelineStage(phase="review", agent_id="agent-reviewer", next="report", can_return_to={"coding"}),
        PipelineStage(phase="report", agent_id="agent-writer", next=None),
    ],
    supervisor_id="agent-supervisor",
)
TEAM = {"agent-discuss", "agent-coder", "agent-reviewer", "agent-writer", "agent-supervisor"}


def test_it_knows_each_agents_phase_and_what_may_follow() -> None:
    assert WRITING.get_phase_map() == {
        "agent-discuss": "analysis",
        "agent-coder": "coding",
        "agent-reviewer": "review",
        "agent-writer": "report",
    }
    assert WRITING.get_allowed_transitions() == {
        "analysis": {"coding"},
        "coding": {"review"},
        "review": {"report", "coding"},
        "report": set(),
    }


def test_what_it_tells_is_ones_own() -> None:
    WRITING.get_phase_map().clear()
    WRITING.get_allowed_transitions()["report"].add("analysis")
    assert len(WRITING.get_phase_map()) == 4
    assert WRITING.get_allowed_transitions()["report"] == set()


def test_a_conversation_begins_in_the_first_stage() -> None:
    assert WRITING.beginning == ConversationState("analysis", "agent-discuss")


@pytest.mark.parametrize(
    ("state", "agent", "via"),
    [
        (ConversationState(), "agent-discuss", Via.DEFAULT),
        (ConversationState(phase="review"), "agent-reviewer", Via.RULE),
        (ConversationState("review", "agent-coder"), "agent-coder", Via.AFFINITY),
        (ConversationState("escalation", None, "agent-coder"), None, Via.HUMAN),
    ],
)
def test_its_router_sends_each_phase_to_its_agent(state: ConversationState, agent: str | None, via: Via) -> None:
    route = run(WRITING.to_router().route(event(), state, agents=TEAM))
    assert route == Route(agent, via, ("agent-supervisor",))


def test_a_stage_may_follow_on_itself() -> None:
    loop = ConversationPipeline([PipelineStage("talk", "host", next="talk", can_return_to={"talk"})])
    assert loop.get_allowed_transitions() == {"talk": {"talk"}}


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.data())
def test_any_graph_of_known_phases_is_a_pipeline(phases: list[str], data: st.DataObject) -> None:
    known = st.sampled_from(phases)
    stages = [
        PipelineStage(phase, f"agent-{phase}", data.draw(st.none() | known), data.draw(st.frozensets(known)))
        for phase in phases
    ]
    pipeline = ConversationPipeline(stages)
    assert set(pipeline.get_phase_map().values()) == set(pipeline.get_allowed_transitions()) == set(phases)
    for stage in stages:
        after = pipeline.get_allowed_transitions()[stage.phase]
        assert after - stage.can_return_to <= {stage.next}
        assert stage.next is None or stage.next in after


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"phase": ""}, "phase: '' is no phase"),
        ({"agent_id": "not an id"}, "agent_id: 'not an id' is no id"),
        ({"next": ""}, "next: '' is no phase"),
        ({"can_return_to": "coding"}, r"can_return_to: 'coding' is no set; write \{'coding'\}"),
        ({"can_return_to": None}, "can_return_to: None is no set"),
        ({"can_return_to": {5}}, "can_return_to: 5 is no phase"),
    ],
)
def test_a_wrong_stage_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        PipelineStage(**{"phase": "coding", "agent_id": "agent-coder", **wrong})


A, B = PipelineStage("a", "agent-a"), PipelineStage("b", "agent-b")


@pytest.mark.parametrize(
    ("stages", "supervisor", "said"),
    [
        ([], None, "stages: there are none; give at least one PipelineStage"),
        (["a"], None, "stages: it may hold PipelineStages only"),
        ([A, PipelineStage("a", "agent-b")], None, "stages: two have the phase 'a'; each needs one of its own"),
        ([A, PipelineStage("b", "agent-a")], None, "stages: two have the agent_id 'agent-a'"),
        (
            [A, PipelineStage("b", "agent-b", next="c")],
            None,
            "stages: next of 'b' is 'c', which no stage has; there are a, b",
        ),
        (
            [A, PipelineStage("b", "agent-b", can_return_to={"a", "x"})],
            None,
            "stages: can_return_to of 'b' is 'x', which",
        ),
        ([A, B], "not an id", "supervisor_id: 'not an id' is no id"),
        ([A, B], "agent-b", "supervisor_id: 'agent-b' has a stage; who looks on has none"),
    ],
)
def test_a_wrong_pipeline_is_named(stages: Any, supervisor: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        ConversationPipeline(stages, supervisor)
