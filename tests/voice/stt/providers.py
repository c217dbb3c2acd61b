"""The recognisers that the contract suite (`test_recognizer.py`) is run over: an `Entry` each; add yours to `ENTRIES`.

An entry that needs a server opens its fake with the provider; the real service is an entry of its own, skipped where
its key is not in the environment.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pytest

from tests import sockets
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_listen import FakeFlux, FakeListen
from tests.fakes.hearing import HiddenWords
from tests.voice import doubles
from tests.voice.spoken import said
from voice import clock
from voice.pipecat import load as load_pipecat
from voice.provider_error import Cause, ProviderError
from voice.stt.deepgram import Deepgram
from voice.stt.deepgram_flux import DeepgramFlux
from voice.stt.fallback import FallbackRecognizer
from voice.stt.livekit import LiveKitSTT
from voice.stt.pipecat import PipecatSTT
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Hints, SpeechRecognizer
from voice.stt.sphinx import native

T = TypeVar("T")


class Runner(Protocol):
    """How a test's coroutine is run: `voice.clock.run` (virtual time), or `tests.sockets.run` (real sockets)."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T: ...


Opened = Callable[[], AbstractAsyncContextManager[SpeechRecognizer]]


@dataclass(frozen=True, slots=True)
class Entry:
    """`opened`: the provider, prepared, as long as the block lasts; entered in the loop of each test. `run`: see
    `Runner`. `paced`: speech is pushed at the pace of real time (only where time is virtual: it must cost none).
    `say`: the sound of a sentence, as this one understands it. `live`: it gives partials while the speech goes on.
    """

    name: str
    opened: Opened
    run: Runner
    say: Callable[[str], bytes]
    paced: bool = False
    live: bool = True
    marks: tuple[pytest.MarkDecorator, ...] = field(default=())


def plain(text: str) -> str:
    """The words only: services write capitals and full stops."""
    return " ".join(re.findall(r"[\w']+", text.lower()))


def hidden(text: str) -> bytes:
    """Words hidden in the samples (`tests.voice.doubles`), for fakes that find them there; with silence after them."""
    return b"".join([*doubles.quiet(0.3), *doubles.spoken(text), *doubles.quiet(0.3)])


@functools.cache
def _prepared(in_child: bool) -> Pocketsphinx:
    """A module's one PocketSphinx of each kind. Skips where it is not there."""
    check = Pocketsphinx.check()
    if not check.usable:
        pytest.skip(f"{check.detail}: {check.fix}")
    if not in_child and native.library() is None:
        pytest.skip("this platform's build of pocketsphinx does not export the C library's functions")
    return Pocketsphinx()


@asynccontextmanager
async def pocketsphinx(in_child: bool = False) -> AsyncIterator[SpeechRecognizer]:
    """PocketSphinx in this process, or in one of its own."""
    with pytest.MonkeyPatch.context() as patch:
        if in_child:
            patch.setattr(native, "library", lambda: None)
        provider = _prepared(in_child)
        await provider.prepare()
        yield provider


@asynccontextmanager
async def pipecat(kind: str, **options: Any) -> AsyncIterator[SpeechRecognizer]:
    """A service of Pipecat's that understands words hidden in samples."""
    check = PipecatSTT.check()
    if not check.usable:
        pytest.skip(f"{check.detail}: {check.fix}")
    load_pipecat("pipecat")
    from tests.voice import pipecat_services

    provider = PipecatSTT(functools.partial(getattr(pipecat_services, kind), **options))
    await provider.prepare()
    yield provider


@asynccontextmanager
async def livekit(**options: Any) -> AsyncIterator[SpeechRecognizer]:
    """A plugin of LiveKit's that understands words hidden in samples; nothing of it is left when it is closed."""
    check = LiveKitSTT.check()
    if not check.usable:
        pytest.skip(f"{check.detail}: {check.fix}")
    from tests.voice import livekit_plugins

    provider = LiveKitSTT(livekit_plugins.Ear(**options))
    await provider.prepare()
    yield provider
    await provider.aclose()
    assert await livekit_plugins.left() == []


@asynccontextmanager
async def deepgram() -> AsyncIterator[SpeechRecognizer]:
    """Nova, on the fake."""
    async with FakeDeepgram(FakeListen(HiddenWords)) as fake:
        provider = Deepgram(api_key=fake.key, base_url=fake.url)
        await provider.prepare()
        yield provider


@asynccontextmanager
async def deepgram_flux() -> AsyncIterator[SpeechRecognizer]:
    """Flux, on the fake."""
    async with FakeDeepgram(FakeFlux(HiddenWords)) as fake:
        provider = DeepgramFlux(api_key=fake.key, base_url=fake.url)
        await provider.prepare()
        yield provider


class Down(doubles.Recognizer):
    """Cannot be reached."""

    fits_grammar = False

    def stream(self, hints: Hints) -> doubles.RecognizerStream:
        raise ProviderError("down", Cause.NETWORK)


@asynccontextmanager
async def fallback() -> AsyncIterator[SpeechRecognizer]:
    """Nova, on the fake, for another one that is down."""
    async with deepgram() as nova:
        provider = FallbackRecognizer([Down(), nova])
        await provider.prepare()
        yield provider
        await provider.aclose()


DEEPGRAM_KEY = "SOTTOVOCE_TEST_DEEPGRAM_API_KEY"


@asynccontextmanager
async def real_deepgram(make: Callable[..., SpeechRecognizer]) -> AsyncIterator[SpeechRecognizer]:
    """The service itself."""
    provider = make(api_key=os.environ[DEEPGRAM_KEY])
    await provider.prepare()
    yield provider


_WITH_DEEPGRAM_KEY = (pytest.mark.skipif(DEEPGRAM_KEY not in os.environ, reason=f"{DEEPGRAM_KEY} is not set"),)

ENTRIES: list[Entry] = [
    Entry("pocketsphinx", pocketsphinx, clock.run, said, paced=True, marks=(pytest.mark.speech,)),
    Entry(
        "pocketsphinx in a child process",
        functools.partial(pocketsphinx, in_child=True),
        clock.run,
        said,
        paced=True,
        marks=(pytest.mark.speech,),
    ),
    Entry("deepgram", deepgram, sockets.run, hidden),
    Entry("fallback", fallback, sockets.run, hidden),
    Entry("deepgram-flux", deepgram_flux, sockets.run, hidden),
    Entry("deepgram, real", functools.partial(real_deepgram, Deepgram), sockets.run, said, marks=_WITH_DEEPGRAM_KEY),
    Entry(
        "deepgram-flux, real",
        functools.partial(real_deepgram, DeepgramFlux),
        sockets.run,
        said,
        marks=_WITH_DEEPGRAM_KEY,
    ),
]
ENTRIES += [
    Entry("pipecat", functools.partial(pipecat, "Streaming"), clock.run, hidden, paced=True),
    Entry(
        "pipecat that does not say what is final",
        functools.partial(pipecat, "Streaming", finalizes=False),
        clock.run,
        hidden,
        paced=True,
    ),
    Entry("pipecat in segments", functools.partial(pipecat, "Segmented"), clock.run, hidden, paced=True, live=False),
]
ENTRIES += [
    Entry("livekit", functools.partial(livekit, flushes=True), clock.run, hidden, paced=True),
    Entry("livekit that finds the end by itself", livekit, clock.run, hidden, paced=True),
    Entry("livekit slowly", functools.partial(livekit, flushes=True, lag=0.25), clock.run, hidden, paced=True),
    Entry(
        "livekit without guesses", functools.partial(livekit, interim=False), clock.run, hidden, paced=True, live=False
    ),
    Entry(
        "livekit that does not stream",
        functools.partial(livekit, streaming=False, interim=False),
        clock.run,
        hidden,
        paced=True,
        live=False,
    ),
]


def params() -> list[Any]:
    """For `pytest.fixture(params=...)`."""
    return [pytest.param(entry, id=entry.name, marks=entry.marks) for entry in ENTRIES]
