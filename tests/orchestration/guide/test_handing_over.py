"""RoomKit's samples of Pipeline, Swarm, handoffs and conversation state, as they read here."""

from __future__ import annotations

from pathlib import Path

from delivery import Status
from orchestration import (
    Agent,
    ConversationState,
    HookContext,
    HookEvent,
    HookTrigger,
    InboundMessage,
    Pipeline,
    Runtime,
    Swarm,
    TextChannel,
    TextContent,
    get_conversation_state,
)
from orchestration.models import Prepared
from tests.orchestration.guide.written import Written, agent, hand_over, shown, targets, written
from voice.clock import run

BILLING = {
    "target": "agent-handler",
    "reason": "Billing issue needs specialist",
    "summary": "User has a billing question about their account.",
}


def team() -> list[Agent]:
    return [
        agent("agent-triage", role="Triage receptionist", description="Routes requests to the right specialist"),
        agent("agent-handler", role="Request handler", description="Resolves customer requests"),
        agent("agent-resolver", role="Resolution specialist", description="Confirms that it is resolved"),
    ]


def test_a_strategy_wires_agents_tools_and_state_when_the_room_is_made() -> None:
    triage, handler, closer = (Agent(id, model=Prepared([id]), role=id.title()) for id in ("triage", "handler", "end"))

    async def main() -> None:
        async with Runtime(orchestration=Pipeline(agents=[triage, handler, closer]), state=None) as runtime:
            room = await runtime.create_room()
            assert list(room.agents) == ["triage", "handler", "end"]
            state = get_conversation_state(room)
            assert (state.phase, state.active_agent_id, state.handoff_count) == ("triage", "triage", 0)
            await runtime.attach_channel(room.id, TextChannel("ws-user"))
            result = await runtime.process_inbound(InboundMessage("ws-user", "user", TextContent("Hello?")))
            assert result.reply is not None
            assert (result.reply.sender_id, result.reply.text) == ("triage", "triage")
            assert targets(shown(triage)[0]) == ["handler"]
            assert shown(handler) == shown(closer) == []

    run(main())


def test_a_handoff_moves_the_phase_and_the_next_message_to_the_new_agent() -> None:
    triage, handler, resolver = team()

    async def script(page: Written) -> None:
        told = await page.handoff.handle(page.room, "agent-triage", BILLING)
        assert told.startswith("Done: agent-handler has the conversation now.")
        room = await page.runtime.get_room("support-room")
        state = get_conversation_state(room)
        assert (state.phase, state.active_agent_id, state.handoff_count) == ("agent-handler", "agent-handler", 1)
        assert await page.answer("My last invoice looks wrong.") == ("agent-handler", "This is agent-handler.")
        assert shown(triage) == shown(resolver) == []
        (asked,) = shown(handler)
        context, message = asked.messages
        assert context.text.startswith("[Context from previous agent (agent-triage)]")
        assert BILLING["summary"] in context.text
        assert message.text == "My last invoice looks wrong."

    written(script, orchestration=Pipeline(agents=[triage, handler, resolver]))


def test_a_model_that_hands_over_has_its_colleague_answer_the_same_message() -> None:
    triage, handler, resolver = team()
    triage.model = Prepared([["One moment, please.", hand_over(**BILLING)]])

    async def script(page: Written) -> None:
        reply = await page.asks("My last invoice looks wrong.")
        assert reply.text == "One moment, please. This is agent-handler."
        assert reply.sender_id == "agent-handler"
        assert await page.answer("Anything new?") == ("agent-handler", "This is agent-handler.")
        assert len(shown(triage)) == 1
        assert page.state.handoff_count == 1

    written(script, orchestration=Pipeline(agents=[triage, handler, resolver]))


def test_in_a_pipeline_each_agent_reaches_the_next_one_only() -> None:
    first, second, third = team()

    async def script(page: Written) -> None:
        await page.answer("Hello?")
        refused = await page.handoff.handle(page.room, "agent-triage", {**BILLING, "target": "agent-resolver"})
        assert refused.startswith("error: The phase 'agent-resolver' does not follow on 'agent-triage'.")
        await page.handoff.handle(page.room, "agent-triage", BILLING)
        await page.answer("Hello?")
        await page.handoff.handle(page.room, "agent-handler", {**BILLING, "target": "agent-resolver"})
        await page.answer("Hello?")
        assert [targets(shown(each)[0]) for each in (first, second, third)] == [
            ["agent-handler"],
            ["agent-resolver"],
            (),
        ]

    written(script, orchestration=Pipeline(agents=[first, second, third]))


def test_a_supervisor_of_a_pipeline_sees_what_callers_say_and_is_silent() -> None:
    supervisor = agent("agent-supervisor", "")
    seen: list[object] = []

    async def script(page: Written) -> None:
        await page.runtime.attach_agent(page.room, supervisor)

        @page.runtime.hook(HookTrigger.AFTER_BROADCAST)
        def note(event: object, context: HookContext) -> None:
            seen.append(getattr(event, "metadata", {}).get("_always_process"))

        assert await page.answer("Hello?") == ("agent-triage", "This is agent-triage.")
        assert ["agent-supervisor"] in seen
        assert [event.sender_id for event in page.sent] == ["agent-triage"]

    written(script, orchestration=Pipeline(agents=team(), supervisor_id="agent-supervisor"))


def test_in_a_swarm_everybody_reaches_everybody_and_whoever_has_it_keeps_it() -> None:
    sales, support, billing = (agent(f"agent-{name}") for name in ("sales", "support", "billing"))
    billing.model = Prepared(["It is 20 euros.", hand_over("agent-sales"), "unused"])

    async def script(page: Written) -> None:
        assert page.state.active_agent_id == "agent-sales"
        assert await page.answer("Hello?") == ("agent-sales", "This is agent-sales.")
        await page.handoff.handle(page.room, "agent-sales", {**BILLING, "target": "agent-billing"})
        assert await page.answer("What do I pay?") == ("agent-billing", "It is 20 euros.")
        assert await page.answer("And two of them?") == ("agent-sales", "This is agent-sales.")
        assert page.state.handoff_count == 2
        assert set(targets(shown(sales)[0])) == {"agent-support", "agent-billing"}
        assert set(targets(shown(billing)[0])) == {"agent-sales", "agent-support"}

    written(script, orchestration=Swarm(agents=[sales, support, billing], entry="agent-sales"))


def test_a_swarm_begins_with_its_first_agent_unless_told_otherwise() -> None:
    a, b = agent("a"), agent("b")

    async def script(page: Written) -> None:
        assert await page.answer("Hello?") == ("a", "This is a.")
        room = await page.runtime.create_room(orchestration=Swarm([a, b], entry="b"))
        assert get_conversation_state(room).active_agent_id == "b"

    written(script, orchestration=Swarm(agents=[a, b]))


def test_every_transition_is_in_the_history() -> None:
    async def script(page: Written) -> None:
        await page.handoff.handle(page.room, "agent-triage", BILLING)
        lines = [f"{t.from_phase} -> {t.to_phase} by {t.from_agent} ({t.reason})" for t in page.state.phase_history]
        assert lines == ["agent-triage -> agent-handler by agent-triage (Billing issue needs specialist)"]
        (step,) = page.state.phase_history
        assert (step.to_agent, str(step.timestamp.tzinfo)) == ("agent-handler", "UTC")
        assert page.runtime.room(page.room).metadata["_conversation_state"]["phase"] == "agent-handler"

    written(script, orchestration=Pipeline(agents=team()))


def test_where_a_conversation_is_survives_a_restart(tmp_path: Path) -> None:
    state: list[ConversationState] = []

    async def session(first: bool) -> None:
        async with Runtime(orchestration=Pipeline(agents=team()), state=str(tmp_path)) as runtime:
            await runtime.create_room("support-room")
            page = Written(runtime, "support-room")
            await page.join()
            if first:
                await page.handoff.handle("support-room", "agent-triage", BILLING)
            state.append(page.state)
            assert await page.answer("Hello?") == ("agent-handler", "This is agent-handler.")

    run(session(first=True))
    run(session(first=False))
    assert state[0] == state[1]
    assert state[1].handoff_count == 1


def test_hooks_tell_of_handoffs_of_rejected_ones_and_of_phases() -> None:
    told: list[tuple[str, str, object]] = []

    async def script(page: Written) -> None:
        for trigger in (HookTrigger.ON_HANDOFF, HookTrigger.ON_HANDOFF_REJECTED, HookTrigger.ON_PHASE_TRANSITION):

            @page.runtime.hook(trigger)
            async def note(event: HookEvent, context: HookContext) -> None:
                told.append(
                    (event.trigger.value, event.text, event.metadata.get("to_phase") or event.metadata["target"])
                )

        assert await page.answer("Hello?") == ("agent-handler", "This is agent-handler.")

    triage, handler, resolver = team()
    triage.model = Prepared([hand_over("nobody"), hand_over(**BILLING)])
    written(script, orchestration=Pipeline(agents=[triage, handler, resolver]))
    assert told[0][0] == "on_handoff_rejected"
    assert told[0][2] == "nobody"
    assert set(told[1:]) == {
        ("on_handoff", BILLING["reason"], "agent-handler"),
        ("on_phase_transition", BILLING["reason"], "agent-handler"),
    }


def test_a_room_has_the_orchestration_of_the_runtime_another_one_or_none() -> None:
    a, b, x, y = (agent(id) for id in "abxy")

    async def main() -> None:
        async with Runtime(orchestration=Pipeline(agents=[a, b]), state=None) as runtime:
            one = await runtime.create_room()
            two = await runtime.create_room(orchestration=Swarm(agents=[x, y]))
            three = await runtime.create_room(orchestration=None)
            assert [list(room.agents) for room in (one, two, three)] == [["a", "b"], ["x", "y"], []]
            answers = []
            for number, room in enumerate((one, two, three)):
                await runtime.attach_channel(room.id, TextChannel(f"ws-{number}"))
                result = await runtime.process_inbound(InboundMessage(f"ws-{number}", "user", TextContent("Hello?")))
                answers.append(result.reply and result.reply.sender_id)
            assert answers == ["a", "x", None]
            assert await runtime.deliveries(three.id, [Status.DEAD]) == []

    run(main())
