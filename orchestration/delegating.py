"""Delegating: what a Runtime does with background work: begins it, and tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from delivery.strategies import Strategy, resolve
from orchestration.broadcast import Broadcast
from orchestration.content import made_speakable, readable
from orchestration.engines.engine import Task
from orchestration.event import RoomEvent
from orchestration.hooks import HookTrigger
from orchestration.identity import valid_name, valid_names
from orchestration.inbound import ChannelCategory, ChannelType, TextContent
from orchestration.parts import Parts
from orchestration.status.bus import StatusBus
from orchestration.status.task_news import told
from orchestration.tasks import TaskNews


class Delegating(Parts):
    """A part of Runtime."""

    _status: StatusBus
    broadcast: Broadcast

    async def delegate(
        self,
        room_id: str,
        worker: str,
        input: str,
        *,
        caller: str | None = None,
        strategy: Strategy | str | None = None,
        timeout: float | None = 300.0,
        fold: bool | None = None,
        share_channels: Sequence[str] = (),
        id: str | None = None,
    ) -> Task:
        """Begin background work; its result is delivered to the room, for `caller` (None: whoever is there).

        `timeout`: seconds the worker may take (None: no limit). `share_channels`: ids of the room's channels that see
        what the worker says and does, as a child room of its own. `id` is the task's (None: a new one); a task of an
        id that is known is left alone. Raises ValueError naming the field that is wrong, RoomError when no caller can
        ever come to that room here, EngineError when it cannot be begun, Refuse when a hook refuses it.
        """
        name = self.reachable(room_id)
        self.tasks.check(worker, name)
        shared = valid_names(share_channels, "share_channels")
        caller = None if caller is None else valid_name(caller, "caller")
        chosen = self.delivery_of(name) if strategy is None else resolve(strategy)
        id = uuid4().hex if id is None else valid_name(id, "id")
        facts = {"worker": worker, "caller": caller}
        input = await self.fire(HookTrigger.ON_TASK_DELEGATED, name, id, readable(input, "input"), facts)
        return await self.tasks.start(
            name,
            worker,
            readable(input, "input"),
            strategy=chosen,
            id=id,
            caller=caller,
            fold=self.fold if fold is None else fold,
            timeout=timeout,
            share_channels=shared,
        )

    # -- what tasks tell

    def _announce(self, news: TaskNews) -> None:
        """A task got on: tell the room's session, the status bus and, at its end, the hooks."""
        if session := self._rooms.session(news.task.room):
            session.shown.task(news)
        if not news.part and news.status.terminal:
            facts = {"worker": news.task.worker, "status": news.status.value, "error": news.error}
            self.beside(self.fire(HookTrigger.ON_TASK_COMPLETED, news.task.room, news.task.id, news.task.input, facts))
        self._status.post(**told(news))

    def _share(self, task: Task, part: str, label: str, text: str, metadata: Mapping[str, Any]) -> None:
        """A worker said or did something: the channels that it shares with its room see it, in a child room of its own,
        which is there as long as the task is."""
        shared = task.metadata.get("share_channels", ())
        room = self._rooms.find(task.room)
        if not shared or room is None or not (text := made_speakable(text)):
            return
        worker = part.rpartition("/")[2] or task.worker
        event = RoomEvent(
            id=f"child-{uuid4().hex[:12]}",
            room=f"{task.id[:31]}.{worker}"[:64],
            channel_id=worker[:64],
            sender_id=worker[:64],
            content=TextContent(text),
            channel_type=ChannelType.AI,
            category=ChannelCategory.INTELLIGENCE,
            metadata={**metadata, "task": task.id, "parent": task.room, "label": label},
        )
        self.broadcast.after(event)
        self.broadcast.show(room, event, only=frozenset(shared))
