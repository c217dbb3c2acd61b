"""The synthesizers that the contract suite runs over: an entry each, which opens its provider on a running loop.

To add one, write an async context manager that yields `Opened` (with its fake server inside, if it has one), and put an
`Entry` into `ENTRIES`. An entry whose provider is not usable here is skipped, with its fix.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import pytest

from tests import sockets
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_speak import FakeSpeak, said_by
from voice import clock
from voice import deepgram as deepgram_sdk
from voice.check import Check
from voice.pipecat import load as load_pipecat
from voice.provider_error import Cause, ProviderError
from voice.tts import booth
from voice.tts.deepgram import Deepgram
from voice.tts.espeak import Espeak
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.flite import Flite
from voice.tts.livekit import LiveKitTTS
from voice.tts.pipecat import PipecatTTS
from voice.tts.synthesizer import SpeechChunk, Synthesizer

DEEPGRAM_KEY = "SOTTOVOCE_TEST_DEEPGRAM_API_KEY"


class Run(Protocol):
    """Runs a coroutine on a loop of its own: `voice.clock.run`, or `tests.sockets.run` for what needs sockets."""

    def __call__(self, work: Coroutine[Any, Any, Any], /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A provider that is ready. `made`: how much its engine has made since it was opened, whoever still wants it, in
    pieces of any size; None where nobody can tell.
    """

    synthesizer: Synthesizer
    made: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """`marks`: it knows when its words begin. `paid`: it is a real service, and spared the hundreds of texts."""

    name: str
    check: Callable[[], Check]
    open: Callable[[], AbstractAsyncContextManager[Opened]]
    run: Run = clock.run
    marks: bool = False
    paid: bool = False

    def skip_unless_usable(self) -> None:
        """Skips the test."""
        check = self.check()
        if not check.usable:
            pytest.skip(f"{check.detail}: {check.fix or 'nothing would help'}")

    def use(self, work: Callable[[Opened], Coroutine[Any, Any, Any]]) -> Any:
        """Do `work` with it, opened for that alone."""

        async def main() -> Any:
            async with self.open() as opened:
                return await work(opened)

        return self.run(main())


def embedded(make: Callable[[], Synthesizer]) -> Callable[[], AbstractAsyncContextManager[Opened]]:
    """Opens an engine of the booth's."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Opened]:
        made = 0
        emit = booth._Speech._emit

        def spy(self: booth._Speech[object], chunk: SpeechChunk) -> bool:
            nonlocal made
            made += 1
            return emit(self, chunk)

        synthesizer = make()
        await synthesizer.prepare()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(booth._Speech, "_emit", spy)
            yield Opened(synthesizer, lambda: made)

    return opening


def pipecat(**options: Any) -> Callable[[], AbstractAsyncContextManager[Opened]]:
    """Opens a service of Pipecat's that speaks by Flite, in frames of 0.3 s: each of them costs it some time."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Opened]:
        load_pipecat("pipecat")
        from tests.voice.pipecat_services import Spoken

        synthesizer = PipecatTTS(lambda: Spoken(**options))
        await synthesizer.prepare()
        before = Spoken.made
        yield Opened(synthesizer, lambda: Spoken.made - before)
        await synthesizer.aclose()

    return opening


def pipecat_and_flite() -> Check:
    """Whether both are there."""
    return PipecatTTS.check() if Flite.check().usable else Flite.check()


@asynccontextmanager
async def deepgram() -> AsyncIterator[Opened]:
    """Deepgram on its fake, which speaks with the quicker of the embedded voices."""
    speak = FakeSpeak(said_by(Espeak() if Espeak.check().usable else Flite()))
    async with FakeDeepgram(speak) as fake:
        provider = Deepgram(api_key=fake.key, base_url=fake.url)
        await provider.prepare()
        try:
            yield Opened(provider, lambda: speak.pieces)
        finally:
            await provider.aclose()


@asynccontextmanager
async def real_deepgram() -> AsyncIterator[Opened]:
    """The service itself."""
    provider = Deepgram(api_key=os.environ[DEEPGRAM_KEY], base_url="https://api.deepgram.com")
    await provider.prepare()
    try:
        yield Opened(provider)
    finally:
        await provider.aclose()


def fakeable() -> Check:
    """Whether the SDK is there, and a voice for the fake."""
    usable = find_spec("deepgram") is not None and (Flite.check().usable or Espeak.check().usable)
    return Check("deepgram", usable, "" if usable else "no SDK, or no voice for its fake", deepgram_sdk.INSTALL)


def keyed() -> Check:
    """Whether there is a key to test the service with."""
    key = bool(os.environ.get(DEEPGRAM_KEY))
    return Check("deepgram", key, "" if key else "the real service is not asked", f"set {DEEPGRAM_KEY}")


def livekit(**options: Any) -> Callable[[], AbstractAsyncContextManager[Opened]]:
    """Opens a plugin of LiveKit's that speaks with Flite; nothing of it is left when it is closed."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Opened]:
        from tests.voice import livekit_plugins

        async with embedded(Flite)() as engine:
            provider = LiveKitTTS(livekit_plugins.Voice(engine.synthesizer, **options))
            await provider.prepare()
            yield Opened(provider, engine.made)
            await provider.aclose()
            assert await livekit_plugins.left() == []

    return opening


def livekit_and_flite() -> Check:
    """Whether both are there."""
    check = LiveKitTTS.check()
    return check if not check.usable else Flite.check()


class Down(Espeak):
    """A voice that cannot be had."""

    async def prepare(self) -> None: ...

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        raise ProviderError("down", Cause.NETWORK)
        yield SpeechChunk(b"")


ENTRIES = (
    Entry("flite", Flite.check, embedded(Flite), marks=True),
    Entry("flite at 8 kHz", Flite.check, embedded(lambda: Flite("kal")), marks=True),
    Entry("fallback", Flite.check, embedded(lambda: FallbackSynthesizer([Down(), Flite()])), marks=True, paid=True),
    Entry("espeak", Espeak.check, embedded(Espeak), marks=True),
    Entry("deepgram", fakeable, deepgram, sockets.run),
    Entry("deepgram itself", keyed, real_deepgram, sockets.run, paid=True),
    Entry("pipecat", pipecat_and_flite, pipecat(piece=9600), marks=True),
    Entry("livekit", livekit_and_flite, livekit(), marks=True),
)
