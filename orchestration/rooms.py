"""Rooms: which there are in this process, and the live talk in each. What goes wrong in one room stays in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from delivery.ledger import RoomHeldError
from orchestration.room import Room
from orchestration.session import Session
from orchestration.store.trouble import StoreError
from orchestration.text_channel import Binding
from voice.channel import Channel
from voice.leg import Leg

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.rooms")

MAX_ROOMS = 10_000
"""Most rooms in one process."""
LAST_WORDS = 15.0
"""Seconds that rooms may take to close; one that takes longer (its ledger is away) is broken off."""


class LiveChannel(Channel, Protocol):
    """A channel that callers can be put on."""

    async def serve(self, leg: Leg) -> None:
        """Have the caller of this leg in the room until the leg ends."""
        ...


ChannelFactory = Callable[[Room], AbstractAsyncContextManager[LiveChannel]]


class RoomError(Exception):
    """A room cannot be used; the message says why and what to do."""


class TooManyRoomsError(RoomError):
    """There are as many rooms as one process may have."""


class RoomElsewhereError(RoomError):
    """Another process has the room, and its callers: send them to `address` (None: they cannot be sent there)."""

    def __init__(self, room: str, address: str | None) -> None:
        super().__init__(f"room {room!r} is open in another process" + (f": go to {address}" if address else ""))
        self.room = room
        self.address = address


class Rooms:
    """A runtime's rooms by name. `open` gives their talks a task group to live in and channels to talk over."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rooms: dict[str, Room] = {}
        self._sessions: dict[str, Session] = {}
        self._bound: dict[str, dict[str, None]] = {}
        """The rooms in which a text channel is."""
        self._talks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One a name: to make a room may take long, and may make others."""
        self._group: asyncio.TaskGroup
        self._channels: ChannelFactory

    def open(self, group: asyncio.TaskGroup, channels: ChannelFactory) -> None:
        """Talks can begin."""
        self._group, self._channels, self._closing = group, channels, False

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
            if room.id in self._rooms:
                raise RoomError(f"room_id: the room {room.id!r} exists already; use get_room")
            return await self._make(room, metadata)

    async def get(self, name: str) -> Room:
        """A room; made when there is none, and gone again when its talk is over."""
        async with self._lock(name):
            runtime = self._runtime
            return self._rooms.get(name) or await self._make(
                Room(name, runtime.delivery, runtime.orchestration, passing=True), {}
            )

    def _lock(self, name: str) -> asyncio.Lock:
        return self._making.setdefault(name, asyncio.Lock())

    async def _make(self, room: Room, metadata: Mapping[str, Any]) -> Room:
        self._runtime.check_open()
        if len(self._rooms) >= MAX_ROOMS:
            raise TooManyRoomsError(f"there are {MAX_ROOMS} rooms in this process; close some")
        await self._runtime.store.load(room, metadata)
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
        """End a room, its talk, and its conversation."""
        room = self._rooms.get(name)
        if room is not None:
            self._gone(room)
        if session := self._sessions.get(name):
            session.close()
            await session.closed.wait()
        if room is not None:
            await self._runtime.store.forget(name)

    async def enter(self, name: str, *, written: bool = False) -> Session:
        """A room's live talk; begun if there is none. Voices take the room over from those who write.

        Raises RoomError when it cannot be, RoomElsewhereError when another process has it.
        """
        while True:
            room = await self.get(name)
            self._runtime.check_open()
            session = self._sessions.get(name) or self._begin(room, written=written)
            if session.written and not written:
                session.close()
            if not session.closing:
                await asyncio.shield(session.opened)
            if not session.closing:
                return session
            await session.closed.wait()

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
            session.not_read_by(channel_id)

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
        orderly = False
        try:
            await session.run()
            orderly = True
            if room.passing:
                await self._forget(room)
        except RoomHeldError as held:
            why = RoomElsewhereError(room.id, held.holder.address)
        except Exception as error:
            log.exception("room %s: its talk broke off", room.id)
            why = RoomError(f"room {room.id!r} cannot be opened: {_first(error)}")
        finally:
            session.failed(why)
            del self._sessions[room.id]
            if room.passing:
                self._gone(room)
            session.closed.set()
        readers = any(binding.reads for binding in room.channels.values())
        if orderly and readers and not session.written and not self._closing and self._rooms.get(room.id) is room:
            self._begin(room, written=True)  # who reads is told what is still owed

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
