"""Rooms: which there are in this process, and the live talk in each. What goes wrong in one room stays in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

from delivery.ledger import RoomHeldError
from orchestration.room import Room
from orchestration.session import Session
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
        self._talks: set[asyncio.Task[None]] = set()
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One a name: to make a room may take long, and may make others."""
        self._group: asyncio.TaskGroup
        self._channels: ChannelFactory

    def open(self, group: asyncio.TaskGroup, channels: ChannelFactory) -> None:
        """Talks can begin."""
        self._group, self._channels = group, channels

    async def aclose(self) -> None:
        """End all talks, and wait for them."""
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

    async def create(self, room: Room) -> Room:
        """Make a room. Raises RoomError when there is one of its name, or too many."""
        async with self._lock(room.id):
            if room.id in self._rooms:
                raise RoomError(f"room_id: the room {room.id!r} exists already; use get_room")
            return await self._make(room)

    async def get(self, name: str) -> Room:
        """A room; made when there is none, and gone again when its talk is over."""
        async with self._lock(name):
            runtime = self._runtime
            return self._rooms.get(name) or await self._make(
                Room(name, runtime.delivery, runtime.orchestration, passing=True)
            )

    def _lock(self, name: str) -> asyncio.Lock:
        return self._making.setdefault(name, asyncio.Lock())

    async def _make(self, room: Room) -> Room:
        self._runtime.check_open()
        if len(self._rooms) >= MAX_ROOMS:
            raise TooManyRoomsError(f"there are {MAX_ROOMS} rooms in this process; close some")
        self._rooms[room.id] = room
        try:
            if room.orchestration is not None:
                self._runtime.employ(room.orchestration)
                await room.orchestration.install(self._runtime, room.id)
        except BaseException:
            del self._rooms[room.id]
            raise
        return room

    async def close(self, name: str) -> None:
        """End a room and its talk."""
        self._rooms.pop(name, None)
        if session := self._sessions.get(name):
            session.close()
            await session.closed.wait()

    async def enter(self, name: str) -> Session:
        """A room's live talk; begun if there is none.

        Raises RoomError when it cannot be, RoomElsewhereError when another process has it.
        """
        while True:
            room = await self.get(name)
            self._runtime.check_open()
            session = self._sessions.get(name) or self._begin(room)
            if not session.closing:
                await asyncio.shield(session.opened)
            if not session.closing:
                return session
            await session.closed.wait()

    def _begin(self, room: Room) -> Session:
        session = self._sessions[room.id] = Session(self._runtime, room, self._channels)
        talk = self._group.create_task(self._run(session), name=f"room {room.id}")
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        return session

    async def _run(self, session: Session) -> None:
        name = session.room.id
        why = RoomError(f"room {name!r} cannot be opened: it was closed")
        try:
            await session.run()
        except RoomHeldError as held:
            why = RoomElsewhereError(name, held.holder.address)
        except Exception as error:
            log.exception("room %s: its talk broke off", name)
            why = RoomError(f"room {name!r} cannot be opened: {_first(error)}")
        finally:
            session.failed(why)
            del self._sessions[name]
            if session.room.passing and self._rooms.get(name) is session.room:
                del self._rooms[name]
            session.closed.set()


def _first(error: Exception) -> Exception:
    """What went wrong first in a group of errors."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
