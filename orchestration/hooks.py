"""Hooks: the runtime's moments at which your code may look, rewrite or refuse.

SYNC hooks are awaited in order of priority (low first) and may change what happens; ASYNC ones run beside it and only
observe. A hook that raises anything but `Refuse`, or dawdles, is logged and skipped: a broken observer must not break a
call.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from bisect import insort
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from delivery.desk import Refuse
from orchestration.event import RoomEvent, known
from orchestration.inbound import TextContent
from voice.cancellation import cancelled_here

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
    BEFORE_BROADCAST = "before_broadcast"
    """Something came into a room, as a `RoomEvent`; a SYNC hook may return another text, or the event `stamped`, or
    raise `Refuse`: nobody sees it. What an agent writes comes here too; what it says aloud is told afterwards only."""
    AFTER_BROADCAST = "after_broadcast"
    """Something was said in a room, and heard so far, as a `RoomEvent`."""
    ON_PHASE_TRANSITION = "on_phase_transition"
    """A conversation came into another phase, or to another agent; metadata has the transition."""
    ON_HANDOFF = "on_handoff"
    """An agent gave the conversation to another one, or to a human; metadata has who, whom, why and the summary."""
    ON_HANDOFF_REJECTED = "on_handoff_rejected"
    """An agent wanted to, and must not; metadata has the code and the reason."""


REFUSABLE = frozenset(
    {
        HookTrigger.BEFORE_DELIVER,
        HookTrigger.ON_TRANSCRIPTION,
        HookTrigger.ON_TASK_DELEGATED,
        HookTrigger.BEFORE_BROADCAST,
    }
)
"""What a SYNC hook may `Refuse`: it has not happened yet."""


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

    @property
    def content(self) -> TextContent:
        """The text, as events in a room have it. Raises ValueError when there is none."""
        return TextContent(self.text)


Seen = TypeVar("Seen", HookEvent, RoomEvent)


@dataclass(frozen=True, slots=True)
class HookContext:
    """Where a hook is called; `runtime` is the Runtime, `room` the room's id."""

    runtime: Any
    room: str


Hook = Callable[[Any, HookContext], Any]
"""`(event, context)`, plain or async; the event is a RoomEvent for BEFORE_ and AFTER_BROADCAST, else a HookEvent. What
it returns counts if it is a SYNC hook's, and text (or an event, for BEFORE_BROADCAST)."""
Beside = Callable[[Coroutine[Any, Any, object]], object]
"""Lets a coroutine run beside what goes on."""


@dataclass(frozen=True, slots=True, order=True)
class _Registered:
    priority: int
    place: int
    execution: HookExecution = field(compare=False)
    hook: Hook = field(compare=False)


def known_hook(trigger: HookTrigger, execution: HookExecution, priority: int) -> tuple[HookTrigger, HookExecution]:
    """Both, also where their values were given. Raises ValueError and TypeError naming the field that is wrong."""
    if not isinstance(priority, int):
        raise TypeError(f"priority: {priority!r:.60} is no whole number; low ones come first")
    return known(HookTrigger, "trigger", trigger), known(HookExecution, "execution", execution)


def _takes_two(hook: Hook) -> bool:
    """Whether it can be called with an event and a context, as far as it says."""
    try:
        signature = inspect.signature(hook)
    except ValueError:  # a function of C may say nothing
        return True
    try:
        signature.bind(None, None)
    except TypeError:
        return False
    return True


class Hooks:
    """A runtime's hooks: those of all rooms, and those of one."""

    def __init__(self) -> None:
        self._everywhere: dict[HookTrigger, list[_Registered]] = {}
        self._here: dict[tuple[HookTrigger, str], list[_Registered]] = {}
        self._places = itertools.count()

    def add(
        self, trigger: HookTrigger, execution: HookExecution, priority: int, hook: Hook, room: str | None = None
    ) -> None:
        """Register a hook, for one room or (None) for all.

        Raises ValueError for an unknown trigger or execution, TypeError for a priority that is no whole number and for
        what is no function of an event and a context.
        """
        trigger, execution = known_hook(trigger, execution, priority)
        if not callable(hook) or not _takes_two(hook):
            raise TypeError(f"hook: {hook!r:.200} is no function of two; give one of (event, context)")
        hooks = self._everywhere.setdefault(trigger, []) if not room else self._here.setdefault((trigger, room), [])
        insort(hooks, _Registered(priority, next(self._places), execution, hook))

    def forget(self, room: str) -> None:
        """A room is gone: so are its hooks."""
        for key in [key for key in self._here if key[1] == room]:
            del self._here[key]

    def any(self, trigger: HookTrigger, room: str) -> bool:
        """Whether anybody wants to know."""
        return bool(self._everywhere.get(trigger) or self._here.get((trigger, room)))

    def elsewhere(self) -> Hooks:
        """The hooks of another runtime with rooms of its own: those of all rooms are the same."""
        other = Hooks()
        other._everywhere, other._places = self._everywhere, self._places
        return other

    async def run(self, event: HookEvent, context: HookContext, beside: Beside) -> str:
        """Call the hooks of the event; returns its text, perhaps rewritten. `beside` starts the ASYNC ones.

        Raises Refuse when a SYNC hook does.
        """
        return (await self._run(event.trigger, event, context, beside, _retold)).text

    async def broadcast(
        self, trigger: HookTrigger, event: RoomEvent, context: HookContext, beside: Beside
    ) -> RoomEvent:
        """Call the hooks for something said in a room; returns it, perhaps rewritten or with more metadata.

        Raises Refuse when a SYNC hook does.
        """
        return await self._run(trigger, event, context, beside, _reworded)

    async def _run(
        self,
        trigger: HookTrigger,
        event: Seen,
        context: HookContext,
        beside: Beside,
        changed: Callable[[Seen, Any], Seen],
    ) -> Seen:
        for registered in self._of(trigger, context.room):
            if registered.execution is HookExecution.ASYNC:
                beside(_observe(registered.hook, trigger, event, context))
            else:
                event = await _ask(registered.hook, trigger, event, context, changed)
        return event

    def _of(self, trigger: HookTrigger, room: str) -> list[_Registered]:
        here = self._here.get((trigger, room))
        everywhere = self._everywhere.get(trigger, [])
        return sorted([*everywhere, *here]) if here else list(everywhere)


def _retold(event: HookEvent, result: object) -> HookEvent:
    """Raises TypeError for what is no text."""
    if not isinstance(result, str):
        raise TypeError(f"{type(result).__name__} is no text")
    return replace(event, text=result)


def _reworded(event: RoomEvent, result: object) -> RoomEvent:
    """Raises TypeError for what is neither text nor an event of this room, ValueError for a text that cannot be."""
    if isinstance(result, RoomEvent) and (result.id, result.room) == (event.id, event.room):
        return replace(event, content=result.content, metadata=result.metadata)  # not who said it, or where
    if not isinstance(result, str):
        raise TypeError(f"{type(result).__name__} is neither text nor this event")
    return replace(event, content=TextContent(result))


async def _ask(
    hook: Hook, trigger: HookTrigger, event: Seen, context: HookContext, changed: Callable[[Seen, Any], Seen]
) -> Seen:
    """The event, as a SYNC hook would have it."""
    try:
        result = hook(event, context)
        if inspect.isawaitable(result):
            async with asyncio.timeout(PATIENCE):
                result = await result
    except Refuse:
        if trigger in REFUSABLE:
            raise
        log.warning("hook %r for %s: it is told of what has happened and cannot refuse it", hook, trigger)
        return event
    except (Exception, asyncio.CancelledError) as error:
        _failed(hook, trigger, error)
        return event
    if result is None:
        return event
    try:
        return changed(event, result)
    except (TypeError, ValueError) as error:
        log.warning("hook %r for %s returned what cannot be used, which is ignored: %s", hook, trigger, error)
        return event


async def _observe(hook: Hook, trigger: HookTrigger, event: HookEvent | RoomEvent, context: HookContext) -> None:
    """Let an ASYNC hook look on."""
    try:
        await _call(hook, event, context)
    except Refuse:
        log.warning("hook %r for %s: an ASYNC hook cannot refuse; make it SYNC", hook, trigger)
    except (Exception, asyncio.CancelledError) as error:
        _failed(hook, trigger, error)


async def _call(hook: Hook, event: HookEvent | RoomEvent, context: HookContext) -> Any:
    result = hook(event, context)
    return await result if inspect.isawaitable(result) else result


def _failed(hook: Hook, trigger: HookTrigger, error: BaseException) -> None:
    """Say so in the log; our own cancellation goes on."""
    if isinstance(error, asyncio.CancelledError) and cancelled_here():
        raise error
    log.error("hook %r for %s failed and is skipped", hook, trigger, exc_info=error)
