"""Hooks: the runtime's moments at which your code may look, rewrite or refuse.

SYNC hooks are awaited in order of priority (low first) and may change what happens; ASYNC ones run beside it and only
observe. A hook that raises anything but `Refuse` is logged and skipped: a broken observer must not break a call.
"""

from __future__ import annotations

import inspect
import logging
from bisect import insort
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from delivery.desk import Refuse

log = logging.getLogger("sottovoce.hooks")


class HookTrigger(StrEnum):
    """When a hook is called."""

    BEFORE_DELIVER = "before_deliver"
    """Before a delivery is first spoken; a SYNC hook may return other words, or raise `Refuse(reason)`."""
    AFTER_DELIVER = "after_deliver"
    """A delivery came to its end; metadata has status, reason, heard, remainder, waited and waits."""
    ON_TRANSCRIPTION = "on_transcription"
    """A caller's turn was understood; a SYNC hook may return another text."""
    ON_TASK_DELEGATED = "on_task_delegated"
    """A background task began."""
    ON_TASK_COMPLETED = "on_task_completed"
    """A background task ended; metadata has error (None: it went well)."""


class HookExecution(StrEnum):
    """How a hook is called."""

    SYNC = "sync"
    ASYNC = "async"


@dataclass(frozen=True, slots=True)
class HookEvent:
    """What a hook is told: `text` is what it may rewrite, `id` the delivery's, turn's or task's."""

    trigger: HookTrigger
    room: str
    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HookContext:
    """Where a hook is called; `runtime` is the Runtime."""

    runtime: Any
    room: str


Hook = Callable[[HookEvent, HookContext], Awaitable[str | None] | str | None]


@dataclass(frozen=True, slots=True, order=True)
class _Registered:
    priority: int
    place: int
    execution: HookExecution = field(compare=False)
    hook: Hook = field(compare=False)


class Hooks:
    """A runtime's hooks."""

    def __init__(self) -> None:
        self._hooks: dict[HookTrigger, list[_Registered]] = {}

    def add(self, trigger: HookTrigger, execution: HookExecution, priority: int, hook: Hook) -> None:
        """Register a hook."""
        hooks = self._hooks.setdefault(HookTrigger(trigger), [])
        insort(hooks, _Registered(priority, len(hooks), HookExecution(execution), hook))

    async def run(self, event: HookEvent, context: HookContext, beside: Callable[[Awaitable[object]], object]) -> str:
        """Call the hooks of the event; returns its text, perhaps rewritten. `beside` starts the ASYNC ones.

        Raises Refuse when a SYNC hook does.
        """
        text = event.text
        for registered in self._hooks.get(event.trigger, ()):
            now = HookEvent(event.trigger, event.room, event.id, text, event.metadata)
            if registered.execution is HookExecution.ASYNC:
                beside(_call(registered.hook, now, context, may_refuse=False))
            elif (changed := await _call(registered.hook, now, context, may_refuse=True)) is not None:
                text = changed
        return text


async def _call(hook: Hook, event: HookEvent, context: HookContext, *, may_refuse: bool) -> str | None:
    try:
        result = hook(event, context)
        if inspect.isawaitable(result):
            result = await result
    except Refuse:
        if may_refuse:
            raise
        log.warning("hook %s for %s: an ASYNC hook cannot refuse; make it SYNC", hook, event.trigger)
    except Exception:
        log.exception("hook %s for %s failed", hook, event.trigger)
    else:
        return result if isinstance(result, str) else None
    return None
