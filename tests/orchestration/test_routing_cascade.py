"""A row of routers: the first good choice counts, a bad router costs its patience at most; there is a last resort."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any

import pytest

from orchestration import (
    CascadeRouter,
    ChannelCategory,
    ConversationRouter,
    ConversationState,
    RoomEvent,
    Route,
    Router,
    RoutingConditions,
    RoutingRule,
    Tier,
)
from orchestration.routing import Via
from orchestration.routing_cascade import PATIENCE
from tests.orchestration.test_event import event
from voice.clock import now, run

TEAM = {"agent-triage", "agent-billing", "agent-support", "agent-supervisor"}


class Guess:
    """A router that says what it is told to, or does worse."""

    def __init__(self, agent: str | None, confidence: float = 1.0, *, takes: float = 0.0, fails: bool = False) -> None:
        self.route_found = None if agent is None else Route(agent, Via.MODEL, confidence=confidence)
        self.takes = takes
        self.fails = fails
        self.asked = 0

    async def route(
        self, event: RoomEvent, state: ConversationState, *, agents: Collection[str], context: Any = None
    ) -> Route | None:
        self.asked += 1
        await asyncio.sleep(self.takes)
        if self.fails:
            raise OSError("no network")
        return self.route_found


def routed(
    *tiers: Tier | Router, state: ConversationState | None = None, said: RoomEvent | None = None, **more: Any
) -> tuple[Route | None, float]:
    """What comes of it, and how long it takes (seconds)."""

    async def main() -> tuple[Route | None, float]:
        began = now()
        router = CascadeRouter(tiers, **more)
        return await router.route(said or event(), state or ConversationState(), agents=TEAM), now() - began

    return run(main())


def test_the_first_router_that_is_sure_counts_and_the_next_are_not_asked() -> None:
    rules = ConversationRouter([RoutingRule("agent-billing", RoutingConditions(intents={"billing"}))])
    unsure, sure, spare = Guess("agent-billing", 0.84), Guess("agent-support", 0.85), Guess("agent-triage")
    tiers = (rules, Tier(unsure, 0.85), Tier(sure, 0.85), spare)
    assert routed(*tiers) == (Route("agent-support", Via.MODEL, confidence=0.85), 0)
    assert (unsure.asked, sure.asked, spare.asked) == (1, 1, 0)
    assert routed(*tiers, said=event(metadata={"intent": "billing"}))[0] == Route("agent-billing", Via.RULE)
    assert (unsure.asked, sure.asked) == (1, 1)


def test_when_nobody_can_tell_there_is_a_fallback() -> None:
    assert routed(Guess(None), fallback_agent_id="agent-triage")[0] == Route("agent-triage", Via.FALLBACK)
    assert routed(Guess(None), fallback_agent_id="agent-gone")[0] == Route(None, Via.NOBODY)
    assert routed(Guess(None))[0] == Route(None, Via.NOBODY)


@pytest.mark.parametrize(
    ("bad", "took"),
    [
        (Guess("agent-billing", fails=True), 0),
        (Guess("agent-gone"), 0),
        (Guess("agent-billing", takes=3600), PATIENCE),
        (Tier(Guess("agent-billing", takes=3600), patience=0.1), 0.1),
    ],
)
def test_a_bad_router_is_logged_and_passed_over(bad: Any, took: float, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        route, seconds = routed(bad, Guess("agent-support"))
    assert route == Route("agent-support", Via.MODEL)
    assert seconds == pytest.approx(took)
    (record,) = caplog.records
    assert record.getMessage().startswith("room lobby: the router ")


def test_a_router_that_guesses_takes_no_conversation_away() -> None:
    guess = Guess("agent-support")
    state = ConversationState(active_agent_id="agent-billing")
    assert routed(guess, state=state)[0] == Route("agent-billing", Via.AFFINITY)
    assert routed(guess, state=state.transition("escalation", None))[0] == Route(None, Via.HUMAN)
    assert guess.asked == 0


@pytest.mark.parametrize("category", [ChannelCategory.INTELLIGENCE, ChannelCategory.SYSTEM])
def test_what_an_agent_or_the_runtime_says_is_never_routed(category: ChannelCategory) -> None:
    guess = Guess("agent-support")
    assert routed(guess, said=event(category=category), supervisor_id="agent-supervisor") == (None, 0)
    assert guess.asked == 0


def test_the_supervisor_sees_everything_once() -> None:
    seen = ("agent-supervisor",)
    rules = ConversationRouter(default_agent_id="agent-triage", supervisor_id="agent-supervisor")
    for first in (Guess("agent-triage"), rules):
        route, _ = routed(first, supervisor_id="agent-supervisor")
        assert route is not None
        assert (route.agent_id, route.always) == ("agent-triage", seen)
    own = routed(Guess("agent-supervisor"), supervisor_id="agent-supervisor")[0]
    assert own == Route("agent-supervisor", Via.MODEL)
    assert routed(Guess("agent-triage"), supervisor_id="agent-gone")[0] == Route("agent-triage", Via.MODEL)


def test_cascades_nest_and_whoever_waits_can_be_cancelled() -> None:
    inner = CascadeRouter([Guess(None)], "agent-support")
    assert routed(inner)[0] == Route("agent-support", Via.FALLBACK)

    async def main() -> bool:
        slow = CascadeRouter([Guess("agent-support", takes=9)])
        asking = asyncio.ensure_future(slow.route(event(), ConversationState(), agents=TEAM))
        await asyncio.sleep(0.5)
        asking.cancel()
        await asyncio.wait([asking])
        return asking.cancelled()

    assert run(main())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"router": "agent"}, "router: 'agent' is no Router; it has no `route`"),
        ({"threshold": 1.1}, "threshold: 1.1 is no number from 0 to 1"),
        ({"threshold": "high"}, "threshold: 'high' is no number"),
        ({"threshold": float("nan")}, "threshold: nan is no number"),
        ({"patience": 0}, "patience: 0 is no number of seconds above 0"),
        ({"patience": None}, "patience: None is no number"),
    ],
)
def test_a_wrong_tier_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        Tier(**{"router": Guess(None), **wrong})


def test_a_cascade_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^tiers: there are none; give at least one router"):
        CascadeRouter([])
    with pytest.raises(ValueError, match=r"^fallback_agent_id: '' is no id"):
        CascadeRouter([Guess(None)], "")
