"""Every parameter and field that RoomKit's documents list is there, with the default that they, or the house, give."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from delivery import Immediate, Queued, WaitForIdle
from orchestration import (
    Agent,
    ConversationPipeline,
    ConversationRouter,
    ConversationState,
    HandoffHandler,
    HandoffMemoryProvider,
    HookExecution,
    HookTrigger,
    InboundMessage,
    InMemoryStatusBackend,
    Loop,
    Orchestration,
    PhaseTransition,
    Pipeline,
    PipelineStage,
    RoutingConditions,
    RoutingRule,
    Runtime,
    SlidingWindowMemory,
    StatusBackend,
    StatusBus,
    StatusEntry,
    Supervisor,
    Swarm,
    TextContent,
    setup_handoff,
)

GIVEN = inspect.Parameter.empty
"""In place of a default: it must be given."""


@pytest.mark.parametrize(
    ("callable", "parameters"),
    [
        (Runtime, {"orchestration": None, "delivery": None}),
        (Runtime.create_room, {"room_id": None, "orchestration": "default"}),
        (Runtime.delegate, {"room_id": GIVEN, "worker": GIVEN, "input": GIVEN, "share_channels": ()}),
        (Runtime.deliver, {"room_id": GIVEN, "content": GIVEN, "strategy": None}),
        (Runtime.hook, {"trigger": GIVEN, "execution": HookExecution.ASYNC, "priority": 0}),
        (Agent, {"id": GIVEN, "model": GIVEN, "prompt": "", "role": "", "description": "", "memory": None}),
        (Pipeline, {"agents": GIVEN, "supervisor_id": None}),
        (Swarm, {"agents": GIVEN, "entry": None}),
        (
            Supervisor,
            {
                "supervisor": GIVEN,
                "workers": GIVEN,
                "strategy": None,
                "auto_delegate": False,
                "async_delivery": None,
                "refine_task": True,
                "refine_instruction": None,
                "wait_for_result": None,
                "share_channels": None,
            },
        ),
        (
            Loop,
            {
                "agent": GIVEN,
                "reviewers": None,
                "reviewer": None,
                "max_iterations": 3,
                "strategy": None,
                "async_delivery": None,
            },
        ),
        (Orchestration.install, {"runtime": GIVEN, "room_id": GIVEN}),
        (WaitForIdle, {"buffer": 1.0}),
        (Queued, {"buffer": 1.0}),
        (Immediate, {}),
        (ConversationState, {"phase": "intake", "active_agent_id": None, "handoff_count": 0, "phase_history": ()}),
        (ConversationState.transition, {"to_phase": GIVEN, "to_agent": ..., "reason": ""}),
        (ConversationRouter, {"rules": (), "default_agent_id": None, "supervisor_id": None}),
        (
            ConversationRouter.install,
            {"runtime": GIVEN, "agents": GIVEN, "agent_aliases": None, "phase_map": None, "hook_priority": -100},
        ),
        (RoutingRule, {"agent_id": GIVEN, "priority": 0}),
        (
            RoutingConditions,
            {"phases": None, "channel_types": None, "intents": None, "source_channel_ids": None, "custom": None},
        ),
        (HandoffHandler, {"agent_aliases": None, "phase_map": None, "allowed_transitions": None}),
        (setup_handoff, {"agent": GIVEN, "handler": GIVEN}),
        (HandoffMemoryProvider, {"inner": GIVEN}),
        (SlidingWindowMemory, {"max_events": 50}),
        (ConversationPipeline, {"stages": GIVEN, "supervisor_id": None}),
        (
            ConversationPipeline.install,
            {"runtime": GIVEN, "agents": GIVEN, "agent_aliases": None, "hook_priority": -100},
        ),
        (PipelineStage, {"phase": GIVEN, "agent_id": GIVEN, "next": None, "can_return_to": frozenset()}),
        (InboundMessage, {"channel_id": GIVEN, "sender_id": GIVEN, "content": GIVEN}),
        (TextContent, {"body": GIVEN}),
        (StatusBus.post, {"agent_id": GIVEN, "action": GIVEN, "status": GIVEN, "detail": "", "metadata": None}),
        (StatusBus.recent, {"n": 10, "agent_id": None}),
        (StatusBus.recent_text, {"n": 10}),
        (InMemoryStatusBackend, {"path": None}),
    ],
    ids=lambda it: getattr(it, "__qualname__", ""),
)
def test_what_may_be_given_and_its_default(callable: Callable[..., Any], parameters: dict[str, Any]) -> None:
    there = inspect.signature(callable).parameters
    assert {name: there[name].default for name in parameters if name in there} == parameters


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (PhaseTransition, ["from_phase", "to_phase", "from_agent", "to_agent", "reason", "timestamp"]),
        (
            ConversationState,
            ["phase", "active_agent_id", "previous_agent_id", "handoff_count", "phase_history", "context"],
        ),
        (StatusEntry, ["agent_id", "action", "status", "detail", "metadata", "timestamp"]),
    ],
)
def test_what_can_be_read(kind: type[Any], names: list[str]) -> None:
    assert set(names) <= {each.name for each in fields(kind)}


def test_hooks_have_the_names_that_the_documents_use() -> None:
    names = "BEFORE_BROADCAST AFTER_BROADCAST ON_PHASE_TRANSITION ON_HANDOFF ON_HANDOFF_REJECTED BEFORE_DELIVER"
    assert {*names.split(), "AFTER_DELIVER"} <= {trigger.name for trigger in HookTrigger}
    assert [execution.name for execution in HookExecution] == ["SYNC", "ASYNC"]


def test_a_backend_of_your_own_is_two_methods() -> None:
    assert StatusBackend.__abstractmethods__ == {"append", "recent"}
    assert Orchestration.__abstractmethods__ == {"agents", "install"}
