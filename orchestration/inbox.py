"""The inbox: what people write to a runtime's rooms waits here until it is answered, whatever becomes of the talk
meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

from orchestration.event import RoomEvent
from orchestration.inbound import InboundMessage, InboundResult
from orchestration.room import Room
from orchestration.room_trouble import RoomClosingError, RoomError, TooManyMessagesError
from voice.events import Turn

if TYPE_CHECKING:
    from orchestration.rooms import Rooms
    from orchestration.session import Session

log = logging.getLogger("sottovoce.rooms")

MAX_WAITING = 200
"""Most messages of a room that wait to be answered, so that a flood neither fills the memory nor keeps others waiting
for hours."""
MAX_WAITING_EACH = 50
"""Most of one sender, so that a flood of theirs leaves room for the others."""
MAX_TALKS = 5
"""Talks in which a message is taken up: one talk may end for another to begin, when voices come into a room of people
who write; but not for ever."""


class Written:
    """A message on its way. `event` is what it is in the room, once hooks let it in; `said`: others know of it."""

    __slots__ = ("_over", "_talk", "_watching", "before", "event", "message", "said", "turn")

    def __init__(self, message: InboundMessage, at: float, before: Written | None) -> None:
        """`before`: the one that came before it into the room, if that is on its way, too."""
        self.message = message
        self.turn = Turn(f"message-{uuid4().hex[:12]}", message.sender_id, message.content.body, at, at)
        self.event: RoomEvent | None = None
        self.said = False
        self.before = before
        self._talk: Session | None = None
        self._over = False
        self._watching: asyncio.Event | None = None

    def move(self, talk: Session | None) -> None:
        """It is in this talk, or (None) at its end."""
        self._talk, self._over = talk, talk is None
        if self._over:
            self.before = None
        if self._watching is not None:
            self._watching.set()

    async def in_order(self, talk: Session) -> None:
        """Returns when the one before it is in this talk too, or at its end; or when this talk is ending."""
        while (before := self.before) and not before._over and before._talk is not talk and not talk.closing:
            before._watching = before._watching or asyncio.Event()
            before._watching.clear()
            await before._watching.wait()


class Inbox:
    """`open` gives it a task group to live in; `close` ends what waits still."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._waiting: dict[str, Counter[str]] = {}
        """How many wait, by room and sender."""
        self._last: dict[str, Written] = {}
        """The newest on its way into each room."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup

    def open(self, group: asyncio.TaskGroup) -> None:
        """Messages can be taken."""
        self._group = group

    def close(self) -> None:
        """Nothing more is answered."""
        for task in self._tasks:
            task.cancel()

    async def take(self, room: Room, message: InboundMessage) -> InboundResult:
        """Have a message answered; returns when it was. Being cancelled does not take it back.

        Raises TooManyMessagesError when too many wait already, RoomError when the room is closed before it was
        answered, or its talk cannot begin.
        """
        loop = asyncio.get_running_loop()
        self._enter(room.id, message.sender_id)
        written = self._last[room.id] = Written(message, loop.time(), self._last.get(room.id))
        told: asyncio.Future[InboundResult | RoomError] = loop.create_future()

        def tell(result: InboundResult | RoomError) -> None:
            if task in self._tasks:
                self._tasks.discard(task)
                self._leave(room.id, written)
                if not told.done():  # who asked may have gone
                    told.set_result(result)

        async def answer() -> None:
            tell(await self._answered(room, written))

        task = self._group.create_task(answer(), name=f"answer to {written.turn.id}")
        self._tasks.add(task)
        closed = RoomError("the runtime was closed before the message was answered")
        task.add_done_callback(lambda _: tell(closed))
        result = await told
        if isinstance(result, RoomError):
            raise result
        return result

    async def _answered(self, room: Room, written: Written) -> InboundResult | RoomError:
        """The result, or why there is none: nothing that a message does may end more than its own answer."""
        try:
            for _ in range(MAX_TALKS):
                session = await self._rooms.enter_written(room)
                await written.in_order(session)
                written.move(session)
                try:
                    return await session.take(written)
                except RoomClosingError:
                    continue
            return RoomError(f"room {room.id!r}: its talk ended {MAX_TALKS} times before the message was answered")
        except RoomError as error:
            return error
        except Exception as error:
            log.exception("room %s: message %s is not answered", room.id, written.turn.id)
            return RoomError(f"room {room.id!r}: the message cannot be answered: {type(error).__name__}")

    def _enter(self, room: str, sender: str) -> None:
        waiting = self._waiting.setdefault(room, Counter())
        if waiting[sender] >= MAX_WAITING_EACH:
            raise TooManyMessagesError(
                f"sender_id: {MAX_WAITING_EACH} messages of {sender!r} wait in room {room!r}; send more when one is "
                "answered"
            )
        if waiting.total() >= MAX_WAITING:
            raise TooManyMessagesError(f"{MAX_WAITING} messages wait in room {room!r}; send more when one is answered")
        waiting[sender] += 1

    def _leave(self, room: str, written: Written) -> None:
        written.move(None)
        if self._last.get(room) is written:  # a newer one may have been and gone: a hook refused it
            del self._last[room]
        waiting, sender = self._waiting[room], written.message.sender_id
        waiting[sender] -= 1
        if not waiting[sender]:
            del waiting[sender]
        if not waiting:
            del self._waiting[room]
