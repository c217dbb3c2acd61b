"""RoomKit's samples of state, routers, rules and pipelines of stages, as they read here."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration import (
    Agent,
    ChannelType,
    ConversationPhase,
    ConversationPipeline,
    ConversationRouter,
    ConversationState,
    HookContext,
    HookExecution,
    HookTrigger,
    PipelineStage,
    RoomEvent,
    RoutingConditions,
    RoutingRule,
    get_conversation_state,
    set_conversation_state,
)
from tests.orchestration.guide.written import Written, agent, hand_over, shown, targets, written


def by_intent_and_channel(**more: Any) -> ConversationRouter:
    return ConversationRouter(
        rules=[
            RoutingRule(
                agent_id="agent-billing",
                conditions=RoutingConditions(phases={"handling"}, intents={"billing"}),
                priority=0,
            ),
            RoutingRule(
                agent_id="agent-support",
                conditions=RoutingConditions(phases={"handling"}, channel_types={ChannelType.SMS}),
                priority=10,
            ),
        ],
        default_agent_id="agent-triage",
        **more,
    )


def crowd() -> list[Agent]:
    return [agent(f"agent-{name}") for name in ("triage", "billing", "support")]


async def attach(page: Written, *agents: Agent) -> None:
    for each in agents:
        await page.runtime.attach_agent(page.room, each)


async def begin_handling(page: Written) -> None:
    state = ConversationState(phase="handling")
    await page.runtime.store.update_room(set_conversation_state(page.runtime.room(page.room), state))


# -- state


def test_a_transition_makes_a_new_state_that_the_store_keeps() -> None:
    async def script(page: Written) -> None:
        room = await page.runtime.get_room(page.room)
        state = get_conversation_state(room)
        assert (state.phase, state.active_agent_id, state.handoff_count) == ("intake", None, 0)
        new_state = state.transition(
            to_phase="handling", to_agent="agent-handler", reason="User request classified as billing issue"
        )
        assert state.phase == "intake"
        updated_room = set_conversation_state(room, new_state)
        assert get_conversation_state(room) == state
        await page.runtime.store.update_room(updated_room)
        assert get_conversation_state(await page.runtime.get_room(page.room)) == new_state
        (step,) = new_state.phase_history
        assert (step.from_phase, step.to_phase, step.from_agent, step.to_agent) == (
            "intake",
            "handling",
            None,
            "agent-handler",
        )
        assert ConversationState.from_dict(new_state.to_dict()) == new_state

    written(script)


def test_there_are_six_phases_and_any_other_text_is_one_too() -> None:
    assert {phase.name: phase.value for phase in ConversationPhase} == {
        "INTAKE": "intake",
        "QUALIFICATION": "qualification",
        "HANDLING": "handling",
        "ESCALATION": "escalation",
        "RESOLUTION": "resolution",
        "FOLLOWUP": "followup",
    }
    assert ConversationState().transition("waiting for a part").phase == "waiting for a part"


# -- rules


def test_one_line_wires_a_router_and_handoffs_between_its_agents() -> None:
    triage, billing, support = crowd()

    async def script(page: Written) -> None:
        handler = by_intent_and_channel().install(
            page.runtime,
            [triage, billing, support],
            agent_aliases={"billing": "agent-billing"},
            phase_map={"agent-billing": "handling"},
        )
        await attach(page, triage, billing, support)
        assert await page.answer("Hello?") == ("agent-triage", "This is agent-triage.")
        assert {"agent-billing", "billing", "agent-support", "human"} == set(targets(shown(triage)[0]))
        told = await handler.handle(page.room, "agent-triage", dict(hand_over("billing").arguments))
        assert told.startswith("Done")
        assert (page.state.active_agent_id, page.state.phase) == ("agent-billing", "handling")
        assert (page.state.previous_agent_id, page.state.handoff_count) == ("agent-triage", 1)
        assert page.state.phase_history[0].from_agent == "agent-triage"
        assert await page.answer("Hello?") == ("agent-billing", "This is agent-billing.")

    written(script)


def test_by_hand_the_hook_has_priority_minus_100_and_stamps_who_answers() -> None:
    stamped: list[Any] = []

    async def script(page: Written) -> None:
        router = by_intent_and_channel(supervisor_id="agent-supervisor")
        page.runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC, priority=-100)(router.as_hook())

        @page.runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC)
        async def note(event: RoomEvent, context: HookContext) -> None:
            stamped.append((event.metadata.get("_routed_to"), list(event.metadata.get("_always_process", ()))))

        supervisor = agent("agent-supervisor", "")
        await attach(page, *crowd(), supervisor)
        assert await page.answer("Hello?") == ("agent-triage", "This is agent-triage.")
        assert stamped[0] == ("agent-triage", ["agent-supervisor"])
        assert (None, []) in stamped[1:], "what an agent says is not routed"

    written(script)


def test_rules_count_by_priority_and_all_conditions_of_one_must_hold() -> None:
    async def script(page: Written) -> None:
        await page.join("phone", ChannelType.SMS)
        by_intent_and_channel().install(page.runtime, team := crowd())
        await attach(page, *team)
        assert (await page.answer("Hi.", "phone", intent="billing"))[0] == "agent-triage", "it is not in 'handling'"
        await begin_handling(page)
        assert (await page.answer("Hi.", "phone", intent="billing"))[0] == "agent-billing", "priority 0 is first"
        assert (await page.answer("Hi.", "phone", intent="weather"))[0] == "agent-support"
        assert (await page.answer("Hi.", "ws-user", intent="weather"))[0] == "agent-triage", "the default"

    written(script)


def test_whoever_has_the_conversation_comes_before_every_rule() -> None:
    async def script(page: Written) -> None:
        handler = by_intent_and_channel().install(page.runtime, team := crowd())
        await attach(page, *team)
        await handler.handle(page.room, "agent-triage", dict(hand_over("agent-support").arguments))
        assert (await page.answer("Hi.", intent="billing"))[0] == "agent-support"

    written(script)


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        (RoutingConditions(phases={"intake"}), True),
        (RoutingConditions(phases={"handling"}), False),
        (RoutingConditions(channel_types={ChannelType.WEBSOCKET, ChannelType.SMS}), True),
        (RoutingConditions(channel_types={ChannelType.EMAIL}), False),
        (RoutingConditions(intents={"billing"}), True),
        (RoutingConditions(intents={"weather"}), False),
        (RoutingConditions(source_channel_ids={"ws-user"}), True),
        (RoutingConditions(source_channel_ids={"ws-other"}), False),
        (RoutingConditions(custom=lambda event, context, state: "please" in event.content.body), True),
        (RoutingConditions(custom=lambda event, context, state: state.handoff_count > 0), False),
        (RoutingConditions(), True),
    ],
)
def test_each_condition_of_the_table(conditions: RoutingConditions, matches: bool) -> None:
    async def script(page: Written) -> None:
        router = ConversationRouter(rules=[RoutingRule("special", conditions)], default_agent_id="usual")
        router.install(page.runtime, team := [agent("usual"), agent("special")])
        await attach(page, *team)
        assert (await page.answer("Hi, please.", intent="billing"))[0] == ("special" if matches else "usual")

    written(script)


# -- pipelines of stages


def workshop() -> ConversationPipeline:
    return ConversationPipeline(
        stages=[
            PipelineStage(phase="analysis", agent_id="agent-discuss", next="coding"),
            PipelineStage(phase="coding", agent_id="agent-coder", next="review"),
            PipelineStage(phase="review", agent_id="agent-reviewer", next="report", can_return_to={"coding"}),
            PipelineStage(phase="report", agent_id="agent-writer", next=None),
        ],
        supervisor_id="agent-supervisor",
    )


def test_what_a_pipeline_of_stages_says_of_itself() -> None:
    pipeline = workshop()
    assert pipeline.get_phase_map() == {
        "agent-discuss": "analysis",
        "agent-coder": "coding",
        "agent-reviewer": "review",
        "agent-writer": "report",
    }
    assert pipeline.get_allowed_transitions() == {
        "analysis": {"coding"},
        "coding": {"review"},
        "review": {"report", "coding"},
        "report": set(),
    }
    router = pipeline.to_router()
    assert [(rule.agent_id, rule.conditions.phases) for rule in router.rules] == [
        ("agent-discuss", {"analysis"}),
        ("agent-coder", {"coding"}),
        ("agent-reviewer", {"review"}),
        ("agent-writer", {"report"}),
    ]
    assert (router.default_agent_id, router.supervisor_id) == ("agent-discuss", "agent-supervisor")


def test_a_reviewer_sends_back_and_nobody_skips_a_stage() -> None:
    team = [agent(f"agent-{name}") for name in ("discuss", "coder", "reviewer", "writer")]

    async def script(page: Written) -> None:
        handler = workshop().install(page.runtime, team, room_id=page.room, agent_aliases={"author": "agent-coder"})
        assert page.state.phase == "analysis"

        async def pass_on(by: str, to: str) -> str:
            await handler.handle(page.room, f"agent-{by}", dict(hand_over(to).arguments))
            return page.state.phase

        assert await pass_on("discuss", "agent-reviewer") == "analysis"
        assert await pass_on("discuss", "author") == "coding"
        assert await pass_on("coder", "agent-reviewer") == "review"
        assert await pass_on("reviewer", "agent-discuss") == "review"
        assert await pass_on("reviewer", "agent-coder") == "coding"
        assert (await page.answer("How is it?"))[0] == "agent-coder"

    written(script)


def test_the_way_back_may_be_taken_while_one_message_is_answered() -> None:
    team = [
        agent("agent-discuss", hand_over("agent-coder")),
        agent("agent-coder", ["One.", hand_over("agent-reviewer")], ["Two.", hand_over("agent-reviewer")]),
        agent("agent-reviewer", hand_over("agent-coder"), hand_over("agent-writer")),
        agent("agent-writer"),
    ]

    async def script(page: Written) -> None:
        workshop().install(page.runtime, team, room_id=page.room)
        assert await page.answer("Count, please.") == ("agent-writer", "One. Two. This is agent-writer.")
        assert page.state.handoff_count == 5

    written(script)


@pytest.mark.parametrize(
    ("stage", "fault"),
    [
        (PipelineStage("a", "one", next="b"), "stages: next of 'a' is 'b', which no stage has; there are a"),
        (PipelineStage("a", "one", can_return_to={"z"}), "stages: can_return_to of 'a' is 'z', which no stage has"),
    ],
)
def test_a_pipeline_with_a_phase_that_is_not_there_is_refused(stage: PipelineStage, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        ConversationPipeline(stages=[stage])


def test_a_stage_may_lead_to_itself() -> None:
    stage = PipelineStage(phase="draft", agent_id="writer", next="draft")
    assert (stage.next, stage.can_return_to) == ("draft", frozenset())
    assert ConversationPipeline([stage]).get_allowed_transitions() == {"draft": {"draft"}}
