"""A stage for the scheduler: a real floor before it, a ledger of values behind it, and a voice of two words a second.

Whatever is played on it, it checks the scheduler's promises at every step (`Stage._do`, `Stage._check`).
"""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from delivery.ledger import Delivery, Entry, Move, OnInterrupt, Status
from delivery.message import Message
from delivery.record import after
from delivery.scheduler import Scheduler
from delivery.signals import (
    Action,
    Audience,
    Begun,
    Carried,
    FloorMoved,
    Fold,
    FoldAnswered,
    Heard,
    Interrupted,
    NotReady,
    Prepare,
    Ready,
    Record,
    Refused,
    SchedulerEvent,
    Settled,
    Speak,
    SpeechOver,
    Stop,
    Submitted,
    TurnOver,
    Withdrawn,
)
from delivery.strategies import Strategy, WaitForIdle
from voice.events import (
    Deafened,
    Event,
    Joined,
    Left,
    ReplySettled,
    SpeakingEnded,
    SpeakingScheduled,
    SpeakingStarted,
    SpeechStarted,
    SpeechStopped,
    Turn,
    TurnEnded,
)
from voice.floor import Blocker, Floor, FloorChanged, FloorView

ANNA, BERT = "anna", "bert"
WORD = 0.5
"""Seconds a word takes."""
NEAR = 1e-6

LAST = 4 * WORD
"""Seconds in which four words are said."""


@dataclass(frozen=True)
class Never(Strategy):
    name: ClassVar[str] = "test-never"

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return None


def word_ends(text: str) -> list[int]:
    return [m.end() for m in re.finditer(r"\S+", text)]


@dataclass
class Playing:
    """A message at the ear: its words end at these times."""

    message: Message
    begun: float
    ends: list[int]
    words: int = 0
    silent: bool = False
    """Its sound is still being made."""
    stopped: str = ""

    @property
    def next(self) -> float:
        return self.begun + (self.words + 1) * WORD

    @property
    def chars(self) -> int:
        return self.ends[self.words - 1] if self.words else 0


@dataclass
class Stage:
    """`prepared`: what is to be made ready is ready at once. `prompt`: what is stopped is over at once. `folds`: what
    the agent answers."""

    prepared: bool = True
    prompt: bool = True
    folds: bool = False
    mute: bool = False
    """What is to be said does not begin until `begin`."""
    turned_away: str = ""
    """Why the channel says nothing of what it is given."""
    tries: int = 3
    now: float = 0.0
    floor: Floor = field(default_factory=Floor)
    view: FloorView | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    playing: dict[str, Playing] = field(default_factory=dict)
    preparing: dict[str, Prepare] = field(default_factory=dict)
    hearing: set[str] = field(default_factory=set)
    said: list[tuple[float, str]] = field(default_factory=list)
    stops: list[tuple[float, str]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    folded: list[tuple[float, str]] = field(default_factory=list)
    prepares: list[tuple[float, str]] = field(default_factory=list)
    moves: list[tuple[float, Move]] = field(default_factory=list)
    settled: dict[str, Settled] = field(default_factory=dict)
    settled_at: dict[str, float] = field(default_factory=dict)
    interrupted: list[Interrupted] = field(default_factory=list)
    turns: int = 0
    told_at: float = 0.0
    """When the scheduler was last told anything."""
    _heard: dict[str, int] = field(default_factory=dict)
    arrived: dict[str, float] = field(default_factory=dict)
    _events: deque[SchedulerEvent | None] = field(default_factory=deque)
    _busy: bool = False
    _speaks: tuple[float, int] = (0.0, 0)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(tries=self.tries)

    # -- what happens

    def join(self, caller: str = ANNA) -> Stage:
        self.tell(Joined(caller))
        return self

    def tell(self, event: Event) -> None:
        """What the voice would tell the desk, in its order: the event, then what the floor makes of it."""
        actions = self.floor.handle(event, self.now)
        match event:
            case Joined(caller):
                self.hearing.add(caller)
                self.hand(Audience(frozenset(self.hearing)))
            case Left(caller) | Deafened(caller):
                self.hearing.discard(caller)
                self.hand(Audience(frozenset(self.hearing)))
            case TurnEnded():
                self.hand(TurnOver())
            case _:
                pass
        self._move(actions)

    def speech(self, caller: str = ANNA) -> None:
        """A caller begins to speak; what is being said is cut by it, unless it talks over."""
        self.tell(SpeechStarted(caller))
        for id, playing in list(self.playing.items()):
            if not playing.message.over:
                self.cut(id, caller)

    def turn(self, caller: str = ANNA) -> Turn:
        """The caller has ended a turn."""
        self.tell(SpeechStopped(caller))
        self.turns += 1
        turn = Turn(f"t{self.turns}", caller, "words", self.now, self.now)
        self.tell(TurnEnded(turn))
        return turn

    def reply(self, turn: Turn, seconds: float, *, question: bool = False) -> None:
        """The agent's reply to a turn, from now on."""
        self.tell(SpeakingScheduled(f"reply to {turn.id}", self.now + seconds))
        self.tell(SpeakingStarted(f"reply to {turn.id}"))
        self.until(self.now + seconds)
        self.tell(ReplySettled(turn.id))
        self.tell(SpeakingEnded(f"reply to {turn.id}", question))

    def submit(self, id: str, strategy: Strategy | None = None, *, age: float = 0.0, **fields: Any) -> None:
        """A delivery is in the ledger; what it says is its id and as many words as `words` tells."""
        chosen = strategy or WaitForIdle(1.0)
        words = fields.pop("words", 4)
        kept = {k: fields.pop(k) for k in ("wording", "heard_chars", "attempts", "seq") if k in fields}
        given = {"content": " ".join([f"{id}{n}" for n in range(words)]), "max_wait": None, **fields}
        delivery = Delivery(id, "room", strategy=chosen.written(), **given)
        entry = Entry(delivery, Status.QUEUED, **{"seq": len(self.entries) + 1, "age": age, **kept})
        self.entries[id] = entry
        self._heard[id] = entry.heard_chars
        self.arrived[id] = self.now - age
        self.hand(Submitted(entry, chosen))

    def withdraw(self, id: str) -> None:
        self.hand(Withdrawn(id))

    def carry(self, id: str, heard: bool | None = None) -> None:
        self.hand(Carried(id, heard))

    def make_ready(self, id: str, wording: str | None = None) -> None:
        prepare = self.preparing.pop(id)
        text = wording or prepare.wording or prepare.delivery.content
        if not self.entries[id].status.terminal:  # else the ledger leaves it as it is
            self._keep((Move(id, Status.RESERVED, wording=text),))
        self.hand(Ready(id, text))

    def reserve(self, id: str, wording: str) -> None:
        """The ledger has it; the scheduler has not been told yet."""
        self._keep((Move(id, Status.RESERVED, wording=wording),))

    def fail(self, id: str, fault: str = "", after: float = 1.0) -> None:
        self.preparing.pop(id)
        self.hand(NotReady(id, self.now + after, fault))

    def refuse(self, id: str, reason: str = "no") -> None:
        self.preparing.pop(id)
        self.hand(Refused(id, reason))

    def hand_ready(self, id: str) -> None:
        """The answer to a question that was asked before the delivery ended."""
        self.hand(Ready(id, "late"))

    def answer_fold(self, id: str, taken: bool) -> None:
        self.hand(FoldAnswered((id,), taken))

    def submit_again(self, id: str, status: Status = Status.QUEUED) -> None:
        """It is read from the ledger once more."""
        self.hand(Submitted(replace(self.entries[id], status=status), WaitForIdle(1.0)))

    def finish(self, message: str | None = None) -> None:
        """What was told to stop is played out all the same."""
        playing = self.playing.pop(message or self.current)
        self.tell(SpeakingEnded(playing.message.id))
        self.hand(SpeechOver(playing.message.id, len(playing.message.text), True))

    def cut(self, message: str, by: str, chars: int | None = None) -> None:
        """A message ends at the last whole word."""
        playing = self.playing.pop(message)
        self.tell(SpeakingEnded(message))
        self.hand(SpeechOver(message, playing.chars if chars is None else chars, False, by))

    @property
    def current(self) -> str:
        """The message at the ear."""
        (only,) = self.playing
        return only

    # -- time

    def until(self, when: float) -> None:
        """Let time pass: words are said, the floor's and the scheduler's timers go off."""
        steps = 0
        while True:
            due, act = self._next()
            if due > when:
                break
            steps += 1
            assert steps < 10_000, "time does not get on"
            self.now = max(self.now, due)
            act()
        self.now = when

    def _next(self) -> tuple[float, Any]:
        floor, wake = self.floor.deadline(), self.scheduler.deadline()
        due: list[tuple[float, Any]] = [(math.inf, None)]
        due += [(p.next, lambda p=p: self._word(p)) for p in self.playing.values() if not p.stopped and not p.silent]
        if floor is not None:
            due.append((floor, lambda: self._move(self.floor.expire(self.now))))
        if wake is not None:
            due.append((wake, self._wake))
        return min(due, key=lambda d: d[0])

    def _wake(self) -> None:
        before = self.scheduler.deadline()
        self.hand(None)
        again = self.scheduler.deadline()
        assert again != before, "expire() at the deadline made no progress"

    def _word(self, playing: Playing) -> None:
        """The next word has been heard."""
        playing.words += 1
        message = playing.message
        if playing.words < len(playing.ends):
            self.hand(Heard(message.id, playing.chars))
        elif self.playing.pop(message.id, None):
            self.tell(SpeakingEnded(message.id))
            self.hand(SpeechOver(message.id, len(message.text), True))

    def _move(self, actions: list[Any]) -> None:
        for action in actions:
            if isinstance(action, FloorChanged):
                self.view = action.view
                self.hand(FloorMoved(action.view))

    # -- what the scheduler asks for, and whether it may

    def hand(self, event: SchedulerEvent | None) -> None:
        """As the desk does: what an event causes comes after it."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        while self._events:
            event = self._events.popleft()
            scheduler, self.told_at = self.scheduler, self.now
            actions = scheduler.expire(self.now) if event is None else scheduler.handle(event, self.now)
            for index, action in enumerate(actions):
                self._do(action, actions[:index])
            self._check()
        self._busy = False

    def _do(self, action: Action, before: list[Action]) -> None:
        match action:
            case Speak(message):
                self._speak(message)
            case Stop(message, reason):
                self.stops.append((self.now, reason))
                assert not self.playing[message].stopped, "stopped twice"
                self.playing[message].stopped = reason
                if self.prompt:
                    self.cut(message, reason)
            case Fold(deliveries):
                ids = tuple(d.id for d in deliveries)
                self.folded += [(self.now, id) for id in ids]
                self.hand(FoldAnswered(ids, self.folds))
            case Prepare(delivery):
                assert delivery.id not in self.preparing, "prepared twice at once"
                self.prepares.append((self.now, delivery.id))
                self.preparing[delivery.id] = action
                if self.prepared:
                    self.make_ready(delivery.id)
            case Record(moves):
                self._keep(moves)
            case Interrupted(delivery, heard, remainder):
                assert delivery.on_interrupt is OnInterrupt.REPEAT or heard + remainder == self._text(delivery.id)
                self.interrupted.append(action)
            case Settled():
                self._settle(action, before)

    def _speak(self, message: Message) -> None:
        assert self.view is not None
        asks = message.text.startswith(self.scheduler.opening)
        if asks:
            self.asked.append(self.now)
        may = self.view.open or (asks and self.view.blocker is Blocker.REPLY)
        assert message.over or may, "spoken over somebody"
        assert all(p.stopped for p in self.playing.values()), "spoken beside another message"
        for part in message.parts:
            assert part.delivery not in self.settled, "spoken after its end"
            assert self.entries[part.delivery].status is not Status.SPEAKING, "spoken twice at once"
            assert part.before == self._heard[part.delivery], "not from the last heard word on"
            assert message.text[part.start : part.end] == self._text(part.delivery)[part.offset :]
            assert part.end > part.start, "nothing to say"
            expires = self.entries[part.delivery].delivery.ttl
            assert expires is None or self.now < self.arrived[part.delivery] + expires, "spoken after its time"
        at, times = self._speaks
        self._speaks = (self.now, times + 1 if at == self.now else 1)
        assert self._speaks[1] <= 20, "speaks again and again without end"
        self.said.append((self.now, message.text))
        if self.turned_away:
            self.hand(SpeechOver(message.id, 0, False, self.turned_away))
            return
        self.playing[message.id] = playing = Playing(message, self.now, word_ends(message.text))
        if self.mute:
            playing.silent = True
        else:
            self.begin(message.id)

    def begin(self, message: str) -> None:
        """Its first sample is at the ear. What has no time left then must be stopped."""
        playing = self.playing[message]
        playing.silent, playing.begun = False, self.now
        self.tell(SpeakingScheduled(message, self.now + len(playing.ends) * WORD))
        self.tell(SpeakingStarted(message))
        self.hand(Begun(message))
        first = playing.message.parts[0].delivery
        expires = self.entries[first].delivery.ttl
        if message in self.playing and not playing.stopped and not self._events:
            assert expires is None or self.now < self.arrived[first] + expires, "begun after its time"

    def _keep(self, moves: tuple[Move, ...]) -> None:
        for move in moves:
            entry = self.entries[move.id]
            assert not entry.status.terminal, "written after its end"
            self.entries[move.id] = after(entry, move)
            self.moves.append((self.now, move))
            if move.status is not Status.SPEAKING and move.heard_chars is not None:
                repeated = entry.delivery.on_interrupt is OnInterrupt.REPEAT
                assert repeated or move.heard_chars >= self._heard[move.id], "unheard what was heard"
                self._heard[move.id] = move.heard_chars

    def _settle(self, settled: Settled, before: list[Action]) -> None:
        id = settled.delivery.id
        assert id not in self.settled, "settled twice"
        written = [m for a in before if isinstance(a, Record) for m in a.moves]
        assert any(m.id == id and m.status is settled.status for m in written), "settled before it was written"
        unspoken = settled.delivery.content if not settled.heard else ""  # it may have ended while it was made ready
        assert settled.heard + settled.remainder in (self._text(id), unspoken)
        assert abs(sum(settled.waits.values()) - settled.waited) < NEAR, "the waits are not what was waited"
        assert abs(settled.waited - (self.now - self.arrived[id])) < NEAR
        self.settled[id] = settled
        self.settled_at[id] = self.now

    def _check(self) -> None:
        known = {id for id in self.entries if self.scheduler.known(id)}
        assert known | set(self.settled) == set(self.entries), "vanished"
        assert not known & set(self.settled), "still there after its end"
        for id in known:
            assert (self.scheduler.reason(id) == "") == (self.entries[id].status is Status.SPEAKING)
        deadline = self.scheduler.deadline()
        assert deadline is None or self.now < deadline < math.inf

    def _text(self, id: str) -> str:
        entry = self.entries[id]
        return entry.delivery.content if entry.wording is None else entry.wording

    # -- for tests

    @property
    def times(self) -> list[float]:
        """When something was spoken."""
        return [round(at, 6) for at, _ in self.said]

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.said]

    def status(self, id: str) -> Status:
        return self.entries[id].status


def begun(stage: Stage, *words: str) -> None:
    """Let a message begin and some words of it be heard."""
    while not stage.playing:
        stage.until(stage.now + 0.1)
    playing = stage.playing[stage.current]
    stage.until(playing.begun + len(words) * WORD)
    assert playing.message.text[: playing.chars].split() == list(words)


def answered(stage: Stage, caller: str = ANNA) -> None:
    """The caller's turn ends, and the agent answers for a second."""
    stage.until(stage.now + 0.5)
    stage.reply(stage.turn(caller), 1.0)
