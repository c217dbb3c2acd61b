"""Pipeline: one agent after the other has the conversation; nobody else is asked, and it goes on after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestration import (
    Agent,
    ConversationState,
    HookContext,
    HookExecution,
    HookTrigger,
    Pipeline,
    RoomEvent,
    Runtime,
    TextChannel,
    get_conversation_state,
    set_conversation_state,
)
from orchestration.asked import PASSED_ON
from orchestration.engines.memory import MemoryEngine
from orchestration.simulation import SimulatedCall
from tests.orchestration.relay import (
    Records,
    agent,
    aloud,
    answer,
    hand,
    heard,
    model,
    of_room,
    open_to,
    results,
    state,
    targets,
    told,
    write,
)
from voice.clock import run
from voice.simulated import SimulatedChannel


def desk() -> tuple[Agent, Agent, Agent]:
    """Triage understands at once, the handler works on it for a while, the resolver closes it."""
    return (
        agent("triage", ["I will get somebody for that.", hand("handler")]),
        agent("handler", "Which invoice is it?", ["That is put right.", hand("resolver")]),
        agent("resolver", "Is it well now?", "Goodbye."),
    )


def test_a_caller_is_passed_on_stage_by_stage_and_hears_one_voice_after_the_other() -> None:
    triage, handler, resolver = desk()

    async def script(call: SimulatedCall) -> None:
        records = Records(call.runtime)
        assert (state(call).phase, state(call).active_agent_id) == ("triage", "triage")
        await call.say("my invoice is wrong")
        await call.hears("which invoice is it?")
        await call.say("number twelve")
        await call.hears("is it well now?")
        await call.say("yes thank you")
        await call.hears("goodbye.")
        assert heard(call) == [
            "I will get somebody for that. Which invoice is it?",
            "That is put right. Is it well now?",
            "Goodbye.",
        ]
        end = state(call)
        assert (end.phase, end.active_agent_id, end.handoff_count) == ("resolver", "resolver", 2)
        assert [(step.from_phase, step.to_phase) for step in end.phase_history] == [
            ("triage", "handler"),
            ("handler", "resolver"),
        ]
        assert records.names == ["on_handoff", "on_phase_transition"] * 2

    aloud(script, Pipeline([triage, handler, resolver]))
    assert [len(model(each).asked) for each in (triage, handler, resolver)] == [1, 2, 2]
    assert [targets(each) for each in (triage, handler, resolver)] == [["handler"], ["resolver"], None]


def test_the_note_reaches_the_next_agent_and_only_it() -> None:
    triage, handler, resolver = desk()

    async def script(call: SimulatedCall) -> None:
        await call.say("my invoice is wrong")
        await call.hears("which invoice is it?")

    aloud(script, Pipeline([triage, handler, resolver]))
    note, *rest = told(handler)
    assert note.startswith("[Context from previous agent (triage)]")
    assert "Ann's invoice 12 is wrong." in note
    assert rest == ["my invoice is wrong"]
    assert told(triage) == ["my invoice is wrong"]
    assert not model(resolver).asked


def test_who_reads_has_both_parts_in_one_answer() -> None:
    triage, handler, resolver = desk()

    async def script(runtime: Runtime) -> None:
        both = "I will get somebody for that. Which invoice is it?"
        assert await answer(runtime, "my invoice is wrong") == ("handler", both)
        assert await answer(runtime, "number twelve") == ("resolver", "That is put right. Is it well now?")
        assert of_room(runtime).active_agent_id == "resolver"
        events = await runtime.store.timeline("lobby")
        assert [event.sender_id for event in events] == ["ann", "system", "handler", "ann", "system", "resolver"]

    open_to(script, orchestration=Pipeline([triage, handler, resolver]))


def test_what_was_written_before_a_handoff_is_answered_by_who_got_the_conversation() -> None:
    triage, handler, resolver = desk()

    async def script(runtime: Runtime) -> None:
        first, second = await asyncio.gather(answer(runtime, "my invoice is wrong"), answer(runtime, "number twelve"))
        assert first == ("handler", "I will get somebody for that. Which invoice is it?")
        assert second == ("resolver", "That is put right. Is it well now?")

    open_to(script, orchestration=Pipeline([triage, handler, resolver]))
    assert len(model(triage).asked) == 1


def test_who_writes_to_a_person_meanwhile_is_not_answered_by_an_agent() -> None:
    triage = agent("triage", ["Please wait.", hand("human")])

    async def script(runtime: Runtime) -> None:
        first, second = await asyncio.gather(answer(runtime, "a person please"), answer(runtime, "are you there"))
        assert (first, second) == (("triage", "Please wait."), ("", ""))

    open_to(script, orchestration=Pipeline([triage], human=True))


def test_a_stage_is_not_skipped() -> None:
    triage = agent("triage", hand("resolver"), "Then I help you myself.")
    handler, resolver = agent("handler"), agent("resolver")

    async def script(runtime: Runtime) -> None:
        records = Records(runtime)
        assert await answer(runtime, "hello") == ("triage", "Then I help you myself.")
        assert records.codes() == ["not_allowed"]
        assert of_room(runtime).handoff_count == 0

    open_to(script, orchestration=Pipeline([triage, handler, resolver]))
    (result,) = results(triage)
    assert result.startswith("error: The phase 'resolver' does not follow on 'triage'. You can hand over to handler.")
    assert not model(handler).asked
    assert not model(resolver).asked


def test_after_a_restart_the_same_agent_goes_on(tmp_path: Path) -> None:
    triage, handler, resolver = desk()

    async def life(text: str) -> tuple[tuple[str, str], ConversationState]:
        runtime = Runtime(
            orchestration=Pipeline([triage, handler, resolver]),
            state=tmp_path / "state",
            engine=MemoryEngine(),
            channels=lambda _: SimulatedChannel(),
        )
        async with runtime:
            room = await runtime.create_room("lobby")
            before = get_conversation_state(room)
            await runtime.attach_channel("lobby", TextChannel("page"))
            return await answer(runtime, text), before

    both = "I will get somebody for that. Which invoice is it?"
    assert run(life("my invoice is wrong"))[0] == ("handler", both)
    reply, before = run(life("number twelve"))
    assert before.active_agent_id == "handler"
    assert reply == ("resolver", "That is put right. Is it well now?")
    assert told(handler)[0].startswith("[Context from previous agent (triage)]")


def test_an_agent_that_is_gone_after_a_restart_gives_way_to_the_first() -> None:
    triage = agent("triage", hand("handler"))
    handler = agent("handler")

    async def script(runtime: Runtime) -> None:
        room = runtime.room("lobby")
        left = ConversationState("helper", "helper", "triage", 3)
        await runtime.store.update_room(set_conversation_state(room, left))
        assert await answer(runtime, "hello") == ("handler", "handler here.")
        assert [(step.from_agent, step.to_agent) for step in of_room(runtime).phase_history] == [
            ("helper", "triage"),
            ("triage", "handler"),
        ]

    open_to(script, orchestration=Pipeline([triage, handler]))


def test_a_state_that_cannot_be_read_does_not_silence_the_room(caplog: pytest.LogCaptureFixture) -> None:
    triage = agent("triage")

    async def script(runtime: Runtime) -> None:
        room = runtime.room("lobby")
        room.metadata = {**room.metadata, "_conversation_state": {"phase": 12}}
        assert await answer(runtime, "hello") == ("triage", "triage here.")
        assert of_room(runtime) == ConversationState("triage", "triage")

    open_to(script, orchestration=Pipeline([triage]))
    assert "it begins anew now" in caplog.text


def test_rooms_with_the_same_pipeline_share_nothing() -> None:
    triage = agent("triage", [hand("handler")], "triage here.")
    handler = agent("handler")

    async def script(runtime: Runtime) -> None:
        for room in ("lobby", "hall"):
            await runtime.create_room(room)
            await runtime.attach_channel(room, TextChannel("page"))
        assert await answer(runtime, "hello", "lobby") == ("handler", "handler here.")
        assert await answer(runtime, "hello", "hall") == ("triage", "triage here.")
        assert (of_room(runtime, "lobby").phase, of_room(runtime, "hall").phase) == ("handler", "triage")
        assert runtime.room("lobby").handoff is not runtime.room("hall").handoff

    open_to(script, room=None, orchestration=Pipeline([triage, handler]))
    assert not triage.tools


def test_a_hook_that_comes_before_the_routing_can_rewrite_and_one_after_it_sees_the_route() -> None:
    triage, handler = agent("triage"), agent("handler")
    seen: list[Any] = []

    async def script(runtime: Runtime) -> None:
        @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC, priority=-200)
        def rewrite(event: RoomEvent, context: HookContext) -> str:
            assert "_routed_to" not in event.metadata
            return event.text.upper() if event.sender_id == "ann" else event.text

        @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC)
        def look(event: RoomEvent, context: HookContext) -> None:
            seen.append((event.text, event.metadata.get("_routed_to")))

        assert await answer(runtime, "hello") == ("triage", "triage here.")

    open_to(script, orchestration=Pipeline([triage, handler]))
    assert seen[0] == ("HELLO", "triage")
    assert told(triage) == ["HELLO"]


def test_a_person_can_be_asked_for_where_that_is_wanted() -> None:
    triage = agent("triage", [hand("person", channel_escalation="voice")])

    async def script(call: SimulatedCall) -> None:
        records = Records(call.runtime)
        await call.say("get me a person")
        await call.hears("please hold on.")
        assert state(call).with_human
        await call.say("are you there")
        await call.silence(10)
        assert heard(call) == [PASSED_ON]
        assert records.seen[0][1]["channel_escalation"] == "voice"
        assert state(call).context["_handoff"]["channel_escalation"] == "voice"

    aloud(script, Pipeline([triage], aliases={"person": "human"}))
    assert targets(triage) == ["human", "person"]
    assert len(model(triage).asked) == 1


def test_what_the_agent_says_itself_is_enough() -> None:
    triage = agent("triage", ["Please hold the line.", hand("human")])

    async def script(call: SimulatedCall) -> None:
        await call.say("get me a person")
        await call.hears("hold the line.")
        await call.silence(5)
        assert heard(call) == ["Please hold the line."]

    aloud(script, Pipeline([triage], human=True))


def test_nobody_is_asked_for_a_person_unless_that_is_wanted() -> None:
    triage = agent("triage", hand("human"), "There is nobody.")

    async def script(runtime: Runtime) -> None:
        assert await answer(runtime, "get me a person") == ("triage", "There is nobody.")

    open_to(script, orchestration=Pipeline([triage, agent("handler")]))
    assert results(triage) == ["error: There is no 'human'. You can hand over to handler."]


def test_who_is_attached_later_answers_nothing() -> None:
    triage, guest = agent("triage"), agent("guest")

    async def script(runtime: Runtime) -> None:
        await runtime.attach_agent("lobby", guest)
        assert await answer(runtime, "hello") == ("triage", "triage here.")

    open_to(script, orchestration=Pipeline([triage, agent("handler")]))
    assert not model(guest).asked
    assert targets(triage) == ["handler"]


def test_an_agent_that_may_not_see_a_channel_does_not_answer_it() -> None:
    triage = agent("triage")

    async def script(runtime: Runtime) -> None:
        await runtime.detach_channel("lobby", "page")
        await runtime.attach_channel("lobby", TextChannel("page"), visibility="transport")
        result = await write(runtime, "hello")
        assert (result.reply, result.refused) == (None, "")

    open_to(script, orchestration=Pipeline([triage]))
    assert not model(triage).asked
