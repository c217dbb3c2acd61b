"""Ours: the real scheduler and strategies, driven as `delivery.desk.Desk` drives them."""

from __future__ import annotations

import re

from delivery.ledger import Delivery, Entry, SpeakAs, Status
from delivery.scheduler import Scheduler
from delivery.signals import (
    Action,
    Audience,
    Begun,
    FloorMoved,
    Fold,
    FoldAnswered,
    Prepare,
    Ready,
    SchedulerEvent,
    Settled,
    Speak,
    SpeechOver,
    Stop,
    Submitted,
    TurnOver,
)
from delivery.strategies import Strategy
from tests.bench.floor.mouth import Utterance
from tests.bench.floor.room import CALLER, OURS, ROOM, Room
from tests.bench.floor.talk import Result
from tests.bench.floor.timeline import Alarm
from voice.ear_signals import VoiceOff, VoiceOn
from voice.events import Event, SpeakingStarted, TurnEnded
from voice.floor import Blocker, FloorChanged

RESERVED = 0.001
"""Seconds a ledger takes to reserve a delivery (measured: 0.4 ms)."""
_WORD = re.compile(r"\S+")


class Ours:
    """`agent`: the results are put into the agent's words, and folded into its replies; otherwise read out."""

    give_way = OURS

    def __init__(self, strategy: Strategy, *, agent: bool = True, fold: bool = True) -> None:
        self._strategy, self._agent, self._folds = strategy, agent, fold
        self._scheduler = Scheduler()
        self._results: dict[str, Result] = {}
        self._utterances: dict[str, tuple[Utterance, list[int]]] = {}
        self._messages: dict[str, str] = {}
        """Of the utterances at the mouth."""
        self._since: dict[str, float] = {}
        self._events: list[SchedulerEvent | None] = []
        self._handling = False
        self.ended: dict[str, Status] = {}

    def enter(self, room: Room) -> None:
        self._room = room
        self._alarm = Alarm(room.time, self._scheduler.deadline, lambda due: self._hand(None))
        self._hand(Audience(frozenset({CALLER})))

    def submit(self, result: Result) -> None:
        self._results[result.id] = result
        self._since[result.id] = self._room.now
        delivery = Delivery(
            result.id,
            ROOM,
            " ".join(f"{result.id}.{n}" for n in range(result.words)),
            {},
            to=CALLER,
            ttl=result.ttl,
            supersedes=result.topic,
            max_wait=self._strategy.max_wait,
            speak_as=SpeakAs.AGENT if self._agent else SpeakAs.VERBATIM,
            fold=self._folds,
        )
        self._hand(Submitted(Entry(delivery, Status.QUEUED, len(self._results)), self._strategy))

    def hear(self, event: Event | FloorChanged | VoiceOn | VoiceOff) -> None:
        match event:
            case FloorChanged(view):
                self._hand(FloorMoved(view))
            case SpeakingStarted(id) if id in self._messages:
                self._hand(Begun(self._messages[id]))
            case TurnEnded():
                self._hand(TurnOver())

    def over(self, utterance: Utterance) -> None:
        if utterance.message is None or utterance.message not in self._utterances:
            return
        _, ends = self._utterances.pop(utterance.message)
        del self._messages[utterance.id]
        chars = ends[utterance.heard - 1] if utterance.heard else 0
        for id in {id for id, _ in utterance.words if id}:
            self._since[id] = self._room.now
        self._hand(SpeechOver(utterance.message, chars, utterance.complete, utterance.cut_by or ""))

    def waiting(self, id: str) -> bool:
        """It is still owed, or set aside to be asked for."""
        return self.ended.get(id, Status.DEAD) is Status.DEAD

    def _hand(self, event: SchedulerEvent | None) -> None:
        self._events.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._events:
                event = self._events.pop(0)
                now = self._room.now
                handled = self._scheduler.expire(now) if event is None else self._scheduler.handle(event, now)
                for action in handled:
                    self._do(action)
        finally:
            self._handling = False
        self._alarm.set()

    def _do(self, action: Action) -> None:
        room = self._room
        match action:
            case Speak(message):
                self._speak(action)
            case Stop(message, reason):
                if message in self._utterances:
                    room.mouth.cut([self._utterances[message][0]], reason)
            case Fold(deliveries):
                self._hand(FoldAnswered(tuple(d.id for d in deliveries), room.may_fold()))
            case Prepare(delivery, wording):
                thinks = self._results[delivery.id].wording if self._agent and wording is None else RESERVED
                room.time.after(thinks, lambda: self._hand(Ready(delivery.id, delivery.content)))
            case Settled(delivery, status):
                self.ended[delivery.id] = status
            case _:
                pass

    def _speak(self, speak: Speak) -> None:
        message, room = speak.message, self._room
        words, ends = [], []
        for match in _WORD.finditer(message.text):
            id, _, number = match.group().partition(".")
            words.append((id, int(number)) if number else ("", 0))
            ends.append(match.end())
        owed = not message.over and room.view.blocker is Blocker.REPLY
        if owed and not room.may_fold():
            return self._hand(SpeechOver(message.id, 0, False, "late"))
        utterance = room.say(tuple(words), message=message.id, over=message.over, ahead=owed)
        when = self._strategy.when(Delivery(message.parts[0].delivery, ROOM, "", {}), room.view, room.now)
        arrived = max(self._since[part.delivery] for part in message.parts)
        utterance.allowed = min(room.now, max(arrived, when if when is not None else room.now))
        self._utterances[message.id] = (utterance, ends)
        self._messages[utterance.id] = message.id
        return self.over(utterance) if utterance.done else None
