"""A Session: one room's live talk, from its first caller to a while after its last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from delivery.desk import Desk
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
    from orchestration.runtime import ChannelFactory, LiveChannel, Runtime

log = logging.getLogger("sottovoce.session")

LINGER = 60.0
"""Seconds for which a room without callers is kept as it was, for who comes back soon."""


class Session:
    """`run` is its life; `closed` is set when it is over."""

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
        self._legs: set[asyncio.Task[None]] = set()
        self._utterances: dict[str, tuple[Utterance, UtteranceRole, tuple[str, ...]]] = {}
        self._empty: asyncio.TimerHandle | None = None

    @property
    def closing(self) -> bool:
        """No caller can come in any more."""
        return self._close.is_set()

    def close(self) -> None:
        """End it soon."""
        self._close.set()

    async def run(self) -> None:
        """Take the room, talk until it is closed, empty for long, or taken by another process."""
        runtime, room = self._runtime, self.room
        epoch = await runtime.ledger.take_room(room.id, runtime.owner)
        async with self._channels(room) as self.channel:
            stop_listening = self.channel.listen(self._hear)
            self.conversation = Conversation(
                room, self.channel, rewrite=self._rewrite, noted=self._note, settle_carried=self._settle_carried
            )
            desk = Desk(
                room.id,
                epoch,
                self.channel,
                runtime.ledger,
                words=self.conversation,
                before=self._before,
                after=self._after,
                watcher=self._show_delivery,
                spoken=self.conversation.spoken,
            )
            async with desk as self.desk, asyncio.TaskGroup() as group:
                talk = group.create_task(self.conversation.run())
                lost = group.create_task(self.desk.lost.wait())
                close = group.create_task(self._close.wait())
                self._watch_empty()
                self.opened.set_result(None)
                await asyncio.wait([talk, lost, close], return_when=asyncio.FIRST_COMPLETED)
                self._close.set()
                for task in [talk, lost, close, *self._legs]:
                    task.cancel()
            stop_listening()
        if self._empty:
            self._empty.cancel()

    def failed(self, error: Exception) -> None:
        """It could not be opened, or broke off: whoever waits for it is told."""
        self._close.set()
        if not self.opened.done():
            self.opened.set_exception(error)

    async def serve(self, leg: Leg) -> None:
        """Have a caller in the room until their leg ends, or the room closes."""
        task = asyncio.ensure_future(self.channel.serve(leg))
        self._legs.add(task)
        try:
            await task
        except asyncio.CancelledError:
            if not self.closing:
                task.cancel()
                raise
        finally:
            self._legs.discard(task)
            self._watch_empty()

    def carry(self, delivery: str) -> None:
        """The reply under way carries this delivery."""
        if self.conversation.carry(delivery):
            self.desk.carry(delivery)

    def _watch_empty(self) -> None:
        """Close when nobody has been here for a while."""
        if self._empty:
            self._empty.cancel()
        self._empty = self._loop.call_later(LINGER, self._close_if_empty)

    def _close_if_empty(self) -> None:
        if not self._legs and not self.channel.callers:
            self.close()

    # -- seams to the runtime's hooks

    async def _rewrite(self, turn: Turn) -> str:
        facts = {"caller": turn.caller, "confidence": turn.confidence}
        return await self._runtime.fire(HookTrigger.ON_TRANSCRIPTION, self.room.id, turn.id, turn.text, facts)

    async def _before(self, delivery: Delivery) -> str:
        facts = {"strategy": delivery.strategy["name"], "to": delivery.to, **delivery.metadata}
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
        self.channel.send_panel(kind, payload)

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
