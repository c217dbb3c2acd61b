"""Swarm: whoever has the conversation keeps it until they hand over, to anybody; and nobody goes round in circles."""

from __future__ import annotations

import pytest

from orchestration import Agent, HandoffHandler, Swarm, TextChannel
from orchestration.handoff_handler import BACK
from orchestration.models.model import Message, Role
from orchestration.models.scripted import Intent, Scripted
from orchestration.runtime import Runtime
from orchestration.simulation import SimulatedCall
from orchestration.store.trouble import StoreError
from tests.orchestration.models.double import Double, calls
from tests.orchestration.relay import (
    ASK,
    Moody,
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
)
from voice.channel import APOLOGY


def test_a_conversation_goes_there_and_back() -> None:
    sales = agent("sales", ["You need support.", hand("support")], "Back with sales.")
    support = agent("support", "Support here.", ["It works now.", hand("sales", "c2")])
    billing = agent("billing")

    async def script(call: SimulatedCall) -> None:
        await call.say("it is broken")
        await call.hears("support here.")
        await call.say("now i want another one")
        await call.hears("back with sales.")
        assert heard(call) == ["You need support. Support here.", "It works now. Back with sales."]
        assert (state(call).phase, state(call).handoff_count) == ("sales", 2)

    aloud(script, Swarm([sales, support, billing]))
    assert [targets(each) for each in (sales, support)] == [["support", "billing"], ["sales", "billing"]]
    assert not model(billing).asked


def test_the_entry_begins_and_keeps_what_nobody_took() -> None:
    sales, support = agent("sales"), agent("support")

    async def script(runtime: Runtime) -> None:
        for _ in range(3):
            assert await answer(runtime, "hello") == ("support", "support here.")
        assert of_room(runtime).handoff_count == 0

    open_to(script, orchestration=Swarm([sales, support], entry="support"))
    assert not model(sales).asked


def test_scripted_agents_pass_a_caller_on() -> None:
    def desk(id: str, to: str, line: str) -> Agent:
        call = Intent(["[get me] " + to], call="handoff_conversation", arguments=lambda _: {"target": to, **ASK})
        return Agent(id, model=Scripted([call], fallback=(line,)), role=id)

    async def script(call: SimulatedCall) -> None:
        await call.say("get me billing")
        await call.hears("billing speaking.")
        await call.say("get me sales")
        await call.hears("sales speaking.")
        assert heard(call) == ["Billing speaking.", "Sales speaking."]

    aloud(script, Swarm([desk("sales", "billing", "Sales speaking."), desk("billing", "sales", "Billing speaking.")]))


def test_who_was_passed_on_is_not_passed_back_in_the_same_turn() -> None:
    sales = agent("sales", hand("support"))
    support = agent("support", hand("sales"), "Then let me ask you what you need.")

    async def script(call: SimulatedCall) -> None:
        records = Records(call.runtime)
        await call.say("hello")
        await call.hears("what you need.")
        assert heard(call) == ["Then let me ask you what you need."]
        assert records.codes() == ["loop"]
        assert state(call).active_agent_id == "support"

    aloud(script, Swarm([sales, support]))
    (result,) = results(support)
    assert result.startswith("error: sales has just given this conversation away; giving it back would go round")


def test_a_chain_has_an_end() -> None:
    ids = [f"a{n}" for n in range(4)]
    team = [agent(id, hand(after), f"{id} stays.") for id, after in zip(ids, ids[1:] + ids[:1], strict=True)]

    async def script(runtime: Runtime) -> None:
        records = Records(runtime)
        assert await answer(runtime, "hello") == ("a2", "a2 stays.")
        assert records.codes() == ["too_deep"]
        assert await answer(runtime, "go on") == ("a2", "a2 stays.")

    open_to(script, orchestration=Swarm(team, max_depth=2))
    assert results(team[2])[-1].startswith("error: The caller has been passed on 2 times without an answer.")


def test_a_caller_is_not_kept_waiting_for_long() -> None:
    sales = agent("sales", hand("support"))
    support = Agent("support", model=Double([[12.0, hand("billing")], ["Sorry that it took so long."]]))

    async def script(runtime: Runtime) -> None:
        records = Records(runtime)
        assert await answer(runtime, "hello") == ("support", "Sorry that it took so long.")
        assert records.codes() == ["too_late"]

    open_to(script, orchestration=Swarm([sales, support, agent("billing")], time_limit=10.0))
    assert isinstance(support.model, Double)
    assert support.model.asked[-1].messages[-1] == Message(
        Role.TOOL,
        "error: The caller has waited 12 s. Answer the caller yourself, or ask them what they need.",
        call="c1",
    )


def test_a_target_that_nobody_knows_is_answered_with_those_there_are() -> None:
    sales = agent("sales", hand("accounting"), hand("bills"))
    support, billing = agent("support"), agent("billing")

    async def script(runtime: Runtime) -> None:
        records = Records(runtime)
        assert await answer(runtime, "hello") == ("billing", "billing here.")
        assert records.codes() == ["unknown_target"]
        assert records.seen[0][1]["target"] == "accounting"

    open_to(script, orchestration=Swarm([sales, support, billing], aliases={"bills": "billing"}))
    assert results(sales) == ["error: There is no 'accounting'. You can hand over to support, billing."]


def test_two_handoffs_at_once_are_one() -> None:
    sales = agent("sales", [hand("support"), hand("billing", "c2")])
    support, billing = agent("support"), agent("billing")

    async def script(runtime: Runtime) -> None:
        records = Records(runtime)
        assert await answer(runtime, "hello") == ("support", "support here.")
        assert records.codes() == ["not_active"]
        assert of_room(runtime).handoff_count == 1

    open_to(script, orchestration=Swarm([sales, support, billing]))
    assert not model(billing).asked


def test_a_caller_who_cuts_in_is_with_the_new_agent_all_the_same() -> None:
    sales = agent("sales", ["I get support.", hand("support")])
    support = agent("support", "one two three four five six seven eight nine ten.", "Yes please.")

    async def script(call: SimulatedCall) -> None:
        await call.say("it is broken")
        await call.hears("three")
        await call.interrupt("wait a moment please")
        await call.hears("yes please.")
        assert state(call).active_agent_id == "support"
        assert heard(call)[1] == "Yes please."

    aloud(script, Swarm([sales, support]))
    assert (len(model(sales).asked), len(model(support).asked)) == (1, 2)


def test_who_is_attached_later_is_one_of_them() -> None:
    sales, guest = agent("sales", hand("guest")), agent("guest")

    async def script(runtime: Runtime) -> None:
        await runtime.attach_agent("lobby", guest)
        assert await answer(runtime, "hello") == ("guest", "guest here.")
        assert of_room(runtime).phase == "handling"

    open_to(script, orchestration=Swarm([sales, agent("support")]))


def test_rooms_with_the_same_swarm_share_nothing() -> None:
    sales, support = agent("sales", hand("support"), "Sales."), agent("support")

    async def script(runtime: Runtime) -> None:
        for room in ("lobby", "hall"):
            await runtime.create_room(room)
            await runtime.attach_channel(room, TextChannel("page"))
        assert await answer(runtime, "hello", "lobby") == ("support", "support here.")
        assert await answer(runtime, "hello", "hall") == ("sales", "Sales.")

    open_to(script, room=None, orchestration=Swarm([sales, support]))


@pytest.mark.parametrize("entry", ["billing", ""])
def test_the_entry_must_be_there(entry: str) -> None:
    with pytest.raises(ValueError, match=f"entry: {entry!r} is not among the agents; there are sales, support"):
        Swarm([agent("sales"), agent("support")], entry=entry)


def test_an_agent_that_got_the_conversation_and_fails_does_not_keep_it() -> None:
    sales = agent("sales", ["I get support.", hand("support")], "Support is not there.")
    support = agent("support", RuntimeError("no key"))

    async def script(call: SimulatedCall) -> None:
        records = Records(call.runtime)
        await call.say("it is broken")
        await call.hears("ask me again?")
        assert heard(call) == ["I get support.", APOLOGY]
        assert (state(call).active_agent_id, state(call).phase) == ("sales", "sales")
        assert records.names == ["on_handoff", "on_phase_transition", "on_phase_transition"]
        assert (records.seen[2][1]["from_agent"], records.seen[2][1]["to_agent"]) == ("support", "sales")
        await call.say("it is broken")
        await call.hears("not there.")
        events = [event.text for event in await call.runtime.store.timeline(call.room) if event.sender_id == "system"]
        assert events[1] == "support did not answer; sales has the conversation again."
        assert [entry.status for entry in await call.runtime.status_bus.recent(room=call.room)] == ["ok", "failed"]

    aloud(script, Swarm([sales, support]))
    assert results(sales) == [BACK.format(to="support")]


def test_one_that_fails_in_the_midst_of_its_words_keeps_it() -> None:
    sales = agent("sales", hand("support"))
    support = agent("support", ["Support here.", RuntimeError("the line broke")], "Again.")

    async def script(call: SimulatedCall) -> None:
        await call.say("it is broken")
        await call.hears("ask me again?")
        await call.say("it is broken")
        await call.hears("again.")

    aloud(script, Swarm([sales, support]))
    assert len(model(sales).asked) == 1


def test_what_cannot_be_taken_back_stays_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    store = Moody()

    def fail(messages: object, tools: object) -> Exception:
        store.fault = StoreError
        return RuntimeError("no key")

    sales, support = agent("sales", hand("support")), agent("support", fail, "Support here.")

    async def script(runtime: Runtime) -> None:
        assert await answer(runtime, "hello") == ("support", APOLOGY)
        store.fault = None
        assert await answer(runtime, "hello") == ("support", "Support here.")

    open_to(script, orchestration=Swarm([sales, support]), store=store)
    assert "the handoff to support cannot be taken back: the disk is full" in caplog.text


def test_what_has_gone_on_is_not_taken_back() -> None:
    async def script(runtime: Runtime) -> None:
        handler = runtime.room("lobby").handoff
        assert isinstance(handler, HandoffHandler)

        async def gone_on() -> str:
            return await handler.handle("lobby", "boss", {"target": "billing", **ASK})

        support = Agent("support", model=Double([[calls("gone_on")], [RuntimeError("no key")]]), tools=[gone_on])
        await runtime.attach_agent("lobby", support)
        await answer(runtime, "hello")
        assert of_room(runtime).active_agent_id == "billing"

    team = [agent("sales", hand("support")), agent("billing")]
    open_to(script, orchestration=Swarm(team, supervisor=agent("boss", "ok")))
