"""A Session: one room's live talk, heard or written, from its first caller to a while after its last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from delivery.desk import Desk, Refuse
from delivery.ledger import Delivery, Status
from delivery.message import Message
from delivery.signals import Settled
from orchestration.authors import Authors
from orchestration.broadcast import Undelivered
from orchestration.conversation import Conversation
from orchestration.event import RoomEvent
from orchestration.hooks import HookTrigger
from orchestration.inbound import ChannelCategory, ChannelType, InboundMessage, InboundResult
from orchestration.inbox import Written
from orchestration.oversight import Oversight
from orchestration.panel import UtteranceRole
from orchestration.readers import Readers
from orchestration.room import Room
from orchestration.room_trouble import RoomClosingError
from orchestration.showing import Showing
from orchestration.tasks import TaskNews
from voice.channel import Utterance
from voice.events import Event, Joined, Left, Turn
from voice.floor import FloorChanged
from voice.leg import Leg
from voice.written import WrittenChannel, WrittenUtterance

if TYPE_CHECKING:
    from orchestration.rooms import ChannelFactory, LiveChannel
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.session")

LINGER = 60.0
"""Seconds for which a room without callers is kept as it was, for who comes back soon."""

GIVE_WAY = 5.0
"""Seconds that who comes to talk aloud waits for a tool whose result somebody who wrote is to be told."""


class _Over(Exception):  # noqa: N818 - it is an end, not an error
    """The talk is over."""


class Session:
    """`run` is its life; `opened` is done when callers can come in, `closed` set when it is over.

    `channels` makes the channel of those who are heard; None: all in this talk write and read.
    """

    def __init__(self, runtime: Runtime, room: Room, channels: ChannelFactory | None) -> None:
        self.room = room
        self.runtime = runtime
        self.written = channels is None
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.closed = asyncio.Event()
        self.channel: LiveChannel | WrittenChannel
        self.conversation: Conversation
        self.desk: Desk
        self.shown = Showing(room)
        self.readers = Readers(room, self._watch_empty)
        self._channels: Callable[[Room], AbstractAsyncContextManager[LiveChannel | WrittenChannel]]
        self._channels = channels or self._writing
        self._answering = 0
        self._close = asyncio.Event()
        self._live = False
        self._group: asyncio.TaskGroup
        self._oversight: Oversight
        self._legs: set[asyncio.Task[None]] = set()
        self._empty: asyncio.TimerHandle | None = None

    @property
    def closing(self) -> bool:
        """No caller can come in any more."""
        return self._close.is_set()

    @property
    def speaker(self) -> str | None:
        """The caller who is being answered."""
        return self.conversation.speaker if self._live else None

    def close(self) -> None:
        """End it soon."""
        self._close.set()

    async def give_way(self) -> None:
        """End it for another talk to begin: not in the middle of a tool that would then be called again, if that is
        done soon."""
        if self._live and not self.closing:
            await self.conversation.settle(GIVE_WAY)
        self.close()

    async def run(self) -> None:
        """Take the room, talk until it is closed, empty for long, or taken by another process.

        Raises RoomHeldError when another process has it, LedgerError when the ledger cannot be asked.
        """
        epoch = await self.runtime.presence.take_room(self.room.id)
        try:
            await self._live_in(epoch)
        finally:
            await self.runtime.presence.leave_room(self.room.id, epoch)

    async def _live_in(self, epoch: int) -> None:
        async with self._channels(self.room) as self.channel:
            try:
                async with asyncio.TaskGroup() as self._group:
                    await self._talk(epoch)
                    raise _Over  # legs, replies and tools that still are there end with the talk
            except* _Over:
                pass
            finally:
                self._live = False
                self.shown.end()
                self._close.set()
                if self._empty:
                    self._empty.cancel()

    async def _talk(self, epoch: int) -> None:
        """Have the desk and the agent talk until there is a reason to end it; what was heard until then is written."""
        await self.runtime.store.refresh(self.room, epoch)
        self.conversation = Conversation(self, self.channel, self._group)
        self._oversight = Oversight(self.runtime, self.room, self._group, spoken=not self.written)
        desk = Desk(
            self.room.id,
            epoch,
            self.channel,
            self.runtime.ledger,
            words=self.conversation,
            before=self._before,
            after=self._after,
            watcher=self._show_delivery,
            spoken=self._spoken,
            held=self.runtime.presence.held,
            when_lost=self.close,
        )
        stop_listening = None
        if isinstance(self.channel, WrittenChannel):  # nobody sees a page here
            self.readers.begin(self.channel)
        else:
            self.shown.begin(self.channel)
            stop_listening = self.channel.listen(self._hear)
        async with desk as self.desk:
            if not self.written:
                talk = self._group.create_task(self.conversation.run(), name="talk")
                talk.add_done_callback(lambda _: self.close())
            self._live = True
            self.shown.holder()
            for running in self.runtime.tasks.running(self.room.id):
                self.shown.task(TaskNews(running.task, "", running.label, running.status))
            for binding in self.room.channels.values():
                self.readers.come(binding)
            self._watch_empty()
            self.opened.set_result(None)
            await self._close.wait()
            self.conversation.hush("hang_up")
        if stop_listening:
            stop_listening()

    def failed(self, error: Exception) -> None:
        """It is over, or never began: whoever waits for it is told."""
        self._close.set()
        if not self.opened.done():
            self.opened.set_exception(error)
            self.opened.exception()  # whoever asked may have gone

    async def serve(self, leg: Leg) -> bool:
        """Have a caller in the room until their leg ends, or the room closes. False: it was closing before they came.

        Raises what the channel raises; the others in the room are not disturbed.
        """
        if self.closing:
            return False
        broken: list[Exception] = []

        async def sit() -> None:
            try:
                if not isinstance(self.channel, WrittenChannel):
                    await self.channel.serve(leg)
            except Exception as error:
                broken.append(error)

        self.shown.panel.caller(leg.caller.id, leg.caller.name)
        task = self._group.create_task(sit(), name=f"leg of {leg.caller.id}")
        self._legs.add(task)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        finally:
            self._legs.discard(task)
            self._watch_empty()
        if broken:
            raise broken[0]
        return True

    async def take(self, written: Written) -> InboundResult:
        """Have a message answered; returns when it was. Raises RoomClosingError when the talk ends before."""
        message, turn = written.message, written.turn
        self._answering += 1
        try:
            binding = self.room.channels.get(message.channel_id)
            if binding is not None and binding.reads:
                self.readers.wrote(turn.caller, binding)
            if isinstance(self.channel, WrittenChannel):
                self.channel.take(turn)
            event, reply = await self.conversation.answer(turn, written)
            said = await reply.told() if reply else None
        except Refuse as refusal:
            return InboundResult(None, None, str(refusal))
        finally:
            self._answering -= 1
            if not self._answering:
                self._watch_empty()
        if reply is None or said is not None or reply.refused:
            return InboundResult(event, said, reply.refused if reply else "")
        if self.closing:
            raise RoomClosingError(f"room {self.room.id!r} was closed before message {turn.id} was answered")
        return InboundResult(event, None)

    def carry(self, delivery: str) -> bool:
        """The reply for which the running tool was called carries this delivery. False: that reply is over."""
        if not self._live or not self.conversation.carry(delivery):
            return False
        self.desk.carry(delivery)
        return True

    def _watch_empty(self) -> None:
        """Close when nobody has been here for a while."""
        if self._empty:
            self._empty.cancel()
            self._empty = None
        if not self.closing and self._deserted:
            self._empty = self._loop.call_later(LINGER, self._close_if_empty)

    @property
    def _deserted(self) -> bool:
        """Nobody is here, and nobody's message is being answered."""
        return not self._legs and not self.channel.callers and not self._answering

    def _close_if_empty(self) -> None:
        if self._deserted:
            self.close()

    # -- seams to the runtime's hooks

    async def admit(self, turn: Turn, message: InboundMessage | None) -> RoomEvent | None:
        """What the turn is in the room, after the hooks. Raises Refuse for a written one that must not be seen."""
        try:
            event = await self._event_of(turn, message)
            return event and await self.runtime.broadcast.before(event)
        except Refuse as refusal:
            if message is not None:
                self.channel.settle(turn)
                raise
            log.info("room %s: turn %s is not answered: %s", self.room.id, turn.id, refusal)
            return None

    async def _event_of(self, turn: Turn, message: InboundMessage | None) -> RoomEvent | None:
        if message is not None:
            binding = self.room.channels.get(message.channel_id)
            kind = binding.channel.type if binding else ChannelType.WEBSOCKET  # it was just detached
            return RoomEvent.of(message, id=turn.id, room=self.room.id, channel_type=kind)
        facts = {"caller": turn.caller, "confidence": turn.confidence}
        text = await self.runtime.fire(HookTrigger.ON_TRANSCRIPTION, self.room.id, turn.id, turn.text, facts)
        if not text.strip():
            return None
        return RoomEvent.heard(turn, self.room.id, text)

    def tell(self, event: RoomEvent) -> None:
        """Something was said: hooks are told, the timeline has it, and channels see it that have not got it yet."""
        self.runtime.broadcast.after(event)
        self.runtime.store.note(event)
        if not self.written or event.category is ChannelCategory.TRANSPORT:
            self.runtime.broadcast.show(self.room, event)

    def oversee(self, agent: str, event: RoomEvent) -> None:
        """An agent sees what another one answers."""
        self._oversight.see(agent, event)

    async def _write(self, utterance: WrittenUtterance) -> None:
        """Have what is said to those who read it. Raises when nobody got it, or a hook refuses it."""
        event = self.conversation.said.writing(utterance)
        if event is None:
            return
        try:
            event = await self.runtime.broadcast.before(event)
        except Refuse as refusal:
            self.conversation.said.refused(utterance, str(refusal) or "refused")
            raise
        try:
            await self.runtime.broadcast.send(self.room, event, self.readers.way_to(utterance.to))
        except Undelivered:
            if not self._fetched(utterance):
                raise
        self.conversation.said.written(utterance, event)

    def _fetched(self, utterance: WrittenUtterance) -> bool:
        """It answers somebody whose channel only brings messages: they get it from `process_inbound`."""
        asked = self.conversation.said.asked_by(utterance)
        binding = self.room.channels.get(asked.event.channel_id) if asked else None
        return binding is not None and binding.channel.send is None

    def _writing(self, room: Room) -> AbstractAsyncContextManager[WrittenChannel]:
        return WrittenChannel(self._write)

    def _spoken(self, utterance: Utterance, message: Message) -> None:
        facts: dict[str, Any] = {}
        for part in message.parts:
            if delivery := self.desk.delivery(part.delivery):
                facts |= delivery.metadata
        self.conversation.spoken(utterance, message, facts)

    async def _before(self, delivery: Delivery) -> str:
        facts = {**delivery.metadata, "strategy": delivery.strategy["name"], "to": delivery.to}
        return await self.runtime.fire(HookTrigger.BEFORE_DELIVER, self.room.id, delivery.id, delivery.content, facts)

    async def _after(self, settled: Settled) -> None:
        delivery = settled.delivery
        facts = {
            **delivery.metadata,
            "strategy": delivery.strategy["name"],
            "status": settled.status.value,
            "reason": settled.reason,
            "heard": settled.heard,
            "remainder": settled.remainder,
            "waited": settled.waited,
            "waits": dict(settled.waits),
            "error": settled.reason if settled.status is Status.DEAD else None,
        }
        await self.runtime.fire(HookTrigger.AFTER_DELIVER, self.room.id, delivery.id, delivery.content, facts)

    def settle_carried(self, delivery: str, heard: bool) -> None:
        """A delivery was told with a reply, and `heard` whole or not."""
        self.desk.carry(delivery, heard)

    def _hear(self, event: Event | FloorChanged, at: float) -> None:
        self.shown.event(event, at)
        match event:
            case Joined(caller):
                self.conversation.greet(caller)
            case Left():
                self._watch_empty()
            case _:
                pass

    # -- what pages are shown

    def noted(self, utterance: Utterance, kind: UtteranceRole, deliveries: tuple[str, ...], authors: Authors) -> None:
        """An utterance of these agents begins, with these deliveries in it."""
        self.shown.utterance(utterance, kind, deliveries, authors)

    def handed_over(self, giver: str | None, taker: str | None, *, back: bool = False) -> None:
        """An agent gave the conversation to another one, or (`back`) did not take it; None: a person."""
        if self._live:
            self.shown.handoff(giver, taker, self.conversation.place, back=back)

    def _show_delivery(self, delivery: Delivery, status: Status, reason: str, heard: int) -> None:
        self.shown.delivery(delivery, status, reason or self.desk.reason(delivery.id), heard)
