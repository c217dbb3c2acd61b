"""All agents of an orchestration are found, and their models are made ready and closed once each."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from orchestration import Agent, Loop, Orchestration, Pipeline, Runtime, Supervisor, Swarm
from orchestration.ensemble import agents_of, close, prepare
from orchestration.models import Anthropic, Prepared
from orchestration.workers import Context, worker
from voice.clock import run


class Slow(Prepared):
    """Notes what is done to it."""

    def __init__(self, failing: bool = False) -> None:
        super().__init__(["Yes."], name="slow")
        self.failing = failing
        self.done: list[str] = []

    async def prepare(self) -> None:
        self.done.append("prepare")
        if self.failing:
            raise OSError("no such package")

    async def aclose(self) -> None:
        self.done.append("close")
        if self.failing:
            raise OSError("it is stuck")


def agents(*ids: str, model: Slow | None = None) -> list[Agent]:
    return [Agent(id, model=model or Slow()) for id in ids]


@worker(role="Nobody's agent")
async def plain(text: str, context: Context) -> str:
    return text


HOST, ONE, TWO = agents("host", "one", "two")


@pytest.mark.parametrize(
    "orchestration",
    [
        Pipeline(agents=[HOST, ONE, TWO]),
        Swarm(agents=[HOST, ONE, TWO], entry="host"),
        Supervisor(HOST, workers=[ONE, TWO, plain]),
        Supervisor(HOST, workers=[ONE, TWO], strategy="parallel"),
        Supervisor(HOST, workers=[ONE, TWO], strategy="sequential"),
        Loop(HOST, reviewers=[ONE, TWO]),
    ],
    ids=lambda it: type(it).__name__,
)
def test_they_are_all_found(orchestration: Orchestration) -> None:
    assert [agent.id for agent in agents_of(orchestration)] == ["host", "one", "two"]


def test_nobody_is_there_without_an_orchestration() -> None:
    assert agents_of(None) == []


def test_each_model_is_made_ready_and_closed_once_and_one_that_fails_is_said(caplog: pytest.LogCaptureFixture) -> None:
    shared, broken = Slow(), Slow(failing=True)
    team: Sequence[Agent] = [*agents("a", "b", model=shared), *agents("c", model=broken)]

    async def main() -> None:
        orchestration = Pipeline(agents=team)
        await prepare(orchestration)
        await close(orchestration)

    with caplog.at_level(logging.WARNING, "sottovoce.runtime"):
        run(main())
    assert shared.done == broken.done == ["prepare", "close"]
    assert [record.getMessage() for record in caplog.records] == [
        "model slow cannot be made ready: no such package",
        "model slow cannot be closed: it is stuck",
    ]


def test_what_the_log_knows_already_is_not_said_twice(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    run(prepare(Pipeline(agents=[Agent("a", model=Anthropic())])))
    (line,) = caplog.messages
    assert line.endswith("no key is set; fix: set ANTHROPIC_API_KEY")


def test_a_runtime_does_that_and_leaves_the_models_of_others_alone() -> None:
    model = Slow()
    runtime = Runtime(orchestration=Pipeline(agents=agents("a", model=model)), state=None)

    async def main() -> None:
        async with runtime.simulated(lambda room: None) as copy:  # type: ignore[arg-type,return-value]
            await copy.prepare()
        assert model.done == ["prepare"]
        async with runtime:
            pass
        assert model.done == ["prepare", "close"]

    run(main())
