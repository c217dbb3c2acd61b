"""Handoffs: to whom they may go, that they never go round in circles, and that a refusal says what to do instead."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import Agent, ConversationState, HandoffRules
from orchestration.handoff import (
    MAX_DEPTH,
    TIME_LIMIT,
    Handoff,
    HandoffNote,
    Rejection,
    RejectionCode,
    purposes,
)
from orchestration.handoff_chain import HandoffChain
from orchestration.handoff_request import ChannelEscalation, HandoffRequest
from orchestration.state import MAX_CONTEXT
from tests.orchestration.models.double import Double
from tests.orchestration.test_pipeline import WRITING

NOON = datetime(2026, 3, 21, 12, tzinfo=UTC)
SALES = {"agent-sales": "Sells", "agent-support": "Helps", "agent-billing": "Bills"}
SWARM = HandoffRules(SALES, aliases={"billing": "agent-billing", "person": "human"})
PLANNED = HandoffRules(
    dict.fromkeys(WRITING.get_phase_map(), ""),
    phase_map=WRITING.get_phase_map(),
    allowed_transitions=WRITING.get_allowed_transitions(),
)
SELLING = ConversationState(phase="handling", active_agent_id="agent-sales")
TURN = HandoffChain(began=100.0)


def ask(target: str, **more: Any) -> dict[str, Any]:
    return {"target": target, "reason": "It is theirs.", "summary": "Ann's invoice is wrong.", **more}


def decide(
    rules: HandoffRules,
    state: ConversationState,
    asked: Any,
    *,
    by: str | None = None,
    chain: HandoffChain = TURN,
    now: float = 100.0,
) -> Handoff | Rejection:
    return rules.decide(state, by or state.active_agent_id or "", asked, chain, now=now, timestamp=NOON)


def accepted(*given: Any, **more: Any) -> Handoff:
    made = decide(*given, **more)
    assert isinstance(made, Handoff), made
    return made


def rejected(*given: Any, **more: Any) -> Rejection:
    made = decide(*given, **more)
    assert isinstance(made, Rejection), made
    assert made.reason.endswith(".")
    return made


# -- what happens


def test_a_handoff_moves_the_conversation_and_leaves_a_note() -> None:
    made = accepted(SWARM, SELLING, ask("agent-billing", channel_escalation="sms"))
    state = made.state
    assert (state.active_agent_id, state.previous_agent_id, state.handoff_count) == ("agent-billing", "agent-sales", 1)
    (step,) = state.phase_history
    assert (step.from_agent, step.to_agent, step.reason, step.timestamp) == (
        "agent-sales",
        "agent-billing",
        "It is theirs.",
        NOON,
    )
    assert HandoffNote.of(state) == HandoffNote(
        "agent-sales", "agent-billing", "It is theirs.", "Ann's invoice is wrong.", "sms"
    )
    assert HandoffNote.of(ConversationState.from_dict(json.loads(json.dumps(state.to_dict())))) == HandoffNote.of(state)
    assert (made.from_agent, made.to_agent, made.from_phase, made.to_phase) == (
        "agent-sales",
        "agent-billing",
        "handling",
        "handling",
    )
    assert made.channel_escalation is ChannelEscalation.SMS
    assert made.chain == HandoffChain(100.0, ("agent-sales",))
    assert SELLING.handoff_count == 0


def test_a_request_may_be_checked_already() -> None:
    request = HandoffRequest("billing", "It is theirs.", "Ann's invoice is wrong.")
    assert accepted(SWARM, SELLING, request) == accepted(SWARM, SELLING, ask("agent-billing"))


@pytest.mark.parametrize(
    ("asked", "phase"),
    [
        (ask("agent-support"), "handling"),
        (ask("agent-billing"), "billing"),
        (ask("agent-billing", next_phase="resolution"), "resolution"),
    ],
)
def test_the_phase_is_the_one_asked_for_or_the_agents_or_handling(asked: dict[str, Any], phase: str) -> None:
    rules = HandoffRules(SALES, phase_map={"agent-billing": "billing"})
    assert accepted(rules, ConversationState("intake", "agent-sales"), asked).to_phase == phase


def test_in_a_plan_the_conversation_follows_the_plan() -> None:
    state = WRITING.beginning
    for target in ("agent-coder", "agent-reviewer", "agent-coder", "agent-reviewer", "agent-writer"):
        state = accepted(PLANNED, state, ask(target)).state
    assert [step.to_phase for step in state.phase_history] == ["coding", "review", "coding", "review", "report"]


def test_a_conversation_outside_the_plan_may_come_in_anywhere() -> None:
    state = ConversationState("escalation", "agent-writer")
    assert accepted(PLANNED, state, ask("agent-coder")).to_phase == "coding"


# -- a human


def test_a_human_can_always_be_asked_for() -> None:
    full = HandoffChain(0.0, tuple(SALES) * 3)
    for rules, target in ((SWARM, "human"), (SWARM, "person"), (PLANNED, "human")):
        made = accepted(rules, SELLING, ask(target), chain=full, now=1e6)
        assert (made.to_agent, made.to_phase, made.state.with_human) == (None, "escalation", True)


def test_no_phase_of_an_agents_comes_with_a_human() -> None:
    state = ConversationState("coding", "agent-coder")
    assert accepted(PLANNED, state, ask("human", next_phase="review")).to_phase == "escalation"
    waiting = HandoffRules(SALES, phase_map={"human": "waiting"})
    assert accepted(waiting, SELLING, ask("human")).to_phase == "waiting"


def test_no_agent_takes_a_conversation_from_a_human() -> None:
    state = accepted(SWARM, SELLING, ask("human")).state
    for target in ("agent-billing", "agent-sales", "human"):
        refused = rejected(SWARM, state, ask(target), by="agent-sales")
        assert refused.code is RejectionCode.NOT_ACTIVE
        assert refused.reason.startswith("Not you but a person has the conversation now: ")
    overseen = HandoffRules(SALES, supervisor_id="agent-boss")
    assert accepted(overseen, state, ask("agent-billing"), by="agent-boss").to_agent == "agent-billing"
    assert rejected(overseen, state, ask("human"), by="agent-boss").code is RejectionCode.SAME_AGENT


def test_without_a_human_there_is_none() -> None:
    rules = HandoffRules(SALES, human=False)
    assert rejected(rules, SELLING, ask("human")).code is RejectionCode.UNKNOWN_TARGET


# -- what does not happen


@pytest.mark.parametrize(
    ("rules", "state", "asked", "code", "said"),
    [
        (
            SWARM,
            SELLING,
            ask("agent-legal"),
            "unknown_target",
            "There is no 'agent-legal'. You can hand over to agent-support, agent-billing, human.",
        ),
        (
            SWARM,
            SELLING,
            ask("agent-sales"),
            "same_agent",
            "You have the conversation already: go on and answer the caller.",
        ),
        (
            PLANNED,
            WRITING.beginning,
            ask("agent-writer"),
            "not_allowed",
            "The phase 'report' does not follow on 'analysis'. You can hand over to agent-coder, human.",
        ),
        (
            PLANNED,
            WRITING.beginning,
            ask("agent-writer", next_phase="coding"),
            "not_allowed",
            (
                "agent-writer works in the phase 'report', not in 'coding'; leave next_phase out. "
                "You can hand over to agent-coder, human."
            ),
        ),
        (
            HandoffRules({"a": ""}, human=False),
            ConversationState(active_agent_id="a"),
            ask("b"),
            "unknown_target",
            "There is no 'b'. Go on with the conversation yourself.",
        ),
        (
            SWARM,
            SELLING,
            {"target": "agent-billing"},
            "bad_request",
            "The arguments do not fit: reason: it is missing. Call it again.",
        ),
        (
            SWARM,
            SELLING,
            "agent-billing",
            "bad_request",
            "The arguments do not fit: arguments: str is no object. Call it again.",
        ),
    ],
)
def test_a_refusal_says_what_to_do_instead(
    rules: HandoffRules, state: ConversationState, asked: Any, code: str, said: str
) -> None:
    assert rejected(rules, state, asked) == Rejection(RejectionCode(code), said)


def test_whoever_has_given_it_away_cannot_give_it_away_again() -> None:
    after = accepted(SWARM, SELLING, ask("agent-billing"))
    again = rejected(SWARM, after.state, ask("agent-support"), by="agent-sales", chain=after.chain)
    assert again == Rejection(
        RejectionCode.NOT_ACTIVE, "Not you but agent-billing has the conversation now: stop here and say no more."
    )


def test_a_supervisor_may_step_in() -> None:
    rules = HandoffRules(SALES, supervisor_id="agent-boss")
    made = accepted(rules, SELLING, ask("agent-billing"), by="agent-boss")
    assert (made.from_agent, made.to_agent) == ("agent-sales", "agent-billing")
    code = rejected(rules, SELLING, ask("agent-sales"), by="agent-boss").code
    assert code is RejectionCode.SAME_AGENT


def test_who_answers_by_a_rule_may_hand_over_too() -> None:
    made = accepted(SWARM, ConversationState(), ask("agent-billing"), by="agent-support")
    assert (made.from_agent, made.state.active_agent_id) == ("agent-support", "agent-billing")
    assert rejected(SWARM, ConversationState(), ask("agent-sales"), by="agent-sales").code is RejectionCode.SAME_AGENT


def test_a_turn_does_not_go_round_in_circles() -> None:
    first = accepted(SWARM, SELLING, ask("agent-billing"))
    back = rejected(SWARM, first.state, ask("agent-sales"), chain=first.chain)
    assert back.code is RejectionCode.LOOP
    assert back.reason.endswith("Answer the caller yourself, or ask them what they need.")
    next_turn = accepted(SWARM, first.state, ask("agent-sales"), chain=HandoffChain(began=120.0), now=120.0)
    assert next_turn.state.active_agent_id == "agent-sales"


def test_a_turn_is_not_passed_on_for_ever() -> None:
    many = HandoffRules({f"agent-{n}": "" for n in range(20)})
    state, chain = ConversationState(active_agent_id="agent-0"), TURN
    for number in range(1, MAX_DEPTH + 1):
        made = accepted(many, state, ask(f"agent-{number}"), chain=chain)
        state, chain = made.state, made.chain
    refused = rejected(many, state, ask("agent-10"), chain=chain)
    assert refused.code is RejectionCode.TOO_DEEP
    assert refused.reason.startswith("The caller has been passed on 5 times without an answer. ")


def test_a_caller_does_not_wait_for_ever() -> None:
    assert accepted(SWARM, SELLING, ask("agent-billing"), now=100.0 + TIME_LIMIT)
    late = rejected(SWARM, SELLING, ask("agent-billing"), now=101.0 + TIME_LIMIT)
    assert (late.code, late.reason[:31]) == (RejectionCode.TOO_LATE, "The caller has waited 31 s. Ans")


@given(st.lists(st.sampled_from([*SALES, "billing", "human", "agent-legal"]), max_size=20))
def test_whatever_agents_ask_in_one_turn_ends(asked: list[str]) -> None:
    state, chain, holders = SELLING, TURN, ["agent-sales"]
    for target in asked:
        made = SWARM.decide(state, state.active_agent_id or "agent-sales", ask(target), chain, now=100.0)
        if isinstance(made, Handoff):
            assert not state.with_human
            state, chain = made.state, made.chain
            holders.append(state.active_agent_id or "human")
    assert len(holders) == len(set(holders)) == state.handoff_count + 1
    assert len(holders) <= MAX_DEPTH + 2


def test_a_context_that_is_full_is_named() -> None:
    full = SELLING.remembering({"notes": "x" * (MAX_CONTEXT - 20)})
    with pytest.raises(ValueError, match=r"^context: more than 32000 characters"):
        decide(SWARM, full, ask("agent-billing"))


# -- taken back


def test_a_conversation_is_given_back_by_whoever_does_not_answer() -> None:
    made = accepted(PLANNED, WRITING.beginning, ask("agent-coder"))
    back = made.taken_back(made.state, "agent-coder did not answer")
    assert (back.active_agent_id, back.phase) == ("agent-discuss", "analysis")
    assert back.phase_history[-1].reason == "agent-coder did not answer"
    further = accepted(PLANNED, made.state, ask("agent-reviewer")).state
    assert made.taken_back(further, "late") is further


def test_a_human_who_does_not_come_gives_it_back_too() -> None:
    made = accepted(SWARM, SELLING, ask("human"))
    assert made.taken_back(made.state, "nobody came").active_agent_id == "agent-sales"


# -- what is offered


def test_the_tool_offers_nothing_but_who_can_be_reached() -> None:
    tool = SWARM.tool("agent-sales", "handling")
    assert tool is not None
    assert tool.name == "handoff_conversation"
    target = tool.schema["properties"]["target"]
    assert target["enum"] == ["agent-support", "agent-billing", "billing", "human", "person"]
    assert "agent-billing or billing: Bills." in target["description"]
    assert "Sells" not in target["description"]
    planned = PLANNED.tool("agent-discuss", "analysis")
    assert planned is not None
    assert planned.schema["properties"]["target"]["enum"] == ["agent-coder", "human"]
    assert PLANNED.targets("agent-reviewer", "review") == ["agent-coder", "agent-writer"]


def test_there_is_no_tool_where_there_is_nobody() -> None:
    alone = HandoffRules({"a": ""}, human=False)
    assert alone.tool("a", "handling") is None
    ends = HandoffRules(
        {"a": "", "b": ""}, phase_map={"a": "x", "b": "y"}, allowed_transitions={"x": {"y"}, "y": set()}, human=False
    )
    assert ends.tool("b", "y") is None
    assert ends.targets("a", "x") == ["b"]


@given(st.sampled_from([SWARM, PLANNED]), st.data())
def test_what_is_offered_is_accepted_and_the_rest_is_not(rules: HandoffRules, data: st.DataObject) -> None:
    agent = data.draw(st.sampled_from(sorted(rules.agents)))
    phase = data.draw(st.sampled_from(["analysis", "coding", "review", "report", "handling", "escalation"]))
    tool = rules.tool(agent, phase)
    offered = tool.schema["properties"]["target"]["enum"] if tool else []
    for target in (*rules.agents, *rules.aliases, "human", "agent-legal"):
        made = decide(rules, ConversationState(phase, agent), ask(target))
        assert isinstance(made, Handoff) == (target in offered)


def test_agents_are_told_by_what_they_are_for() -> None:
    model = Double([[]])
    told = purposes(
        Agent("a", model=model, role="Triage", description="Routes requests."),
        Agent("b", model=model, role="Handler"),
        Agent("c", model=model),
    )
    assert told == {"a": "Triage: Routes requests", "b": "Handler", "c": ""}
    tool = HandoffRules(told).tool("b", "handling")
    assert tool is not None
    described = tool.schema["properties"]["target"]["description"]
    assert described.startswith("Who takes over. a: Triage: Routes requests. c: an agent. human: a person, ")


# -- notes


@pytest.mark.parametrize("kept", [None, "note", {}, {"from_agent": 5}, {"reason": "r", "summary": None}])
def test_a_note_that_cannot_be_read_is_none(kept: Any) -> None:
    assert HandoffNote.of(ConversationState(context={"_handoff": kept})) is None


# -- rules that are refused


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"agents": ["a"]}, "agents: list is no mapping; give a dict"),
        ({"agents": {"not an id": ""}}, "agents: 'not an id' is no id"),
        ({"agents": {"human": ""}}, "agents: 'human' is not free as an id; it means a person"),
        ({"agents": {f"a{n}": "" for n in range(201)}}, "agents: 201 agents and aliases are too many"),
        ({"aliases": {"b": "c"}}, "aliases: 'b' stands for 'c', which is no agent here; there are a"),
        ({"aliases": {"b": "human"}, "human": False}, "aliases: 'b' stands for 'human', which is no agent here"),
        ({"aliases": {"human": "a"}}, "aliases: 'human' is itself an id; choose another alias for 'a'"),
        ({"aliases": {"x y": "a"}}, "aliases: 'x y' is no id"),
        ({"phase_map": {"b": "x"}}, "phase_map: 'b' is no agent here; there are a"),
        ({"phase_map": {"a": ""}}, "phase_map: '' is no phase"),
        ({"allowed_transitions": {"": set()}}, "allowed_transitions: '' is no phase"),
        ({"allowed_transitions": {"x": "y"}}, "allowed_transitions: 'y' is no set"),
        ({"allowed_transitions": {"x": {5}}}, "allowed_transitions: 5 is no phase"),
        ({"supervisor_id": ""}, "supervisor_id: '' is no id"),
        ({"max_depth": 0}, "max_depth: 0 is no whole number from 1 on"),
        ({"time_limit": 0}, "time_limit: 0 is no number of seconds above 0"),
        ({"time_limit": float("nan")}, "time_limit: nan is no number of seconds"),
    ],
)
def test_wrong_rules_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        HandoffRules(**{"agents": {"a": ""}, **wrong})


def test_an_alias_may_be_the_id_itself() -> None:
    rules = HandoffRules({"a": "", "b": ""}, aliases={"human": "human", "a": "a"})
    tool = rules.tool("b", "handling")
    assert tool is not None
    assert tool.schema["properties"]["target"]["enum"] == ["a", "human"]


def test_rules_keep_what_they_were_given() -> None:
    agents, plan = {"a": "", "b": ""}, {"handling": {"handling"}}
    rules = HandoffRules(agents, allowed_transitions=plan)
    agents.clear()
    plan["handling"].clear()
    assert rules.targets("a", "handling") == ["b"]
