"""What a whole room promises whatever its callers do: up to three of them, results of every kind, a ledger that
stumbles.

Nothing of the desk's begins while a caller holds the floor, unless it was meant to, or goes on over more than an mm-hm;
one voice of ours at a time; every result ends once, and what counts as heard was at the ear, no word of it twice; once
all are silent, nothing is owed.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.ledger import Delivery, OnInterrupt, SpeakAs, Status
from delivery.message import Message
from delivery.strategies import Immediate, Queued, Strategy, WaitForIdle
from tests.delivery.house import WORD, Door, House, Told, delivery
from voice.backchannels import is_backchannel
from voice.channel import Utterance
from voice.clock import run
from voice.events import Event, SpeakingPlanned, SpeakingStarted, SpeechStarted, Turn, TurnDropped, WordsHeard
from voice.floor import Blocker, FloorChanged, FloorState, FloorView
from voice.simulated import SimulatedCaller, SimulatedChannel

NAMES = ("anna", "bert", "cleo")
STRATEGIES: list[Strategy] = [
    WaitForIdle(1.0),
    WaitForIdle(1.0),
    WaitForIdle(0.0),
    Queued(1.0),
    Queued(2.0, separator=", also "),
    Immediate(),
]
REPLIES = ["Right.", "Is that so?", "Well, that is a long story about many things and people.", "slow", "late", "fail"]
NOISES = [0.02, 0.1, 0.5, 1.5, 4.0, 9.0]
TINY = 1e-6
RESULT = re.compile(r"d\d+w\d+")


@dataclass(frozen=True)
class Put:
    """A producer has a result."""

    strategy: Strategy
    words: int = 3
    asks: bool = False
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Nothing lets it go before its buffer is over."""
        return not self.fields["fold"] and self.fields["max_wait"] is None and not self.fields["priority"]


@dataclass(frozen=True)
class Act:
    """A caller does something."""

    who: int
    what: str
    size: int = 0


@dataclass(frozen=True)
class Trouble:
    """The ledger fails so many times."""

    refusals: int
    slow: float


PUTS = st.builds(
    Put,
    st.sampled_from(STRATEGIES),
    st.integers(1, 12),
    st.booleans(),
    st.fixed_dictionaries(
        {
            "priority": st.sampled_from([0, 0, 0, 1, 2]),
            "ttl": st.sampled_from([None, None, None, 3.0, 20.0]),
            "supersedes": st.sampled_from([None, None, None, "topic"]),
            "to": st.sampled_from([None, None, None, *NAMES[:2]]),
            "on_interrupt": st.sampled_from([OnInterrupt.RESUME, OnInterrupt.RESUME, *OnInterrupt]),
            "max_wait": st.sampled_from([None, None, 3.0]),
            "speak_as": st.sampled_from(SpeakAs),
            "fold": st.booleans(),
        }
    ),
)
SOUNDS = ["say", "say", "say", "pause", "mm-hm", "okay yeah", "stop", "noise", "noise"]
ACTS = st.builds(
    Act,
    st.sampled_from([0, 0, 0, 1, 2]),
    st.sampled_from([*SOUNDS, *SOUNDS, "press", "come", "come", "hang_up", "hold", "drop"]),
    st.integers(0, 5),
)
TROUBLES = st.builds(Trouble, st.integers(0, 2), st.sampled_from([0.0, 0.3]))
STEPS = st.tuples(
    st.sampled_from([0.0, 0.0, 0.1, 0.4, 1.0, 1.3, 4.0]), st.one_of(PUTS, PUTS, ACTS, ACTS, ACTS, TROUBLES)
)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    log = logging.getLogger("sottovoce")
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(logging.NOTSET)


class Host:
    """The agent: it answers in one of several ways, takes what it is given into its reply, and has its own words."""

    def __init__(self, channel: SimulatedChannel, replies: Sequence[str]) -> None:
        self._channel = channel
        self._replies = replies
        self._turns = 0

    async def answer(self) -> None:
        async for turn in self._channel.turns():
            self._channel.say(self._reply(turn, self._replies[self._turns % len(self._replies)]), reply_to=turn)
            self._turns += 1

    async def _reply(self, turn: Turn, how: str) -> AsyncIterator[str]:
        await asyncio.sleep({"slow": 3.0, "late": 16.0}.get(how, 0.3))
        if how == "fail":
            raise RuntimeError("the model broke")
        yield {"slow": "Here it is.", "late": "Sorry."}.get(how, how)

    async def word(self, deliveries: Sequence[Delivery], resume_from: str = "") -> AsyncIterator[str]:
        await asyncio.sleep(0.1)
        yield "Well: " + deliveries[0].content

    def fold(self, deliveries: Sequence[Delivery]) -> bool:
        return True

    def opener(self) -> str:
        return "One thing more."


class World:
    """A room, and a referee who listens to it with all ears."""

    def __init__(self, channel: SimulatedChannel, jitter: float, replies: Sequence[str]) -> None:
        self.channel = channel
        self.jitter = jitter
        self.callers: dict[str, SimulatedCaller] = {}
        self.puts: dict[str, Put] = {}
        self.told = Told()
        self.door = Door()
        self.faults: list[str] = []
        self._messages: dict[str, Message] = {}
        self._planned: dict[str, FloorView] = {}
        self._planned_at = -1.0
        self._words: dict[str, str] = {}
        """What callers were heard to say in the turns they are at."""
        self.house = House(self.door, channel, self.told, words=Host(channel, replies), spoken=self._note)
        self._view = self._before = channel.floor
        channel.listen(self._watch)
        channel.run_script(Host(channel, replies).answer())

    def _note(self, utterance: Utterance, message: Message | None) -> None:
        if message is not None:
            self._messages[utterance.id] = message

    def _watch(self, event: Event | FloorChanged, at: float) -> None:
        match event:
            case FloorChanged(view):
                self._view = view
            case WordsHeard(caller, text):
                self._words[caller] = text
            case SpeechStarted(caller) | TurnDropped(caller):
                self._words[caller] = ""
            case SpeakingPlanned(utterance):
                if at != self._planned_at:  # an opener and what it is for are planned together
                    self._planned_at, self._before = at, self._view
                self._planned[utterance] = self._before
            case SpeakingStarted(utterance) if message := self._messages.get(utterance):
                if not message.over:
                    self._hear(message, at, self._planned.pop(utterance, None))

    def _hear(self, message: Message, at: float, planned: FloorView | None) -> None:
        """A message begins, or goes on: may it? `planned`: the floor when it was decided on (None: it goes on)."""
        nods = self._view.blocker is not Blocker.DIGITS and is_backchannel(self._words.get(self._view.caller or "", ""))
        if self._view.state is FloorState.USER_HOLDS and (planned is not None or not nods):
            self.faults.append(f"{at:.3f}: {message.text!r} begins while {self._view.blocker}")
        puts = [self.puts[part.delivery] for part in message.parts]
        if planned is None or any(put.fields["max_wait"] for put in puts):
            return  # what has asked for the floor follows its opener
        if not planned.open or planned.quiet_since is None:
            self.faults.append(f"{at:.3f}: {message.text!r} was decided on while {planned.blocker}")
            return
        buffer = getattr(puts[0].strategy, "buffer", 0.0)
        if all(put.plain for put in puts) and at < planned.quiet_since + buffer - TINY:
            self.faults.append(f"{at:.3f}: {message.text!r} did not wait for its buffer of {buffer} s")

    # -- what happens

    async def do(self, what: Put | Act | Trouble | None) -> None:
        match what:
            case Put():
                await self.put(what)
            case Trouble(refusals, slow):
                self.door.refusals, self.door.moving_takes = refusals, slow
            case Act(who, act, size):
                self.act(NAMES[who], act, size)

    async def put(self, put: Put) -> None:
        id = f"d{len(self.puts)}"
        self.puts[id] = put
        content = " ".join(f"{id}w{n}" for n in range(put.words)) + ("?" if put.asks else "")
        await self.door.put(delivery(id, content, put.strategy, **put.fields))

    def act(self, name: str, act: str, size: int) -> None:
        caller = self.callers.get(name)
        if act == "come":
            return self.come(name)
        if caller is None:
            return None
        match act:
            case "hang_up":
                return caller.hang_up()
            case "hold":
                return caller.hold()
            case "drop":
                return caller.drop()
            case "press":
                return caller.press(str(size))
        if not caller.speaking:
            self.channel.run_script(self.sound(caller, act, size))
        return None

    def come(self, name: str) -> None:
        if name in self.callers:
            self.callers[name].reconnect()
        else:
            self.callers[name] = self.channel.join(name, jitter=self.jitter)

    async def sound(self, caller: SimulatedCaller, act: str, size: int) -> None:
        text = " ".join(["what about it then my friend please"] * 2)
        match act:
            case "noise":
                await caller.noise(NOISES[size])
            case "say":
                await caller.say(" ".join(text.split()[: 1 + 2 * size]))
            case "pause":
                await caller.say("what about it", pauses=[("what", 0.2 + 0.15 * size)])
            case _:
                await caller.say(act)

    async def fall_silent(self) -> None:
        """Nothing fails any more, all are here, and listen."""
        self.door.refusals, self.door.moving_takes = 0, 0.0
        for name in NAMES:
            self.come(name)
        await asyncio.sleep(90 + 30 * len(self.puts))

    # -- what came of it

    def check_voices(self) -> None:
        assert not self.faults, self.faults
        spans = []
        for caller in self.callers.values():
            for line in caller.lines:
                spans += [(start, end, line.utterance.id) for start, end in line.spans if end > start]
                again = sum(end - start for start, end in line.spans) - WORD * len(line.text.split())
                assert again <= WORD * (len(line.spans) - 1) + TINY, f"more than a cut word was said again: {line.text}"
        for (_, end, one), (start, _, other) in pairwise(sorted(spans)):
            assert one == other or end <= start + TINY, f"{one} and {other} at once, at {start:.3f}"

    async def check_results(self) -> None:
        ears = {
            name: Counter(word for line in caller.lines for word in RESULT.findall(line.heard))
            for name, caller in self.callers.items()
        }
        ends = Counter(settled.delivery.id for settled in self.told.settled)
        assert ends == Counter(list(self.puts)), "an end was not told, or twice"
        for settled in self.told.settled:
            id, put = settled.delivery.id, self.puts[settled.delivery.id]
            entry = await self.house.entry(id)
            assert (entry.status, entry.reason) == (settled.status, settled.reason)
            text = entry.delivery.content if entry.wording is None else entry.wording
            self.check_end(put, entry.status, entry.attempts)
            to = put.fields["to"]
            heard = sum((words for name, words in ears.items() if to in (None, name)), Counter[str]())
            told = RESULT.findall(text[: entry.heard_chars])
            assert all(heard[word] for word in told), f"{id}: written as heard, but no ear heard it"
            if entry.status is Status.HEARD:
                assert entry.heard_chars == len(text)
            if put.fields["on_interrupt"] is not OnInterrupt.REPEAT:
                twice = [w for words in ears.values() for w, n in words.items() if n > 1 and w.startswith(f"{id}w")]
                assert not twice, f"heard twice: {twice}"

    def check_end(self, put: Put, status: Status, attempts: int) -> None:
        """It may end like this."""
        match status:
            case Status.DEAD:
                assert attempts == 3
            case Status.EXPIRED:
                assert put.fields["ttl"] is not None
            case Status.SUPERSEDED:
                assert put.fields["supersedes"] is not None
            case Status.DROPPED:
                assert put.fields["on_interrupt"] is OnInterrupt.DROP
            case _:
                assert status is Status.HEARD


@given(
    st.lists(STEPS, min_size=25, max_size=40),
    st.sampled_from([0.0, 0.0, 0.15]),
    st.lists(st.sampled_from(REPLIES), min_size=1, max_size=4),
)
def test_promises(steps: list[tuple[float, Any]], jitter: float, replies: list[str]) -> None:
    async def main() -> None:
        async with SimulatedChannel() as channel:
            world = World(channel, jitter, replies)
            await world.door.open()
            world.come(NAMES[0])
            async with world.house:
                for wait, what in steps:
                    await asyncio.sleep(wait)
                    await world.do(what)
                await world.fall_silent()
                assert channel.floor.open, f"the floor is not open in the end: {channel.floor}"
                world.check_voices()
                await world.check_results()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something is left running"

    run(main())
