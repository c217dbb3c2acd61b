"""Routers as hooks: who answers is marked on what comes in, in one room or in all, and no room falls silent by it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from orchestration import (
    HANDOFF_TOOL,
    Agent,
    CascadeRouter,
    ConversationPipeline,
    ConversationRouter,
    ConversationState,
    HookContext,
    HookExecution,
    HookTrigger,
    Orchestration,
    PipelineStage,
    RoomError,
    RoomEvent,
    Route,
    Router,
    RoutingConditions,
    RoutingRule,
    Runtime,
    TextChannel,
    set_conversation_state,
)
from orchestration.models.prepared import Answer
from orchestration.routing import Via
from orchestration.simulation import SimulatedCall
from tests.orchestration.relay import (
    ASK,
    agent,
    aloud,
    answer,
    hand,
    heard,
    model,
    of_room,
    open_to,
    state,
    targets,
    told,
    write,
)

BILLS = RoutingRule("billing", RoutingConditions(intents={"billing"}))


def staff(*ids: str) -> list[Agent]:
    return [agent(id) for id in ids or ("triage", "billing")]


def routed_by(runtime: Runtime, router: ConversationRouter | CascadeRouter, **how: Any) -> None:
    hook = runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC, priority=-100, **how)
    hook(router.as_hook())


def test_the_hook_marks_who_answers_and_the_others_are_not_asked() -> None:
    triage, billing = staff()

    async def script(runtime: Runtime) -> None:
        routed_by(runtime, ConversationRouter([BILLS], "triage", "boss"))
        for each in (triage, billing):
            await runtime.attach_agent("lobby", each)
        assert await answer(runtime, "hello") == ("triage", "triage here.")
        assert await answer(runtime, "my bill", intent="billing") == ("billing", "billing here.")
        came = [event for event in await runtime.store.timeline("lobby") if event.sender_id == "ann"]
        assert [event.metadata["_routed_to"] for event in came] == ["triage", "billing"]
        assert [event.metadata["_always_process"] for event in came] == [[], []]

    open_to(script)
    assert [len(model(each).asked) for each in (triage, billing)] == [1, 1]


def test_an_intent_that_a_hook_before_it_finds_decides_who_answers() -> None:
    triage, billing = staff()

    async def script(runtime: Runtime) -> None:
        ConversationRouter([BILLS], "triage").install(runtime, [triage, billing], room_id="lobby")

        @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC, priority=-150)
        def classify(event: RoomEvent, context: HookContext) -> RoomEvent:
            return event.stamped({"intent": "billing" if "bill" in event.text else "other"})

        assert await answer(runtime, "my bill is wrong") == ("billing", "billing here.")
        assert await answer(runtime, "hello") == ("triage", "triage here.")

    open_to(script)


def test_an_event_that_nobody_answers_is_seen_and_settled() -> None:
    async def script(runtime: Runtime) -> None:
        (billing,) = staff("billing")
        ConversationRouter([BILLS]).install(runtime, [billing], room_id="lobby")
        result = await write(runtime, "hello")
        assert result.reply is None
        assert result.event is not None
        assert result.event.metadata["_routed_to"] is None

    open_to(script)


def test_a_router_of_ones_own_that_fails_leaves_the_room_to_its_first_agent(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(ConversationRouter):
        async def route(
            self, event: RoomEvent, state: ConversationState, *, agents: Collection[str], context: Any = None
        ) -> Route | None:
            raise RuntimeError("a bug")

    async def script(runtime: Runtime) -> None:
        Broken().install(runtime, staff(), room_id="lobby")
        assert await answer(runtime, "hello") == ("triage", "triage here.")

    open_to(script)
    assert "failed and is skipped" in caplog.text


def test_a_cascade_is_installed_the_same_way() -> None:
    class Guess:
        async def route(
            self, event: RoomEvent, state: ConversationState, *, agents: Collection[str], context: Any = None
        ) -> Route | None:
            return Route("billing", Via.MODEL, confidence=0.9) if "bill" in event.text else None

    guess: Router = Guess()

    async def script(runtime: Runtime) -> None:
        CascadeRouter([guess], "triage").install(runtime, staff(), room_id="lobby")
        assert await answer(runtime, "my bill") == ("billing", "billing here.")
        assert await answer(runtime, "hello") == ("triage", "triage here.")

    open_to(script)


def test_a_router_that_knows_nothing_of_an_event_leaves_it_alone() -> None:
    class Silent(ConversationRouter):
        async def route(
            self, event: RoomEvent, state: ConversationState, *, agents: Collection[str], context: Any = None
        ) -> Route | None:
            return None

    async def script(runtime: Runtime) -> None:
        Silent().install(runtime, staff(), room_id="lobby")
        result = await write(runtime, "hello")
        assert result.event is not None
        assert "_routed_to" not in result.event.metadata
        assert result.reply is not None

    open_to(script)


# -- install


def test_installed_in_all_rooms_it_works_where_its_agents_are() -> None:
    triage, billing, other = agent("triage", hand("bills"), "Triage."), agent("billing"), agent("other")

    async def script(runtime: Runtime) -> None:
        handler = ConversationRouter((), "triage").install(
            runtime, [triage, billing], agent_aliases={"bills": "billing"}, phase_map={"billing": "handling"}
        )
        assert [each.spec for each in triage.tools] == [HANDOFF_TOOL]
        await runtime.create_room("hall")
        await runtime.attach_channel("hall", TextChannel("page"))
        await runtime.attach_agent("hall", other)
        for each in (triage, billing):
            await runtime.attach_agent("lobby", each)
        assert await answer(runtime, "hello", "hall") == ("other", "other here.")
        assert runtime.room("hall").handoff is None
        assert await answer(runtime, "hello", "lobby") == ("billing", "billing here.")
        assert runtime.room("lobby").handoff is handler
        assert (of_room(runtime).phase, of_room(runtime).handoff_count) == ("handling", 1)

    open_to(script)
    assert targets(triage) == ["billing", "bills", "human"]


class Staffed(Orchestration):
    """Agents in a room, and nothing else."""

    def __init__(self, *agents: Agent) -> None:
        self.team = agents

    def agents(self) -> list[Agent]:
        return list(self.team)

    async def install(self, runtime: Runtime, room_id: str) -> None:
        runtime.room(room_id).attach(*self.team)


def test_installed_in_all_rooms_it_works_in_a_simulation_too() -> None:
    triage, billing = agent("triage", ["One moment.", hand("billing")]), agent("billing", "Billing here.")
    runtime = Runtime(orchestration=Staffed(triage, billing), state=None)
    ConversationRouter((), "triage").install(runtime, [triage, billing])

    async def script(call: SimulatedCall) -> None:
        await call.say("my bill")
        await call.hears("billing here.")
        assert heard(call) == ["One moment. Billing here."]
        assert state(call).active_agent_id == "billing"

    aloud(script, runtime)


def test_installed_in_a_room_the_agents_come_in_and_stay_as_they_are() -> None:
    async def script(runtime: Runtime) -> None:
        team = staff()
        handler = ConversationRouter((), "triage").install(runtime, team, room_id="lobby")
        assert list(runtime.room("lobby").agents) == ["triage", "billing"]
        assert runtime.room("lobby").handoff is handler
        assert not any(each.tools for each in team)

    open_to(script)


WRITING = ConversationPipeline(
    [
        PipelineStage("analysis", "talker", next="coding"),
        PipelineStage("coding", "coder", next="review"),
        PipelineStage("review", "reviewer", next="report", can_return_to={"coding"}),
        PipelineStage("report", "writer"),
    ],
    supervisor_id="boss",
)


class Writing(Staffed):
    """A pipeline with a way back, wired by hand."""

    async def install(self, runtime: Runtime, room_id: str) -> None:
        WRITING.install(runtime, self.team, room_id=room_id, human=False)


def test_a_pipeline_goes_back_where_its_stages_say_so() -> None:
    talker = agent("talker", hand("coder"))
    drafts: list[Answer] = [["Second draft.", hand("reviewer")], ["Third draft.", hand("reviewer")]]
    coder = agent("coder", "First draft.", *drafts)
    reviewer = agent("reviewer", ["This is not good.", hand("coder", "c2")], "Well done.")
    writer = agent("writer")

    async def script(call: SimulatedCall) -> None:
        assert (state(call).phase, state(call).active_agent_id) == ("analysis", "talker")
        await call.say("write me a program")
        await call.hears("first draft.")
        assert state(call).phase == "coding"
        await call.say("make it better")
        await call.hears("well done.")
        assert heard(call)[1] == "Second draft. This is not good. Third draft. Well done."
        assert [step.to_phase for step in state(call).phase_history] == ["coding", "review", "coding", "review"]

    aloud(script, Writing(talker, coder, reviewer, writer))
    assert targets(talker) == ["coder"]
    assert targets(reviewer) == ["coder", "writer"]


def test_a_pipeline_in_all_rooms_begins_with_its_first_agent() -> None:
    team = [agent(stage.agent_id) for stage in WRITING.stages]

    async def script(runtime: Runtime) -> None:
        handler = WRITING.install(runtime, team, agent_aliases={"bob": "coder"})
        for each in reversed(team):
            await runtime.attach_agent("lobby", each)
        assert await answer(runtime, "hello") == ("talker", "talker here.")
        assert of_room(runtime) == WRITING.beginning
        refused = await handler.handle("lobby", "talker", {"target": "writer", **ASK})
        assert refused.startswith("error: The phase 'report' does not follow on 'analysis'.")
        assert (await handler.handle("lobby", "talker", {"target": "bob", **ASK})).startswith("Done: coder")

    open_to(script)


def test_a_state_without_its_agent_is_anybodys() -> None:
    async def script(runtime: Runtime) -> None:
        ConversationRouter((), "triage").install(runtime, staff(), room_id="lobby")
        room = runtime.room("lobby")
        await runtime.store.update_room(set_conversation_state(room, ConversationState("handling", "gone", "other", 1)))
        assert await answer(runtime, "hello") == ("triage", "triage here.")
        after = of_room(runtime)
        assert (after.active_agent_id, after.with_human, after.handoff_count) == (None, False, 1)

    open_to(script)


def test_a_room_that_is_closed_meanwhile_is_routed_to_nobody() -> None:
    async def script(runtime: Runtime) -> None:
        hook = ConversationRouter((), "triage").as_hook()
        event = RoomEvent.from_dict(
            {
                "id": "e",
                "room": "gone",
                "channel_id": "page",
                "sender_id": "ann",
                "content": {"type": "text", "body": "hello"},
                "channel_type": "websocket",
                "category": "transport",
                "metadata": {},
            }
        )
        assert await hook(event, HookContext(runtime, "gone")) is None

    open_to(script)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"agents": []}, ValueError, "agents: there are none"),
        ({"agents": staff("a", "a")}, ValueError, "agents: two have the id 'a'"),
        ({"room_id": "nowhere"}, RoomError, "there is no room 'nowhere'"),
        ({"room_id": ""}, ValueError, "room_id must have 1 to 64 characters"),
        ({"agent_aliases": {"bills": "accounting"}}, ValueError, "agent_aliases: 'accounting' is no agent here"),
        ({"phase_map": {"accounting": "handling"}}, ValueError, "phase_map: 'accounting' is no agent here"),
        ({"kit": 1}, TypeError, "'kit'; it is called 'runtime' here"),
    ],
)
def test_what_cannot_be_installed_is_named(given: dict[str, Any], error: type[Exception], message: str) -> None:
    async def script(runtime: Runtime) -> None:
        with pytest.raises(error, match=message):
            ConversationRouter().install(runtime, **{"agents": staff(), **given})
        assert await write(runtime, "hello")

    open_to(script)


def test_a_pipeline_needs_all_of_its_agents() -> None:
    async def script(runtime: Runtime) -> None:
        with pytest.raises(ValueError, match="agents: 'reviewer' has a stage and is not among them; there are talker"):
            WRITING.install(runtime, staff("talker", "coder", "writer"))

    open_to(script)


def test_what_agents_say_is_not_routed() -> None:
    async def script(runtime: Runtime) -> None:
        ConversationRouter((), "triage").install(runtime, staff(), room_id="lobby")
        await write(runtime, "hello")
        await asyncio.sleep(0.1)
        _, said = await runtime.store.timeline("lobby")
        assert "_routed_to" not in said.metadata

    open_to(script)


def test_the_agent_sees_what_was_said_before_it_came() -> None:
    triage, billing = agent("triage", "Hello."), agent("billing")

    async def script(runtime: Runtime) -> None:
        ConversationRouter([BILLS], "triage").install(runtime, [triage, billing], room_id="lobby")
        await answer(runtime, "hello")
        await answer(runtime, "my bill", intent="billing")

    open_to(script)
    assert told(billing) == ["hello", "Hello.", "my bill"]
