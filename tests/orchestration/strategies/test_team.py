"""A Team: who may be in it, and who looks on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestration import Orchestration, Pipeline, Swarm
from tests.orchestration.relay import agent


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"agents": []}, ValueError, "agents: there are none; give at least one Agent"),
        ({"agents": agent("a")}, TypeError, r"agents: Agent\('a'\) is no list"),
        ({"agents": ["triage"]}, TypeError, "agents: 'triage' is no Agent"),
        ({"agents": [agent("a"), agent("b"), agent("a")]}, ValueError, "agents: two have the id 'a'; ids must differ"),
        ({"agents": [agent("human")]}, ValueError, "agents: 'human' is not free as an id"),
        ({"supervisor_id": "a"}, ValueError, "supervisor_id: 'a' is among the agents"),
        ({"supervisor_id": "no id"}, ValueError, "supervisor_id: 'no id' is no id"),
        ({"supervisor_id": agent("boss")}, TypeError, "supervisor_id: .* is an Agent; give it as `supervisor`"),
        ({"supervisor": "boss"}, TypeError, "supervisor: 'boss' is no Agent"),
        ({"supervisor": agent("b")}, ValueError, "supervisor: 'b' is among the agents"),
        ({"supervisor": agent("boss"), "supervisor_id": "chef"}, ValueError, "supervisor_id: 'chef' is not 'boss'"),
        ({"aliases": {"billing": "c"}}, ValueError, "aliases: 'billing' stands for 'c', which is no agent here"),
        ({"aliases": {"a": "b"}}, ValueError, "aliases: 'a' is itself an id"),
        ({"aliases": ["a"]}, ValueError, "aliases: list is no mapping"),
        ({"max_depth": 0}, ValueError, "max_depth: 0 is no whole number from 1 on"),
        ({"time_limit": 0}, ValueError, "time_limit: 0 is no number of seconds above 0"),
    ],
)
@pytest.mark.parametrize("strategy", [Pipeline, Swarm])
def test_what_cannot_be_is_named(
    strategy: Callable[..., Orchestration], given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        strategy(**{"agents": [agent("a"), agent("b")], **given})


@pytest.mark.parametrize("strategy", [Pipeline, Swarm])
def test_it_says_who_its_agents_are(strategy: Callable[..., Orchestration]) -> None:
    triage, handler, boss = agent("triage"), agent("handler"), agent("boss")
    assert strategy([triage, handler]).agents() == [triage, handler]
    assert strategy([triage, handler], supervisor=boss).agents() == [triage, handler, boss]
    assert strategy([triage, handler], supervisor_id="boss").agents() == [triage, handler]
