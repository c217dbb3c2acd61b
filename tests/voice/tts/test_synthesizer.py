"""Every synthesizer keeps the contract of `voice/tts/synthesizer.py`: those of `providers.py`, with real engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.voice.spoken import audio
from tests.voice.tts.providers import ENTRIES, Entry, Opened
from voice.audio import level
from voice.clock import run
from voice.tts.espeak import Espeak, EspeakError
from voice.tts.flite import Flite
from voice.tts.synthesizer import SpeechChunk, Synthesizer, WordMark

pytestmark = pytest.mark.speech

TEXT = "Dr. Smith paid $3.50 at 10:30, and it's (quite) well-known “fun” – naïve friends… Isn't it?"
WORDS = ["Dr", "Smith", "paid", "$3.50", "at", "10:30", "and", "it's", "quite", "well-known", "fun", "naïve", "friends"]
WORDS += ["Isn't", "it"]
LONG = "The quick brown fox jumps over the lazy dog, and then it sleeps. " * 12

MARKED = [entry for entry in ENTRIES if entry.marks]


@pytest.fixture(scope="module", params=ENTRIES, ids=lambda entry: entry.name)
def entry(request: pytest.FixtureRequest) -> Entry:
    found: Entry = request.param
    found.skip_unless_usable()
    return found


marked = pytest.mark.parametrize("entry", MARKED, indirect=True, ids=lambda entry: entry.name)
"""For those that know when their words begin."""


async def spoken(synthesizer: Synthesizer, text: str) -> list[SpeechChunk]:
    return [chunk async for chunk in synthesizer.synthesize(text)]


def chunks(entry: Entry, text: str) -> list[SpeechChunk]:
    found: list[SpeechChunk] = entry.use(lambda opened: spoken(opened.synthesizer, text))
    return found


def said(synthesizer: Synthesizer, text: str) -> list[SpeechChunk]:
    """By an embedded engine."""
    return run(spoken(synthesizer, text))


def marks(found: list[SpeechChunk]) -> list[WordMark]:
    return [mark for chunk in found for mark in chunk.marks]


def sound(found: list[SpeechChunk]) -> bytes:
    return b"".join(chunk.pcm for chunk in found)


def part(pcm: bytes, begin: float, end: float) -> bytes:
    return pcm[2 * round(16_000 * begin) : 2 * round(16_000 * end)]


def test_it_speaks_at_16_khz(entry: Entry) -> None:
    pcm = sound(chunks(entry, TEXT))
    assert 4 < len(pcm) / 32_000 < 12
    assert -35 < level(pcm) < -5


def test_the_first_sound_is_the_first_word(entry: Entry) -> None:
    pcm = sound(chunks(entry, "Yes, of course."))
    assert level(part(pcm, 0, 0.2)) > -40


@marked
def test_word_marks_are_the_words_of_the_text(entry: Entry) -> None:
    found = marks(chunks(entry, TEXT))
    assert [TEXT[mark.start : mark.end] for mark in found] == WORDS


@marked
def test_word_marks_go_forward_and_stay_within_the_audio(entry: Entry) -> None:
    made = chunks(entry, TEXT + " " + TEXT)
    found = marks(made)
    assert len(found) == 2 * len(WORDS)
    assert all(one.start < two.start and one.at < two.at for one, two in pairwise(found))
    assert found[0].at < 0.2
    assert found[-1].at < len(sound(made)) / 32_000 - 0.1


@marked
def test_a_mark_comes_no_later_than_its_sound(entry: Entry) -> None:
    given = 0.0
    for chunk in chunks(entry, TEXT):
        assert all(mark.at >= given - 0.1 for mark in chunk.marks)
        given += len(chunk.pcm) / 32_000


@marked
def test_a_mark_is_where_its_word_is_heard(entry: Entry) -> None:
    made = chunks(entry, "Good morning. Banana.")
    pcm, at = sound(made), marks(made)[-1].at
    assert level(part(pcm, at - 0.12, at - 0.02)) < -45
    assert level(part(pcm, at, at + 0.2)) > -35


def test_it_comes_in_pieces(entry: Entry) -> None:
    made = chunks(entry, LONG)
    assert len(made) > 100
    assert max(len(chunk.pcm) for chunk in made) < 32_000


@pytest.mark.parametrize("text", ["", "   ", "...", "?!", "\n", "\0"])
def test_where_there_are_no_words_there_is_no_sound(entry: Entry, text: str) -> None:
    assert chunks(entry, text) == []


def test_it_can_be_prepared_twice(entry: Entry) -> None:
    async def main(opened: Opened) -> None:
        await opened.synthesizer.prepare()
        await opened.synthesizer.prepare()

    entry.use(main)


def test_several_texts_at_once_do_not_mix(entry: Entry) -> None:
    texts = ["Good morning. How are you?", LONG, "Yes.", TEXT]

    async def main(opened: Opened) -> tuple[list[list[SpeechChunk]], list[list[SpeechChunk]]]:
        alone = [await spoken(opened.synthesizer, text) for text in texts]
        return alone, await asyncio.gather(*(spoken(opened.synthesizer, text) for text in texts))

    for text, one, other in zip(texts, *entry.use(main), strict=True):
        assert [(mark.start, mark.end) for mark in marks(one)] == [(mark.start, mark.end) for mark in marks(other)], (
            text
        )
        assert [mark.at for mark in marks(one)] == pytest.approx([mark.at for mark in marks(other)], abs=0.02)
        assert len(sound(one)) == pytest.approx(len(sound(other)), rel=0.01)  # eSpeak NG is not quite the same twice


async def whole(opened: Opened) -> tuple[Callable[[], int], int]:
    """What counts the work, and what all of `LONG` costs."""
    if opened.made is None:
        pytest.skip("nobody can tell how much it makes")
    assert await audio(opened.synthesizer, LONG)
    return opened.made, opened.made()


def test_closing_it_stops_the_engine(entry: Entry) -> None:
    async def main(opened: Opened) -> None:
        made, all_of_it = await whole(opened)
        async with aclosing(opened.synthesizer.synthesize(LONG)) as speech:  # type: ignore[type-var]
            await anext(speech)
        assert await audio(opened.synthesizer, "Yes.")
        assert made() - all_of_it < all_of_it / 3

    entry.use(main)


def test_cancelling_who_listens_stops_the_engine(entry: Entry) -> None:
    async def main(opened: Opened) -> None:
        made, all_of_it = await whole(opened)
        heard = asyncio.Event()

        async def listen() -> None:
            async with aclosing(opened.synthesizer.synthesize(LONG)) as speech:  # type: ignore[type-var]
                async for _ in speech:
                    heard.set()

        listener = asyncio.ensure_future(listen())
        await heard.wait()
        listener.cancel()
        await asyncio.wait([listener])
        assert listener.cancelled()
        assert await audio(opened.synthesizer, "Yes.")
        assert made() - all_of_it < all_of_it

    entry.use(main)


def test_one_that_never_began_makes_nothing(entry: Entry) -> None:
    async def main(opened: Opened) -> None:
        await opened.synthesizer.synthesize(LONG).aclose()  # type: ignore[attr-defined]
        assert not opened.made or opened.made() == 0

    entry.use(main)


def test_what_is_over_long_is_refused(entry: Entry) -> None:
    async def main(opened: Opened) -> None:
        with pytest.raises(ValueError, match="text has 5001 characters"):
            opened.synthesizer.synthesize("a" * 5001)

    entry.use(main)


@settings(max_examples=10)
@given(text=st.text(max_size=60) | st.text(alphabet=" .,!?'\"-$%&0123456789abcXYZ()<>/[]é€\n", max_size=40))
@example("1" * 300)
@example("a" * 400)
@example("<b>bold</b> [[h@l'oU]] <break time='3s'/> %n %s {x} C++ #1")
@example("漢字 عربى 🙂 Ünïcödé ﬁ ½")
def test_any_text_is_spoken_or_passed_over(entry: Entry, text: str) -> None:
    if entry.paid:
        pytest.skip("a hundred texts cost money")
    made = chunks(entry, text)
    duration = len(sound(made)) / 32_000
    assert all(len(chunk.pcm) % 2 == 0 for chunk in made)
    last, at = 0, 0.0
    for mark in marks(made):
        assert last <= mark.start < mark.end <= len(text)
        assert at <= mark.at <= duration
        last, at = mark.end, mark.at


class TestSettings:
    def test_flite_knows_its_voices(self) -> None:
        with pytest.raises(ValueError, match="voice must be one of slt, rms"):
            Flite("nobody")

    @pytest.mark.parametrize(("voice", "speed"), [("", 160), ("x" * 256, 160), ("en-us", 79), ("en-us", 451)])
    def test_espeak_refuses_what_makes_no_sense(self, voice: str, speed: int) -> None:
        with pytest.raises(ValueError, match=r"voice must be|speed must be"):
            Espeak(voice, speed)

    def test_espeak_says_that_it_has_no_such_voice(self) -> None:
        if not Espeak.check().usable:
            pytest.skip(Espeak.check().fix)
        with pytest.raises(EspeakError, match="no voice 'nobody'"):
            said(Espeak("nobody"), "Hello.")
        assert said(Espeak(), "Hello.")

    def test_espeak_takes_voice_and_speed_from_each_text(self) -> None:
        if not Espeak.check().usable:
            pytest.skip(Espeak.check().fix)
        slow, fast = (len(sound(said(Espeak("en-us", speed), TEXT))) for speed in (100, 300))
        assert slow > 1.8 * fast

    def test_flite_speaks_in_the_voice_it_was_given(self) -> None:
        if not Flite.check().usable:
            pytest.skip(Flite.check().fix)
        lengths = {voice: len(sound(said(Flite(voice), TEXT))) for voice in ("slt", "rms", "awb")}
        assert len(set(lengths.values())) == 3

    def test_a_long_text_of_flites_does_not_hold_up_a_short_one(self) -> None:
        if not Flite.check().usable:
            pytest.skip(Flite.check().fix)
        order = []

        async def one(text: str) -> None:
            assert await audio(Flite(), text)
            order.append(text)

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(one(LONG))
                await asyncio.sleep(0)
                group.create_task(one("Yes."))

        run(main())
        assert order == ["Yes.", LONG]
