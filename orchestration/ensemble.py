"""The ensemble: all agents of an orchestration, those that talk and those that work underneath, and their models."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestration.agent import Agent

if TYPE_CHECKING:
    from orchestration.models.model import Model
    from orchestration.strategies.orchestration import Orchestration

log = logging.getLogger("sottovoce.runtime")

_WITHIN = ("agent", "worker", "loop", "producer", "workers", "reviewers")
"""Where workers that are made of others have them."""


def agents_of(orchestration: Orchestration | None) -> list[Agent]:
    """Each of them once, those that talk first."""
    if orchestration is None:
        return []
    working = [agent for worker in orchestration.workers() for agent in _inside(worker)]
    return list({id(agent): agent for agent in (*orchestration.agents(), *working)}.values())


async def prepare(orchestration: Orchestration | None) -> None:
    """Have models load what is slow to load. One that cannot is logged: it says so itself when it is asked."""
    for model in _models(orchestration):
        if callable(prepare := getattr(model, "prepare", None)):
            try:
                await prepare()
            except Exception as error:
                if not getattr(error, "logged", False):
                    log.warning("model %s cannot be made ready: %s", model.name, error)


async def close(orchestration: Orchestration | None) -> None:
    """Have models close the connections that they keep open; they open them again when they are asked."""
    for model in _models(orchestration):
        if callable(close := getattr(model, "aclose", None)):
            try:
                await close()
            except Exception as error:
                log.warning("model %s cannot be closed: %s", model.name, error)


def _models(orchestration: Orchestration | None) -> list[Model]:
    return list({id(agent.model): agent.model for agent in agents_of(orchestration)}.values())


def _inside(worker: object, deep: int = 0) -> Iterator[Agent]:
    """The agents that a worker is made of."""
    if isinstance(worker, Agent):
        yield worker
    elif deep < 10:
        for name in _WITHIN:
            part = getattr(worker, name, None)
            for each in part if isinstance(part, list | tuple) else [part]:
                if each is not None:
                    yield from _inside(each, deep + 1)
