"""The Runtime: rooms, callers, deliveries and background tasks, put together. The composition root of the house."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from delivery.ledger import Ledger, LedgerError
from delivery.strategies import Strategy, WaitForIdle, resolve
from orchestration import ensemble
from orchestration.broadcast import Broadcast
from orchestration.content import MAX_CONTENT, speakable
from orchestration.delegating import Delegating
from orchestration.delivering import Delivering
from orchestration.engines.engine import TaskEngine
from orchestration.hooks import Hook, HookContext, HookEvent, HookExecution, Hooks, HookTrigger, known_hook
from orchestration.hosting import Hosting
from orchestration.identity import Identities, valid_name
from orchestration.janitor import KEEP, Janitor, kept
from orchestration.observers import Observers
from orchestration.presence import Presence
from orchestration.renamed import renamed
from orchestration.room import Room
from orchestration.room_records import RoomRecords
from orchestration.rooms import ChannelFactory, LiveChannel, RoomElsewhereError, RoomError, Rooms, TooManyRoomsError
from orchestration.status.backend import StatusBackend
from orchestration.status.bus import StatusBus
from orchestration.storage import Storage
from orchestration.store.journal import Journal
from orchestration.store.store import RoomStore
from orchestration.strategies.orchestration import Orchestration, known_orchestration
from orchestration.tasks import Tasks
from orchestration.usage import Meter

if TYPE_CHECKING:
    from orchestration.speech import Speech

log = logging.getLogger("sottovoce.runtime")

_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


class Runtime(Hosting, Delivering, Delegating):
    """Use as `async with runtime:`; `sottovoce serve app:runtime` does that for you.

    `orchestration` says who talks and who works; `delivery` when results are spoken, and `fold` whether one that
    lands while a reply is being made may go into it. `rooms` are the rooms that callers may join beside those that
    `create_room` makes (None: any name makes a room, which goes when empty). `state` is where it remembers: a
    directory, or the URL of a Postgres database ("postgresql://..."), which several processes may share (None: in
    memory, nothing survives). `address` is the URL at which callers reach this process and no other: those who come to
    another process for a room that this one has are sent there. At most `max_tasks` background tasks run here at once,
    `max_tasks_per_room` of one room; more wait their turn. Deliveries and tasks that ended more than `keep` seconds ago
    are deleted now and then (None: never). `speech` chooses the engines that hear and speak (None:
    the best that this machine has). `ledger`, `engine`, `identities`, `status` (what keeps the entries of the
    `status_bus`), `store` (what keeps rooms) and `channels` replace single parts.
    """

    @renamed("Runtime", delivery_strategy="delivery", status_backend="status")
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
        keep: float | None = KEEP,
        ledger: Ledger | None = None,
        engine: TaskEngine | None = None,
        identities: Identities | None = None,
        status: StatusBackend | None = None,
        store: RoomStore | None = None,
        channels: ChannelFactory | None = None,
    ) -> None:
        """Raises TypeError for unknown arguments, ValueError for an unknown strategy and for a bad room's name."""
        if isinstance(rooms, str):
            raise TypeError(f"rooms: {rooms!r} is one name; give a list of names")
        if not isinstance(state, str | Path | None):
            raise TypeError(f"state: {state!r:.60} is no place; give a directory, a postgresql:// URL, or None")
        self.orchestration = known_orchestration(orchestration)
        self.delivery = WaitForIdle() if delivery is None else resolve(delivery)
        self.fold = fold
        self.speech = speech
        self.open_rooms = None if rooms is None else frozenset(valid_name(name, "rooms") for name in rooms)
        self.hooks = Hooks()
        self.address = address
        self._state = state
        self._keep = None if keep is None else kept(keep)
        self._task_limits = _above_0("max_tasks", max_tasks), _above_0("max_tasks_per_room", max_tasks_per_room)
        self._given = ledger, engine, identities, status, store
        self._channels = channels
        self._rooms = Rooms(self)
        self._observers = Observers()
        self._status = StatusBus(status)
        self.broadcast = Broadcast(self)
        self.meter = Meter()
        self._stack = AsyncExitStack()
        self._entered = self._open = False
        self._engines: Speech | None = None
        """Those that are loaded."""
        self._preparing: asyncio.Lock

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
        copy.open_rooms, copy.hooks = None, self.hooks.elsewhere()
        return copy

    # -- life

    async def __aenter__(self) -> Self:
        """Raises what names the part that cannot be opened and the fix (LedgerError, EngineError, ...), all closed."""
        if self._entered:
            raise RuntimeError("this runtime is open already; use it in one `async with` at a time")
        self._entered = True
        async with AsyncExitStack() as stack:
            stack.callback(self._left)
            stack.push_async_callback(self._release)
            parts = self._parts()
            self.ledger, self.identities, kept = parts.ledger, parts.identities, parts.rooms
            limit, per_room = self._task_limits
            self.tasks = Tasks(
                parts.engine,
                self.ledger,
                self._announce,
                limit=limit,
                per_room=per_room,
                share=self._share,
                meter=self.meter,
            )
            if self.orchestration is not None:
                self.tasks.register(*self.orchestration.workers())
            await self.ledger.open()
            stack.push_async_callback(self.ledger.aclose)
            await self.identities.open()
            stack.push_async_callback(self.identities.aclose)
            await self._status.open(parts.status)
            stack.push_async_callback(self._status.aclose)
            await kept.open()
            stack.push_async_callback(kept.aclose)
            self.store = RoomRecords(self._rooms, kept, Journal(kept))
            await self.store.journal.open()
            stack.push_async_callback(self.store.journal.aclose)
            alone = self._state is None and self._given[:2] == (None, None)  # all of it dies with this process
            self.presence = Presence(self.ledger, self.address, alone=alone)
            await self.presence.arrive()
            stack.push_async_callback(self.presence.leave)
            self._preparing = asyncio.Lock()
            group = await asyncio.TaskGroup().__aenter__()
            # It is told of no error: its children raise none, and another's is not to be wrapped in a group of its own.
            stack.push_async_callback(group.__aexit__, None, None, None)
            self._observers.open(group)
            stack.push_async_callback(self._observers.aclose)
            await self.tasks.open(self.presence.process.id)
            stack.push_async_callback(self.tasks.aclose)
            staying = group.create_task(self.presence.stay(self.tasks.adopt), name="presence")
            stack.callback(staying.cancel)
            if self._keep is not None and not alone:
                sweeping = group.create_task(Janitor(self.ledger, parts.engine, self._keep).run(), name="janitor")
                stack.callback(sweeping.cancel)
            self._rooms.open(group, self._channels or self._speaking)
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

    def _parts(self) -> Storage:
        """The parts that remember: those given, or those of the state directory or database, or in memory."""
        from orchestration.storage import storage

        parts = storage(self._state)
        ledger, engine, identities, status, store = self._given
        return Storage(
            ledger=ledger or parts.ledger,
            engine=engine or parts.engine,
            identities=identities or parts.identities,
            status=parts.status if status is None else status,
            rooms=parts.rooms if store is None else store,
        )

    async def prepare(self) -> None:
        """Load the engines that hear and speak, and what the agents' models need, so that the first caller need not
        wait for them.

        `sottovoce serve` does that for you. All rooms share them. Raises RuntimeError naming what is missing and how to
        get it.
        """
        await ensemble.prepare(self.orchestration)
        if self._channels is None:
            await self._loaded()

    async def _release(self) -> None:
        """Close the connections to providers; who is prepared stays so."""
        if self._engines is not None:
            await self._engines.aclose()
        if self._channels is None:  # a simulated copy shares its models with who goes on using them
            await ensemble.close(self.orchestration)

    async def _loaded(self) -> Speech:
        from orchestration.speech import Speech

        self.check_open()
        async with self._preparing:
            if self._engines is None:
                speech = self.speech or Speech()
                await speech.prepare()
                self._engines = speech
            return self._engines

    @asynccontextmanager
    async def _speaking(self, room: Room) -> AsyncIterator[LiveChannel]:
        speech = await self._loaded()
        async with speech.channel(room) as channel:
            yield channel

    # -- hooks

    def hook(
        self,
        trigger: HookTrigger,
        *,
        execution: HookExecution = HookExecution.ASYNC,
        priority: int = 0,
        room_id: str | None = None,
    ) -> Callable[[Hook], Hook]:
        """Decorator: call this function `(event, context)` at that moment, in one room (until it is closed) or all.

        Raises ValueError and TypeError naming the argument that is wrong.
        """
        trigger, execution = known_hook(trigger, execution, priority)
        room = None if room_id is None else valid_name(room_id, "room_id")

        def register(hook: Hook) -> Hook:
            self.hooks.add(trigger, execution, priority, hook, room)
            return hook

        return register

    async def fire(self, trigger: HookTrigger, room: str, id: str, text: str, metadata: Mapping[str, Any]) -> str:
        """Call the hooks; returns the text, perhaps rewritten. Raises Refuse when a SYNC hook does."""
        event = HookEvent(trigger, room, id, text, metadata)
        return await self.hooks.run(event, HookContext(self, room), self._observers.start)

    def beside(self, work: Coroutine[Any, Any, object]) -> None:
        """Let it run beside what goes on, as long as the runtime is open. What it raises is logged."""
        self._observers.start(work)

    # -- status

    @property
    def status_bus(self) -> StatusBus:
        """Where agents, tools and hooks tell what they do; background tasks are told of there, too.

        The same one for as long as the runtime lives. It is open while the runtime is.
        """
        return self._status

    # -- what models cost

    def usage(self, room_id: str | None = None) -> dict[str, Any]:
        """What models cost in this process, as JSON: of one room, or (None) of all, those that are gone included.

        `requests`, tokens (`input`, `output`, `cache_read`, `cache_write`), `cost` in US dollars (None: no price is
        known) and `unpriced`, the requests without a price; the same by model in `models` and by agent in `agents` ("":
        no agent, like a router). What an answer costs is in the `usage` of its AFTER_BROADCAST metadata, as far as it
        was known then; background tasks are counted for their rooms. Raises ValueError for a bad name.
        """
        sums = self.meter.total() if room_id is None else self.meter.room(valid_name(room_id, "room_id"))
        return sums.written()

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


def _above_0(field: str, value: int) -> int:
    """Raises ValueError naming the field."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{field}: {value!r} is no whole number above 0")
    return value


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
