"""A crowd for whole-room tests: what up to three callers do and what is put, drawn at random, and a referee.

The referee listens to a simulated room with all ears. It knows no desk: what a line says tells which results it brings.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from delivery.ledger import OnInterrupt, SpeakAs, Status
from delivery.strategies import Immediate, Queued, Strategy, WaitForIdle
from tests.delivery.house import WORD
from voice.backchannels import is_backchannel
from voice.events import Event, SpeakingPlanned, SpeakingStarted, SpeechStarted, TurnDropped, WordsHeard
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
NOISES = [0.02, 0.1, 0.5, 1.5, 4.0, 9.0]
SAYINGS = [
    "what time is it",
    "what about it then my friend please and so on",
    "tell me a story",
    "tea or coffee",
    "well",
]
RESULT = re.compile(r"d\d+w\d+")
TINY = 1e-6


@dataclass(frozen=True)
class Put:
    """A producer has a result, of some unique words."""

    strategy: Strategy
    words: int = 3
    asks: bool = False
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Nothing lets it go before its buffer is over."""
        return not self.fields["fold"] and self.fields["max_wait"] is None and not self.fields["priority"]

    def content(self, id: str) -> str:
        return " ".join(f"{id}w{n}" for n in range(self.words)) + ("?" if self.asks else "")

    def check_end(self, status: Status, attempts: int) -> None:
        """It may end like this."""
        match status:
            case Status.DEAD:
                assert attempts == 3
            case Status.EXPIRED:
                assert self.fields["ttl"] is not None
            case Status.SUPERSEDED:
                assert self.fields["supersedes"] is not None
            case Status.DROPPED:
                assert self.fields["on_interrupt"] is OnInterrupt.DROP
            case _:
                assert status is Status.HEARD


@dataclass(frozen=True)
class Act:
    """A caller does something."""

    who: int
    what: str
    size: int = 0


@dataclass(frozen=True)
class Trouble:
    """The ledger fails so many times, and is slow."""

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
WAITS = st.sampled_from([0.0, 0.1, 0.4, 1.0, 1.3, 2.0, 4.0])
STEPS = st.lists(
    st.tuples(WAITS, st.one_of(st.none(), PUTS, PUTS, ACTS, ACTS, ACTS, TROUBLES)), min_size=25, max_size=40
)


class Crowd:
    """Up to three callers; all ears hold the sound back for `jitter` seconds."""

    def __init__(self, channel: SimulatedChannel, jitter: float) -> None:
        self.callers: dict[str, SimulatedCaller] = {}
        self._channel = channel
        self._jitter = jitter

    def act(self, act: Act) -> None:
        """Begin it; a sound goes on beside what comes next."""
        name = NAMES[act.who]
        caller = self.callers.get(name)
        if act.what == "come":
            return self.come(name)
        if caller is None:
            return None
        match act.what:
            case "hang_up":
                return caller.hang_up()
            case "hold":
                return caller.hold()
            case "drop":
                return caller.drop()
            case "press":
                return caller.press(str(act.size))
        if not caller.speaking:
            self._channel.run_script(self._sound(caller, act))
        return None

    def come(self, name: str) -> None:
        """Into the room, for the first time or again."""
        if name in self.callers:
            self.callers[name].reconnect()
        else:
            self.callers[name] = self._channel.join(name, jitter=self._jitter)

    async def _sound(self, caller: SimulatedCaller, act: Act) -> None:
        match act.what:
            case "noise":
                await caller.noise(NOISES[act.size])
            case "say":
                await caller.say(SAYINGS[act.size % len(SAYINGS)])
            case "pause":
                await caller.say("what time is it", pauses=[("what", 0.2 + 0.15 * act.size)])
            case _:
                await caller.say(act.what)

    def heard(self, to: str | None) -> Counter[str]:
        """How often each word of a result was at these ears."""
        ears = [caller for name, caller in self.callers.items() if to in (None, name)]
        return Counter(word for ear in ears for line in ear.lines for word in RESULT.findall(line.heard))

    def heard_twice(self, id: str) -> list[str]:
        """Words of a result that one ear had more than once."""
        ears = [self.heard(name) for name in self.callers]
        return [word for ear in ears for word, n in ear.items() if n > 1 and word.startswith(f"{id}w")]


@dataclass
class _Begun:
    """An utterance: the floor when it was decided on, and each time that it began to sound (and whether over a nod)."""

    planned: FloorView
    sounds: list[tuple[float, FloorView, bool]] = field(default_factory=list)


class Referee:
    """Judges what was heard in a room, by the floor as it was then."""

    def __init__(self, channel: SimulatedChannel) -> None:
        self._view = self._before = channel.floor
        self._planned_at = -1.0
        self._begun: dict[str, _Begun] = {}
        self._words: dict[str, str] = {}
        """What callers were heard to say in the turns they are at."""
        channel.listen(self._watch)

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
                self._begun[utterance] = _Begun(self._before)
            case SpeakingStarted(utterance):
                words = self._words.get(self._view.caller or "", "")
                nods = self._view.blocker is not Blocker.DIGITS and is_backchannel(words)
                self._begun[utterance].sounds.append((at, self._view, nods))

    def judge(self, crowd: Crowd, puts: dict[str, Put]) -> None:
        """Nothing began where it must not, and we have one voice."""
        spans = []
        for caller in crowd.callers.values():
            for line in caller.lines:
                spans += [(start, end, line.utterance.id) for start, end in line.spans if end > start]
                again = sum(end - start for start, end in line.spans) - WORD * len(line.text.split())
                assert again <= WORD * (len(line.spans) - 1) + TINY, f"more than a cut word was said again: {line.text}"
                results = {word.split("w")[0] for word in RESULT.findall(line.text)}
                if results and not line.utterance.over:
                    self._judge_beginning(line.text, self._begun[line.utterance.id], [puts[id] for id in results])
        for (_, end, one), (start, _, other) in pairwise(sorted(spans)):
            assert one == other or end <= start + TINY, f"{one} and {other} at once, at {start:.3f}"

    def _judge_beginning(self, text: str, begun: _Begun, puts: list[Put]) -> None:
        (at, view, _), *later = begun.sounds
        assert view.state is not FloorState.USER_HOLDS, f"{at:.3f}: {text!r} begins while {view.blocker}"
        for again, view, nods in later:
            assert nods or view.state is not FloorState.USER_HOLDS, (
                f"{again:.3f}: {text!r} goes on while {view.blocker}"
            )
        if not all(put.plain for put in puts):
            return  # what has asked for the floor follows its opener, what was folded a reply
        planned = begun.planned
        assert planned.open, f"{at:.3f}: {text!r} was decided on while {planned.blocker}"
        assert planned.quiet_since is not None
        buffer = min(getattr(put.strategy, "buffer", 0.0) for put in puts)
        assert at >= planned.quiet_since + buffer - TINY, f"{at:.3f}: {text!r} did not wait for {buffer} s"


async def fall_silent(crowd: Crowd, results: int) -> None:
    """All are here, and listen, for as long as it may take to tell them everything."""
    for name in NAMES:
        crowd.come(name)
    await asyncio.sleep(90 + 30 * results)
