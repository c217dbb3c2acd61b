"""Hooks: the runtime's moments at which your code may look, rewrite or refuse.

SYNC hooks are awaited in order of priority (low first) and may change what happens; ASYNC ones run beside it and only
observe. A hook that raises anything but `Refuse`, or dawdles, is logged and skipped: a broken observer must not break a
call.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from bisect import insort
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from delivery.desk import Refuse
from orchestration.cancellation import cancelled_here

log = logging.getLogger("sottovoce.hooks")

PATIENCE = 10.0
"""Seconds a SYNC hook may take, as a caller waits meanwhile; then it is skipped."""


class HookTrigger(StrEnum):
    """When a hook is called."""

    BEFORE_DELIVER = "before_deliver"
    """Before a delivery is first spoken; a SYNC hook may return other words, or raise `Refuse(reason)`."""
    AFTER_DELIVER = "after_deliver"
    """A delivery came to its end; metadata has status, reason, heard, remainder, waited and waits."""
    ON_TRANSCRIPTION = "on_transcription"
    """A caller's turn was understood; a SYNC hook may return another text, or raise `Refuse`: it is not answered."""
    ON_TASK_DELEGATED = "on_task_delegated"
    """A background task is about to begin; a SYNC hook may return another input, or raise `Refuse(reason)`."""
    ON_TASK_COMPLETED = "on_task_completed"
    """A background task ended; metadata has worker, status, and error (None: it went well)."""


class HookExecution(StrEnum):
    """How a hook is called."""

    SYNC = "sync"
    ASYNC = "async"


E = TypeVar("E", bound=StrEnum)


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


Hook = Callable[[HookEvent, HookContext], Any]
"""Plain or async; what it returns counts if it is a SYNC hook's, and text."""
Beside = Callable[[Coroutine[Any, Any, object]], object]
"""Lets a coroutine run beside what goes on."""


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
        """Register a hook. Raises ValueError for an unknown trigger or execution, TypeError for what is no function."""
        trigger, execution = _known(HookTrigger, "trigger", trigger), _known(HookExecution, "execution", execution)
        if not callable(hook):
            raise TypeError(f"hook: {hook!r} is no function; give one of (event, context)")
        hooks = self._hooks.setdefault(trigger, [])
        insort(hooks, _Registered(priority, len(hooks), execution, hook))

    async def run(self, event: HookEvent, context: HookContext, beside: Beside) -> str:
        """Call the hooks of the event; returns its text, perhaps rewritten. `beside` starts the ASYNC ones.

        Raises Refuse when a SYNC hook does.
        """
        text = event.text
        for registered in list(self._hooks.get(event.trigger, ())):
            now = replace(event, text=text)
            if registered.execution is HookExecution.ASYNC:
                beside(_observe(registered.hook, now, context))
            else:
                text = await _ask(registered.hook, now, context)
        return text


async def _ask(hook: Hook, event: HookEvent, context: HookContext) -> str:
    """The event's text, as a SYNC hook would have it."""
    try:
        async with asyncio.timeout(PATIENCE):
            result = await _call(hook, event, context)
    except Refuse:
        raise
    except (Exception, asyncio.CancelledError) as error:
        _failed(hook, event, error)
        return event.text
    if isinstance(result, str):
        return result
    if result is not None:
        log.warning("hook %r for %s returned %s, which is no text: ignored", hook, event.trigger, type(result).__name__)
    return event.text


async def _observe(hook: Hook, event: HookEvent, context: HookContext) -> None:
    """Let an ASYNC hook look on."""
    try:
        await _call(hook, event, context)
    except Refuse:
        log.warning("hook %r for %s: an ASYNC hook cannot refuse; make it SYNC", hook, event.trigger)
    except (Exception, asyncio.CancelledError) as error:
        _failed(hook, event, error)


async def _call(hook: Hook, event: HookEvent, context: HookContext) -> Any:
    result = hook(event, context)
    return await result if inspect.isawaitable(result) else result


def _failed(hook: Hook, event: HookEvent, error: BaseException) -> None:
    """Say so in the log; our own cancellation goes on."""
    if isinstance(error, asyncio.CancelledError) and cancelled_here():
        raise error
    log.error("hook %r for %s failed and is skipped", hook, event.trigger, exc_info=error)


def _known(kind: type[E], field: str, value: E) -> E:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(repr(each.value) for each in kind)
        raise ValueError(f"{field}: {value!r} is not known; use {names}") from None
