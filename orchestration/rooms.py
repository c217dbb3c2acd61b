"""Rooms: which there are in this process, and the live talk in each. What goes wrong in one room stays in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from delivery.ledger import RoomHeldError
from orchestration.inbox import Inbox
from orchestration.room import Room
from orchestration.room_trouble import RoomElsewhereError, RoomError, TooManyRoomsError
from orchestration.session import Session
from orchestration.store.trouble import StoreError
from orchestration.text_channel import Binding
from voice.channel import Channel
from voice.leg import Leg

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

__all__ = ["ChannelFactory", "LiveChannel", "RoomElsewhereError", "RoomError", "Rooms", "TooManyRoomsError"]

log = logging.getLogger("sottovoce.rooms")

MAX_ROOMS = 10_000
"""Most rooms in one process."""
AGAIN = 5.0
"""Seconds until a talk that broke off begins again, where somebody reads: something is owed to them perhaps."""
LAST_WORDS = 15.0
"""Seconds that rooms may take to close; one that takes longer (its ledger is away) is broken off."""


class LiveChannel(Channel, Protocol):
    """A channel that callers can be put on."""

    async def serve(self, leg: Leg) -> None:
        """Have the caller of this leg in the room until the leg ends."""
        ...


ChannelFactory = Callable[[Room], AbstractAsyncContextManager[LiveChannel]]


class Rooms:
    """A runtime's rooms by name. `open` gives their talks a task group to live in and channels to talk over."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rooms: dict[str, Room] = {}
        self._sessions: dict[str, Session] = {}
        self._bound: dict[str, dict[str, None]] = {}
        """The rooms in which a text channel is."""
        self._loading = 0
        """Rooms that are on their way out of the store."""
        self._talks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One a name: to make a room may take long, and may make others."""
        self._ending: dict[str, asyncio.Task[Exception | None]] = {}
        self.inbox = Inbox(self)
        self._group: asyncio.TaskGroup
        self._channels: ChannelFactory

    def open(self, group: asyncio.TaskGroup, channels: ChannelFactory) -> None:
        """Talks can begin. The rooms of an earlier time are gone: whoever makes them again takes up what was kept."""
        self._group, self._channels, self._closing = group, channels, False
        for room in list(self._rooms.values()):
            self._gone(room)
        self.inbox.open(group)

    async def aclose(self) -> None:
        """End all talks, and wait for them."""
        self._closing = True
        for session in self._sessions.values():
            session.close()
        if self._talks:
            _, late = await asyncio.wait(self._talks, timeout=LAST_WORDS)
            for talk in late:
                log.error("%s did not close within %g s and is broken off", talk.get_name(), LAST_WORDS)
                talk.cancel()
        self.inbox.close()

    @property
    def names(self) -> frozenset[str]:
        """The rooms that there are."""
        return frozenset(self._rooms)

    def find(self, name: str) -> Room | None:
        """A room, if it is there."""
        return self._rooms.get(name)

    def session(self, name: str) -> Session | None:
        """A room's live talk, if there is one."""
        return self._sessions.get(name)

    async def create(self, room: Room, metadata: Mapping[str, Any]) -> Room:
        """Make a room. Raises RoomError when there is one of its name, or too many."""
        async with self._lock(room.id):
            await self._ended(room.id)
            if room.id in self._rooms:
                raise RoomError(f"room_id: the room {room.id!r} exists already; use get_room")
            return await self._make(room, metadata)

    async def get(self, name: str) -> Room:
        """A room; made when there is none, and gone again when its talk is over."""
        async with self._lock(name):
            await self._ended(name)
            runtime = self._runtime
            return self._rooms.get(name) or await self._make(
                Room(name, runtime.delivery, runtime.orchestration, passing=True), {}
            )

    async def _ended(self, name: str) -> None:
        """Of a room that is being closed nothing is left."""
        while ending := self._ending.get(name):
            await asyncio.wait([ending])

    def _lock(self, name: str) -> asyncio.Lock:
        return self._making.setdefault(name, asyncio.Lock())

    async def _make(self, room: Room, metadata: Mapping[str, Any]) -> Room:
        self._runtime.check_open()
        if len(self._rooms) + self._loading >= MAX_ROOMS:
            raise TooManyRoomsError(f"there are {MAX_ROOMS} rooms in this process; close some")
        self._loading += 1
        try:
            await self._runtime.store.load(room, metadata)
        finally:
            self._loading -= 1
        self._rooms[room.id] = room
        try:
            if room.orchestration is not None:
                self._runtime.employ(room.orchestration, room.id)
                room.attach(*room.orchestration.agents())
                await room.orchestration.install(self._runtime, room.id)
        except BaseException:
            self._gone(room)
            raise
        return room

    def _gone(self, room: Room) -> None:
        """Nothing of a room is left in this process, unless there is another one of its name."""
        if self._rooms.get(room.id) is not room:
            return
        del self._rooms[room.id]
        self._runtime.hooks.forget(room.id)
        self._runtime.tasks.unregister(room.id)
        for channel in room.channels:
            self._unbind(room, channel)

    async def close(self, name: str) -> None:
        """End a room, its talk, and its conversation; also when who asked for it is gone before that is done."""
        room = self._rooms.get(name)
        if room is None and name not in self._sessions:
            return await self._ended(name)
        if room is not None:
            self._gone(room)
        ending = self._group.create_task(self._end(name, self._ending.get(name)), name=f"end of room {name}")
        self._ending[name] = ending
        ending.add_done_callback(lambda _: self._ending.pop(name) if self._ending.get(name) is ending else None)
        await asyncio.wait([ending])
        if error := None if ending.cancelled() else ending.result():
            raise error
        return None

    async def _end(self, name: str, before: asyncio.Task[Exception | None] | None) -> Exception | None:
        """Why what is kept of it cannot be deleted, if it cannot."""
        if before is not None:
            await asyncio.wait([before])
        if session := self._sessions.get(name):
            session.close()
            await session.closed.wait()
        try:
            await self._runtime.store.forget(name)
        except Exception as error:
            return error
        return None

    async def enter(self, name: str) -> Session:
        """A room's live talk, begun if there is none. Voices take the room over from those who write.

        Raises RoomError when it cannot be, RoomElsewhereError when another process has it.
        """
        while True:
            room = await self.get(name)
            self._runtime.check_open()
            session = self._sessions.get(name) or self._begin(room, written=False)
            if session.written:
                await session.give_way()
            if await self._opened(session):
                return session

    async def enter_written(self, room: Room) -> Session:
        """The live talk of a room for those who write; begun if there is none. Raises like `enter`, and RoomError when
        the room was closed."""
        while True:
            self._runtime.check_open()
            if self._rooms.get(room.id) is not room:
                raise RoomError(f"room {room.id!r} was closed")
            session = self._sessions.get(room.id) or self._begin(room, written=True)
            if await self._opened(session):
                return session

    async def _opened(self, session: Session) -> bool:
        """Whether it can be entered, once that is known. False: it is over."""
        if not session.closing:
            await asyncio.shield(session.opened)
        if session.closing:
            await session.closed.wait()
            return False
        return True

    def beside(self, work: Coroutine[Any, Any, object]) -> None:
        """Let it run beside what goes on. What it raises is logged."""
        self._runtime.beside(work)

    # -- channels of those who write

    def bind(self, room: Room, binding: Binding) -> None:
        """A channel is in the room from now on. Raises ValueError when one of its id is."""
        if binding.id in room.channels or binding.id in room.agents:
            raise ValueError(f"channel: {binding.id!r} is in room {room.id!r} already; detach_channel it first")
        room.channels[binding.id] = binding
        self._bound.setdefault(binding.id, {})[room.id] = None

    def unbind(self, room: Room, channel_id: str) -> None:
        """A channel is in the room no more. Raises ValueError when it was not."""
        if room.channels.pop(channel_id, None) is None:
            raise ValueError(f"channel: there is no {channel_id!r} in room {room.id!r}")
        self._unbind(room, channel_id)
        if session := self._sessions.get(room.id):
            session.readers.gone(channel_id)
        room.senders = {sender: by for sender, by in room.senders.items() if by != channel_id}

    def _unbind(self, room: Room, channel_id: str) -> None:
        rooms = self._bound.get(channel_id, {})
        rooms.pop(room.id, None)
        if not rooms:
            self._bound.pop(channel_id, None)

    def reached_by(self, channel_id: str) -> list[str]:
        """The rooms in which a channel is."""
        return list(self._bound.get(channel_id, ()))

    def _begin(self, room: Room, *, written: bool) -> Session:
        session = self._sessions[room.id] = Session(self._runtime, room, None if written else self._channels)
        talk = self._group.create_task(self._run(session), name=f"room {room.id}")
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        return session

    async def _run(self, session: Session) -> None:
        room = session.room
        why = RoomError(f"room {room.id!r} cannot be opened: it was closed")
        broken = False
        try:
            await session.run()
            if room.passing:
                await self._forget(room)
        except RoomHeldError as held:
            why = RoomElsewhereError(room.id, held.holder.address)
        except Exception as error:
            broken = True
            log.exception("room %s: its talk broke off", room.id)
            why = RoomError(f"room {room.id!r} cannot be opened: {_first(error)}")
        finally:
            session.failed(why)
            del self._sessions[room.id]
            if room.passing:
                self._gone(room)
            session.closed.set()
        if broken:
            asyncio.get_running_loop().call_later(AGAIN, self._begin_for_readers, room)
        elif not session.written:
            self._begin_for_readers(room)

    def _begin_for_readers(self, room: Room) -> None:
        """Who reads in a room where nobody talks any more is told what is still owed."""
        there = not self._closing and self._rooms.get(room.id) is room and room.id not in self._sessions
        if there and any(binding.reads for binding in room.channels.values()):
            self._begin(room, written=True)

    async def _forget(self, room: Room) -> None:
        """The conversation of a room that goes with its talk is over: the next callers are others."""
        try:
            async with asyncio.timeout(LAST_WORDS / 3):
                await self._runtime.store.forget(room.id)
        except (StoreError, TimeoutError) as error:
            log.warning("room %s: what is kept of it could not be deleted: %r", room.id, error)


def _first(error: Exception) -> Exception:
    """What went wrong first in a group of errors."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
