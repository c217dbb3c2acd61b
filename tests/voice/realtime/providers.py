"""The speech-to-speech models that the contract suite (`test_session.py`) is run over; add yours to `ENTRIES`.

Each is opened as a `Stage`: the model with what plays its other side. The scripted ones say the prompt and what the
caller said ("you said" ... "you said hello"); asked to "book a table" with a function `book` they call it, with
`{"table": 2}`, and say what it came to.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import pytest

from tests import sockets
from tests.fakes.deepgram import FakeDeepgram, Garbled
from tests.fakes.deepgram_agent import Asked, Call, FakeAgent, echo
from tests.fakes.hearing import HiddenWords
from tests.voice import doubles, spoken
from tests.voice.realtime import double
from voice import clock
from voice.leg import FRAME_SECONDS
from voice.provider_error import ProviderError
from voice.realtime.deepgram import DeepgramAgent
from voice.realtime.livekit import LiveKitRealtime
from voice.realtime.session import Instructions, RealtimeModel, SessionEvent

T = TypeVar("T")
KEY = "SOTTOVOCE_TEST_DEEPGRAM_API_KEY"

SCRIPTED = {"echo": "you said", "other": "he said", "book": "booked"}
ASKED = {
    "echo": "Repeat what the caller says, with 'you said' before it, and say nothing else.",
    "other": "Repeat what the caller says, with 'he said' before it, and say nothing else.",
    "book": "When the caller wants a table, call the function. Then say what it came to, and nothing else.",
}
"""What a model that really thinks has to be told, to say what the scripted ones say."""


class Runner(Protocol):
    """How a test's coroutine is run: `voice.clock.run` (virtual time), or `tests.sockets.run` (real sockets)."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """`frames`: the sound of what a caller says, with the silence that ends the turn. `pace`: seconds a frame takes; 0:
    it is sent at once. `slow`: from now on it speaks no faster than the caller's sound comes. `lose`: the connection
    breaks; None: nobody can have it break. `prompts`: how to tell it what the tests want of it.
    """

    model: RealtimeModel
    frames: Callable[[str], Sequence[bytes]]
    slow: Callable[[], None]
    lose: Callable[[], Awaitable[None]] | None
    prompts: Mapping[str, str] = field(default_factory=lambda: SCRIPTED)
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """`opened` is entered in the loop of each test."""

    name: str
    opened: Callable[[], AbstractAsyncContextManager[Stage]]
    run: Runner
    marks: tuple[pytest.MarkDecorator, ...] = ()


def hidden(text: str) -> list[bytes]:
    """Words hidden in the samples (`tests.voice.doubles`)."""
    return [*doubles.quiet(0.1), *doubles.spoken(text, 3), *doubles.quiet(0.4)]


def script(asked: Asked) -> str | Sequence[Call]:
    """What the scripted ones do."""
    if "book" in asked.text and "book" in asked.functions and not asked.results:
        return [Call("book", '{"table": 2}')]
    return echo(asked)


@asynccontextmanager
async def deepgram_agent(**options: Any) -> AsyncIterator[Stage]:
    """The real SDK and a fake service."""
    agent = FakeAgent(HiddenWords, script, **options)
    async with FakeDeepgram(agent) as fake:

        async def lose() -> None:
            with suppress(Garbled):
                await agent.agents[-1].peer.cut()

        yield Stage(
            DeepgramAgent(api_key=fake.key, base_url=fake.url), hidden, partial(setattr, agent, "in_step", True), lose
        )


@asynccontextmanager
async def deepgram_service() -> AsyncIterator[Stage]:
    """The real one. Skips without a key."""
    key = os.environ.get(KEY)
    if not key:
        pytest.skip(f"{KEY} is not set")
    model = DeepgramAgent(api_key=key, base_url="https://api.deepgram.com")
    yield Stage(
        model, lambda text: spoken.frames(spoken.said(text, after=1.0)), lambda: None, None, ASKED, FRAME_SECONDS
    )


class Patient(double.Session):
    """The double's session without its asserts, which are for channels: what no channel of ours does, it bears."""

    def push(self, pcm: bytes) -> None:
        if not self.closed:
            super().push(pcm)

    def answer(self, call: str, result: str) -> None:
        if call in self._answers and call not in self.results:
            super().answer(call, result)

    async def _iterate(self) -> AsyncIterator[SessionEvent]:
        try:
            async for event in super()._iterate():
                yield event
        except ProviderError as error:
            self.emit(error)
            raise

    async def aclose(self) -> None:
        await super().aclose()
        self.emit(None)


class Double(double.Model):
    """The double in the process."""

    async def open(self, instructions: Instructions) -> Patient:
        session = Patient(self, instructions)
        self.sessions.append(session)
        return session


async def play(session: double.Session, heard: str) -> None:
    """The script, for the double."""
    told = session.told[-1]
    if "book" in heard and told.functions:
        await session.speak(f"{told.prompt} {heard} {await session.call('book', table=2)}")
    else:
        await session.speak(f"{told.prompt} {heard}")


@asynccontextmanager
async def in_process(**options: Any) -> AsyncIterator[Stage]:
    """The double, in virtual time."""
    model = Double(play, fast=2.0, **options)

    async def lose() -> None:
        model.session.lose()

    yield Stage(model, hidden, lambda: None, lose, pace=FRAME_SECONDS)


@asynccontextmanager
async def livekit(**options: Any) -> AsyncIterator[Stage]:
    """A plugin of LiveKit's; nothing of it is left when it is closed."""
    check = LiveKitRealtime.check()
    if not check.usable:
        pytest.skip(f"{check.detail}: {check.fix}")
    from livekit.agents import APIConnectionError

    from tests.voice.livekit_plugins import left
    from tests.voice.livekit_talker import Talker

    talker = Talker(**options)

    async def lose() -> None:
        talker.talks[-1].lose(APIConnectionError("it is gone"))

    model = LiveKitRealtime(talker)
    yield Stage(model, hidden, partial(setattr, talker, "in_step", True), lose, pace=FRAME_SECONDS)
    await model.aclose()
    assert await left() == []
    assert all(talk.closed for talk in talker.talks)


ENTRIES: list[Entry] = [
    Entry("the double", in_process, clock.run),
    Entry("deepgram-agent", deepgram_agent, sockets.run),
    Entry(
        "deepgram-agent, which announces its replies and warns",
        partial(deepgram_agent, announces=True, chunk=501, refusals=("Warning", "InjectionRefused")),
        sockets.run,
    ),
    Entry(
        "deepgram-agent, which says nothing of what was cut",
        partial(deepgram_agent, done_after_cut=False, refusals=("Warning",)),
        sockets.run,
    ),
    Entry("livekit", livekit, clock.run),
    Entry("livekit that can be given a line", partial(livekit, says=True, auto=True), clock.run),
    Entry("livekit whose transcripts are late", partial(livekit, late=0.2, rate=48_000), clock.run),
    Entry("deepgram-agent, the real service", deepgram_service, partial(sockets.run, seconds=60.0)),
]


def params() -> list[Any]:
    """For `pytest.fixture(params=...)`."""
    return [pytest.param(entry, id=entry.name, marks=entry.marks) for entry in ENTRIES]
