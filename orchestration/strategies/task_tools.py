"""The tools by which the agent that talks starts, watches, cancels and recalls background work.

A caller is told of their own work only, and of what is for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.ledger import OPEN_STATUSES, Entry, Status
from orchestration.asked import Asked, current
from orchestration.content import made_speakable
from orchestration.engines.engine import TaskResult, TaskStatus
from orchestration.strategies.about import meant
from orchestration.strategies.shared import Shared
from orchestration.strategies.work import REFUSED, UNFINISHED, begun, in_background
from orchestration.strategies.work import inline as done_inline
from orchestration.tasks import Standing
from orchestration.tools import STARTED, Tool, tool
from orchestration.workers.worker import Worker

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

LOOKED_AT = 100
"""The newest results of a room among which one is recalled or dropped."""
NAMED = 5
"""Most pieces of work that are named when it is not clear which one is meant: more is no answer any more."""
NAMED_CHARS = 80
"""Most characters of the name of one."""


def delegate_tool(
    runtime: Runtime,
    room_id: str,
    worker: Worker,
    name: str,
    message: str,
    *,
    inline: bool | None = False,
    share_channels: Sequence[str] | Shared = (),
) -> Tool:
    """A tool that hands work to `worker`, which the runtime knows.

    In the background it comes back at once, with `message` for the model to say; a worker that is done within the grace
    time is an ordinary tool result: the reply carries it. `inline`, it comes back with the result. None: in the
    background where answers are heard, inline elsewhere. The `share_channels` of the room see what the worker does.
    """
    shared = share_channels if isinstance(share_channels, Shared) else Shared(runtime.room(room_id), share_channels)
    asynchronous = None if inline is None else not inline

    async def delegate(task: str) -> str:
        asked = _asked(room_id)
        if asked is None or in_background(asked, asynchronous):
            result = await begun(runtime, room_id, asked, worker, task, share_channels=shared.ids())
            return _result(worker, result, message)
        return _result(worker, await done_inline(asked, worker, task, share_channels=shared.ids()))

    if inline:
        how = "You get the result when it is done."
    elif inline is None:
        how = "You get the result when it is done, or it runs in the background; then it is told when it is there."
    else:
        how = "It runs in the background; the result is told when it is there."
    return tool(delegate, name=name, description=f"Hand work to {worker.label}. {how}")


def _asked(room_id: str) -> Asked | None:
    """The turn of this room for whose answer the tool was called."""
    asked = current()
    return asked if asked is not None and asked.room.id == room_id else None


def _result(worker: Worker, result: TaskResult, message: str | None = None) -> str:
    """What the model is told of it. `message`: when it goes on in the background (None: what the result says)."""
    if UNFINISHED in result.data:
        return f"{STARTED} {result.text if message is None else message}"
    if result.error is None:
        return made_speakable(result.text) or "done"
    return f"error: {result.error if REFUSED in result.data else f'{worker.label} could not finish'}"


def task_tools(runtime: Runtime, room_id: str) -> list[Tool]:
    """`task_status`, `cancel_task` and `recall`, for the room's background work."""
    tasks = _RoomTasks(runtime, room_id)
    return [tool(tasks.task_status), tool(tasks.cancel_task), tool(tasks.recall)]


@dataclass(frozen=True, slots=True)
class _RoomTasks:
    """A room's background work, as the caller who is being answered may know it."""

    runtime: Runtime
    room_id: str

    async def task_status(self) -> str:
        """How the background work is getting on, and which results wait to be told."""
        told = [*map(_told, await self._unfinished())]
        asked = _asked(self.room_id)
        carried = asked.carried if asked else ()
        waiting = [e for e in await self._found() if e.status in OPEN_STATUSES and e.delivery.id not in carried]
        if waiting:
            told.append(f"Done, and about to be told: {_list(_names((), waiting))}.")
        return " ".join(told) or "Nothing is running in the background."

    async def cancel_task(self, about: str = "") -> str:
        """Stop background work, or drop its result if that is there but was not told yet.

        The work that was started last, unless `about` has a few words of the caller's that say which.
        """
        running = await self._unfinished()
        waiting = [entry for entry in await self._found() if entry.status in OPEN_STATUSES]
        tasks = meant(about, running, lambda one: f"{one.task.input} {one.label}")
        results = meant(about, waiting, lambda entry: f"{_input(entry)} {entry.delivery.metadata.get('label', '')}")
        names = _names(tasks, results)
        if about.strip() and len(names) > 1:
            return f"That may be {_list(names, ' or ')}. Ask which one is meant."
        if tasks:
            last = tasks[-1].task
            done = await self.runtime.tasks.cancel(last.id)
            return f"All right, I dropped {_short(last.input)}." if done else "It has just finished."
        if results:
            await self.runtime.receipt(results[-1].delivery.id).cancel()
            return f"All right, I dropped {_short(_input(results[-1]))}."
        there = _names(running, waiting)
        return f"There is nothing about that. There is {_list(there)}." if there else "There is nothing to cancel."

    async def recall(self, about: str = "") -> str:
        """What was found so far: the newest result, whether it was heard or not.

        `about`: a few words of the caller's, if they ask for something in particular.
        """
        told = await self._found(Status.CANCELLED, Status.REFUSED)
        those = meant(about, told, lambda entry: f"{_input(entry)} {entry.delivery.content}")
        if not those:
            return await self._nothing(about, told)
        newest = those[-1]
        if newest.status in OPEN_STATUSES:
            self.runtime.carry(self.room_id, newest.delivery.id)  # told now, so not again by itself
        return newest.delivery.content

    async def _nothing(self, about: str, told: Sequence[Entry]) -> str:
        """What there is instead."""
        running = meant(about, await self._unfinished(), lambda one: one.task.input)
        parts = ["There is nothing about that yet." if told else "There is nothing yet.", *map(_told, running)]
        if told:
            parts.append(f"There is something about {_list(_names((), told[::-1]))}.")
        return " ".join(parts)

    def _speaker(self) -> str | None:
        asked = _asked(self.room_id)
        return asked.caller if asked else self.runtime.speaker(self.room_id)

    async def _unfinished(self) -> list[Standing]:
        """Work, oldest first."""
        tasks = await self.runtime.tasks.unfinished(self.room_id)
        return [one for one in tasks if one.task.caller in (None, self._speaker())]

    async def _found(self, *without: Status) -> list[Entry]:
        """Results, oldest first."""
        statuses = [status for status in Status if status not in without]
        entries = await self.runtime.ledger.entries(self.room_id, statuses, newest=True, limit=LOOKED_AT)
        return [e for e in entries if e.delivery.task and e.delivery.to in (None, self._speaker())]


def _told(standing: Standing) -> str:
    """How one task gets on."""
    if standing.status is TaskStatus.QUEUED:
        return f"{_short(standing.task.input)} is still waiting for its turn with {standing.label}."
    are = "are" if " and " in standing.label else "is"
    told = f"{standing.label} {are} still working on {_short(standing.task.input)}"
    parts = "; ".join(dict.fromkeys(standing.progress.values()))
    return f"{told}: {parts}." if parts else f"{told}."


def _input(entry: Entry) -> str:
    """What was asked for."""
    return str(entry.delivery.metadata.get("input", "it"))


def _names(tasks: Sequence[Standing], results: Sequence[Entry]) -> list[str]:
    """What was asked for, each once."""
    return list(dict.fromkeys(map(_short, [*(one.task.input for one in tasks), *map(_input, results)])))


def _list(names: Sequence[str], last: str = " and ") -> str:
    """The first ones of these names."""
    *some, one = names[:NAMED]
    return last.join(filter(None, (", ".join(some), one)))


def _short(input: str) -> str:
    """What was asked for, as it is named to callers: its first paragraph, and not much of that."""
    name = " ".join(input.strip().partition("\n\n")[0].split())
    return name if len(name) <= NAMED_CHARS else f"{name[: NAMED_CHARS - 1]}…"
