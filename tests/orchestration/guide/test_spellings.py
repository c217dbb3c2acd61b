"""Who knows RoomKit and writes its names is told ours; what cannot be is refused where it is written."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

import orchestration
from delivery import Immediate
from orchestration import (
    Agent,
    ConversationPipeline,
    ConversationRouter,
    HandoffHandler,
    Loop,
    PipelineStage,
    Runtime,
    Supervisor,
)
from orchestration.models import Prepared
from tests.orchestration.guide.written import agent

MODEL = Prepared(["Hello."])
A, B = agent("a"), agent("b")
ROUTER = ConversationRouter(default_agent_id="a")
PIPELINE = ConversationPipeline(stages=[PipelineStage(phase="talk", agent_id="a")])


@pytest.mark.parametrize(
    ("make", "given", "told"),
    [
        (Agent, {"id": "a", "provider": MODEL}, "'provider'; it is called 'model' here"),
        (Agent, {"id": "a", "model": MODEL, "system_prompt": "x"}, "'system_prompt'; it is called 'prompt' here"),
        (Runtime, {"delivery_strategy": Immediate()}, "'delivery_strategy'; it is called 'delivery' here"),
        (Agent, {"id": "a", "model": MODEL, "prompt": 5}, "prompt: int is no text; give a str"),
        (Agent, {"id": "a", "model": MODEL, "greeting": None}, "greeting: NoneType is no text; give a str"),
        (ROUTER.install, {"kit": None, "agents": [A]}, "'kit'; it is called 'runtime' here"),
        (PIPELINE.install, {"kit": None, "agents": [A]}, "'kit'; it is called 'runtime' here"),
        (HandoffHandler, {"kit": None}, "'kit'; it is called 'runtime' here"),
        (Supervisor, {"supervisor": A, "workers": [B], "delivery_strategy": "queued"}, "it is called 'delivery' here"),
        (Loop, {"agent": A, "reviewer": B, "delivery_strategy": "queued"}, "it is called 'delivery' here"),
        (Supervisor, {"supervisor": A, "workers": [B], "system_prompt": "x"}, "unknown argument 'system_prompt'"),
        (Agent, {"id": "a", "model": MODEL, "moon": 1}, "unknown argument 'moon'"),
        (Agent, {"id": "a"}, "missing 1 required keyword-only argument: 'model'"),
    ],
)
def test_a_name_of_roomkits_is_answered_with_ours(make: Callable[..., Any], given: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        make(**given)


@pytest.mark.parametrize(
    ("name", "ours"),
    [("RoomKit", "Runtime"), ("AIChannel", "Agent"), ("WaitForIdle", "delivery.WaitForIdle")],
)
def test_an_import_of_roomkits_is_answered_with_ours(name: str, ours: str) -> None:
    with pytest.raises(ImportError, match=f"orchestration has no '{name}'; it is {ours} here"):
        exec(f"from orchestration import {name}", {})
    with pytest.raises(AttributeError, match="no attribute 'Moon'"):
        orchestration.Moon  # noqa: B018


def test_what_an_agent_of_roomkits_has_is_answered_with_ours() -> None:
    with pytest.raises(AttributeError, match=r"'tool_handler'; it is await room\.handoff\.handle\(room_id, agent_id, "):
        A.tool_handler  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"'Agent' object has no attribute 'moon'$"):
        A.moon  # type: ignore[attr-defined]  # noqa: B018


def test_an_agent_can_still_be_copied() -> None:
    twin = copy.copy(A)
    assert (twin.id, twin.model, twin is A) == (A.id, A.model, False)
