"""Preemptive replies: the model is asked when a turn is most likely over, and what it says is kept if the turn is.

Only the model is asked ahead. What it is shown is found out as it will be for the real answer; when that asks the very
same, it goes on with what has come so far, and otherwise begins anew. So nothing but a model's time is ever spent on a
turn that goes on: no tool runs, no hook is called, nothing is said or remembered before the turn has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from contextvars import copy_context
from typing import TYPE_CHECKING

from orchestration.models.model import Delta, Message, Model, ToolSpec, Usage
from orchestration.usage import charge, tab_of
from voice.cancellation import cancelled_here

if TYPE_CHECKING:
    from orchestration.asked import Asked, Request
    from orchestration.room import Room
    from voice.events import Turn

Find = Callable[[], "Awaitable[Request | None]"]
"""Finds out what a model would be asked; None: there is no telling."""

log = logging.getLogger("sottovoce.preemptive")

MOST = 3
"""Times that a model is asked ahead of one turn; a caller who thinks aloud may pause often, and each is paid for."""
VAIN = 3
"""Turns in a row that ended in another request than was foreseen (a hook rewrites them, a memory of somebody's own
shows them otherwise) after which no more models are asked ahead in this talk."""
GRACE = 0.1
"""Seconds in which a model that was cut is to say what it cost."""
METADATA = "preemptive"
"""Under which AFTER_BROADCAST finds how many `seconds` before the end of its turn an answer was begun."""


def worth_it(model: Model) -> bool:
    """Whether a model is asked ahead: one that answers in no time says `preemptive = False`."""
    return getattr(model, "preemptive", True) is True


class Ahead:
    """A model's answer that is being made before it is sure that it is wanted. Its task runs in `group`.

    It is a Model itself, for the one answer: the first request goes on with what there is if it is the same, and any
    other one is the real model's.
    """

    def __init__(self, request: Request, group: asyncio.TaskGroup) -> None:
        self.request = request
        self.model = request.agent.model
        self.name = self.model.name
        self.gained: float | None = None
        """Seconds before it was wanted that it was begun, once it is; None: it is not, or something else was."""
        self.differed = False
        """Something else was wanted."""
        self._specs = [tool.spec for tool in request.tools]
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._deltas: asyncio.Queue[Delta | Exception | None] = asyncio.Queue()
        self._failed = self._wanted = False
        self._context = copy_context()
        self._task = group.create_task(self._make(), name=f"asking {self.name} ahead")

    async def _make(self) -> None:
        request = self.request
        try:
            stream = self.model.stream(request.messages, prompt=request.prompt, tools=self._specs)
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    self._deltas.put_nowait(delta)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_here():
                raise
            self._failed = True
            failure = error if isinstance(error, Exception) else RuntimeError(f"{self.name} was cancelled")
            self._deltas.put_nowait(failure)
        else:
            self._deltas.put_nowait(None)

    def drop(self) -> None:
        """It is not wanted: the model's work is stopped."""
        self._task.cancel()
        self._pay()

    def _pay(self) -> None:
        """What it has told of its cost is charged, though nobody takes it any more."""
        while not self._deltas.empty():
            if isinstance(delta := self._deltas.get_nowait(), Usage):
                self._context.run(charge, delta, self.request.agent.id)

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        """What it was asked ahead, if it is that; otherwise the real model's answer."""
        first, self._wanted = not self._wanted, True
        if not first or self._failed or not self._same(messages, prompt, tools):
            self.differed = self.differed or (first and not self._failed)
            self.drop()
            stream = self.model.stream(messages, prompt=prompt, tools=tools)
        else:
            self.gained = self._loop.time() - self._begun
            self._change_tabs()
            stream = self._come()
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                yield delta

    def _change_tabs(self) -> None:
        """What it costs is the answer's from now on, also what is told when that is cut."""
        supposed, wanted = tab_of(self._context), tab_of()
        if supposed is not None and wanted is not None and supposed is not wanted:
            supposed.pass_on(wanted)

    async def ended(self) -> None:
        """Returns when it is made, or cut, and what it cost is told; if that takes a while, before."""
        await asyncio.wait([self._task], timeout=GRACE)

    async def _come(self) -> AsyncGenerator[Delta, None]:
        try:
            while (delta := await self._deltas.get()) is not None:
                if isinstance(delta, Exception):
                    raise delta
                yield delta
        finally:
            self._task.cancel()
            try:
                await asyncio.wait([self._task])  # the request is closed when this is
            finally:
                self._pay()

    def _same(self, messages: Sequence[Message], prompt: str, tools: Sequence[ToolSpec]) -> bool:
        """Whether this is what was asked; the turn itself may have pushed the oldest messages out of the window."""
        asked = list(self.request.messages)
        return (
            0 < len(messages) <= len(asked)
            and asked[len(asked) - len(messages) :] == list(messages)
            and (len(messages) == len(asked) or len(messages) >= MOST_DROPPED)
            and prompt == self.request.prompt
            and list(tools) == self._specs
        )


MOST_DROPPED = 8
"""A window that is shorter than this is not taken for one out of which something was pushed."""


class Preemptive:
    """What of a room's answers is made ahead: at most one, for the caller who fell silent last."""

    def __init__(self, room: Room, group: asyncio.TaskGroup) -> None:
        self._room = room
        self._group = group
        self._turn = self._caller = ""
        self._counts: dict[str, tuple[str, int]] = {}
        """How often a model was asked ahead of a caller's present turn."""
        self._vain = 0
        self._ahead: Ahead | None = None
        self._finding: asyncio.Task[None] | None = None

    def foresee(self, turn: Turn, find: Find) -> None:
        """A turn is most likely over. `find` is asked what for."""
        if self._vain >= VAIN:
            return
        self.drop()
        self._turn, self._caller = turn.id, turn.caller
        known, count = self._counts.get(turn.caller, (turn.id, 0))
        count = count + 1 if known == turn.id else 1
        self._counts[turn.caller] = turn.id, count
        if count <= MOST:
            self._finding = self._group.create_task(self._begin(find), name="asking ahead")

    async def _begin(self, find: Find) -> None:
        try:
            request = await find()
        except Exception:
            log.exception("room %s: it cannot be found out what to ask ahead", self._room.id)
            return
        if request is not None and worth_it(request.agent.model):
            self._ahead = Ahead(request, self._group)

    def resume(self, caller: str) -> None:
        """A caller's turn goes on."""
        if caller == self._caller:
            self.drop()

    def forget(self, caller: str) -> None:
        """A caller's turn is nothing, or they are gone."""
        self._counts.pop(caller, None)
        self.resume(caller)

    def end(self, turn: Turn) -> None:
        """A turn is set to work on, or never will be: what was made ahead and not claimed is not wanted."""
        if self._counts.get(turn.caller, ("", 0))[0] == turn.id:
            del self._counts[turn.caller]
        if turn.id == self._turn:
            self.drop()

    def drop(self) -> None:
        """Nothing of what is made ahead is wanted."""
        if self._finding is not None:
            self._finding.cancel()
        if self._ahead is not None:
            self._ahead.drop()
        self._finding = self._ahead = None

    def claim(self, turn: str) -> Ahead | None:
        """The turn has ended: what was made ahead for it."""
        ahead = self._ahead if turn == self._turn else None
        if ahead is not None:
            self._ahead = None
        self.drop()
        return ahead

    async def over(self, asked: Asked) -> None:
        """An answer was heard, or cut, perhaps before its text was read: returns when what it cost is known."""
        if asked.ahead is not None and asked.ahead.gained is not None:
            await asked.ahead.ended()
        self.settle(asked)

    def settle(self, asked: Asked) -> None:
        """An answer is over: what was made ahead and not taken is not wanted any more."""
        ahead, asked.ahead = asked.ahead, None
        if ahead is None:
            return
        if ahead.gained is None:
            ahead.drop()
        else:
            asked.metadata[METADATA] = {"seconds": round(ahead.gained, 3)}
        self._vain = self._vain + 1 if ahead.differed else 0 if ahead.gained is not None else self._vain
        if self._vain == VAIN:
            log.warning(
                "room %s: %d turns in a row ended in another request than was foreseen; no model is asked ahead any "
                "more (do hooks rewrite turns, or a router choose the agent?)",
                self._room.id,
                VAIN,
            )
