"""Hosting: what a Runtime does with rooms: makes them, has callers, agents and channels in them, and ends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import uuid4

from delivery.strategies import Strategy, resolve
from orchestration.agent import Agent
from orchestration.event import known
from orchestration.identity import valid_name
from orchestration.inbound import ChannelCategory, InboundMessage, InboundResult
from orchestration.parts import Parts
from orchestration.room import Room
from orchestration.room_trouble import RoomElsewhereError, RoomError
from orchestration.session import Session
from orchestration.strategies.orchestration import Orchestration, known_orchestration
from orchestration.text_channel import Binding, TextChannel
from voice.leg import Leg


class Hosting(Parts):
    """A part of Runtime."""

    async def create_room(
        self,
        room_id: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        orchestration: Orchestration | Literal["default"] | None = "default",
        delivery: Strategy | str | None = None,
    ) -> Room:
        """Make a room; `orchestration` and `delivery` override the runtime's (None: no orchestration).

        A room is one conversation: what was said in it is remembered until `close_room`, also after a restart, when a
        room of that name takes up its `metadata` (plain data) and its state again. Raises ValueError for a bad name,
        strategy or metadata, RoomError when it exists or there are too many, StoreError.
        """
        name = valid_name(room_id if room_id is not None else uuid4().hex[:12], "room_id")
        chosen = self.orchestration if orchestration == "default" else known_orchestration(orchestration)
        strategy = self.delivery if delivery is None else resolve(delivery)
        self.check_open()
        return await self._rooms.create(Room(name, strategy, chosen), metadata or {})

    def employ(self, orchestration: Orchestration, room_id: str) -> None:
        """Make the workers of a room's orchestration known. Raises ValueError when one has the id of another there."""
        if orchestration is not self.orchestration:
            self.tasks.register(*orchestration.workers(), room=room_id)

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
        """End the room and its conversation: callers are hung up on; what is owed stays in the ledger.

        Raises StoreError when what is kept of it cannot be deleted now.
        """
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

    # -- agents and channels

    async def attach_agent(self, room_id: str, agent: Agent) -> None:
        """Have an agent in the room, beside those of its orchestration. Raises RoomError, TypeError, ValueError."""
        if not isinstance(agent, Agent):
            raise TypeError(f"agent: {agent!r:.60} is no Agent")
        room = self.room(valid_name(room_id, "room_id"))
        if agent.id in room.channels:
            raise ValueError(f"agent: a channel of room {room.id!r} has the id {agent.id!r}; ids must differ")
        room.attach(agent)

    async def attach_channel(
        self,
        room_id: str,
        channel: TextChannel,
        *,
        category: ChannelCategory | str = ChannelCategory.TRANSPORT,
        visibility: str = "all",
        metadata: Mapping[str, Any] | None = None,
    ) -> Binding:
        """Have a channel in the room over which people or programs write and read; see `Binding` for the rest.

        A room in which somebody reads begins its talk: what is owed is written to them. Raises TypeError and ValueError
        naming what is wrong, RoomError when there is no such room or its talk cannot begin; the channel is not there
        then.
        """
        if not isinstance(channel, TextChannel):
            raise TypeError(f"channel: {channel!r:.60} is no TextChannel; agents come by attach_agent")
        room = self.room(valid_name(room_id, "room_id"))
        binding = Binding(channel, known(ChannelCategory, "category", category), visibility, metadata or {})
        self._rooms.bind(room, binding)
        if binding.reads:
            try:
                session = await self._rooms.enter_written(room)
            except RoomElsewhereError:
                return binding  # callers there are told by the process that has the room
            except BaseException:
                if room.channels.get(binding.id) is binding:
                    self._rooms.unbind(room, binding.id)
                raise
            if room.channels.get(binding.id) is binding:
                session.readers.come(binding)
        return binding

    async def detach_channel(self, room_id: str, channel_id: str) -> None:
        """Have a channel in the room no more. Raises RoomError, ValueError when it is not there."""
        self._rooms.unbind(self.room(valid_name(room_id, "room_id")), channel_id)

    async def process_inbound(self, message: InboundMessage, *, room_id: str | None = None) -> InboundResult:
        """Somebody wrote: have it answered; returns when the answer was handed on. Cancelling takes nothing back.

        `room_id` is needed when its channel is in several rooms. Raises TypeError for what is no message, RoomError
        when the channel is in no room, or the room was closed meanwhile, TooManyMessagesError when so many wait there
        that this one is not taken, RoomElsewhereError when another process has the room.
        """
        if not isinstance(message, InboundMessage):
            raise TypeError(f"message: {type(message).__name__} is no message; give an InboundMessage")
        self.check_open()
        room = self.room(self._room_of(message.channel_id, room_id))
        binding = room.channels.get(message.channel_id)
        if binding is None:
            raise RoomError(f"channel_id: {message.channel_id!r} is not in room {room.id!r}; attach_channel it")
        if binding.category is not ChannelCategory.TRANSPORT:
            raise RoomError(f"channel_id: {message.channel_id!r} only looks on in room {room.id!r}")
        return await self._rooms.inbox.take(room, message)

    def _room_of(self, channel_id: str, room_id: str | None) -> str:
        if room_id is not None:
            return valid_name(room_id, "room_id")
        rooms = self._rooms.reached_by(channel_id)
        if not rooms:
            raise RoomError(f"channel_id: {channel_id!r} is in no room; attach_channel puts it into one")
        if len(rooms) > 1:
            raise RoomError(f"room_id: {channel_id!r} is in {len(rooms)} rooms; say in which this was written")
        return rooms[0]

    # -- what the other parts ask

    def reachable(self, room_id: str) -> str:
        """The name of a room that there is, or can be."""
        name = valid_name(room_id, "room_id")
        self.check_open()
        self.admits(name)
        return name

    def delivery_of(self, room_id: str) -> Strategy:
        room = self._rooms.find(room_id)
        return room.delivery if room else self.delivery
