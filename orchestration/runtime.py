"""The Runtime: rooms, callers, deliveries and background tasks, put together. The composition root of the house."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self
from uuid import uuid4

from delivery.ledger import Delivery, Ledger, LedgerError, OnInterrupt, SpeakAs
from delivery.receipt import Receipt
from delivery.strategies import Strategy, WaitForIdle, resolve, seconds
from orchestration.engines.engine import Task, TaskEngine, TaskStatus
from orchestration.hooks import Hook, HookContext, HookEvent, HookExecution, Hooks, HookTrigger
from orchestration.identity import Identities, valid_name
from orchestration.room import Room
from orchestration.session import Session
from orchestration.strategies.orchestration import Orchestration
from orchestration.tasks import TaskNews, Tasks
from voice.channel import Channel
from voice.leg import Leg

if TYPE_CHECKING:
    from orchestration.speech import Speech

log = logging.getLogger("sottovoce.runtime")

MAX_CONTENT = 20_000
"""Most characters in one delivery: a quarter of an hour of talk; nobody listens to more."""
MAX_ROOMS = 10_000
"""Most rooms in one process."""


class LiveChannel(Channel, Protocol):
    """A channel that callers can be put on."""

    async def serve(self, leg: Leg) -> None:
        """Have the caller of this leg in the room until the leg ends."""
        ...


ChannelFactory = Callable[[Room], AbstractAsyncContextManager[LiveChannel]]


class RoomError(Exception):
    """A room cannot be used; the message says why and what to do."""


_RENAMED = {"delivery_strategy": "delivery"}


class Runtime:
    """Use as `async with runtime:`; `sottovoce serve app:runtime` does that for you.

    `orchestration` says who talks and who works; `delivery` when results are spoken. `rooms` are the rooms that
    callers may join beside those that `create_room` makes (None: any name makes a room, which goes when empty).
    `state` is the directory of the ledger and of the task engine (None: in memory, nothing survives). `speech`
    chooses the engines that hear and speak (None: the best that this machine has). `ledger`, `engine`, `identities`
    and `channels` replace single parts.
    """

    def __init__(
        self,
        *,
        orchestration: Orchestration | None = None,
        delivery: Strategy | str | None = None,
        speech: Speech | None = None,
        rooms: Collection[str] | None = None,
        state: str | Path | None = ".sottovoce",
        ledger: Ledger | None = None,
        engine: TaskEngine | None = None,
        identities: Identities | None = None,
        channels: ChannelFactory | None = None,
        **unknown: Any,
    ) -> None:
        """Raises TypeError for unknown arguments, ValueError for an unknown strategy."""
        for name in unknown:
            hint = f"; it is called {_RENAMED[name]!r} here" if name in _RENAMED else ""
            raise TypeError(f"Runtime got an unknown argument {name!r}{hint}")
        self.orchestration = orchestration
        self.delivery = WaitForIdle() if delivery is None else resolve(delivery)
        self.speech = speech
        self.open_rooms = None if rooms is None else frozenset(valid_name(name, "rooms") for name in rooms)
        self.hooks = Hooks()
        self.owner = f"{os.getpid()}-{uuid4().hex[:8]}"
        self._state = None if state is None else Path(state)
        self._given = ledger, engine, identities
        self._channels = channels
        self._rooms: dict[str, Room] = {}
        self._sessions: dict[str, Session] = {}
        self._making = asyncio.Lock()
        self._passing: set[str] = set()
        """Rooms that somebody's joining made; they go with their talk."""
        self._workers_of: list[Orchestration] = [orchestration] if orchestration else []
        self._stack = AsyncExitStack()
        self._group: asyncio.TaskGroup
        self._open = False

    def simulated(self, channels: ChannelFactory) -> Runtime:
        """An isolated copy for simulations: the same orchestration and hooks, memory that dies with it."""
        copy = Runtime(orchestration=self.orchestration, delivery=self.delivery, state=None, channels=channels)
        copy.open_rooms, copy.hooks = None, self.hooks
        return copy

    # -- life

    async def __aenter__(self) -> Self:
        if self._open:
            raise RuntimeError("this runtime is open already; use it in one `async with` at a time")
        self.ledger, engine, self.identities = self._parts()
        self.tasks = Tasks(engine, self.ledger, self._announce)
        for orchestration in self._workers_of:
            for worker in orchestration.workers():
                self.tasks.register(worker)
        async with AsyncExitStack() as stack:
            await self.ledger.open()
            stack.push_async_callback(self.ledger.aclose)
            await self.identities.open()
            stack.push_async_callback(self.identities.aclose)
            if self._channels is None:
                self._channels = await self._speaking()
            self._group = asyncio.TaskGroup()
            await stack.enter_async_context(self._group)
            stack.callback(self._close_rooms)
            await self.tasks.open()
            stack.push_async_callback(self.tasks.aclose)
            self._stack = stack.pop_all()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Everything closes in order whatever ended the body; its error goes on as it is, not wrapped in a group.
        self._open = False
        await self._stack.aclose()

    def _close_rooms(self) -> None:
        for session in self._sessions.values():
            session.close()

    def _parts(self) -> tuple[Ledger, TaskEngine, Identities]:
        """Ledger, engine and identities: those given, or those of the state directory, or in memory."""
        from orchestration.storage import in_directory, in_memory

        parts = in_memory() if self._state is None else in_directory(self._state)
        ledger, engine, identities = self._given
        return ledger or parts.ledger, engine or parts.engine, identities or parts.identities

    async def _speaking(self) -> ChannelFactory:
        """Load the engines that hear and speak; they are shared by all rooms."""
        from orchestration.speech import Speech

        speech = self.speech or Speech()
        await speech.prepare()
        return speech.channel

    # -- rooms

    async def create_room(
        self,
        room_id: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        orchestration: Orchestration | Literal["default"] | None = "default",
        delivery: Strategy | str | None = None,
    ) -> Room:
        """Make a room; `orchestration` and `delivery` override the runtime's (None: no orchestration).

        Raises ValueError for a bad name, RoomError when it exists or there are too many.
        """
        name = valid_name(room_id if room_id is not None else uuid4().hex[:12], "room_id")
        chosen = self.orchestration if orchestration == "default" else orchestration
        strategy = self.delivery if delivery is None else resolve(delivery)
        async with self._making:
            if name in self._rooms:
                raise RoomError(f"room_id: the room {name!r} exists already; use get_room")
            return await self._make_room(name, dict(metadata or {}), chosen, strategy)

    async def _make_room(
        self, name: str, metadata: Mapping[str, Any], orchestration: Orchestration | None, delivery: Strategy
    ) -> Room:
        if len(self._rooms) >= MAX_ROOMS:
            raise RoomError(f"there are {MAX_ROOMS} rooms in this process; close some")
        room = self._rooms[name] = Room(name, delivery, orchestration, metadata)
        try:
            if orchestration is not None:
                self._know_workers(orchestration)
                await orchestration.install(self, name)
        except BaseException:
            del self._rooms[name]
            raise
        return room

    def _know_workers(self, orchestration: Orchestration) -> None:
        if orchestration not in self._workers_of:
            self._workers_of.append(orchestration)
            for worker in orchestration.workers():
                self.tasks.register(worker)

    def room(self, room_id: str) -> Room:
        """A room that is there. Raises RoomError."""
        try:
            return self._rooms[room_id]
        except KeyError:
            raise RoomError(f"room_id: there is no room {room_id!r}; create_room makes one") from None

    async def get_room(self, room_id: str) -> Room:
        """A room; it is made when there is none."""
        name = valid_name(room_id, "room_id")
        async with self._making:
            if name not in self._rooms:
                await self._make_room(name, {}, self.orchestration, self.delivery)
                self._passing.add(name)
            return self._rooms[name]

    def admits(self, room_id: str) -> None:
        """Raises RoomError when callers may not join a room of that name."""
        if self.open_rooms is not None and room_id not in self.open_rooms and room_id not in self._rooms:
            there = ", ".join(sorted(self.open_rooms | self._rooms.keys())) or "none"
            raise RoomError(f"room: there is no room {room_id!r} here; there are: {there}")

    async def close_room(self, room_id: str) -> None:
        """End the room's talk: callers are hung up on; what is owed stays in the ledger."""
        if session := self._sessions.get(room_id):
            session.close()
            await session.closed.wait()
        self._rooms.pop(room_id, None)

    def session(self, room_id: str) -> Session | None:
        """The room's live talk, if there is one."""
        return self._sessions.get(room_id)

    async def join(self, room_id: str, leg: Leg) -> None:
        """Have a caller in the room until their leg ends. The room is made, and its talk begun, where need be."""
        session = await self.enter(room_id)
        await session.serve(leg)

    async def enter(self, room_id: str) -> Session:
        """The room's live talk; begun if there is none."""
        while True:
            if self._channels is None or not self._open:
                raise RoomError("the runtime is not open; use `async with runtime`")
            room = await self.get_room(room_id)
            session = self._sessions.get(room.id)
            if session is None:
                session = self._sessions[room.id] = Session(self, room, self._channels)
                self._group.create_task(self._run(session))
            if not session.closing:
                await asyncio.shield(session.opened)
                return session
            await session.closed.wait()

    async def _run(self, session: Session) -> None:
        """A room's talk. What goes wrong in one room stays in it."""
        name = session.room.id
        try:
            await session.run()
        except Exception as error:
            log.exception("room %s: its talk broke off", name)
            session.failed(RoomError(f"room {name!r} cannot be opened: {error}"))
        finally:
            del self._sessions[name]
            if name in self._passing:
                self._passing.discard(name)
                self._rooms.pop(name, None)
            session.closed.set()

    # -- deliveries

    async def deliver(
        self,
        room_id: str,
        content: str,
        *,
        strategy: Strategy | str | None = None,
        id: str | None = None,
        to: str | None = None,
        priority: int = 0,
        ttl: float | None = None,
        supersedes: str | None = None,
        max_wait: float | Literal["default"] | None = "default",
        on_interrupt: OnInterrupt | str = OnInterrupt.RESUME,
        speak_as: SpeakAs | str = SpeakAs.VERBATIM,
        fold: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Have `content` spoken in the room when `strategy` says so; returns when that is durable.

        `id` makes it idempotent: the same id with the same content is one delivery. Raises ValueError naming the field
        that is wrong, and LedgerError when it cannot be stored (also: the id has other content, the queue is full).
        """
        name = valid_name(room_id, "room_id")
        chosen = self._delivery_of(name) if strategy is None else resolve(strategy)
        seconds("ttl", ttl)
        wait = chosen.max_wait if max_wait == "default" else max_wait
        seconds("max_wait", wait)
        delivery = Delivery(
            id=id or uuid4().hex,
            room=name,
            content=speakable(content),
            strategy=chosen.written(),
            to=to,
            priority=priority,
            ttl=ttl,
            supersedes=supersedes,
            max_wait=wait,
            on_interrupt=OnInterrupt(on_interrupt),
            speak_as=SpeakAs(speak_as),
            fold=fold,
            metadata=dict(metadata or {}),
        )
        await self.ledger.put(delivery)
        return Receipt(delivery.id, self.ledger)

    def receipt(self, id: str) -> Receipt:
        """The receipt of any delivery, also of another process or of before a restart."""
        return Receipt(id, self.ledger)

    # -- tasks

    async def delegate(self, room_id: str, worker: str, input: str, *, caller: str | None = None) -> Task:
        """Begin background work; its result is delivered to the room, for `caller` (None: whoever is there)."""
        name = valid_name(room_id, "room_id")
        strategy = self._delivery_of(name)
        task = await self.tasks.start(name, worker, speakable(input, "input"), strategy=strategy, caller=caller)
        await self.fire(HookTrigger.ON_TASK_DELEGATED, name, task.id, input, {"worker": worker})
        return task

    def _delivery_of(self, room_id: str) -> Strategy:
        room = self._rooms.get(room_id)
        return room.delivery if room else self.delivery

    def _announce(self, news: TaskNews) -> None:
        """A task got on: tell the room's session and, at its end, the hooks."""
        if session := self._sessions.get(news.task.room):
            session.show_task(news)
        if not news.part and news.status in (TaskStatus.DONE, TaskStatus.FAILED):
            event = self.fire(
                HookTrigger.ON_TASK_COMPLETED, news.task.room, news.task.id, news.task.input, {"error": news.error}
            )
            self._group.create_task(event)

    # -- hooks

    def hook(
        self, trigger: HookTrigger, *, execution: HookExecution = HookExecution.ASYNC, priority: int = 0
    ) -> Callable[[Hook], Hook]:
        """Decorator: call this function `(event, context)` at that moment."""

        def register(hook: Hook) -> Hook:
            self.hooks.add(trigger, execution, priority, hook)
            return hook

        return register

    async def fire(self, trigger: HookTrigger, room: str, id: str, text: str, metadata: Mapping[str, Any]) -> str:
        """Call the hooks; returns the text, perhaps rewritten. Raises Refuse when a SYNC hook does."""
        event = HookEvent(trigger, room, id, text, metadata)

        async def beside(hook: Any) -> None:
            await hook

        return await self.hooks.run(event, HookContext(self, room), lambda hook: self._group.create_task(beside(hook)))

    # -- what tools need

    def speaker(self, room_id: str) -> str | None:
        """The caller who is being answered in the room now."""
        session = self._sessions.get(room_id)
        return session.conversation.speaker if session else None

    def carry(self, room_id: str, delivery: str) -> None:
        """The reply that is being made carries this delivery: it counts as heard when the reply is heard whole."""
        if session := self._sessions.get(room_id):
            session.carry(delivery)


def speakable(text: str, field: str = "content") -> str:
    """A text that can be spoken. Raises ValueError when it is empty, too long or holds control characters."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{field}: there is nothing in it to be said")
    if len(text) > MAX_CONTENT:
        raise ValueError(f"{field}: {len(text)} characters are too many; {MAX_CONTENT} can be said")
    if any(not c.isprintable() and not c.isspace() for c in text):
        raise ValueError(f"{field}: it holds control characters; remove them")
    return " ".join(text.split())


__all__ = ["ChannelFactory", "LedgerError", "LiveChannel", "RoomError", "Runtime", "speakable"]
