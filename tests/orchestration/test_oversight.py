"""Oversight: who looks on sees what callers say, is heard only where it intervenes, and is never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from delivery import Status
from orchestration import (
    Agent,
    ConversationState,
    Pipeline,
    RoomEvent,
    Runtime,
    SlidingWindowMemory,
    Swarm,
    TextChannel,
)
from orchestration.models.model import Message, Role, ToolCall
from orchestration.models.prepared import Answer
from orchestration.models.scripted import Intent, Scripted
from orchestration.oversight import PATIENCE, SAID, TTL
from orchestration.simulation import SimulatedCall
from tests.orchestration.models.double import Double, calls
from tests.orchestration.relay import (
    Records,
    agent,
    aloud,
    answer,
    hand,
    heard,
    model,
    open_to,
    results,
    state,
    targets,
    told,
)

PRICE = "Pardon me, it is ten francs."


class Forgetful(SlidingWindowMemory):
    """Has lost it all."""

    def messages(self, agent_id: str = "", state: ConversationState | None = None) -> Sequence[Message]:
        return []


class Full(SlidingWindowMemory):
    """Takes nothing more."""

    def add(self, *messages: Message) -> None:
        raise OSError("the disk is full")


def intervene(message: object = PRICE, id: str = "i1") -> ToolCall:
    return ToolCall(id, "intervene", {"message": message})


def sales() -> Agent:
    return agent("sales", "It is ten thousand francs.", "Anything else?")


def watched(*answers: Answer, talks: Agent | None = None) -> tuple[Swarm, Agent]:
    boss = agent("boss", *answers, prompt="You watch the prices.")
    return Swarm([talks or sales(), agent("support")], supervisor=boss), boss


def test_who_looks_on_is_heard_where_it_intervenes() -> None:
    swarm, boss = watched(["I think that is wrong.", intervene()], "ok")

    async def script(call: SimulatedCall) -> None:
        await call.say("what does it cost")
        await call.hears("ten francs.")
        await call.silence(3)
        assert heard(call) == ["It is ten thousand francs.", PRICE]
        (entry,) = await call.runtime.deliveries(call.room, [Status.HEARD])
        assert (entry.delivery.to, entry.delivery.metadata["agent"], entry.delivery.ttl) == ("caller", "boss", TTL)
        (news,) = await call.runtime.status_bus.recent(room=call.room)
        assert (news.agent_id, news.action, news.detail) == ("boss", "intervene", PRICE)

    aloud(script, swarm)
    asked = model(boss).asked[0]
    assert asked.prompt.startswith("You watch the prices.\n\nYou look on at this conversation")
    assert "sales answers the caller" in asked.prompt
    assert asked.tool_names == ("intervene", "handoff_conversation")
    assert results(boss) == [SAID]


def test_its_words_are_nobodys() -> None:
    swarm, boss = watched("A long opinion about all that is said here.")

    async def script(call: SimulatedCall) -> None:
        await call.say("what does it cost")
        await call.hears("thousand francs.")
        await call.silence(30)
        await call.say("thank you very much")
        await call.hears("anything else?")
        await call.silence(30)
        assert heard(call) == ["It is ten thousand francs.", "Anything else?"]
        assert {event.sender_id for event in await call.runtime.store.timeline(call.room)} == {"caller", "sales"}

    aloud(script, swarm)
    assert told(boss) == ["what does it cost", "It is ten thousand francs.", "thank you very much"]


def test_an_answer_does_not_wait_for_it() -> None:
    slow = Agent("boss", model=Double([[20.0, "ok"]]))
    times: list[float] = []

    async def script(call: SimulatedCall) -> None:
        _, stopped = await call.say("what does it cost")
        line = await call.hears("thousand francs.")
        times.append(round(line.started - stopped, 3))

    aloud(script, Swarm([sales()]))
    aloud(script, Swarm([sales()], supervisor=slow))
    assert times[0] == times[1]


def test_what_comes_meanwhile_is_seen_together() -> None:
    boss = Agent("boss", model=Double([[30.0, "ok"], ["ok"]]))

    async def script(call: SimulatedCall) -> None:
        for _ in range(4):
            await call.say("what does it cost")
            await call.silence(4)
        await call.silence(40)

    aloud(script, Swarm([agent("sales", "Ten francs.")], supervisor=boss))
    assert isinstance(boss.model, Double)
    assert [len(asked.messages) for asked in boss.model.asked] == [1, 7]
    assert boss.model.asked[1].messages[-1] == Message(Role.USER, "what does it cost")


def test_it_can_say_nothing_at_all(caplog: pytest.LogCaptureFixture) -> None:
    boss = Agent("boss", model=Double([[]]))

    async def script(call: SimulatedCall) -> None:
        await call.say("what does it cost")
        await call.hears("thousand francs.")
        await call.silence(5)

    aloud(script, Swarm([sales()], supervisor=boss))
    assert "boss" not in caplog.text


def test_one_that_fails_is_logged_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    swarm, boss = watched(RuntimeError("no key"), intervene(), "ok")

    async def script(call: SimulatedCall) -> None:
        await call.say("what does it cost")
        await call.hears("thousand francs.")
        await call.say("that is a lot")
        await call.hears("ten francs.")

    aloud(script, swarm)
    assert "boss could not look at" in caplog.text
    assert len(model(boss).asked) == 3


def test_one_that_cannot_remember_ends_no_talk(caplog: pytest.LogCaptureFixture) -> None:
    swarm, boss = watched([intervene()], "ok", talks=agent("sales", "Ten francs."))
    boss.memory = Full()

    async def script(call: SimulatedCall) -> None:
        for _ in range(3):
            await call.say("what does it cost")
            await call.silence(12)
        assert heard(call).count("Ten francs.") == 3
        assert PRICE in heard(call)
        assert "its talk broke off" not in caplog.text

    aloud(script, swarm)


def test_one_that_hangs_is_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    async def audit() -> str:
        """Take longer than anybody waits."""
        await asyncio.sleep(PATIENCE + 3)
        return "The books are in order."

    boss = Agent("boss", model=Double([[calls("audit")], ["ok"]]), tools=[audit])

    async def script(call: SimulatedCall) -> None:
        await call.say("what does it cost")
        await call.silence(PATIENCE + 5)
        await call.say("that is a lot")
        await call.silence(5)

    aloud(script, Swarm([sales()], supervisor=boss))
    assert isinstance(boss.model, Double)
    assert len(boss.model.asked) == 2
    assert [m.text for m in boss.model.asked[1].messages if m.role is Role.TOOL] == ["The books are in order."]
    assert "boss could not look at" in caplog.text


@pytest.mark.parametrize(("message", "wrong"), [(None, "message: it is missing"), ("", "error: "), ("\0", "error: ")])
def test_what_cannot_be_said_is_told_to_its_model(message: object, wrong: str) -> None:
    swarm, boss = watched(intervene(message), "ok")

    async def script(call: SimulatedCall) -> None:
        await call.say("what does it cost")
        await call.hears("thousand francs.")
        await call.silence(5)
        assert heard(call) == ["It is ten thousand francs."]

    aloud(script, swarm)
    (result,) = results(boss)
    assert wrong in result


def test_it_can_give_the_conversation_to_another() -> None:
    swarm, boss = watched(hand("support"), "ok")

    async def script(call: SimulatedCall) -> None:
        records = Records(call.runtime)
        await call.say("what does it cost")
        await call.hears("thousand francs.")
        await call.say("that is a lot")
        await call.hears("support here.")
        assert (state(call).active_agent_id, state(call).previous_agent_id) == ("support", "sales")
        assert records.names == ["on_handoff", "on_phase_transition"]

    aloud(script, swarm)
    assert targets(boss) == ["sales"]
    assert targets(boss, 0) == ["support"]


def test_a_script_can_look_on() -> None:
    alarm = Intent(
        ["i want to cancel"], call="intervene", arguments=lambda _: {"message": "We are sorry to hear that."}
    )
    boss = Agent("boss", model=Scripted([alarm]))

    async def script(call: SimulatedCall) -> None:
        await call.say("i want to cancel")
        await call.hears("sorry to hear that.")

    aloud(script, Swarm([sales()], supervisor=boss))


def test_who_writes_is_told_too() -> None:
    seen: list[str] = []
    boss, triage = agent("boss", intervene(), "ok"), agent("triage")

    async def script(runtime: Runtime) -> None:
        async def show(event: RoomEvent) -> None:
            seen.append(event.text)

        await runtime.attach_agent("lobby", boss)
        await runtime.detach_channel("lobby", "page")
        await runtime.attach_channel("lobby", TextChannel("page", send=show))
        assert await answer(runtime, "what does it cost") == ("triage", "triage here.")
        await asyncio.sleep(10)
        assert PRICE in seen

    open_to(script, orchestration=Pipeline([triage], supervisor_id="boss"))
    assert len(model(boss).asked) == 2


def test_it_looks_on_where_a_person_has_the_conversation() -> None:
    boss, triage = agent("boss", "ok"), agent("triage", hand("human"))

    async def script(call: SimulatedCall) -> None:
        await call.say("a person please")
        await call.silence(10)
        await call.say("are you there")
        await call.silence(10)

    aloud(script, Pipeline([triage], human=True, supervisor=boss))
    assert len(model(triage).asked) == 1
    assert len(model(boss).asked) == 2
    assert "no agent answers the caller" in model(boss).asked[1].prompt


def test_who_remembers_nothing_sees_the_callers_words() -> None:
    boss = Agent("boss", model=Double([["ok"]]), memory=Forgetful())

    async def script(call: SimulatedCall) -> None:
        await call.say("what does it cost")
        await call.hears("thousand francs.")

    aloud(script, Swarm([sales()], supervisor=boss))
    assert isinstance(boss.model, Double)
    assert boss.model.asked[0].messages == (Message(Role.USER, "what does it cost"),)


def test_a_supervisor_that_is_not_there_is_not_missed() -> None:
    triage = agent("triage")

    async def script(runtime: Runtime) -> None:
        assert await answer(runtime, "hello") == ("triage", "triage here.")

    open_to(script, orchestration=Pipeline([triage], supervisor_id="boss"))
