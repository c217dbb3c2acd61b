"""RoomKit's samples of the handoff protocol: its tool, its handler, humans, and what the next agent is shown."""

from __future__ import annotations

import pytest

from orchestration import (
    HANDOFF_TOOL,
    Agent,
    ConversationPipeline,
    ConversationRouter,
    HandoffHandler,
    HandoffMemoryProvider,
    Pipeline,
    PipelineStage,
    RoutingConditions,
    RoutingRule,
    SlidingWindowMemory,
    TextChannel,
    setup_handoff,
)
from orchestration.models import Prepared
from tests.orchestration.guide.written import Written, agent, hand_over, shown, targets, written

STAGES = ConversationPipeline(
    [
        PipelineStage(phase="intake", agent_id="agent-triage", next="handling"),
        PipelineStage(phase="handling", agent_id="agent-billing", next="resolution"),
        PipelineStage(phase="resolution", agent_id="agent-resolver"),
    ]
)


def test_the_tool_takes_what_the_documents_say() -> None:
    schema = HANDOFF_TOOL.schema
    assert HANDOFF_TOOL.name == "handoff_conversation"
    assert schema["required"] == ["target", "reason", "summary"]
    assert list(schema["properties"]) == ["target", "reason", "summary", "next_phase", "channel_escalation"]
    assert schema["properties"]["channel_escalation"]["enum"] == ["same", "voice", "email", "sms"]


def test_a_handler_by_hand_gives_agents_the_tool_and_keeps_to_the_plan() -> None:
    triage, billing, resolver = (agent(f"agent-{name}") for name in ("triage", "billing", "resolver"))

    async def script(page: Written) -> None:
        router = STAGES.to_router()
        handler = HandoffHandler(
            runtime=page.runtime,
            router=router,
            agent_aliases={"billing": "agent-billing", "human": "human"},
            phase_map={"agent-billing": "handling", "agent-resolver": "resolution"},
            allowed_transitions=STAGES.get_allowed_transitions(),
        )
        for each in (triage, billing, resolver):
            setup_handoff(each, handler)
            await page.runtime.attach_agent(page.room, each)
        triage.model = Prepared([hand_over("agent-resolver"), hand_over("billing"), "unused"])
        assert await page.answer("I was charged twice.") == ("agent-billing", "This is agent-billing.")
        result = shown(triage)[1].messages[-1].text
        assert result.startswith("error: The phase 'resolution' does not follow on 'intake'.")
        assert (page.state.phase, page.state.active_agent_id) == ("handling", "agent-billing")

    written(script)


def test_the_next_phase_may_be_given_with_the_handoff() -> None:
    a, b = agent("a"), agent("b")

    async def script(page: Written) -> None:
        handler = ConversationRouter().install(page.runtime, [a, b], room_id=page.room)
        await handler.handle(page.room, "a", dict(hand_over("b", next_phase="qualification").arguments))
        assert page.state.phase == "qualification"

    written(script)


def test_human_takes_the_conversation_from_all_agents_unless_a_rule_says_otherwise() -> None:
    triage = agent("agent-triage", ["A person will be with you soon.", hand_over("human")])
    night = agent("agent-night")

    async def script(page: Written) -> None:
        rules = [RoutingRule("agent-night", RoutingConditions(intents={"night"}))]
        ConversationRouter(rules, "agent-triage").install(page.runtime, [triage, night], room_id=page.room)
        assert await page.answer("I want a person.") == ("agent-triage", "A person will be with you soon.")
        assert (page.state.active_agent_id, page.state.phase) == (None, "escalation")
        result = await page.write("Are you there?")
        assert result.event is not None
        assert result.reply is None
        assert (await page.answer("Are you there?", intent="night"))[0] == "agent-night"

    written(script)


def test_a_person_who_got_the_conversation_answers_over_a_channel_of_their_own() -> None:
    async def script(page: Written) -> None:
        await page.handoff.handle(page.room, "a", dict(hand_over("human").arguments))
        await page.runtime.attach_channel(page.room, TextChannel("desk", send=None))
        await page.write("This is Carol. How can I help?", "desk")
        assert [event.text for event in page.sent if event.channel_id == "desk"] == ["This is Carol. How can I help?"]

    written(script, orchestration=Pipeline([agent("a"), agent("b")], human=True))


def test_who_takes_over_is_shown_the_summary_first_and_others_are_not() -> None:
    summary = "User needs help with billing. Account #12345, premium plan, last payment was 30 days ago."
    model, other = Prepared(["I see."]), agent("agent-triage")
    memory = HandoffMemoryProvider(SlidingWindowMemory(max_events=50))
    handler = Agent("agent-handler", model=model, memory=memory)

    async def script(page: Written) -> None:
        await page.answer("Hello?")
        await page.handoff.handle(
            page.room, "agent-triage", dict(hand_over("agent-handler", summary=summary).arguments)
        )
        await page.answer("My invoice is wrong.")
        first, *rest = (message.text for message in model.asked[0].messages)
        assert first.startswith("[Context from previous agent (agent-triage)]")
        assert summary in first
        assert rest == ["Hello?", "This is agent-triage.", "My invoice is wrong."]
        assert not any("[Context" in message.text for asked in shown(other) for message in asked.messages)

    written(script, orchestration=Pipeline([other, handler]))


@pytest.mark.parametrize("human", [True, False])
def test_a_strategy_offers_a_human_when_it_is_told_to(human: bool) -> None:
    first = agent("a")

    async def script(page: Written) -> None:
        await page.answer("Hello?")
        assert targets(shown(first)[0]) == (["b", "human"] if human else ["b"])

    written(script, orchestration=Pipeline([first, agent("b")], human=human))
