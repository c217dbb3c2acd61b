"""Policies to compare with: fixed silence timers, and imitations of the rules by which other projects speak results.

Imitations are of the decision only, from public code and from behaviour that was reproduced (versions: RoomKit 0.109,
livekit-agents 1.8.9, pipecat-ai 1.14); everything else, the turns and the replies too, is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.floor.mouth import WORD, Utterance
from tests.bench.floor.room import GiveWay, Room
from tests.bench.floor.talk import Result
from tests.bench.floor.timeline import Alarm
from voice.ear_signals import VoiceOff, VoiceOn
from voice.events import Event
from voice.floor import FloorChanged

AGAIN = 0.1
"""Seconds until what was turned away before its first word is tried again."""
CLICK = 0.08
"""A shorter voice starts no timer anew: the confirmation that ours have."""


BY_VOICE = GiveWay(words=True, pauses=False)
"""As ours, but for pauses: a timer does not know that they belong to a turn."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A result that waits, from word `heard` on."""

    result: Result
    heard: int
    since: float
    give_up: float = float("inf")

    @property
    def words(self) -> tuple[tuple[str, int], ...]:
        return tuple((self.result.id, n) for n in range(self.heard, self.result.words))


class Silence:
    """Speaks once neither side was heard for `seconds`. It knows the playout; not what a silence means.

    `keeps`: what was cut is owed, as with us. `queues`: behind a reply that is being made, not before it.
    """

    def __init__(
        self,
        seconds: float,
        *,
        keeps: bool = True,
        give_way: GiveWay = BY_VOICE,
        queues: bool = False,
        thinks: bool = False,
    ) -> None:
        self.give_way = give_way
        self._seconds, self._keeps, self._queues, self._thinks = seconds, keeps, queues, thinks
        self._line: list[Waiting] = []
        self._saying: tuple[Utterance, Waiting] | None = None
        self._quiet = self._quiet_before = 0.0
        self._deciding = False

    def enter(self, room: Room) -> None:
        self._room = room
        self._alarm = Alarm(room.time, self._due, lambda due: self._decide())

    def submit(self, result: Result) -> None:
        self._line.append(Waiting(result, 0, self._room.now))
        self._decide()

    def waiting(self, id: str) -> bool:
        said = self._saying
        return any(w.result.id == id for w in self._line) or (said is not None and said[1].result.id == id)

    def hear(self, event: Event | FloorChanged | VoiceOn | VoiceOff) -> None:
        now = self._room.now
        if isinstance(event, VoiceOff):
            click = now - self._room.voice_since < CLICK
            self._quiet = self._quiet_before if click else now
        elif isinstance(event, VoiceOn):
            self._quiet_before = self._quiet
        self._decide()

    def over(self, utterance: Utterance) -> None:
        if self._saying is not None and self._saying[0] is utterance:
            waiting, self._saying = self._saying[1], None
            if self._keeps and not utterance.complete:
                waiting.heard += utterance.heard
                waiting.since = self._room.now + (0.0 if utterance.begun else AGAIN)
                self._line.insert(0, waiting)
        self._decide()

    def _due(self) -> float | None:
        room = self._room
        if not self._line or self._saying is not None or room.voice or room.agent_audible:
            return None
        return max(max(self._quiet, room.mouth.silent_since) + self._seconds, self._line[0].since)

    def _decide(self) -> None:
        due = self._due()
        if due is None or due > self._room.now or self._deciding:
            self._alarm.set()
            return
        self._deciding = True
        waiting = self._line.pop(0)
        thinking = waiting.result.wording if self._thinks else 0.0
        utterance = self._room.say(waiting.words, ahead=not self._queues, making=thinking)
        utterance.allowed = due
        self._saying = (utterance, waiting)
        self._deciding = False
        self._alarm.set()
        if utterance.done:
            self.over(utterance)


class AtOnce:
    """Speaks what comes when it comes, whoever speaks; behind what the agent is saying (Pipecat's function results)."""

    def __init__(self, give_way: GiveWay, *, thinks: bool = True) -> None:
        self.give_way = give_way
        self._thinks = thinks

    def enter(self, room: Room) -> None:
        self._room = room

    def submit(self, result: Result) -> None:
        words = Waiting(result, 0, self._room.now).words
        thinking = result.wording if self._thinks else 0.0
        self._room.time.after(thinking, lambda: self._speak(words, self._room.now - thinking))

    def _speak(self, words: tuple[tuple[str, int], ...], allowed: float) -> None:
        self._room.say(words).allowed = allowed

    def waiting(self, id: str) -> bool:
        return False

    def hear(self, event: Event | FloorChanged | VoiceOn | VoiceOff) -> None: ...
    def over(self, utterance: Utterance) -> None: ...


class SleepOnIdle:
    """RoomKit's rule: wait (`patience` at most) until no voice is detected and the agent's audio has been *sent*, then
    sleep the buffer without looking again. `merges` (Queued): all in one message; out of patience, they are dropped.
    """

    SENT = 0.25
    """Share of an utterance's length after which its audio has been sent: speech models are faster than speech."""

    def __init__(self, buffer: float = 1.0, patience: float = 15.0, *, merges: bool = False) -> None:
        self.give_way = GiveWay()
        self._buffer, self._patience, self._merges = buffer, patience, merges
        self._line: list[Waiting] = []
        self._asleep: list[Waiting] = []
        self._sleeping = False

    def enter(self, room: Room) -> None:
        self._room = room
        self._alarm = Alarm(room.time, self._due, lambda due: self._decide())

    def submit(self, result: Result) -> None:
        now = self._room.now
        self._line.append(Waiting(result, 0, now, now + self._patience))
        self._decide()

    def waiting(self, id: str) -> bool:
        return any(w.result.id == id for w in (*self._line, *self._asleep))

    def hear(self, event: Event | FloorChanged | VoiceOn | VoiceOff) -> None:
        self._decide()

    def over(self, utterance: Utterance) -> None:
        self._decide()

    def _sent_at(self) -> float:
        """When all audio of the agent's will have been sent, as far as it is being said."""
        current = self._room.mouth.current
        if current is None or not current.audible:
            return self._room.now
        return current.spans[-1][0] + self.SENT * len(current.words) * WORD

    def _due(self) -> float | None:
        if not self._line or (self._merges and self._sleeping):
            return None
        late = min(w.give_up for w in self._line)
        return late if self._room.voice else min(self._sent_at(), late)

    def _decide(self) -> None:
        now = self._room.now
        due = self._due()
        if due is not None and due <= now:
            idle = not self._room.voice and self._sent_at() <= now
            go = [w for w in self._line if idle or w.give_up <= now]
            self._line = [w for w in self._line if w not in go]
            if idle or not self._merges:
                self._sleep(go)
        self._alarm.set()

    def _sleep(self, go: list[Waiting]) -> None:
        self._sleeping = True
        self._asleep += go
        allowed = self._room.now + self._buffer

        def wake() -> None:
            self._sleeping = False
            self._asleep = [w for w in self._asleep if w not in go]
            if self._merges:
                ready, self._line = go + self._line, []
                self._room.say(tuple(word for w in ready for word in w.words)).allowed = allowed
            else:
                for w in go:
                    self._room.say(w.words).allowed = allowed
            self._decide()

        self._room.time.at(allowed, wake)
