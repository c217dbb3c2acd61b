"""FallbackSynthesizer: however a voice fails, the sentence is spoken to its end, and no word of it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.voice.doubles import WORD_FRAMES, Synthesizer, spoken, word_of
from voice import clock
from voice.backoff import Backoff
from voice.leg import FRAME_BYTES, FRAME_SECONDS, RATE
from voice.making import STALLED
from voice.provider_error import Cause, ProviderError
from voice.standby import QUIET
from voice.tts.fallback import STALL, FallbackSynthesizer
from voice.tts.synthesizer import SpeechChunk, WordMark

ONCE = Backoff(tries=1)
TEXT = "here is a long answer that goes on for a good while and then some."
WORDS = TEXT.split()
WORD = WORD_FRAMES * FRAME_SECONDS
DOWN = ProviderError("one", Cause.SERVER, status=500)


class Voice(Synthesizer):
    """Speaks until `until` seconds of audio; then it does what `how` says: "raises", "stalls", "ends"."""

    def __init__(self, name: str, how: str = "", until: float = 0.0, **more: Any) -> None:
        super().__init__(**more)
        self.name, self.how, self.until = name, how, until
        self.open = 0

    async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        self.open += 1
        left = round(self.until * RATE) * 2
        try:
            async for chunk in super().synthesize(text):
                if self.how and len(chunk.pcm) > left:
                    if left or chunk.marks:
                        yield SpeechChunk(chunk.pcm[:left], chunk.marks)
                    if self.how == "raises":
                        raise DOWN
                    if self.how == "stalls":
                        await asyncio.sleep(1e6)
                    return
                left -= len(chunk.pcm)
                yield chunk
        finally:
            self.open -= 1


def speak(*voices: Voice, text: str = TEXT, **how: Any) -> tuple[bytes, list[WordMark], float]:
    """The audio of a text, its marks, and the most seconds that were waited for audio."""

    async def main() -> tuple[bytes, list[WordMark], float]:
        pcm, marks, waited = b"", [], 0.0
        now = asyncio.get_running_loop().time
        last = now()
        async for chunk in FallbackSynthesizer(voices, **how).synthesize(text):
            pcm += chunk.pcm
            marks += chunk.marks
            waited, last = max(waited, now() - last), now()
        assert not any(voice.open for voice in voices)
        return pcm, marks, waited

    return clock.run(main())


def words_in(pcm: bytes) -> list[str]:
    """The words whose sound is whole in it; what is cut is none."""
    assert len(pcm) % 2 == 0
    words = []
    frames = [pcm[i : i + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for i in range(0, len(pcm), FRAME_BYTES)]
    for frame in frames:
        word, last = word_of(frame)
        if last and word:
            words.append(word)
    return words


def test_the_first_speaks_as_long_as_it_works() -> None:
    one, two = Voice("one"), Voice("two")
    pcm, marks, _ = speak(one, two)
    assert words_in(pcm) == WORDS
    assert [TEXT[m.start : m.end] for m in marks] == [word.rstrip(".") for word in WORDS]
    assert two.texts == []


@pytest.mark.parametrize("how", ["raises", "stalls", "ends"])
def test_before_the_first_audio_the_next_has_it_all(how: str, caplog: pytest.LogCaptureFixture) -> None:
    pcm, _, waited = speak(Voice("one", how, marks=False), Voice("two"))
    assert words_in(pcm) == WORDS
    assert waited <= STALL + 0.001
    assert "synthesizer one failed" in caplog.text
    assert "two is asked instead" in caplog.text


@pytest.mark.parametrize("marked", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("how", ["raises", "stalls", "ends"])
@pytest.mark.parametrize("frames", [1, 14, 15, 16, 100, 149, 150, 200])
def test_the_rest_is_spoken_by_the_next(how: str, frames: int, marked: tuple[bool, bool]) -> None:
    if how == "ends" and frames > 50:
        frames = 50  # later it may have been a hurried voice
    until = frames * FRAME_SECONDS
    pcm, marks, waited = speak(Voice("one", how, until, marks=marked[0]), Voice("two", marks=marked[1]))
    said = words_in(pcm)
    whole = frames // WORD_FRAMES
    assert said[:whole] == WORDS[:whole]
    rest = said[whole:]
    assert rest == WORDS[len(WORDS) - len(rest) :], "the rest goes on to the end"
    repeated = len(said) - len(WORDS)
    assert repeated >= 0, "no word is lost"
    if marked[0]:
        assert repeated <= 2
    else:
        assert repeated <= 2 + whole * 2 // 3
    assert waited <= STALL + 0.001
    if any(marked):
        seconds = len(pcm) / 2 / RATE
        assert [m.at for m in marks] == sorted(m.at for m in marks)
        assert all(0 <= m.at <= seconds and TEXT[m.start : m.end].strip() for m in marks)
        assert TEXT[marks[-1].start :].startswith("some")
    if all(marked):
        for mark in marks[-len(rest) :]:
            frame = pcm[round(mark.at * RATE) * 2 :][:FRAME_BYTES]
            assert word_of(frame)[0].rstrip(".") == TEXT[mark.start : mark.end]


def test_half_a_sample_does_not_turn_the_rest_into_noise() -> None:
    class Odd(Voice):
        async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
            yield SpeechChunk(b"".join(spoken("here"))[:-1])
            raise DOWN

    pcm, _, _ = speak(Odd("one"), Voice("two"))
    assert words_in(pcm) == ["here", *WORDS]


def test_empty_chunks_are_no_audio() -> None:
    class Empty(Voice):
        async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
            while True:
                yield SpeechChunk(b"")
                await asyncio.sleep(0.5)

    pcm, _, waited = speak(Empty("one"), Voice("two"))
    assert words_in(pcm) == WORDS
    assert waited <= STALL + 0.001


def test_three_in_a_row() -> None:
    pcm, marks, _ = speak(Voice("one", "raises", 1.0), Voice("two", "stalls", 1.0), Voice("three"))
    said = words_in(pcm)
    assert said[-3:] == WORDS[-3:]
    assert list(dict.fromkeys(said)) == list(dict.fromkeys(WORDS))
    assert [m.at for m in marks] == sorted(m.at for m in marks)


def test_all_fail_and_the_error_names_all() -> None:
    with pytest.raises(ProviderError, match=r"one: server error \(500\); two: no answer in time: no audio for 2 s"):
        speak(Voice("one", "raises", marks=False), Voice("two", "stalls", marks=False), backoff=ONCE)


class Fading(Voice):
    """It refuses at once, and then says no more at all."""

    async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        self.texts.append(text)
        if len(self.texts) == 1:
            raise DOWN
        await asyncio.sleep(1e6)
        yield SpeechChunk(b"")


def test_all_fail_before_the_sentence_is_given_up_by_who_waits() -> None:
    fading, begun = Fading("one"), 0.0
    stuck = Voice("two", "stalls", marks=False)

    async def main() -> None:
        nonlocal begun
        now = asyncio.get_running_loop().time
        begun = now()
        try:
            async for _ in FallbackSynthesizer([fading, stuck]).synthesize(TEXT):
                pass
        finally:
            begun = now() - begun

    with pytest.raises(ProviderError) as caught:
        clock.run(main())
    assert caught.value.transient
    assert len(fading.texts) == 2
    assert begun < STALLED


def test_a_single_one_is_tried_again() -> None:
    class Once(Voice):
        async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
            if not self.texts:
                self.texts.append(text)
                raise DOWN
            async for chunk in super().synthesize(text):
                yield chunk

    pcm, _, _ = speak(Once("one"))
    assert words_in(pcm) == WORDS


def test_what_a_failing_one_costs_is_learnt_once() -> None:
    one, two = Voice("one", "raises", marks=False), Voice("two")

    async def main() -> None:
        provider = FallbackSynthesizer([one, two], failures=2, pause=5.0)
        for _ in range(10):
            async for _chunk in provider.synthesize("hello"):
                pass
        assert len(one.texts) == 2
        await asyncio.sleep(5)
        one.how = ""
        async for _chunk in provider.synthesize("hello"):
            pass
        assert len(one.texts) == 3
        assert len(two.texts) == 10

    clock.run(main())


def test_a_text_that_cannot_be_spoken_is_no_other_texts_trouble() -> None:
    one = Voice("one", "ends", marks=False)

    async def main() -> None:
        provider = FallbackSynthesizer([one], failures=2)
        for _ in range(10):
            with pytest.raises(ProviderError, match="it made no audio") as error:
                await anext(provider.synthesize("hello"))
            assert not error.value.transient
        one.how = ""
        assert (await anext(provider.synthesize("hello"))).pcm

    clock.run(main())


def test_who_is_cut_stops_its_work_and_says_nothing_against_it() -> None:
    one = Voice("one", delay=1.0)

    async def main() -> None:
        provider = FallbackSynthesizer([one], failures=1)
        for _ in range(3):
            chunks = provider.synthesize(TEXT)
            await anext(chunks)
            await chunks.aclose()
            assert one.open == 0
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await anext(provider.synthesize(TEXT))
            assert one.open == 0
        assert len(one.texts) == 6

    clock.run(main())


def test_a_voice_that_is_cancelled_by_somebody_else_has_failed() -> None:
    class Stray(Voice):
        async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
            yield SpeechChunk(b"")
            raise asyncio.CancelledError

    pcm, _, _ = speak(Stray("one"), Voice("two"))
    assert words_in(pcm) == WORDS


def test_an_hour_without_them_in_a_hundred_rooms_is_a_few_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one, two = Voice("one", "raises", marks=False), Voice("two", "raises", marks=False)

    async def room(provider: FallbackSynthesizer, number: int) -> None:
        await asyncio.sleep(number * 0.37)
        for _ in range(60):
            with pytest.raises(ProviderError):
                await anext(provider.synthesize("help"))
            await asyncio.sleep(60)

    async def main() -> None:
        provider = FallbackSynthesizer([one, two])
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(room(provider, number))
        assert 2 <= len(caplog.records) <= 2 * (3600 / QUIET) / 5

    clock.run(main())


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["raises", "stalls"]), st.integers(0, 120), st.booleans()), max_size=3))
def test_no_word_is_ever_lost(troubles: list[tuple[str, int, bool]]) -> None:
    voices = [Voice(f"v{n}", how, frames * FRAME_SECONDS, marks=m) for n, (how, frames, m) in enumerate(troubles)]
    pcm, marks, _ = speak(*voices, Voice("sure"))
    at = 0
    for word in words_in(pcm):
        if at < len(WORDS) and word == WORDS[at]:
            at += 1
    assert at == len(WORDS)
    assert [m.at for m in marks] == sorted(m.at for m in marks)


@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        ({"providers": []}, ValueError, "synthesizer: give 1 to 10"),
        ({"providers": [Synthesizer]}, TypeError, "give an instance"),
        ({"stall": 0}, ValueError, "stall must be"),
        ({"longest": -1}, ValueError, "longest must be"),
    ],
)
def test_bad_options_are_named(given: dict[str, Any], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        FallbackSynthesizer(**{"providers": [Voice("one")], **given})
