"""Whole talks, led by guesses: by examples first, then by a model; from a handoff on, who has it keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orchestration import (
    Agent,
    CascadeRouter,
    HookExecution,
    HookTrigger,
    ModelRouter,
    Orchestration,
    Runtime,
    SemanticRouter,
    TextChannel,
    Tier,
)
from orchestration.models.model import Message, ToolCall, ToolSpec
from orchestration.models.prepared import Answer, Prepared
from orchestration.simulation import SimulatedCall
from tests.orchestration.relay import agent, aloud, answer, hand, heard, model, of_room, open_to, state, targets, told

EXAMPLES = {
    "billing": ["my invoice is wrong", "i was charged twice"],
    "support": ["my screen is black", "it does not work"],
}
THOUGHT = 0.4
"""Seconds that the routing model thinks."""


def decides(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> ToolCall:
    """Money is billing's; of anything else it cannot tell."""
    data = messages[-1].text.partition("\n<said")[2]
    last = [line for line in data.splitlines() if line.startswith("caller: ")][-1]
    return ToolCall("c", "route_to", {"agent": "billing", "confidence": 0.9 if "money" in last else 0.2})


class Desks(Orchestration):
    """A swarm in which nobody begins: whose business it is decides, until somebody hands over."""

    def __init__(self, decision: Answer = decides) -> None:
        self.triage = agent("triage", "What is it about?", greeting="Hello.")
        self.billing = agent("billing", "Billing here.")
        self.support = agent("support", "Support here.", ["That is for billing.", hand("billing")])
        self.decider = Prepared([decision], delay=THOUGHT)
        purposes = {"billing": "Invoices and money", "support": "What is broken"}
        self.router = CascadeRouter(
            [Tier(SemanticRouter(EXAMPLES)), Tier(ModelRouter(self.decider, agents=purposes), 0.6)], "triage"
        )

    def agents(self) -> Sequence[Agent]:
        return [self.triage, self.billing, self.support]

    async def install(self, runtime: Runtime, room_id: str) -> None:
        self.router.install(runtime, self.agents(), room_id=room_id)


def test_a_call_is_led_by_what_is_said_and_a_handoff_keeps() -> None:
    desks = Desks()

    async def script(call: SimulatedCall) -> None:
        await call.hears("hello.")
        await call.say("good morning")
        await call.hears("what is it about?")
        await call.say("my screen is black again")
        await call.hears("support here.")
        await call.say("i want my money back")
        await call.hears("billing here.")
        await call.say("my screen is still black")
        await call.hears("that is for billing.")
        await call.hears("billing here.")
        assert len(desks.decider.asked) == 2
        await call.say("my screen is black")
        await call.hears("billing here.")
        assert heard(call) == [
            "Hello.",
            "What is it about?",
            "Support here.",
            "Billing here.",
            "That is for billing. Billing here.",
            "Billing here.",
        ]
        assert (state(call).active_agent_id, state(call).handoff_count) == ("billing", 1)

    aloud(script, desks)
    assert len(desks.decider.asked) == 2  # by affinity nobody is asked
    assert targets(desks.support) == ["triage", "billing", "human"]
    assert told(desks.billing)[-1] == "my screen is black"


def test_a_caller_waits_for_the_model_and_not_for_the_examples() -> None:
    desks = Desks()

    async def script(call: SimulatedCall) -> None:
        await call.hears("hello.")
        await call.say("my invoice is wrong")
        quick = await call.hears("billing here.")
        first = quick.started - call.floor_opened(before=quick)
        await call.say("give me my money")
        slow = await call.hears("billing here.")
        second = slow.started - call.floor_opened(before=slow)
        assert second - first == pytest.approx(THOUGHT, abs=0.02)

    aloud(script, desks)


def test_a_written_room_is_led_the_same_way() -> None:
    desks = Desks()

    async def script(runtime: Runtime) -> None:
        assert await answer(runtime, "Good morning!") == ("triage", "What is it about?")
        assert await answer(runtime, "My screen is black.") == ("support", "Support here.")
        assert await answer(runtime, "I want my money back.") == ("billing", "Billing here.")
        assert of_room(runtime).active_agent_id is None
        assert await answer(runtime, "It does not work!") == ("billing", "That is for billing. Billing here.")
        assert await answer(runtime, "It does not work!") == ("billing", "Billing here.")
        assert of_room(runtime).active_agent_id == "billing"
        first, *_ = await runtime.store.timeline("lobby")
        assert first.metadata["_routed_to"] == "triage"

    open_to(script, orchestration=desks)
    shown = desks.decider.asked[-1].messages[0].text
    lines = [line for line in shown.splitlines() if line.startswith(("caller: ", "agent: "))]
    assert lines == [
        "caller: Good morning!",
        "agent: What is it about?",
        "caller: My screen is black.",
        "agent: Support here.",
        "caller: I want my money back.",
    ]
    assert len(model(desks.triage).asked) == 1


def test_a_model_that_is_away_leaves_a_caller_with_the_fallback(caplog: pytest.LogCaptureFixture) -> None:
    desks = Desks(OSError("no network"))

    async def script(runtime: Runtime) -> None:
        assert await answer(runtime, "I want my money back.") == ("triage", "What is it about?")
        assert await answer(runtime, "My screen is black.") == ("support", "Support here.")

    open_to(script, orchestration=desks)
    assert "no network" in caplog.text


@pytest.mark.parametrize("kind", ["semantic", "model"])
def test_each_is_a_hook_and_is_installed_by_itself(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    def router() -> SemanticRouter | ModelRouter:
        if kind == "semantic":
            return SemanticRouter({"billing": ["i want my money back"], "gone": ["hello"]})
        return ModelRouter(Prepared([decides]), agents={"billing": "Money", "gone": "Nothing"})

    async def script(runtime: Runtime) -> None:
        for room in ("lobby", "hall"):
            if room == "hall":
                await runtime.create_room(room)
                await runtime.attach_channel(room, TextChannel("page"))
                for each in (agent("triage"), agent("billing")):
                    await runtime.attach_agent(room, each)
                hook = runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC, room_id=room)
                hook(router().as_hook())
            else:
                router().install(runtime, [agent("triage"), agent("billing")], room_id=room)
            assert await answer(runtime, "I want my money back.", room) == ("billing", "billing here.")

    open_to(script)
    assert "routes to gone, who is not among the agents here" in caplog.text
