"""The supervisor: its team, the tools it gets for it, and every mistake in putting them together."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration import Agent, Runtime, Supervisor
from orchestration.strategies.supervisor import DELEGATION_MESSAGE
from orchestration.tools import tool
from orchestration.workers import AgentWorker, Context, FanOut, FunctionWorker, Sequence
from tests.orchestration.models.double import Double
from voice.clock import run
from voice.simulated import SimulatedChannel

TASKS = ["task_status", "cancel_task", "recall"]


async def job(input: str, context: Context) -> str:
    return input


def agent(id: str = "host", **more: Any) -> Agent:
    return Agent(id, model=Double([[]]), **more)


def works(id: str, label: str = "") -> FunctionWorker:
    return FunctionWorker(id, job, label or id)


def tools_of(supervisor: Supervisor) -> list[str]:
    async def main() -> list[str]:
        runtime = Runtime(orchestration=supervisor, state=None, channels=lambda _: SimulatedChannel())
        async with runtime:
            room = await runtime.create_room("lobby")
            assert room.talker is supervisor.supervisor
            return [t.name for t in room.tools]

    return run(main())


def test_without_a_strategy_there_is_a_tool_for_each_worker() -> None:
    supervisor = Supervisor(agent(), [agent("tech", role="Technical analyst"), works("prices")])
    assert tools_of(supervisor) == ["delegate_to_tech", "delegate_to_prices", *TASKS]
    assert [w.id for w in supervisor.workers()] == ["tech", "prices"]
    assert isinstance(supervisor.workers()[0], AgentWorker)
    assert [a.id for a in supervisor.agents()] == ["host"]


@pytest.mark.parametrize(("strategy", "kind"), [("parallel", FanOut), ("sequential", Sequence)])
def test_with_a_strategy_there_is_one_tool_for_all(strategy: Any, kind: type[FanOut]) -> None:
    supervisor = Supervisor(agent(), [works("tech", "Analyst"), works("prices", "Buyer")], strategy=strategy)
    assert tools_of(supervisor) == ["delegate_workers", *TASKS]
    (team,) = supervisor.workers()
    assert isinstance(team, kind)
    assert (team.id, team.label) == ("host.workers", "Analyst and Buyer")


def test_what_the_tool_is_for_is_told_to_the_model() -> None:
    async def main() -> None:
        runtime = Runtime(
            orchestration=Supervisor(agent(), [works("tech", "Analyst")]),
            state=None,
            channels=lambda _: SimulatedChannel(),
        )
        async with runtime:
            spec = (await runtime.create_room("lobby")).tools[0].spec
            assert spec.description.startswith("Hand work to Analyst.")
            assert spec.schema["required"] == ["task"]

    run(main())
    assert Supervisor(agent(), [works("tech")]).delegation_message == DELEGATION_MESSAGE


@pytest.mark.parametrize(
    ("id", "name"),
    [("a.b", "delegate_to_a_b"), ("a-b_C9", "delegate_to_a-b_C9"), ("x" * 64, "delegate_to_" + "x" * 52)],
)
def test_a_tools_name_is_one_that_models_take(id: str, name: str) -> None:
    assert tools_of(Supervisor(agent(), [works(id)]))[0] == name


@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        ((agent(), []), ValueError, "workers: the list is empty"),
        ((agent(), [works("a"), works("a")]), ValueError, "workers: the id 'a' is used twice"),
        ((agent(), [works("host")]), ValueError, "workers: the id 'host' is the supervisor's; ids must differ"),
        ((agent(), [works("a.b"), works("a_b")]), ValueError, "two of the tools delegate_to_a_b, delegate_to_a_b have"),
        ((agent(), [job]), TypeError, "is neither an Agent nor a worker"),
        ((agent(), ["tech"]), TypeError, "workers: 'tech' is neither an Agent nor a worker"),
        (("host", [works("a")]), TypeError, "supervisor: 'host' is no Agent"),
    ],
)
def test_a_team_that_cannot_be_is_refused(given: Any, error: type[Exception], fault: str) -> None:
    for strategy in (None, "parallel", "sequential"):
        if "two of the tools" in fault and strategy:
            continue
        with pytest.raises(error, match=fault):
            Supervisor(*given, strategy=strategy)


@pytest.mark.parametrize("strategy", ["PARALLEL", "", "swarm", 3])
def test_a_strategy_that_is_not_known_is_refused(strategy: Any) -> None:
    with pytest.raises(ValueError, match=rf"strategy: {strategy!r} is not known; use 'parallel', 'sequential' or None"):
        Supervisor(agent(), [works("a")], strategy=strategy)


@pytest.mark.parametrize("strategy", ["parallel", "sequential", None])
def test_the_house_has_one_tool_for_all_to_offer_in_a_call(strategy: Any) -> None:
    supervisor = Supervisor(agent(), [works("tech"), works("prices")], strategy=strategy, auto_delegate=True)
    assert tools_of(supervisor) == ["delegate_workers", *TASKS]
    (team,) = supervisor.workers()
    assert isinstance(team, Sequence if strategy == "sequential" else FanOut)


@pytest.mark.parametrize(
    ("how", "background"),
    [
        ({}, None),
        ({"async_delivery": True}, True),
        ({"async_delivery": False}, False),
        ({"wait_for_result": True}, False),
        ({"wait_for_result": False}, True),
        ({"async_delivery": True, "wait_for_result": True}, False),
        ({"async_delivery": True, "wait_for_result": True, "auto_delegate": True}, True),
        ({"wait_for_result": False, "auto_delegate": True}, True),
    ],
)
def test_of_the_two_ways_to_ask_for_background_work_each_mode_has_its_own(how: Any, background: bool | None) -> None:
    assert Supervisor(agent(), [works("tech")], **how).in_background is background


@pytest.mark.parametrize(
    ("how", "error", "fault"),
    [
        ({"auto_delegate": "yes"}, TypeError, "auto_delegate: 'yes' is not known; use True, False"),
        ({"auto_delegate": None}, TypeError, "auto_delegate: None is not known; use True, False"),
        ({"refine_task": 1}, TypeError, "refine_task: 1 is not known; use True, False"),
        ({"async_delivery": "yes"}, TypeError, "async_delivery: 'yes' is not known; use True, False, None"),
        ({"wait_for_result": 0}, TypeError, "wait_for_result: 0 is not known; use True, False, None"),
        ({"refine_instruction": ""}, ValueError, "refine_instruction: it is empty"),
        ({"refine_instruction": 3}, ValueError, "refine_instruction: int is no text"),
        ({"delegation_message": " "}, ValueError, "delegation_message: it is empty"),
        ({"delegation_message": None}, ValueError, "delegation_message: NoneType is no text"),
        ({"delegation_message": 3}, ValueError, "delegation_message: int is no text"),
        ({"share_channels": "ws"}, TypeError, "share_channels: 'ws' is one name; give a list"),
        ({"share_channels": 3}, TypeError, "share_channels: 3 is no list"),
        ({"share_channels": [3]}, ValueError, "share_channels must be text"),
        ({"colour": "red"}, TypeError, "Supervisor got an unknown argument 'colour'$"),
        ({"delivery_strategy": "queued"}, TypeError, "'delivery_strategy'; it is called 'delivery' here, and is the R"),
        ({"agents": []}, TypeError, "'agents'; the one that talks is called 'supervisor' here, the others 'workers'"),
        ({"async_mode": True}, TypeError, "'async_mode'; it is called 'async_delivery' here"),
    ],
)
def test_a_choice_that_is_none_is_refused(how: Any, error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        Supervisor(agent(), [works("a")], **how)


@pytest.mark.parametrize("workers", ["tech", works("a"), {"a": works("a")}, None])
def test_workers_are_a_list(workers: Any) -> None:
    with pytest.raises(TypeError, match=r"workers: .* is no list; give a list of agents and workers"):
        Supervisor(agent(), workers)


def test_its_tools_are_its_own() -> None:
    async def main() -> None:
        supervisor = Supervisor(agent(), [works("tech")])
        async with Runtime(orchestration=supervisor, state=None, channels=lambda _: SimulatedChannel()) as runtime:
            room = await runtime.create_room("lobby")
            await runtime.attach_agent("lobby", agent("other"))
            assert [t.name for t in room.tools_of("host")] == ["delegate_to_tech", *TASKS]
            assert room.tools_of("other") == []
            assert room.talker is supervisor.supervisor

    run(main())


def test_two_supervisors_may_be_in_one_room() -> None:
    async def main() -> None:
        first, second = (Supervisor(agent(id), [works(f"{id}-w")], auto_delegate=True) for id in ("one", "two"))
        async with Runtime(orchestration=first, state=None, channels=lambda _: SimulatedChannel()) as runtime:
            room = await runtime.create_room("lobby")
            runtime.tasks.register(*second.workers(), room="lobby")
            await second.install(runtime, "lobby")
            assert [t.name for t in room.tools_of("one")] == ["delegate_workers", *TASKS]
            assert [t.name for t in room.tools_of("two")] == ["delegate_workers", *TASKS]
            assert list(room.agents) == ["one", "two"]

    run(main())


def test_a_tool_of_the_agents_own_must_not_have_the_name_of_one_it_gets() -> None:
    async def recall() -> str:
        return "mine"

    with pytest.raises(TypeError, match="two tools are called 'recall'"):
        tools_of(Supervisor(agent(tools=[tool(recall)]), [works("a")]))


def test_one_supervisor_serves_many_rooms() -> None:
    supervisor = Supervisor(agent(), [works("tech")])

    async def main() -> None:
        async with Runtime(orchestration=supervisor, state=None, channels=lambda _: SimulatedChannel()) as runtime:
            rooms = [await runtime.create_room(name) for name in ("one", "two")]
            assert [len(room.tools) for room in rooms] == [4, 4]
            assert rooms[0].tools[0] is not rooms[1].tools[0]

    run(main())
