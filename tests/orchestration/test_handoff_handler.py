"""HandoffHandler: a handoff happens wholly, and is told to all who look on; or not at all, and the model is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.desk import Refuse
from orchestration import (
    HANDOFF_TOOL,
    Agent,
    ConversationRouter,
    ConversationState,
    HandoffHandler,
    HookContext,
    HookEvent,
    HookExecution,
    HookTrigger,
    RoomError,
    RoomEvent,
    Runtime,
    Swarm,
    TextChannel,
    setup_handoff,
)
from orchestration.handoff_handler import FAILED, MAX_KEPT
from orchestration.models.model import ToolCall
from orchestration.models.prepared import Answer
from orchestration.simulation import SimulatedCall
from orchestration.store.trouble import StaleRoomError, StoreError
from orchestration.tools import Tool, tool
from tests.orchestration.models.double import Double
from tests.orchestration.relay import (
    ASK,
    Moody,
    Records,
    agent,
    aloud,
    answer,
    hand,
    model,
    of_room,
    open_to,
    results,
    state,
    targets,
)
from voice.channel import APOLOGY

PATH = {"from_agent": "sales", "to_agent": "support", "from_phase": "sales", "to_phase": "support"}
FACTS = {**PATH, **ASK, "channel_escalation": "same"}


def handler_of(runtime: Runtime, room: str = "lobby") -> HandoffHandler:
    handler = runtime.room(room).handoff
    assert isinstance(handler, HandoffHandler)
    return handler


def swarm(*agents: Agent, **more: Any) -> Swarm:
    return Swarm(agents or [agent("sales"), agent("support")], **more)


def made(runtime_: Runtime, **more: Any) -> HandoffHandler:
    return HandoffHandler(**{"runtime": runtime_, "router": ConversationRouter(), **more})


# -- what is told


def test_a_handoff_is_told_to_hooks_channels_the_timeline_and_the_status_bus() -> None:
    seen: list[RoomEvent] = []

    async def show(event: RoomEvent) -> None:
        seen.append(event)

    async def script(runtime: Runtime) -> None:
        await runtime.attach_channel("lobby", TextChannel("log", send=show), category="system")
        records = Records(runtime)
        done = await handler_of(runtime).handle("lobby", "sales", {"target": "support", **ASK})
        assert done == "Done: support has the conversation now. Say nothing more."
        await asyncio.sleep(0.1)
        assert records.seen == [("on_handoff", FACTS), ("on_phase_transition", FACTS)]
        (event,) = await runtime.store.timeline("lobby")
        assert (event.channel_id, event.sender_id, event.category) == ("system", "system", "system")
        assert event.text == "sales handed the conversation over to support."
        assert event.metadata == {name: fact for name, fact in FACTS.items() if name != "summary"}
        assert seen == records.events == [event]
        (entry,) = await runtime.status_bus.recent(room="lobby")
        assert (entry.agent_id, entry.action, entry.status) == ("sales", "handoff", "ok")
        assert entry.detail == "to support: It is theirs."

    open_to(script, orchestration=swarm())


def test_a_direct_call_is_what_a_models_call_is() -> None:
    sales, support = agent("sales"), agent("support")

    async def script(runtime: Runtime) -> None:
        assert await answer(runtime, "hello") == ("sales", "sales here.")
        await handler_of(runtime).handle("lobby", "sales", {"target": "support", **ASK})
        after = of_room(runtime)
        assert (after.phase, after.active_agent_id, after.handoff_count) == ("support", "support", 1)
        assert await answer(runtime, "my last invoice looks wrong") == ("support", "support here.")
        again = await handler_of(runtime).handle("lobby", "sales", {"target": "support", **ASK})
        assert again.startswith("error: Not you but support has the conversation now")

    open_to(script, orchestration=swarm(sales, support))
    assert len(model(sales).asked) == 1


def test_within_a_tool_of_its_agent_the_next_one_answers_the_turn() -> None:
    async def script(call: SimulatedCall) -> None:
        async def escalate() -> str:
            return await handler_of(call.runtime, call.room).handle(call.room, "sales", {"target": "support", **ASK})

        call.runtime.room(call.room).equip(tool(escalate), agent="sales")
        await call.say("it burns")
        line = await call.hears("support here.")
        assert line.heard == "One moment. Support here."

    sales = agent("sales", ["One moment.", ToolCall("c1", "escalate", {})])
    aloud(script, swarm(sales, agent("support", "Support here.")))


def test_a_refusal_is_told_with_its_reason() -> None:
    async def script(runtime: Runtime) -> None:
        records = Records(runtime)
        for arguments in ({"target": "nobody", **ASK}, {"target": 12}, "support"):
            told = await handler_of(runtime).handle("lobby", "sales", arguments)  # type: ignore[arg-type]
            assert told.startswith("error: ")
        assert records.codes() == ["unknown_target", "bad_request", "bad_request"]
        assert [facts["target"] for _, facts in records.seen] == ["nobody", "12", "None"]
        assert records.seen[0][1]["from_agent"] == "sales"
        assert await runtime.store.timeline("lobby") == []
        assert of_room(runtime).handoff_count == 0

    open_to(script, orchestration=swarm())


def test_a_hook_cannot_refuse_what_has_happened(caplog: pytest.LogCaptureFixture) -> None:
    async def script(runtime: Runtime) -> None:
        @runtime.hook(HookTrigger.ON_HANDOFF, execution=HookExecution.SYNC)
        def refuse(event: HookEvent, context: HookContext) -> str:
            raise Refuse("no")

        assert await answer(runtime, "hello") == ("support", "support here.")

    open_to(script, orchestration=swarm(agent("sales", hand("support")), agent("support")))
    assert "for on_handoff: it is told of what has happened and cannot refuse it" in caplog.text


def test_who_is_not_there_hands_nothing_over() -> None:
    async def script(runtime: Runtime) -> None:
        with pytest.raises(RoomError, match="there is no room 'hall'"):
            await handler_of(runtime).handle("hall", "sales", {"target": "support", **ASK})
        with pytest.raises(ValueError, match="by: 'boss' is no agent in room 'lobby'; there are sales, support"):
            await handler_of(runtime).handle("lobby", "boss", {"target": "support", **ASK})

    open_to(script, orchestration=swarm())


# -- the store


@pytest.mark.parametrize("fault", [StoreError, StaleRoomError])
def test_what_cannot_be_kept_does_not_happen(fault: type[StoreError], caplog: pytest.LogCaptureFixture) -> None:
    sales = agent("sales", ["I get support.", hand("support")], " I cannot reach them.", hand("support"))
    store = Moody()

    async def script(runtime: Runtime) -> None:
        records = Records(runtime)
        store.fault = fault
        assert await answer(runtime, "hello") == ("sales", "I get support. I cannot reach them.")
        assert of_room(runtime).handoff_count == 0
        assert records.seen == []
        assert [event.sender_id for event in await runtime.store.timeline("lobby")] == ["ann", "sales"]
        store.fault = None
        assert await answer(runtime, "and now") == ("support", "support here.")

    open_to(script, orchestration=swarm(sales, agent("support")), store=store)
    assert results(sales, 1) == [FAILED]
    assert "a handoff by sales cannot be kept" in caplog.text


def test_a_summary_for_which_there_is_no_room_is_no_handoff() -> None:
    sales = agent("sales", hand("support"), "Not possible.")

    async def script(runtime: Runtime) -> None:
        room = runtime.room("lobby")
        full = ConversationState("sales", "sales", context={"notes": "x" * 31_900})
        room.metadata = {"_conversation_state": full.to_dict()}
        assert await answer(runtime, "hello") == ("sales", "Not possible.")

    open_to(script, orchestration=swarm(sales, agent("support")))


class Slow(Moody):
    async def save(self, room: str, metadata: Any, version: int) -> int:
        await asyncio.sleep(0.5)
        return await super().save(room, metadata, version)


def test_what_others_keep_of_the_room_meanwhile_is_not_lost() -> None:
    async def script(runtime: Runtime) -> None:
        room = runtime.room("lobby")
        noted = replace(room, metadata={**room.metadata, "customer": "ann"})
        async with asyncio.TaskGroup() as group:
            group.create_task(runtime.store.update_room(noted))
            await asyncio.sleep(0.1)
            await handler_of(runtime).handle("lobby", "sales", {"target": "support", **ASK})
        assert runtime.room("lobby").metadata["customer"] == "ann"
        assert of_room(runtime).active_agent_id == "support"

    open_to(script, orchestration=swarm(), store=Slow())


def test_two_at_once_are_decided_one_after_the_other() -> None:
    async def script(runtime: Runtime) -> None:
        handler = handler_of(runtime)
        both = await asyncio.gather(
            handler.handle("lobby", "sales", {"target": "support", **ASK}),
            handler.handle("lobby", "sales", {"target": "billing", **ASK}),
        )
        assert [told.split(":")[0] for told in both] == ["Done", "error"]
        assert of_room(runtime).active_agent_id == "support"

    open_to(script, orchestration=swarm(agent("sales"), agent("support"), agent("billing")), store=Slow())


def test_a_room_that_is_closed_meanwhile_is_handed_to_nobody() -> None:
    async def script(runtime: Runtime) -> None:
        handler, room = handler_of(runtime), runtime.room("lobby")
        await runtime.close_room("lobby")
        assert await handler._hand_over(runtime, room, "sales", {"target": "support", **ASK}, None) == FAILED
        await runtime.create_room("lobby")
        assert await handler._hand_over(runtime, room, "sales", {"target": "support", **ASK}, None) == FAILED
        assert of_room(runtime).active_agent_id == "sales"

    open_to(script, orchestration=swarm())


# -- an agent's own tool


def test_the_tool_is_among_an_agents_tools_once() -> None:
    async def script(runtime: Runtime) -> None:
        host = agent("host")
        for handler in (made(runtime), made(runtime)):
            setup_handoff(host, handler)
        assert [each.spec for each in host.tools] == [HANDOFF_TOOL]
        told = await host.tools[0].run({"target": "support", **ASK})
        assert told == "error: there is no conversation here that you could hand over"

    open_to(script)


def test_it_works_in_any_room_with_a_handler_made_by_hand() -> None:
    sales, support = agent("sales", hand("billing")), agent("support")

    async def script(runtime: Runtime) -> None:
        router = ConversationRouter(default_agent_id="sales")
        runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC, priority=-100)(router.as_hook())
        handler = made(runtime, router=router, agent_aliases={"billing": "support"}, phase_map={"support": "billing"})
        for each in (sales, support):
            setup_handoff(each, handler)
            await runtime.attach_agent("lobby", each)
        assert await answer(runtime, "hello") == ("support", "support here.")
        after = of_room(runtime)
        assert (after.phase, after.active_agent_id, after.previous_agent_id) == ("billing", "support", "sales")

    open_to(script)
    (spec,) = model(sales).asked[0].tools
    assert spec is HANDOFF_TOOL


def test_a_rooms_own_tool_counts_before_it() -> None:
    sales, support = agent("sales", hand("support")), agent("support")

    async def script(runtime: Runtime) -> None:
        setup_handoff(sales, made(runtime))
        assert await answer(runtime, "hello") == ("support", "support here.")
        assert of_room(runtime).phase == "support"

    open_to(script, orchestration=swarm(sales, support))
    assert targets(sales) == ["support"]


def test_another_tool_of_that_name_is_in_the_way() -> None:
    async def mine(arguments: Mapping[str, Any]) -> str:
        return ""

    async def script(runtime: Runtime) -> None:
        host = Agent("host", model=Double([[]]), tools=[Tool(replace(HANDOFF_TOOL), mine)])
        with pytest.raises(TypeError, match="two tools are called 'handoff_conversation'"):
            setup_handoff(host, made(runtime))
        with pytest.raises(TypeError, match="agent: 'host' is no Agent"):
            setup_handoff("host", made(runtime))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="handler: 12 is no HandoffHandler"):
            setup_handoff(host, 12)  # type: ignore[arg-type]

    open_to(script)


# -- rules


def test_rules_are_made_again_when_the_rooms_agents_change(caplog: pytest.LogCaptureFixture) -> None:
    async def script(runtime: Runtime) -> None:
        handler = made(runtime, agent_aliases={"bills": "billing"}, supervisor_id="boss")
        room, other = runtime.room("lobby"), await runtime.create_room("hall")
        sales, billing = agent("sales"), agent("billing")
        room.attach(sales, agent("boss"))
        with caplog.at_level(logging.WARNING):
            rules = handler.rules(room)
        assert rules is not None
        assert (dict(rules.agents), dict(rules.aliases)) == ({"sales": "Sales"}, {})
        assert "room lobby: handoffs know billing, who is not in the room" in caplog.text
        assert handler.rules(room) is rules
        room.attach(billing)
        later = handler.rules(room)
        assert later is not None
        assert dict(later.aliases) == {"bills": "billing"}
        other.attach(agent("human"))
        assert handler.rules(other) is None
        assert "hall: no agent can hand over: agents: 'human' is not free as an id" in caplog.text

    open_to(script)


def test_rules_of_many_groups_of_agents_do_not_add_up() -> None:
    async def script(runtime: Runtime) -> None:
        handler = made(runtime)
        for number in range(3 * MAX_KEPT):
            room = await runtime.create_room(f"room-{number}")
            room.attach(agent(f"a{number}"))
            assert handler.rules(room) is handler.rules(room)
        assert len(handler._rules) <= MAX_KEPT

    open_to(script)


def test_agents_that_fit_no_rules_talk_all_the_same() -> None:
    sales = agent("sales", hand("human"), "Then let us go on.")

    async def script(runtime: Runtime) -> None:
        room = runtime.room("lobby")
        room.attach(sales, agent("human"))
        room.handoff = made(runtime)
        assert await answer(runtime, "hello") == ("sales", "Then let us go on.")
        told = await handler_of(runtime).handle("lobby", "sales", {"target": "human", **ASK})
        assert told == FAILED

    open_to(script)
    assert results(sales) == ["error: there is no tool 'handoff_conversation'"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"kit": 1}, TypeError, "unknown argument 'kit'; it is called 'runtime' here"),
        ({"rules": 1}, TypeError, "unknown argument 'rules'$"),
        ({"runtime": None}, TypeError, "runtime: None is no Runtime"),
        ({"router": None}, TypeError, "router: None is no Router"),
        ({"agent_aliases": {"no id": "a"}}, ValueError, "aliases: 'no id' is no id"),
        ({"agent_aliases": {"person": "human"}, "human": False}, ValueError, "aliases: 'person' stands for 'human'"),
        ({"phase_map": {"a": ""}}, ValueError, "phase_map: '' is no phase"),
        ({"allowed_transitions": {"a": "b"}}, ValueError, "allowed_transitions: 'b' is no set"),
        ({"supervisor_id": "no id"}, ValueError, "supervisor_id: 'no id' is no id"),
        ({"max_depth": 0}, ValueError, "max_depth: 0"),
        ({"time_limit": -1}, ValueError, "time_limit: -1"),
    ],
)
def test_what_cannot_be_is_named(given: dict[str, Any], error: type[Exception], message: str) -> None:
    runtime = Runtime(state=None)
    with pytest.raises(error, match=message):
        made(runtime, **given)


def test_an_apps_state_says_by_which_way_the_caller_is_to_be_reached() -> None:
    sales = agent("sales", hand("support", channel_escalation="sms"))

    async def script(call: SimulatedCall) -> None:
        await call.say("write to me")
        await call.hears("support here.")
        assert state(call).context["_handoff"]["channel_escalation"] == "sms"

    aloud(script, swarm(sales, agent("support", "Support here.")))


# -- whatever models do

IDS = ["a", "b", "c"]
STEP = st.one_of(
    st.just("words"),
    st.sampled_from([*IDS, "nobody"]).map(hand),
    st.sampled_from(IDS).map(lambda id: [hand(id), hand("a", "c2")]),
    st.just(RuntimeError("no key")),
    st.just(ToolCall("c3", "handoff_conversation", {"target": 1})),
    st.just(ToolCall("c4", "no_such_tool", {})),
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.lists(STEP, min_size=1, max_size=6), min_size=3, max_size=3), faults=st.sets(st.integers(0, 5))
)
def test_whatever_models_do_each_message_has_one_answer_of_who_has_the_conversation(
    steps: list[list[Answer]], faults: set[int]
) -> None:
    logging.disable(logging.CRITICAL)
    store = Moody()

    async def script(runtime: Runtime) -> None:
        records = Records(runtime)
        for turn in range(6):
            store.fault = StoreError if turn in faults else None
            before = of_room(runtime)
            who, what = await answer(runtime, "hello")
            after = of_room(runtime)
            assert what
            assert after.active_agent_id in IDS
            assert who == after.active_agent_id or APOLOGY in what
            if turn in faults:
                assert after == before
            assert after.phase == after.active_agent_id
        assert records.names.count("on_phase_transition") == of_room(runtime).handoff_count

    team = [agent(id, *answers, "words") for id, answers in zip(IDS, steps, strict=True)]
    try:
        open_to(script, orchestration=Swarm(team, max_depth=3), store=store)
    finally:
        logging.disable(logging.NOTSET)
