"""What an agent is given for a model: one, several, or one that a network may fail."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from contextlib import aclosing
from typing import Any

import pytest

from orchestration import Agent
from orchestration.models import Anthropic, FallbackModel, Prepared
from orchestration.models.given import _guarded, model_of
from orchestration.models.model import Message, Role, TextDelta
from orchestration.models.structured import Structured
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.faults import Fault
from tests.orchestration.models.double import Double
from tests.sockets import run
from voice import clock
from voice.provider_error import Cause, ProviderError

HELLO = [Message(Role.USER, "hello")]


class Cloud(Double):
    """Somebody's own provider that a network may fail."""

    remote = True


def dead(cause: Cause = Cause.NETWORK) -> ProviderError:
    return ProviderError("cloud", cause)


async def said(agent: Agent) -> str:
    async with aclosing(agent.model.stream(HELLO)) as deltas:
        return "".join([delta.text async for delta in deltas if isinstance(delta, TextDelta)])


def test_one_that_is_here_is_the_agents_model_itself() -> None:
    model = Prepared(["Hello."])
    assert Agent("host", model=model).model is model


def test_of_a_list_the_next_is_asked() -> None:
    first, second = Double([[dead(Cause.KEY)]]), Prepared(["Hello."])
    agent = Agent("host", model=[first, second])
    assert isinstance(agent.model, FallbackModel)
    assert agent.model.models == (first, second)
    assert clock.run(said(agent)) == "Hello."


def test_one_that_is_remote_is_asked_again_and_left_alone_when_it_keeps_failing() -> None:
    async def main() -> None:
        model = Cloud([[dead()], ["Hello."], *[[dead()]] * 3, ["Too late."]])
        agent = Agent("host", model=model)
        assert isinstance(agent.model, FallbackModel)
        assert (agent.model.models, agent.model.name) == ((model,), model.name)
        assert await said(agent) == "Hello."
        with pytest.raises(ProviderError):
            await said(agent)
        asked, begun = len(model.asked), clock.now()
        assert await said(agent) == "Too late."
        assert len(model.asked) == asked + 1
        assert clock.now() - begun > 1  # it was left alone, and that was waited for

    clock.run(main())


def test_one_that_thinks_long_is_not_asked_again_for_that() -> None:
    model = Cloud([[40.0, "Hello."]])
    assert clock.run(said(Agent("host", model=model))) == "Hello."
    assert len(model.asked) == 1


def test_agents_that_share_one_share_what_is_known_of_it() -> None:
    model = Cloud([["Hello."]])
    one, other = Agent("one", model=model), Agent("other", model=model)
    assert one.model is other.model
    assert Agent("host", model=Cloud([["Hello."]])).model is not one.model


def test_nothing_is_kept_of_one_that_nobody_has() -> None:
    gc.collect()
    before = len(_guarded)
    agent = Agent("host", model=Cloud([["Hello."]]))
    assert len(_guarded) == before + 1
    del agent
    gc.collect()
    assert len(_guarded) == before


@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        ([], ValueError, "model: the list is empty; give one model or more, best first"),
        ((), ValueError, "model: the list is empty"),
        ("gpt", TypeError, "model: 'gpt' is no model, like Scripted"),
        (["gpt"], TypeError, "model: 'gpt' is no model, like Scripted"),
        ([Prepared(["Hello."]), None], TypeError, "model: None is no model"),
        (Prepared, TypeError, "is no model, like Scripted"),
        ([Prepared(["Hello."])] * 11, ValueError, "model: give 1 to 10 of them, not 11"),
    ],
)
def test_what_is_no_model_is_named(given: Any, error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        Agent("host", model=given)


def test_what_is_guarded_is_not_guarded_again() -> None:
    guarded = model_of(Cloud([["Hello."]]))
    assert model_of(guarded) is guarded


def test_anthropic_alone_is_asked_again() -> None:
    async def main() -> None:
        async with FakeAnthropic(["Hello."]) as fake:
            agent = Agent("host", model=Anthropic(api_key="k", base_url=fake.url))
            assert isinstance(agent.model, Structured)
            fake.faults.order(Fault(status=529))
            assert await said(agent) == "Hello."
            assert len(fake.requests) == 2
            await agent.model.aclose()  # type: ignore[attr-defined]

    run(main())


def test_an_agent_with_a_model_that_is_here_loads_no_fallback() -> None:
    code = (
        "import sys; from orchestration import Agent; from orchestration.models import Prepared; "
        "Agent('host', model=Prepared(['Hello.'])); sys.exit('orchestration.models.fallback' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ, timeout=60)
    assert done.returncode == 0
