"""LiveKit's synthesizers: what is special about them; the contract they keep is in `test_synthesizer.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("livekit.agents", reason="pip install 'sottovoce[livekit]'")

from livekit.agents import APIStatusError

from tests.voice import doubles
from tests.voice.livekit_plugins import Voice, everything, left, words_in
from voice.clock import now, run
from voice.provider_error import Cause, ProviderError
from voice.tts.livekit import LiveKitTTS
from voice.tts.synthesizer import SpeechChunk


@asynccontextmanager
async def opened(engine: Any = None, timeout: float = 4.0, **options: Any) -> AsyncIterator[tuple[LiveKitTTS, Voice]]:
    """A provider; no task, and no request, is left afterwards."""
    voice = Voice(engine or doubles.Synthesizer(), **options)
    provider = LiveKitTTS(voice, timeout=timeout)
    await provider.prepare()
    yield provider, voice
    assert voice.running == 0
    await provider.aclose()
    assert await left() == []
    assert voice.closed == 1


def chunks(text: str, **options: Any) -> list[SpeechChunk]:
    async def main() -> list[SpeechChunk]:
        async with opened(**options) as (provider, _):
            return await everything(provider.synthesize(text))

    return run(main())


def test_the_sound_is_the_plugins_and_the_words_are_marked() -> None:
    made = chunks("Yes, yes of course.")
    assert words_in(b"".join(chunk.pcm for chunk in made)) == ["Yes,", "yes", "of", "course."]
    marks = [mark for chunk in made for mark in chunk.marks]
    assert [(mark.start, mark.end) for mark in marks] == [(0, 3), (5, 8), (9, 11), (12, 18)]
    assert [mark.at for mark in marks] == pytest.approx([0.0, 0.3, 0.6, 0.9])


def test_one_that_does_not_know_its_words_marks_none() -> None:
    assert not any(chunk.marks for chunk in chunks("Yes, yes.", marks=False))


@settings(max_examples=30)
@given(
    text=st.text(max_size=40) | st.text(alphabet=" .,!?'-$%&019abXY()<>é€\n", max_size=40),
    told=st.lists(st.tuples(st.text(alphabet=" ab.é$", max_size=6), st.floats(-1, 5)), max_size=6),
)
def test_whatever_it_tells_of_words_marks_go_forward_in_the_text(text: str, told: list[tuple[str, float]]) -> None:
    class Wrong(doubles.Synthesizer):
        async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
            yield SpeechChunk(b"".join(doubles.spoken("word")))

    class Telling(Voice):
        told: ClassVar[list[tuple[str, float]]] = []

        def timed(self, chunk: SpeechChunk, text: str) -> list[tuple[str, float]]:
            return self.told

    Telling.told = told
    last, at = 0, 0.0

    async def main() -> list[SpeechChunk]:
        return await everything(LiveKitTTS(Telling(Wrong())).synthesize(text))

    for mark in [mark for chunk in run(main()) for mark in chunk.marks]:
        assert last <= mark.start < mark.end <= len(text)
        assert at <= mark.at
        last, at = mark.end, mark.at


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 2), (24_000, 1), (48_000, 2), (22_050, 1)])
def test_whatever_it_speaks_at_comes_at_16_khz(rate: int, channels: int) -> None:
    made = chunks("one two three", rate=rate, channels=channels)
    assert sum(len(chunk.pcm) for chunk in made) / 32_000 == pytest.approx(0.9, abs=0.025)


def test_the_plugin_is_asked_once_and_without_retries() -> None:
    async def main() -> Voice:
        async with opened(timeout=3.0) as (provider, voice):
            await everything(provider.synthesize("Yes."))
            return voice

    voice = run(main())
    [(text, options)] = voice.asked
    assert (text, options.max_retry, options.timeout) == ("Yes.", 0, 3.0)
    assert voice.warmed == 1


class TestFailures:
    def test_they_name_the_provider_and_the_cause(self) -> None:
        class Broken(doubles.Synthesizer):
            async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
                yield SpeechChunk(b"".join(doubles.spoken("one")))
                raise APIStatusError("token-123", status_code=429, body={"key": "token-123"})

        async def main() -> None:
            async with opened(Broken()) as (provider, _):
                with pytest.raises(ProviderError, match=r"^livekit:.*rate limit") as caught:
                    await everything(provider.synthesize("one two"))
                assert caught.value.cause is Cause.RATE
                assert "token-123" not in repr(caught.value)
                assert caught.value.__suppress_context__

        run(main())

    def test_one_that_stalls_is_given_up(self) -> None:
        async def main() -> float:
            async with opened(doubles.Synthesizer(stall="two"), timeout=3.0) as (provider, _):
                with pytest.raises(ProviderError, match="no answer in time"):
                    await everything(provider.synthesize("one two"))
                return now()

        assert run(main()) == 3.0

    def test_one_that_makes_no_sound_has_failed(self) -> None:
        class Silent(doubles.Synthesizer):
            async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
                return
                yield

        with pytest.raises(ProviderError, match="server error"):
            chunks("one two", engine=Silent())


def test_closing_it_stops_the_request_at_once() -> None:
    class Endless(doubles.Synthesizer):
        async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
            while True:
                yield SpeechChunk(b"".join(doubles.spoken("on")))
                await asyncio.sleep(0.3)

    async def main() -> float:
        async with opened(Endless()) as (provider, voice):
            async with aclosing(provider.synthesize("on and on")) as speech:  # type: ignore[type-var]
                await anext(speech)
                assert voice.running == 1
                began = now()
            assert voice.running == 0
            return now() - began

    assert run(main()) == 0.0


def test_it_says_what_is_no_plugin() -> None:
    with pytest.raises(TypeError, match=r"tts: give an object .* not Synthesizer"):
        LiveKitTTS(doubles.Synthesizer())  # type: ignore[arg-type]
    assert LiveKitTTS.check().usable
