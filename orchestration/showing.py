"""Showing: what the pages of a room see of its talk: whose words are heard, who has the conversation, how work goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from delivery.ledger import Delivery, Status
from orchestration.authors import Authors
from orchestration.panel import Panel, UtteranceRole
from orchestration.room import Room
from orchestration.standing import TaskNews
from orchestration.state import StateError
from orchestration.workers.rounds import round_of
from voice.channel import Channel, Utterance
from voice.events import Event, SpeakingEnded, SpeakingHeard
from voice.floor import FloorChanged

log = logging.getLogger("sottovoce.session")


class Showing:
    """Of one room's talk, from `begin` to `end`. A talk that is written is never begun here: nobody sees a page there.

    `panel` is what is shown.
    """

    def __init__(self, room: Room) -> None:
        self.panel = Panel(self._send)
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._channel: Channel | None = None
        self._utterances: dict[str, tuple[Utterance, UtteranceRole, tuple[str, ...], Authors]] = {}

    def begin(self, channel: Channel) -> None:
        """Show it to those who are on this channel."""
        self._channel = channel

    def end(self) -> None:
        """Show nothing more."""
        self._channel = None

    def event(self, event: Event | FloorChanged, at: float) -> None:
        """Something happened on the channel, at so many loop seconds."""
        self.panel.event(event, at)
        match event:
            case SpeakingHeard(id, _) | SpeakingEnded(id, _):
                self._utterance(id)
            case _:
                pass

    def utterance(
        self, utterance: Utterance, kind: UtteranceRole, deliveries: tuple[str, ...], authors: Authors
    ) -> None:
        """An utterance of these agents begins, with these deliveries in it."""
        if self._channel is not None:
            self._utterances[utterance.id] = (utterance, kind, deliveries, authors)
            self._utterance(utterance.id)
            self.holder()

    def handoff(
        self, giver: str | None, taker: str | None, place: tuple[str, int] | None, *, back: bool = False
    ) -> None:
        """An agent gave the conversation to another one, or (`back`) did not take it; None: a person.

        `place`: in which utterance, after how many characters.
        """
        if self._channel is None:
            return
        giver, taker = (id and self._room.called(id) for id in (giver, taker))
        utterance, chars = place or (None, 0)
        self.panel.handoff(giver, taker, utterance, chars, back=back, at=self._loop.time())
        self.holder()

    def holder(self) -> None:
        """Who has the conversation, where that may change."""
        room = self._room
        try:
            talker = room.talker
        except StateError:
            return  # it is put right, and logged, with the next turn
        if self._channel is not None and (len(room.agents) > 1 or (room.agents and talker is None)):
            self.panel.holder(room.called(talker.id) if talker else None, at=self._loop.time())

    def task(self, news: TaskNews) -> None:
        """A task of this room got on."""
        if self._channel is None:
            return
        id = f"{news.task.id}/{news.part}" if news.part else news.task.id
        self.panel.task(
            id,
            news.label if news.part else news.task.input,
            news.status.value,
            parent=news.task.id if news.part else None,
            round=round_of(news.part),
            progress=news.progress,
            at=self._loop.time(),
        )

    def delivery(self, delivery: Delivery, status: Status, reason: str, heard: int) -> None:
        """A delivery of this room got on; `heard`: characters of it."""
        if self._channel is None:
            return
        self.panel.delivery(
            delivery.id,
            str(delivery.metadata.get("input", "")),
            status.value,
            reason=reason,
            heard_chars=heard,
            length=len(delivery.content),
            task=delivery.task,
            at=self._loop.time(),
        )

    def _utterance(self, id: str) -> None:
        if id in self._utterances:
            utterance, kind, deliveries, authors = self._utterances[id]
            agents = [(start, self._room.called(agent)) for start, agent in authors.begun]
            self.panel.utterance(id, utterance.text, kind, deliveries, agents, at=self._loop.time())
            if utterance.done:
                del self._utterances[id]

    def _send(self, kind: str, payload: Mapping[str, Any]) -> None:
        if self._channel is None:
            return
        try:
            self._channel.send_panel(kind, payload)
        except Exception:
            log.exception("room %s: a page could not be shown %s", self._room.id, kind)
