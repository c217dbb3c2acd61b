"""Flux through the real SDK: its turns are ours, eager ends are told, and a cut costs no word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_listen import TIMED_OUT, FakeFlux
from tests.fakes.faults import Fault
from tests.fakes.hearing import HiddenWords
from tests.sockets import run
from tests.voice.doubles import quiet, spoken
from tests.voice.stt.providers import plain
from voice.provider_error import Cause, ProviderError
from voice.stt import deepgram_line
from voice.stt.deepgram_flux import DeepgramFlux, FluxStream
from voice.stt.recognizer import EagerEnd, Final, Hearing, Hints, Partial, Resumed

SAID = "one two three four"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited before another try is tested where it is made (`test_backoff.py`)."""
    monkeypatch.setattr(deepgram_line, "AGAIN", replace(deepgram_line.AGAIN, first=0.01, longest=0.02))


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[tuple[FakeDeepgram, FakeFlux, FluxStream]]:
    flux = FakeFlux(HiddenWords)
    async with FakeDeepgram(flux) as fake:
        options = {"api_key": fake.key, "base_url": fake.url, **options}
        stream = DeepgramFlux(**options).stream(Hints(phrases=("tea",)))
        try:
            yield fake, flux, stream
        finally:
            await stream.aclose()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def heard(stream: FluxStream) -> list[Hearing]:
    hearings: list[Hearing] = []
    async for hearing in stream:
        hearings.append(hearing)
        if isinstance(hearing, Final):
            break
    return hearings


async def say(flux: FakeFlux, stream: FluxStream, *frames: bytes) -> None:
    """Push it, as it comes: the service has had the last of it before the next."""
    for at in range(0, len(frames), 10):
        had = sum(flux.sound)
        stream.push(b"".join(frames[at : at + 10]))
        await until(lambda had=had: sum(flux.sound) > had or not stream._speeches.waiting)  # type: ignore[misc]


def test_it_ends_turns_by_itself_and_announces_it() -> None:
    async def main() -> tuple[list[Hearing], int, dict[str, list[str]]]:
        async with opened() as (fake, flux, stream):
            await until(lambda: flux.opened == 1)
            stream.begin()
            stream.push(b"".join(spoken("one")))
            await until(lambda: sum(flux.sound) > 0)
            await say(flux, stream, *spoken("two"), *quiet(0.3), *spoken("three four"), *quiet(0.6))
            hearings = await heard(stream)
            return hearings, flux.count("ForceEndTurn"), dict(fake.seen[0][1])

    hearings, forced, query = run(main())
    kinds = [type(each) for each in hearings if not isinstance(each, Partial)]
    assert kinds == [EagerEnd, Resumed, EagerEnd, Final]
    assert plain(hearings[-1].text) == SAID  # type: ignore[union-attr]
    assert hearings[-1].confidence == pytest.approx(0.97)  # type: ignore[union-attr]
    assert forced == 0
    assert query == {
        "model": ["flux-general-en"],
        "encoding": ["linear16"],
        "sample_rate": ["16000"],
        "eager_eot_threshold": ["0.5"],
        "keyterm": ["tea"],
    }


def test_end_forces_it_and_there_is_one_final_whoever_is_first() -> None:
    async def main() -> list[str]:
        async with opened() as (_, flux, stream):
            await until(lambda: flux.opened == 1)
            texts = []
            for said in ("one two", "three", "four five"):
                stream.begin()
                for frame in [*spoken(said), *quiet(0.1)]:
                    stream.push(frame)
                stream.end()
                texts.append(plain((await heard(stream))[-1].text))  # type: ignore[union-attr]
            stream.begin()
            await say(flux, stream, *spoken("six"), *quiet(0.6))
            texts.append(plain((await heard(stream))[-1].text))  # type: ignore[union-attr]
            stream.push(quiet(0.02)[0])
            stream.end()
            stream.begin()
            stream.push(b"".join([*spoken("seven"), *quiet(0.1)]))
            stream.end()
            texts.append(plain((await heard(stream))[-1].text))  # type: ignore[union-attr]
            assert flux.opened == 1
            return texts

    assert run(main()) == ["one two", "three", "four five", "six", "seven"]


@pytest.mark.parametrize("messages", [1, 2, 4])
def test_a_line_cut_in_mid_turn_costs_no_word(messages: int) -> None:
    async def main() -> tuple[list[Hearing], int]:
        async with opened() as (_, flux, stream):
            flux.faults.order(Fault(cut_after=messages), Fault(cut_after=messages))
            stream.begin()
            for frame in [*spoken("one two"), *quiet(0.7), *spoken("three four"), *quiet(0.2)]:
                stream.push(frame)
            stream.end()
            return await heard(stream), flux.opened

    hearings, lines = run(main())
    assert plain(hearings[-1].text) == SAID  # type: ignore[union-attr]
    assert lines == 3


def test_an_idle_line_is_let_go_and_opened_again_when_there_is_speech() -> None:
    async def main() -> tuple[int, str, int]:
        async with opened() as (fake, flux, stream):
            await until(lambda: flux.opened == 1)
            stream.begin()
            await say(flux, stream, *spoken("one"), *quiet(0.6))
            await heard(stream)
            await fake.hang_up(*TIMED_OUT)
            await until(lambda: fake.connections == 0)
            for _ in range(100):
                await asyncio.sleep(0)
            before = flux.opened
            stream.begin()
            stream.push(b"".join([*spoken(SAID), *quiet(0.1)]))
            stream.end()
            return before, plain((await heard(stream))[-1].text), flux.opened  # type: ignore[union-attr]

    assert run(main()) == (1, SAID, 2)


def test_a_fatal_error_of_the_service_is_an_error() -> None:
    async def main() -> ProviderError:
        async with opened(keyterms=("x",)) as (_, flux, stream):
            flux.faults.always(Fault(garbage=True))
            stream.begin()
            stream.push(b"".join(spoken(SAID)))
            with pytest.raises(ProviderError) as raised:
                await heard(stream)
            return raised.value

    assert run(main()).cause is Cause.ANSWER


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"model": "nova-3"}, "model"),
        ({"eot_threshold": 0.2}, "eot_threshold"),
        ({"eager_eot_threshold": 0.95}, "eager_eot_threshold"),
        ({"eot_threshold": 0.6, "eager_eot_threshold": 0.65}, "eager_eot_threshold"),
        ({"eot_timeout_ms": 100}, "eot_timeout_ms"),
        ({"keyterms": ("",)}, "keyterms"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        DeepgramFlux(**options)


def test_nothing_secret_is_shown() -> None:
    assert "secret" not in repr(DeepgramFlux(api_key="secret"))
