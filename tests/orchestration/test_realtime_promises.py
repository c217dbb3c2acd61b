"""Random calls with a speech-to-speech model that does what it likes: nothing of a delivery is lost, no two voices at
once, no voice begins over a caller, every function is answered, and the talk goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from delivery import Status
from orchestration import Agent, Runtime, Swarm
from orchestration.models.prepared import Prepared
from orchestration.session import Session
from tests.voice.doubles import FakeLeg, Vad, noise, quiet, spoken
from tests.voice.realtime.double import ALL, Model
from tests.voice.realtime.double import Session as Talk
from voice.backoff import Backoff
from voice.channel import Capabilities, Utterance
from voice.clock import run
from voice.events import (
    Deafened,
    Left,
    SpeakingEnded,
    SpeakingPaused,
    SpeakingStarted,
    SpeechStarted,
    SpeechStopped,
    TurnDropped,
    TurnEnded,
)
from voice.realtime.channel import RealtimeChannel

LAST = "are you still there"
JUST = 0.25
"""Seconds within which a voice of ours that has just begun may meet a caller's: sound is on its way by then."""


@dataclass
class Watcher:
    """What must never be."""

    faults: list[str] = field(default_factory=list)
    audible: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    speaking: dict[str, float] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)

    def __call__(self, event: Any, at: float) -> None:
        match event:
            case SpeechStarted(caller):
                self.speaking.setdefault(caller, at)
            case SpeechStopped(caller) | TurnDropped(caller) | Left(caller) | Deafened(caller):
                self.speaking.pop(caller, None)
            case TurnEnded(turn):
                self.speaking.pop(turn.caller, None)
            case SpeakingStarted(id):
                if self.audible - {id}:
                    self.faults.append(f"{id} begins beside {self.audible}")
                since = min(self.speaking.values(), default=at)
                if id not in self.begun | self.over and at - since > JUST:
                    self.faults.append(f"{id} begins at {at:.2f} over {self.speaking}")
                self.audible.add(id)
                self.begun.add(id)
            case SpeakingPaused(id) | SpeakingEnded(id):
                self.audible.discard(id)
            case _:
                pass


async def script(talk: Talk, heard: str) -> None:
    """Does what its caller says."""
    for word in heard.split():
        match word:
            case "look":
                await talk.speak(f"it is {await talk.call('look_up')}")
            case "first":
                await talk.speak("one moment")
                await talk.speak(f"it is {await talk.call('look_up')}")
            case "twice":
                await talk.speak("that is one")
                await asyncio.sleep(1.0)
                await talk.speak("that is two")
            case "silent":
                return
    await talk.speak(f"you said {heard}")


async def look_up() -> str:
    """Look it up."""
    await asyncio.sleep(0.7)
    return "done"


class Stage:
    def __init__(self, runtime: Runtime, model: Model, group: asyncio.TaskGroup) -> None:
        self.runtime, self.model, self.group = runtime, model, group
        self.watcher = Watcher()
        self.legs: dict[str, FakeLeg] = {}
        self.past: list[FakeLeg] = []
        self.visits: dict[str, asyncio.Task[bool]] = {}
        self.mouths: dict[str, asyncio.Lock] = {"anna": asyncio.Lock(), "bert": asyncio.Lock()}
        self.silences: dict[str, asyncio.Task[None]] = {}
        self.sent: list[list[str]] = []

    async def enter(self) -> Session:
        session = await self.runtime.enter("lobby")
        if session.channel is not getattr(self, "channel", None):
            self.channel = channel = session.channel
            channel.listen(self.watcher)
            say = channel.say

            def noting(text: Any, **how: Any) -> Utterance:
                utterance = say(text, **how)
                if how.get("over"):
                    self.watcher.over.add(utterance.id)
                return utterance

            channel.say = noting  # type: ignore[method-assign]
        return session

    async def come(self, who: str) -> None:
        if who in self.legs:
            return
        session = await self.enter()
        leg = self.legs[who] = FakeLeg(who)
        self.past.append(leg)
        self.visits[who] = self.group.create_task(session.serve(leg))
        self.silences[who] = self.group.create_task(self.breathe(who, leg))
        await asyncio.sleep(0)

    async def breathe(self, who: str, leg: FakeLeg) -> None:
        """A microphone is never off."""
        while True:
            async with self.mouths[who]:
                await leg.play(quiet(0.1))

    async def go(self, who: str, hung_up: bool) -> None:
        if who in self.legs:
            self.silences.pop(who).cancel()
            self.legs.pop(who).end(hung_up=hung_up)
            await asyncio.wait([self.visits.pop(who)])

    async def make(self, who: str, frames: list[bytes]) -> None:
        if (leg := self.legs.get(who)) is not None:
            async with self.mouths[who]:
                if self.legs.get(who) is leg:
                    await leg.play(frames)

    async def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("say", who, words):
                self.group.create_task(self.make(who, spoken(words)))
            case ("noise", who, seconds):
                self.group.create_task(self.make(who, noise(seconds)))
            case ("deliver", size, strategy):
                words = [f"w{len(self.sent):02}x{n:02}" for n in range(size)]
                self.sent.append(words)
                await self.runtime.deliver("lobby", " ".join(words), strategy=strategy)
            case ("unasked", words) if self.model.sessions and not self.model.session.closed:
                self.model.session.say(words)
            case ("lose",) if self.model.sessions and not self.model.session.closed:
                self.model.session.lose()
            case ("break", times):
                self.model.broken = times
            case ("go", who, hung_up):
                await self.go(who, hung_up)
            case ("come", who):
                await self.come(who)
            case _:
                pass

    async def settle(self) -> None:
        """Let what is owed be told."""
        for _ in range(40 + 15 * len(self.sent)):
            await asyncio.sleep(1.0)
            entries = await self.runtime.ledger.entries("lobby", list(Status))
            if len(entries) >= len(self.sent) and all(entry.status.terminal for entry in entries):
                break
        await asyncio.sleep(8.0)

    def heard(self) -> list[str]:
        return [word for leg in self.past for _, word in leg.heard()]


SAYINGS = (
    "hello there",
    "look",
    "first",
    "twice",
    "silent",
    "mm-hm",
    "stop",
    "what i want to say is rather long today",
)
WHO = st.sampled_from(["anna", "anna", "bert"])
STEPS = st.one_of(
    st.tuples(st.just("say"), WHO, st.sampled_from(SAYINGS)),
    st.tuples(st.just("say"), WHO, st.sampled_from(SAYINGS)),
    st.tuples(st.just("noise"), WHO, st.sampled_from([0.06, 0.3, 1.0])),
    st.tuples(st.just("deliver"), st.integers(1, 9), st.sampled_from(["wait_for_idle", "queued", "immediate"])),
    st.tuples(st.just("deliver"), st.integers(1, 9), st.sampled_from(["wait_for_idle", "queued"])),
    st.tuples(st.just("unasked"), st.sampled_from(["by the way", "one more thing for you today"])),
    st.tuples(st.just("lose")),
    st.tuples(st.just("break"), st.integers(0, 4)),
    st.tuples(st.just("go"), WHO, st.booleans()),
    st.tuples(st.just("come"), WHO),
)
PLAYS = st.lists(st.tuples(st.sampled_from([0.02, 0.1, 0.3, 0.8, 2.0, 4.0]), STEPS), max_size=25)
MODELS = st.fixed_dictionaries(
    {
        "think": st.sampled_from([0.0, 0.2, 1.0]),
        "fast": st.sampled_from([1.0, 1.5, 5.0, 100.0]),
        "words": st.sampled_from(["before", "with", "after"]),
        "partials": st.booleans(),
        "yields": st.booleans(),
        "silence": st.sampled_from([0.2, 0.3, 0.9]),
        "capabilities": st.sampled_from(
            [ALL, *(Capabilities(owns_turns=True, injection=frozenset(h)) for h in (("idle",), ("now",), ("queue",)))]
        ),
    }
)


def play(steps: list[tuple[float, tuple[Any, ...]]], options: dict[str, Any]) -> None:
    async def main() -> None:
        model = Model(script, **options)
        host = Agent("host", model=Prepared(["no"] * 99), prompt="You are the host.", tools=[look_up])
        channels = _channels(model)
        runtime = Runtime(state=None, orchestration=Swarm([host]), channels=channels)
        async with runtime, asyncio.timeout(3000), asyncio.TaskGroup() as group:
            stage = Stage(runtime, model, group)
            await stage.come("anna")
            for wait, step in steps:
                await asyncio.sleep(wait)
                await stage.do(step)
            await asyncio.sleep(8)
            model.broken = 0
            await stage.come("anna")
            await stage.settle()
            await check(stage)
            for who in list(stage.legs):
                await stage.go(who, True)

    run(main())


def _channels(model: Model) -> Any:
    return lambda room: RealtimeChannel(model=model, vad=Vad(), backoff=Backoff(tries=8, patience=30.0))


async def check(stage: Stage) -> None:
    assert not stage.watcher.faults, stage.watcher.faults
    entries = {entry.delivery.content: entry for entry in await stage.runtime.ledger.entries("lobby", list(Status))}
    counts = Counter(stage.heard())
    for words in stage.sent:
        entry = entries[" ".join(words)]
        assert entry.status in (Status.HEARD, Status.DEAD), (entry, stage.heard())
        if entry.status is Status.HEARD:
            missed = [word for word in words if not counts[word]]
            assert not missed, (missed, words, stage.heard())
    asked = asyncio.get_running_loop().time()
    await stage.make("anna", spoken(LAST))
    await asyncio.sleep(6)
    said = " ".join(word for at, word in stage.legs["anna"].heard() if at > asked)
    assert f"you said {LAST}" in said, said
    for talk in stage.model.sessions:
        open_calls = talk._answers.keys() - talk.results.keys()
        assert talk.closed or not open_calls, open_calls


@settings(max_examples=20)
@given(PLAYS, MODELS)
def test_promises_of_random_calls(steps: list[tuple[float, tuple[Any, ...]]], options: dict[str, Any]) -> None:
    play(steps, options)
