"""The Runtime: rooms, callers, deliveries and background tasks, put together. The composition root of the house."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from uuid import uuid4

from delivery.desk import Refuse
from delivery.ledger import Delivery, Entry, Ledger, LedgerError, OnInterrupt, SpeakAs, Status
from delivery.receipt import Receipt
from delivery.strategies import Strategy, WaitForIdle, resolve, seconds
from orchestration.content import MAX_CONTENT, readable, speakable
from orchestration.engines.engine import Task, TaskEngine
from orchestration.hooks import Hook, HookContext, HookEvent, HookExecution, Hooks, HookTrigger
from orchestration.identity import Identities, valid_name
from orchestration.observers import Observers
from orchestration.presence import Presence
from orchestration.room import Room
from orchestration.rooms import ChannelFactory, LiveChannel, RoomElsewhereError, RoomError, Rooms, TooManyRoomsError
from orchestration.session import Session
from orchestration.status.backend import StatusBackend
from orchestration.status.bus import StatusBus
from orchestration.status.task_news import told
from orchestration.strategies.orchestration import Orchestration
from orchestration.tasks import TaskNews, Tasks
from voice.leg import Leg

if TYPE_CHECKING:
    from orchestration.speech import Speech

log = logging.getLogger("sottovoce.runtime")

E = TypeVar("E", OnInterrupt, SpeakAs, Status)
_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
_RENAMED = {"delivery_strategy": "delivery"}


class Runtime:
    """Use as `async with runtime:`; `sottovoce serve app:runtime` does that for you.

    `orchestration` says who talks and who works; `delivery` when results are spoken, and `fold` whether one that
    lands while a reply is being made may go into it. `rooms` are the rooms that callers may join beside those that
    `create_room` makes (None: any name makes a room, which goes when empty). `state` is where it remembers: a
    directory, or the URL of a Postgres database ("postgresql://..."), which several processes may share (None: in
    memory, nothing survives). `address` is the URL at which callers reach this process and no other: those who come to
    another process for a room that this one has are sent there. At most `max_tasks` background tasks run here at once,
    `max_tasks_per_room` of one room; more wait their turn. `speech` chooses the engines that hear and speak (None:
    the best that this machine has). `ledger`, `engine`, `identities`, `status` (what keeps the entries of the
    `status_bus`) and `channels` replace single parts.
    """

    def __init__(
        self,
        *,
        orchestration: Orchestration | None = None,
        delivery: Strategy | str | None = None,
        fold: bool = True,
        speech: Speech | None = None,
        rooms: Collection[str] | None = None,
        state: str | Path | None = ".sottovoce",
        address: str | None = None,
        max_tasks: int = 100,
        max_tasks_per_room: int = 10,
        ledger: Ledger | None = None,
        engine: TaskEngine | None = None,
        identities: Identities | None = None,
        status: StatusBackend | None = None,
        channels: ChannelFactory | None = None,
        **unknown: Any,
    ) -> None:
        """Raises TypeError for unknown arguments, ValueError for an unknown strategy and for a bad room's name."""
        for name in unknown:
            hint = f"; it is called {_RENAMED[name]!r} here" if name in _RENAMED else ""
            raise TypeError(f"Runtime got an unknown argument {name!r}{hint}")
        if isinstance(rooms, str):
            raise TypeError(f"rooms: {rooms!r} is one name; give a list of names")
        self.orchestration = _orchestration(orchestration)
        self.delivery = WaitForIdle() if delivery is None else resolve(delivery)
        self.fold = fold
        self.speech = speech
        self.open_rooms = None if rooms is None else frozenset(valid_name(name, "rooms") for name in rooms)
        self.hooks = Hooks()
        self.address = address
        self._state = state
        self._task_limits = _above_0("max_tasks", max_tasks), _above_0("max_tasks_per_room", max_tasks_per_room)
        self._given = ledger, engine, identities, status
        self._channels = channels
        self._rooms = Rooms(self)
        self._observers = Observers()
        self._status = StatusBus(status)
        self._workers_of: list[Orchestration] = [orchestration] if orchestration else []
        self._stack = AsyncExitStack()
        self._entered = self._open = False

    @property
    def address(self) -> str | None:
        """The URL at which callers reach this process and no other; set it before the runtime is opened.

        Raises ValueError for what is no URL.
        """
        return self._address

    @address.setter
    def address(self, address: str | None) -> None:
        if address is not None and not _URL.fullmatch(address):
            raise ValueError(f"address: {address!r} is no URL; give one like https://voice-2.example.org")
        self._address = address

    def simulated(self, channels: ChannelFactory) -> Runtime:
        """An isolated copy for simulations: the same orchestration and hooks, memory that dies with it."""
        copy = Runtime(
            orchestration=self.orchestration, delivery=self.delivery, fold=self.fold, state=None, channels=channels
        )
        copy._task_limits = self._task_limits
        copy.open_rooms, copy.hooks = None, self.hooks
        return copy

    # -- life

    async def __aenter__(self) -> Self:
        """Raises what names the part that cannot be opened and the fix (LedgerError, EngineError, ...), all closed."""
        if self._entered:
            raise RuntimeError("this runtime is open already; use it in one `async with` at a time")
        self._entered = True
        async with AsyncExitStack() as stack:
            stack.callback(self._left)
            self.ledger, engine, self.identities, status = self._parts()
            limit, per_room = self._task_limits
            self.tasks = Tasks(engine, self.ledger, self._announce, limit=limit, per_room=per_room)
            for orchestration in self._workers_of:
                self.tasks.register(*orchestration.workers())
            await self.ledger.open()
            stack.push_async_callback(self.ledger.aclose)
            await self.identities.open()
            stack.push_async_callback(self.identities.aclose)
            await self._status.open(status)
            stack.push_async_callback(self._status.aclose)
            alone = self._state is None and self._given[:2] == (None, None)  # all of it dies with this process
            self.presence = Presence(self.ledger, self.address, alone=alone)
            await self.presence.arrive()
            stack.push_async_callback(self.presence.leave)
            if self._channels is None:
                self._channels = await self._speaking()
            group = await asyncio.TaskGroup().__aenter__()
            # It is told of no error: its children raise none, and another's is not to be wrapped in a group of its own.
            stack.push_async_callback(group.__aexit__, None, None, None)
            self._observers.open(group)
            stack.push_async_callback(self._observers.aclose)
            await self.tasks.open(self.presence.process.id)
            stack.push_async_callback(self.tasks.aclose)
            staying = group.create_task(self.presence.stay(self.tasks.adopt), name="presence")
            stack.callback(staying.cancel)
            self._rooms.open(group, self._channels)
            stack.push_async_callback(self._rooms.aclose)
            self._stack = stack.pop_all()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What ended the body goes on as it is. Rooms close while tasks still run and the ledger is open: what is heard,
        # and what comes of the work until then, is written. Tasks are interrupted next; the ledger closes last.
        self._open = False
        await self._stack.aclose()

    def _left(self) -> None:
        self._entered = False

    def check_open(self) -> None:
        """Raises RoomError unless the runtime is open."""
        if not self._open:
            raise RoomError("the runtime is not open; use `async with runtime`")

    def _parts(self) -> tuple[Ledger, TaskEngine, Identities, StatusBackend]:
        """The parts that remember: those given, or those of the state directory or database, or in memory."""
        from orchestration.storage import storage

        parts = storage(self._state)
        ledger, engine, identities, status = self._given
        status = parts.status if status is None else status
        return ledger or parts.ledger, engine or parts.engine, identities or parts.identities, status

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

        Raises ValueError for a bad name or strategy, RoomError when it exists or there are too many.
        """
        name = valid_name(room_id if room_id is not None else uuid4().hex[:12], "room_id")
        chosen = self.orchestration if orchestration == "default" else _orchestration(orchestration)
        strategy = self.delivery if delivery is None else resolve(delivery)
        self.check_open()
        return await self._rooms.create(Room(name, strategy, chosen, dict(metadata or {})))

    def employ(self, orchestration: Orchestration) -> None:
        """Make the workers of an orchestration known. Raises ValueError when an id is taken by another one."""
        if orchestration not in self._workers_of:
            self.tasks.register(*orchestration.workers())
            self._workers_of.append(orchestration)

    def room(self, room_id: str) -> Room:
        """A room that is there. Raises RoomError."""
        if room := self._rooms.find(room_id):
            return room
        raise RoomError(f"room_id: there is no room {room_id!r}; create_room makes one")

    async def get_room(self, room_id: str) -> Room:
        """A room; it is made when there is none, and goes again when its talk is over.

        Raises ValueError for a bad name, RoomError when it cannot be made.
        """
        name = valid_name(room_id, "room_id")
        self.check_open()
        return await self._rooms.get(name)

    def admits(self, room_id: str) -> None:
        """Raises RoomError when there can be no room of that name here."""
        if self.open_rooms is not None and room_id not in self.open_rooms | self._rooms.names:
            there = ", ".join(sorted(self.open_rooms | self._rooms.names)) or "none"
            raise RoomError(f"room: there is no room {room_id!r} here; there are: {there}")

    async def close_room(self, room_id: str) -> None:
        """End the room's talk: callers are hung up on; what is owed stays in the ledger."""
        await self._rooms.close(valid_name(room_id, "room_id"))

    def session(self, room_id: str) -> Session | None:
        """The room's live talk, if there is one."""
        return self._rooms.session(room_id)

    async def join(self, room_id: str, leg: Leg) -> None:
        """Have a caller in the room until their leg ends. The room is made, and its talk begun, where need be.

        Raises RoomError when there can be none, and what the channel raises.
        """
        while not await (await self.enter(room_id)).serve(leg):
            pass  # the talk was just ending; the next one will do

    async def enter(self, room_id: str) -> Session:
        """The room's live talk; begun if there is none.

        Raises ValueError for a bad name, RoomError when it cannot be.
        """
        self.check_open()
        return await self._rooms.enter(valid_name(room_id, "room_id"))

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
        fold: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Have `content` spoken in the room when `strategy` says so; returns when that is durable.

        `id` makes it idempotent: the same id with the same content is one delivery, also when it is asked for again
        after an error. Raises ValueError naming the field that is wrong, RoomError when no caller can ever come to that
        room here, and LedgerError when it cannot be stored (also: the id has other content, the queue is full). A room
        that is closed, or that nobody has opened yet, keeps what is delivered until callers come.
        """
        name = self._reachable(room_id)
        chosen = self._delivery_of(name) if strategy is None else resolve(strategy)
        seconds("ttl", ttl)
        wait = chosen.max_wait if max_wait == "default" else max_wait
        seconds("max_wait", wait)
        if not isinstance(metadata, Mapping | None):
            raise ValueError(f"metadata: {type(metadata).__name__} is no mapping; give a dict")
        delivery = Delivery(
            id=uuid4().hex if id is None else id,
            room=name,
            content=speakable(content),
            strategy=chosen.written(),
            to=to,
            priority=priority,
            ttl=ttl,
            supersedes=supersedes,
            max_wait=wait,
            on_interrupt=one_of(OnInterrupt, "on_interrupt", on_interrupt),
            speak_as=one_of(SpeakAs, "speak_as", speak_as),
            fold=self.fold if fold is None else fold,
            metadata=dict(metadata or {}),
        )
        await self.ledger.put(delivery)
        return Receipt(delivery.id, self.ledger)

    def receipt(self, id: str) -> Receipt:
        """The receipt of any delivery, also of another process or of before a restart. Awaiting it raises LedgerError
        when there is no such delivery."""
        self.check_open()
        return Receipt(id, self.ledger)

    async def deliveries(
        self, room_id: str, statuses: Iterable[Status | str] | None = None, *, limit: int = 100, newest: bool = True
    ) -> list[Entry]:
        """The room's deliveries in order of arrival, of all processes: the `newest` of these statuses, or the first.

        Without `statuses` those that are not over; `[Status.DEAD]` lists what was set aside. `receipt(id)` replays or
        cancels one. Raises ValueError naming the field that is wrong, and LedgerError.
        """
        name = valid_name(room_id, "room_id")
        self.check_open()
        wanted = None if statuses is None else [one_of(Status, "statuses", each) for each in statuses]
        return await self.ledger.entries(name, wanted, limit, newest=newest)

    # -- tasks

    async def delegate(
        self,
        room_id: str,
        worker: str,
        input: str,
        *,
        caller: str | None = None,
        strategy: Strategy | str | None = None,
        timeout: float | None = 300.0,
    ) -> Task:
        """Begin background work; its result is delivered to the room, for `caller` (None: whoever is there).

        `timeout`: seconds the worker may take (None: no limit). Raises ValueError naming the field that is wrong,
        RoomError when no caller can ever come to that room here, EngineError when it cannot be begun, Refuse when a
        hook refuses it.
        """
        name = self._reachable(room_id)
        self.tasks.check(worker)
        chosen = self._delivery_of(name) if strategy is None else resolve(strategy)
        id = uuid4().hex
        facts = {"worker": worker, "caller": caller}
        input = await self.fire(HookTrigger.ON_TASK_DELEGATED, name, id, readable(input, "input"), facts)
        return await self.tasks.start(
            name,
            worker,
            readable(input, "input"),
            strategy=chosen,
            id=id,
            caller=caller,
            fold=self.fold,
            timeout=timeout,
        )

    def _reachable(self, room_id: str) -> str:
        """The name of a room that there is, or can be."""
        name = valid_name(room_id, "room_id")
        self.check_open()
        self.admits(name)
        return name

    def _delivery_of(self, room_id: str) -> Strategy:
        room = self._rooms.find(room_id)
        return room.delivery if room else self.delivery

    def _announce(self, news: TaskNews) -> None:
        """A task got on: tell the room's session, the status bus and, at its end, the hooks."""
        if session := self._rooms.session(news.task.room):
            session.show_task(news)
        if not news.part and news.status.terminal:
            self._observers.start(self._completed(news))
        self._status.post(**told(news))

    async def _completed(self, news: TaskNews) -> None:
        facts = {"worker": news.task.worker, "status": news.status.value, "error": news.error}
        try:
            await self.fire(HookTrigger.ON_TASK_COMPLETED, news.task.room, news.task.id, news.task.input, facts)
        except Refuse:
            log.warning("task %s is over: a hook for it cannot refuse", news.task.id)

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
        return await self.hooks.run(event, HookContext(self, room), self._observers.start)

    # -- status

    @property
    def status_bus(self) -> StatusBus:
        """Where agents, tools and hooks tell what they do; background tasks are told of there, too.

        The same one for as long as the runtime lives. It is open while the runtime is.
        """
        return self._status

    # -- what tools need

    def speaker(self, room_id: str) -> str | None:
        """The caller who is being answered in the room now."""
        session = self._rooms.session(room_id)
        return session.speaker if session else None

    def carry(self, room_id: str, delivery: str) -> bool:
        """The reply for which the running tool was called carries this delivery: heard when that is heard whole.

        False: that reply is over, and the delivery waits like any other.
        """
        session = self._rooms.session(room_id)
        return session is not None and session.carry(delivery)


def _orchestration(it: object) -> Orchestration | None:
    """Raises TypeError when it is no orchestration."""
    if not isinstance(it, Orchestration | None):
        raise TypeError(f"orchestration: {it!r} is no Orchestration, like Supervisor(...), nor None")
    return it


def _above_0(field: str, value: int) -> int:
    """Raises ValueError naming the field."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{field}: {value!r} is no whole number above 0")
    return value


def one_of(kind: type[E], field: str, value: E | str) -> E:
    """Raises ValueError naming the field and what it may be."""
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(repr(each.value) for each in kind)
        raise ValueError(f"{field}: {value!r} is not known; use {names}") from None


__all__ = [
    "MAX_CONTENT",
    "ChannelFactory",
    "LedgerError",
    "LiveChannel",
    "RoomElsewhereError",
    "RoomError",
    "Runtime",
    "TooManyRoomsError",
    "speakable",
]
