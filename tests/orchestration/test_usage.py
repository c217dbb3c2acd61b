"""What models cost: counted by room, agent and model, wherever they are asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import Agent, ModelRouter, RoomEvent, Runtime
from orchestration.hooks import HookContext, HookTrigger
from orchestration.models.anthropic_prices import PRICES, price_of
from orchestration.models.model import Delta, Message, ToolSpec, Usage
from orchestration.simulation import simulate
from orchestration.usage import MAX_KINDS, OTHERS, Meter, Price, Sum, Tab, charge, charge_to, charging
from orchestration.workers import AgentWorker
from tests.orchestration.models.double import Double, calls
from tests.orchestration.post import Office, Talks, play, reply
from tests.orchestration.test_routing_model import to
from voice.clock import run
from voice.endpointing import FixedSilence


class Priced(Double):
    """Each request costs ten tokens to read, one to write, and a cent."""

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        try:
            async for delta in super().stream(messages, prompt=prompt, tools=tools):
                yield delta
        except (GeneratorExit, asyncio.CancelledError):
            charge(Usage(self.name, 10, 0, cost=0.01))  # as adapters do that were told how much
            raise
        yield Usage(self.name, 10, 1, cost=0.01)


def agent(id: str, *replies: list[Any], **more: Any) -> Agent:
    return Agent(id, model=Priced(replies or [[f"I am {id}."]], name=f"{id}-model"), **more)


def open_with(*agents: Agent, **more: Any) -> Runtime:
    return Runtime(orchestration=Talks(*agents), state=None, **more)


async def look() -> str:
    """Look."""
    return "boats"


def test_an_answer_is_counted_for_its_room_its_agent_and_its_model() -> None:
    runtime = open_with(agent("host"))

    async def script(office: Office) -> None:
        await office.reader()
        assert reply(await office.write()) == "I am host."
        one = {"requests": 1, "input": 10, "output": 1, "cache_read": 0, "cache_write": 0, "cost": 0.01, "unpriced": 0}
        assert runtime.usage("lobby") == {**one, "models": {"host-model": one}, "agents": {"host": one}}
        assert runtime.usage() == runtime.usage("lobby")
        assert runtime.usage("attic")["requests"] == 0
        await office.write()
        assert runtime.usage("lobby")["requests"] == 2

    play(script, runtime)


def test_what_an_answer_costs_is_told_with_it() -> None:
    runtime = open_with(agent("host", [calls("look")], ["There are boats."], tools=[look]))
    told: list[RoomEvent] = []

    @runtime.hook(HookTrigger.AFTER_BROADCAST)
    async def note(event: RoomEvent, context: HookContext) -> None:
        told.append(event)

    async def script(office: Office) -> None:
        await office.reader()
        assert reply(await office.write()) == "There are boats."
        await asyncio.sleep(1)
        asked, answered = told
        assert "usage" not in asked.metadata
        usage = answered.metadata["usage"]
        assert (usage["requests"], usage["input"], usage["cost"]) == (2, 20, 0.02)
        assert list(usage["agents"]) == ["host"]
        json.dumps(usage)

    play(script, runtime)


def test_a_model_that_tells_no_cost_is_not_counted() -> None:
    runtime = open_with(Agent("host", model=Double([["hello"]])))

    async def script(office: Office) -> None:
        await office.reader()
        result = await office.write()
        assert result.reply is not None
        assert "usage" not in result.reply.metadata
        assert runtime.usage()["requests"] == 0

    play(script, runtime)


def test_a_router_is_paid_by_the_room() -> None:
    model = Priced([[to("host")]], name="router-model")
    host, other = agent("host", description="Answers."), agent("other", description="Does not.")
    runtime = open_with(host, other)

    async def script(office: Office) -> None:
        await office.reader()
        ModelRouter(model, agents=[host, other]).install(runtime, [host, other], room_id="lobby")
        await office.write()
        usage = runtime.usage("lobby")
        assert {name: each["requests"] for name, each in usage["agents"].items()} == {"": 1, "host": 1}
        assert set(usage["models"]) == {"router-model", "host-model"}

    play(script, runtime)


def test_background_work_and_the_telling_of_it_are_paid_by_the_room() -> None:
    host, worker = agent("host"), agent("analyst", [calls("look")], ["Boats float."], tools=[look])
    runtime = open_with(host)

    async def script(office: Office) -> None:
        await office.reader()
        runtime.tasks.register(AgentWorker(worker))
        await runtime.delegate("lobby", "analyst", "boats")
        await asyncio.sleep(30)
        usage = runtime.usage("lobby")
        assert {name: each["requests"] for name, each in usage["agents"].items()} == {"analyst": 2, "host": 1}
        assert usage["cost"] == 0.03

    play(script, runtime)


def test_an_answer_that_is_superseded_is_paid_as_far_as_it_came() -> None:
    runtime = open_with(agent("host", ["One ", 60.0, "two."]))

    async def script(office: Office) -> None:
        await office.reader()
        pending = office.begin()
        await asyncio.sleep(1)
        pending.cancel()
        await runtime.close_room("lobby")
        usage = runtime.usage("lobby")
        assert (usage["requests"], usage["output"], list(usage["agents"])) == (1, 0, ["host"])

    play(script, runtime)


def test_what_is_made_ahead_and_dropped_is_paid_and_what_is_kept_is_paid_once() -> None:
    runtime = open_with(agent("host", [0.4, "Too soon."], [0.4, "A lot."]))

    async def main() -> None:
        async with simulate(runtime, endpointer=FixedSilence(silence=0.6, eager=0.1)) as call:
            await call.say("what do you")
            await asyncio.sleep(0.15)
            await call.caller.say("know of the sea")
            await call.hears("A lot")
            await asyncio.sleep(2)
            usage = call.runtime.usage()
            assert (usage["requests"], usage["output"], list(usage["agents"])) == (2, 1, ["host"])

    run(main())


def test_what_was_made_ahead_to_its_end_and_dropped_is_paid() -> None:
    runtime = open_with(agent("host", ["Too soon."], ["A lot. " * 20]))

    async def main() -> None:
        async with simulate(runtime, endpointer=FixedSilence(silence=0.6, eager=0.1)) as call:
            await call.say("what do you")
            await asyncio.sleep(0.15)
            await call.caller.say("know of the sea")
            await call.hears("A lot")
            await call.interrupt("stop it now")  # all of it was made, and not all is taken
            await call.hears("A lot")
            await asyncio.sleep(30)
            usage = call.runtime.usage()
            assert (usage["requests"], usage["output"], list(usage["agents"])) == (3, 3, ["host"])

    run(main())


@pytest.mark.parametrize("eager", [None, 0.1])
def test_what_a_reply_cost_that_is_cut_is_told_with_it(eager: float | None) -> None:
    """Also when it was begun ahead."""
    runtime = open_with(agent("host", ["There is a lot to be said of the sea, and more. ", 60.0, "Yes."]))
    told: list[RoomEvent] = []

    async def main() -> None:
        async with simulate(runtime, endpointer=FixedSilence(silence=0.6, eager=eager)) as call:
            call.runtime.hook(HookTrigger.AFTER_BROADCAST)(lambda event, context: told.append(event))
            await call.say("what do you know of the sea")
            await asyncio.sleep(2)
            await call.interrupt("stop it now")
            await asyncio.sleep(1)

    run(main())
    cut = next(event for event in told if event.text.startswith("There is"))
    assert cut.metadata["complete"] is False
    assert ("preemptive" in cut.metadata) is (eager is not None)
    assert cut.metadata["usage"]["requests"] == 1


def test_a_bad_name_is_named() -> None:
    with pytest.raises(ValueError, match=r"^room_id "):
        open_with(agent("host")).usage("")


# -- tabs


def test_a_tab_is_known_to_the_tasks_that_are_begun_and_to_no_other() -> None:
    async def main() -> None:
        meter = Meter()
        ours, theirs = Tab(meter, "ours", lambda: "host"), Tab(meter, "theirs")

        async def spend(agent: str | None = None) -> None:
            charge(Usage("m", 1), agent)

        async def elsewhere() -> None:
            charge_to(theirs)
            await spend()

        await spend()  # nobody's
        with charging(ours):
            await asyncio.gather(spend(), spend("guest"), elsewhere())
        await spend()
        assert {room: dict(_requests(sums.agents)) for room, sums in meter.rooms.items()} == {
            "ours": {"host": 1, "guest": 1},
            "theirs": {"": 1},
        }
        assert ours.sums == meter.room("ours")

    asyncio.run(main())


def _requests(sums: Any) -> Any:
    return ((name, each.requests) for name, each in sums.items())


usages = st.builds(
    Usage,
    st.sampled_from(["a", "b"]),
    *[st.integers(0, 10**6)] * 4,
    st.one_of(st.none(), st.integers(0, 1000).map(float)),
)
entries = st.tuples(st.sampled_from(["x", "y", "z"]), st.sampled_from(["", "host"]), usages)


@given(st.lists(st.one_of(entries, st.sampled_from(["x", "y"]))))
def test_nothing_is_lost_in_the_total_whatever_goes(acts: list[Any]) -> None:
    meter, whole = Meter(), Sum()
    for act in acts:
        if isinstance(act, str):
            meter.forget(act)
            assert meter.room(act).total == Sum()
        else:
            meter.add(*act)
            whole.add(act[2])
    total = meter.total()
    assert total.total == whole
    for parts in (total.models, total.agents):
        together = Sum()
        for part in parts.values():
            together.merge(part)
        assert together == whole


def test_its_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.usage.MAX_ROOMS", 3)
    meter = Meter()
    for room in ("a", "b", "c", "a", "d"):
        meter.add(room, "host", Usage("m", 1))
    assert list(meter.rooms) == ["c", "a", "d"]  # "b" was without a request for longest
    assert meter.total().total.requests == 5
    for number in range(MAX_KINDS + 5):
        meter.add("a", f"agent-{number}", Usage(f"m-{number}", 1))
    sums = meter.room("a")
    assert len(sums.agents) == len(sums.models) == MAX_KINDS + 1
    assert sums.agents[OTHERS].requests == 6
    assert sums.total.requests == MAX_KINDS + 7


# -- prices


def test_a_cost_is_in_dollars_of_millions_of_tokens() -> None:
    price = Price(1, 10, 0.1, 2, 4, beyond=100, times=5)
    assert price.of(Usage("m", 50, 50)) == pytest.approx(550 / 1e6)
    assert price.of(Usage("m", 0, 0, 50, 50)) == pytest.approx(105 / 1e6)
    assert price.of(Usage("m", 0, 0, 50, 50), hour=True) == pytest.approx(205 / 1e6)
    assert price.of(Usage("m", 1, 0, 50, 50)) == pytest.approx(5 * 106 / 1e6)
    assert Price(1, 1, 1, 2).of(Usage("m", 0, 0, 0, 1), hour=True) == pytest.approx(2 / 1e6)


def test_a_cost_is_none_where_no_price_is_known() -> None:
    total = Sum()
    assert total.written()["cost"] is None
    total.add(Usage("m", 1))
    assert (total.written()["cost"], total.written()["unpriced"]) == (None, 1)
    total.add(Usage("m", 1, cost=0.5))
    assert (total.written()["cost"], total.written()["unpriced"]) == (0.5, 1)


def test_a_snapshot_of_a_model_has_the_models_price() -> None:
    assert (
        price_of("claude-haiku-5-5-20261007", PRICES)
        == price_of("claude-haiku-5-5", PRICES)
        == Price(0.10, 0.50, 0.01, 0.125, 0.20, beyond=100_000, times=5.0)
    )
    assert price_of("claude-haiku-5-5-fast", PRICES) is None
