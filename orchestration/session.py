"""A Session: one room's live talk, from its first caller to a while after its last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from delivery.desk import Desk, Refuse
from delivery.ledger import Delivery, Status
from delivery.signals import Settled
from orchestration.conversation import Conversation
from orchestration.hooks import HookTrigger
from orchestration.panel import Panel, UtteranceRole
from orchestration.room import Room
from orchestration.tasks import TaskNews
from voice.channel import Utterance
from voice.events import Event, Joined, Left, SpeakingEnded, SpeakingHeard, Turn
from voice.floor import FloorChanged
from voice.leg import Leg

if TYPE_CHECKING:
    from orchestration.rooms import ChannelFactory, LiveChannel
    from orchestration.runtime import Runtime

log = logging.getLogger("sottovoce.session")

LINGER = 60.0
"""Seconds for which a room without callers is kept as it was, for who comes back soon."""


class _Over(Exception):  # noqa: N818 - it is an end, not an error
    """The talk is over."""


class Session:
    """`run` is its life; `opened` is done when callers can come in, `closed` set when it is over."""

    def __init__(self, runtime: Runtime, room: Room, channels: ChannelFactory) -> None:
        self.room = room
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.closed = asyncio.Event()
        self.channel: LiveChannel
        self.conversation: Conversation
        self.desk: Desk
        self.panel = Panel(self._send)
        self._runtime = runtime
        self._channels = channels
        self._close = asyncio.Event()
        self._live = False
        self._group: asyncio.TaskGroup
        self._legs: set[asyncio.Task[None]] = set()
        self._utterances: dict[str, tuple[Utterance, UtteranceRole, tuple[str, ...]]] = {}
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

    async def run(self) -> None:
        """Take the room, talk until it is closed, empty for long, or taken by another process.

        Raises RoomHeldError when another process has it, LedgerError when the ledger cannot be asked.
        """
        epoch = await self._runtime.presence.take_room(self.room.id)
        try:
            await self._live_in(epoch)
        finally:
            await self._runtime.presence.leave_room(self.room.id, epoch)

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
                self._close.set()
                if self._empty:
                    self._empty.cancel()

    async def _talk(self, epoch: int) -> None:
        """Have the desk and the agent talk until there is a reason to end it; what was heard until then is written."""
        self.conversation = Conversation(
            self.room,
            self.channel,
            self._group,
            rewrite=self._rewrite,
            noted=self._note,
            settle_carried=self._settle_carried,
        )
        desk = Desk(
            self.room.id,
            epoch,
            self.channel,
            self._runtime.ledger,
            words=self.conversation,
            before=self._before,
            after=self._after,
            watcher=self._show_delivery,
            spoken=self.conversation.spoken,
            held=self._runtime.presence.held,
        )
        stop_listening = self.channel.listen(self._hear)
        async with desk as self.desk:
            talk = self._group.create_task(self.conversation.run())
            lost = self._group.create_task(self.desk.lost.wait())
            close = self._group.create_task(self._close.wait())
            self._live = True
            for running in self._runtime.tasks.running(self.room.id):
                self.show_task(TaskNews(running.task, "", running.label, running.status))
            self._watch_empty()
            self.opened.set_result(None)
            talk.add_done_callback(lambda _: self.close())
            await asyncio.wait([lost, close], return_when=asyncio.FIRST_COMPLETED)
            self.close()
            self.conversation.hush("hang_up")
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
                await self.channel.serve(leg)
            except Exception as error:
                broken.append(error)

        self.panel.caller(leg.caller.id, leg.caller.name)
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
        if not self.closing:
            self._empty = self._loop.call_later(LINGER, self._close_if_empty)

    def _close_if_empty(self) -> None:
        if not self._legs and not self.channel.callers:
            self.close()

    # -- seams to the runtime's hooks

    async def _rewrite(self, turn: Turn) -> str:
        facts = {"caller": turn.caller, "confidence": turn.confidence}
        try:
            return await self._runtime.fire(HookTrigger.ON_TRANSCRIPTION, self.room.id, turn.id, turn.text, facts)
        except Refuse as refusal:
            log.info("room %s: turn %s is not answered: %s", self.room.id, turn.id, refusal)
            return ""

    async def _before(self, delivery: Delivery) -> str:
        facts = {**delivery.metadata, "strategy": delivery.strategy["name"], "to": delivery.to}
        return await self._runtime.fire(HookTrigger.BEFORE_DELIVER, self.room.id, delivery.id, delivery.content, facts)

    async def _after(self, settled: Settled) -> None:
        delivery = settled.delivery
        facts = {
            "strategy": delivery.strategy["name"],
            "status": settled.status.value,
            "reason": settled.reason,
            "heard": settled.heard,
            "remainder": settled.remainder,
            "waited": settled.waited,
            "waits": dict(settled.waits),
            "error": settled.reason if settled.status is Status.DEAD else None,
        }
        await self._runtime.fire(HookTrigger.AFTER_DELIVER, self.room.id, delivery.id, delivery.content, facts)

    def _settle_carried(self, delivery: str, heard: bool) -> None:
        self.desk.carry(delivery, heard)

    # -- the panel

    def _send(self, kind: str, payload: Mapping[str, Any]) -> None:
        if not self._live:
            return
        try:
            self.channel.send_panel(kind, payload)
        except Exception:
            log.exception("room %s: a page could not be shown %s", self.room.id, kind)

    def _hear(self, event: Event | FloorChanged, at: float) -> None:
        self.panel.event(event, at)
        match event:
            case SpeakingHeard(id, _) | SpeakingEnded(id, _):
                self._show_utterance(id)
            case Joined(caller):
                self.conversation.greet(caller)
            case Left():
                self._watch_empty()
            case _:
                pass

    def _note(self, utterance: Utterance, kind: UtteranceRole, deliveries: tuple[str, ...]) -> None:
        self._utterances[utterance.id] = (utterance, kind, deliveries)
        self._show_utterance(utterance.id)

    def _show_utterance(self, id: str) -> None:
        if id in self._utterances:
            utterance, kind, deliveries = self._utterances[id]
            self.panel.utterance(id, utterance.text, kind, deliveries, at=self._loop.time())
            if utterance.done:
                del self._utterances[id]

    def show_task(self, news: TaskNews) -> None:
        """A task of this room got on."""
        id = f"{news.task.id}/{news.part}" if news.part else news.task.id
        self.panel.task(
            id,
            news.label if news.part else news.task.input,
            news.status.value,
            parent=news.task.id if news.part else None,
            progress=news.progress,
            at=self._loop.time(),
        )

    def _show_delivery(self, delivery: Delivery, status: Status, reason: str, heard: int) -> None:
        self.panel.delivery(
            delivery.id,
            str(delivery.metadata.get("input", "")),
            status.value,
            reason=reason or self.desk.reason(delivery.id),
            heard_chars=heard,
            length=len(delivery.content),
            task=delivery.task,
            at=self._loop.time(),
        )
