"""Who answers: the agent that has the conversation, else the first rule that matches, else the default; no loops."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import (
    ChannelCategory,
    ChannelType,
    ConversationRouter,
    ConversationState,
    RoomEvent,
    Route,
    RoutingConditions,
    RoutingRule,
)
from orchestration.routing import ALL_PATIENCE, MAX_RULES, PATIENCE, Via
from tests.orchestration.test_event import event
from voice.clock import now, run

TEAM = {"agent-triage", "agent-billing", "agent-support", "agent-supervisor"}


def routed(
    router: ConversationRouter,
    said: RoomEvent | None = None,
    state: ConversationState | None = None,
    agents: set[str] = TEAM,
    context: Any = None,
) -> Route | None:
    return run(router.route(said or event(), state or ConversationState(), agents=agents, context=context))


def rule(agent: str, priority: int = 0, **conditions: Any) -> RoutingRule:
    return RoutingRule(agent, RoutingConditions(**conditions), priority)


HANDLING = ConversationState(phase="handling")
BY_INTENT = ConversationRouter(
    [
        rule("agent-support", 10, phases={"handling"}, channel_types={ChannelType.SMS}),
        rule("agent-billing", 0, phases={"handling"}, intents={"billing"}),
    ],
    default_agent_id="agent-triage",
    supervisor_id="agent-supervisor",
)
SEEN = ("agent-supervisor",)


# -- which agent


@pytest.mark.parametrize(
    ("said", "state", "agent", "via"),
    [
        ({}, ConversationState(), "agent-triage", Via.DEFAULT),
        ({"metadata": {"intent": "billing"}}, ConversationState(), "agent-triage", Via.DEFAULT),
        ({"metadata": {"intent": "billing"}}, HANDLING, "agent-billing", Via.RULE),
        ({"channel_type": "sms"}, HANDLING, "agent-support", Via.RULE),
        ({"channel_type": "sms", "metadata": {"intent": "billing"}}, HANDLING, "agent-billing", Via.RULE),
        ({"channel_type": "sms"}, HANDLING.transition("handling", "agent-triage"), "agent-triage", Via.AFFINITY),
        ({"channel_type": "sms"}, HANDLING.transition("handling", "agent-gone"), "agent-support", Via.RULE),
    ],
)
def test_affinity_then_rules_by_priority_then_the_default(
    said: dict[str, Any], state: ConversationState, agent: str, via: Via
) -> None:
    assert routed(BY_INTENT, event(**said), state) == Route(agent, via, SEEN)


@pytest.mark.parametrize("category", [ChannelCategory.INTELLIGENCE, ChannelCategory.SYSTEM])
def test_what_an_agent_or_the_runtime_says_is_never_routed(category: ChannelCategory) -> None:
    assert routed(BY_INTENT, event(category=category)) is None
    assert routed(BY_INTENT, event(category=category), HANDLING.transition("handling", "agent-triage")) is None


def test_an_agent_that_is_not_in_the_room_is_passed_over() -> None:
    said = event(metadata={"intent": "billing"}, channel_type="sms")
    assert routed(BY_INTENT, said, HANDLING, TEAM - {"agent-billing"}) == Route("agent-support", Via.RULE, SEEN)
    assert routed(BY_INTENT, said, HANDLING, {"agent-triage"}) == Route("agent-triage", Via.DEFAULT)
    assert routed(BY_INTENT, said, HANDLING, set()) == Route(None, Via.NOBODY)


def test_a_human_keeps_the_conversation_unless_a_rule_says_otherwise() -> None:
    state = HANDLING.transition("escalation", "agent-billing").transition("escalation", None)
    assert routed(BY_INTENT, state=state) == Route(None, Via.HUMAN, SEEN)
    watched = ConversationRouter([rule("agent-support", phases={"escalation"})], "agent-triage")
    assert routed(watched, state=state) == Route("agent-support", Via.RULE)


def test_the_supervisor_sees_everything_once() -> None:
    router = ConversationRouter(default_agent_id="agent-supervisor", supervisor_id="agent-supervisor")
    assert routed(router) == Route("agent-supervisor", Via.DEFAULT)


def test_of_equal_rules_the_first_counts() -> None:
    router = ConversationRouter([rule("agent-support", 5), rule("agent-billing", -1), rule("agent-triage", -1)])
    assert routed(router) == Route("agent-billing", Via.RULE)


def test_the_marks_on_an_event_say_who_answers_and_who_looks_on() -> None:
    marks = Route("agent-billing", Via.RULE, SEEN).marks()
    assert event().stamped(marks).metadata == {"_routed_to": "agent-billing", "_always_process": ["agent-supervisor"]}
    assert Route(None, Via.HUMAN).marks() == {"_routed_to": None, "_always_process": []}


# -- conditions

FIELDS: dict[str, Any] = {
    "phases": {"handling"},
    "channel_types": {ChannelType.SMS},
    "intents": {"billing"},
    "source_channel_ids": {"sms-ann"},
    "custom": lambda event, context, state: event.sender_id == "ann",
}
MATCHING: dict[str, Any] = {
    "channel_type": ChannelType.SMS,
    "metadata": {"intent": "billing"},
    "channel_id": "sms-ann",
    "sender_id": "ann",
}
OTHER: dict[str, Any] = {
    "channel_types": {"channel_type": ChannelType.EMAIL},
    "intents": {"metadata": {}},
    "source_channel_ids": {"channel_id": "sms-bob"},
    "custom": {"sender_id": "bob"},
}


@given(st.sets(st.sampled_from(sorted(FIELDS))), st.sets(st.sampled_from(sorted(FIELDS))))
def test_all_conditions_that_are_given_must_hold(asked: set[str], broken: set[str]) -> None:
    router = ConversationRouter([rule("agent-billing", **{name: FIELDS[name] for name in asked})])
    said = dict(MATCHING)
    for name in broken:
        said.update(OTHER.get(name, {}))
    state = ConversationState() if "phases" in broken else HANDLING
    expected = Route(None, Via.NOBODY) if asked & broken else Route("agent-billing", Via.RULE)
    assert routed(router, event(**said), state) == expected


def test_custom_is_asked_last_with_event_context_and_state() -> None:
    asked: list[tuple[Any, ...]] = []

    async def custom(*given: Any) -> bool:
        asked.append(given)
        return True

    said, context = event(), object()
    router = ConversationRouter([rule("agent-billing", phases={"handling"}, custom=custom)])
    assert routed(router, said, ConversationState(), context=context) == Route(None, Via.NOBODY)
    assert asked == []
    assert routed(router, said, HANDLING, context=context) == Route("agent-billing", Via.RULE)
    assert asked == [(said, context, HANDLING)]


def raises(*_: Any) -> bool:
    raise OSError("no network")


async def stalls(*_: Any) -> bool:
    await asyncio.sleep(3600)
    return True


async def strays(*_: Any) -> bool:
    asleep = asyncio.ensure_future(asyncio.sleep(9))
    asleep.cancel()
    await asleep
    return True


class Undecided:
    def __bool__(self) -> bool:
        raise RuntimeError("who knows")


@pytest.mark.parametrize("custom", [raises, stalls, strays, lambda *_: Undecided(), lambda: True])
def test_a_condition_that_fails_costs_only_its_own_rule(custom: Any, caplog: pytest.LogCaptureFixture) -> None:
    router = ConversationRouter([rule("agent-billing", custom=custom), rule("agent-support", 1)])

    async def main() -> tuple[Route | None, float]:
        began = now()
        route = await router.route(event(), ConversationState(), agents=TEAM)
        return route, now() - began

    with caplog.at_level(logging.ERROR):
        route, took = run(main())
    assert route == Route("agent-support", Via.RULE)
    assert took == (PATIENCE if custom is stalls else 0)
    assert [record.getMessage()[:37] for record in caplog.records] == ["the rule for agent-billing: its condi"]


def test_many_conditions_that_stall_hold_a_caller_up_no_longer_than_a_few(caplog: pytest.LogCaptureFixture) -> None:
    async def quick(*_: Any) -> bool:
        return True

    router = ConversationRouter([*[rule("agent-billing", custom=stalls)] * 50, rule("agent-support", custom=quick)])

    async def main() -> tuple[Route | None, float]:
        began = now()
        return await router.route(event(), ConversationState(), agents=TEAM), now() - began

    assert run(main()) == (Route("agent-support", Via.RULE), ALL_PATIENCE)
    assert len(caplog.records) == 50


def test_whoever_waits_for_a_route_can_be_cancelled() -> None:
    router = ConversationRouter([rule("agent-billing", custom=stalls)], "agent-triage")

    async def main() -> bool:
        asking = asyncio.ensure_future(router.route(event(), ConversationState(), agents=TEAM))
        await asyncio.sleep(PATIENCE / 2)
        asking.cancel()
        await asyncio.wait([asking])
        return asking.cancelled()

    assert run(main())


# -- what is refused


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"phases": "handling"}, r"phases: 'handling' is no set; write \{'handling'\}"),
        ({"phases": 5}, "phases: 5 is no set"),
        ({"phases": set()}, "phases: it is empty and would never match; leave it out"),
        ({"phases": {""}}, "phases: '' is no phase"),
        ({"channel_types": {"pigeon"}}, "channel_types: 'pigeon' is not known; use 'voice', "),
        ({"intents": {""}}, "intents: '' is no intent"),
        ({"intents": {5}}, "intents: 5 is no intent"),
        ({"source_channel_ids": {"a\nb"}}, "source_channel_ids must have printable characters"),
        ({"custom": True}, "custom: True is no function"),
    ],
)
def test_a_wrong_condition_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        RoutingConditions(**wrong)


def test_conditions_take_any_collection_and_plain_text() -> None:
    conditions = RoutingConditions(phases=["handling"], channel_types=("sms",))  # type: ignore[arg-type]
    assert conditions.phases == {"handling"}
    assert conditions.channel_types == {ChannelType.SMS}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"agent_id": ""}, "agent_id: '' is no id"),
        ({"agent_id": "a", "conditions": {"phases": {"x"}}}, "conditions: .* give RoutingConditions"),
        ({"agent_id": "a", "priority": 1.5}, "priority: 1.5 is no whole number"),
        ({"agent_id": "a", "priority": True}, "priority: True is no whole number"),
    ],
)
def test_a_wrong_rule_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        RoutingRule(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rules": ["agent-billing"]}, "rules: it may hold RoutingRules only"),
        ({"rules": [RoutingRule("a")] * (MAX_RULES + 1)}, "rules: 1001 are too many"),
        ({"default_agent_id": "a b"}, "default_agent_id: 'a b' is no id"),
        ({"supervisor_id": 5}, "supervisor_id: 5 is no id"),
    ],
)
def test_a_wrong_router_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        ConversationRouter(**wrong)
