"""Pipecat's synthesizers: who speaks what, what stops them, and what becomes of their failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from tests.voice import doubles
from voice import pipecat
from voice.clock import now, run
from voice.provider_error import Cause, ProviderError
from voice.tts.pipecat import PipecatTTS
from voice.tts.synthesizer import SpeechChunk

if not PipecatTTS.check().usable:
    pytest.skip(PipecatTTS.check().fix, allow_module_level=True)
pipecat.load("pipecat")

from pipecat.frames.frames import Frame, TTSAudioRawFrame  # noqa: E402
from pipecat.services.settings import TTSSettings  # noqa: E402
from pipecat.services.tts_service import TTSService  # noqa: E402

from tests.voice.pipecat_services import Spoken  # noqa: E402

TEXT = "Good morning to you."


class Slow(doubles.Synthesizer):
    """Takes 0.3 s for a word, as long as it sounds."""

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechChunk]:
        async with aclosing(super().synthesize(text)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                await asyncio.sleep(0.3)
                yield chunk


class Company:
    """A provider and the services it has made."""

    def __init__(self, **options: Any) -> None:
        self.services: list[Spoken] = []
        self.options = options
        self.tts = PipecatTTS(self.make)

    def make(self) -> Spoken:
        self.services.append(Spoken(**{"synthesizer": doubles.Synthesizer(), **self.options}))
        return self.services[-1]

    @property
    def texts(self) -> list[list[str]]:
        return [service.texts for service in self.services]


async def spoken(tts: PipecatTTS, text: str = TEXT) -> list[SpeechChunk]:
    return [chunk async for chunk in tts.synthesize(text)]


def words(chunks: list[SpeechChunk]) -> list[str]:
    """The words whose sound is there."""
    pcm = b"".join(chunk.pcm for chunk in chunks)
    found = (doubles.word_of(pcm[at : at + 640]) for at in range(0, len(pcm) - 639, 640))
    return [word for word, last in found if last]


class TestWhatIsSpoken:
    def test_all_of_the_text_and_when_each_word_begins(self) -> None:
        async def main() -> list[SpeechChunk]:
            company = Company()
            await spoken(company.tts, "Hello.")  # its clock goes on to the next text
            found = await spoken(company.tts)
            await company.tts.aclose()
            return found

        found = run(main())
        assert words(found) == TEXT.split()
        marks = [mark for chunk in found for mark in chunk.marks]
        assert [(TEXT[mark.start : mark.end], mark.at) for mark in marks] == [
            *(("Good", 0.0), ("morning", pytest.approx(0.3)), ("to", pytest.approx(0.6)), ("you", pytest.approx(0.9))),
        ]

    def test_one_that_does_not_time_its_words_marks_none(self) -> None:
        async def main() -> list[SpeechChunk]:
            company = Company(words=False)
            found = await spoken(company.tts)
            await company.tts.aclose()
            return found

        found = run(main())
        assert words(found) == TEXT.split()
        assert not any(chunk.marks for chunk in found)

    @pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 48_000])
    def test_at_16_khz_whatever_its_own_rate(self, rate: int) -> None:
        async def main() -> int:
            company = Company(rate=rate)
            found = await spoken(company.tts)
            await company.tts.aclose()
            return sum(len(chunk.pcm) for chunk in found)

        assert run(main()) / 32_000 == pytest.approx(1.2, abs=0.01)

    def test_two_channels_become_one_and_samples_that_were_cut_are_whole(self) -> None:
        class Stereo(TTSService):
            def __init__(self) -> None:
                settings = TTSSettings(model=None, voice=None, language=None)
                super().__init__(push_start_frame=True, push_stop_frames=False, settings=settings)

            async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
                pcm = b"\x10\x00\x20\x00" * 1000  # 16 on the left, 32 on the right
                for at in range(0, 4000, 501):
                    yield TTSAudioRawFrame(pcm[at : at + 501], 16_000, 2, context_id=context_id)

        async def main() -> tuple[bytes, float]:
            tts = PipecatTTS(Stereo)
            found = await spoken(tts)
            await tts.aclose()
            return b"".join(chunk.pcm for chunk in found), now()

        pcm, took = run(main())
        assert pcm == b"\x18\x00" * 1000
        assert took == pytest.approx(0.0, abs=0.02), "its end is known though it sends no stop frame"


class TestWhoSpeaks:
    def test_one_after_the_other_one_service_does(self) -> None:
        async def main() -> list[list[str]]:
            company = Company()
            for text in ("One.", "Two.", "Three."):
                assert words(await spoken(company.tts, text)) == [text]
            await company.tts.aclose()
            return company.texts

        assert run(main()) == [["One.", "Two.", "Three."]]

    def test_at_the_same_time_two_do(self) -> None:
        async def main() -> list[list[str]]:
            company = Company(synthesizer=Slow())
            both = await asyncio.gather(*(spoken(company.tts, text) for text in ("One.", "Two.")))
            assert [words(each) for each in both] == [["One."], ["Two."]]
            await spoken(company.tts, "Three.")
            await company.tts.aclose()
            return company.texts

        assert sorted(run(main()), key=len) in ([["Two."], ["One.", "Three."]], [["One."], ["Two.", "Three."]])

    def test_nobody_where_there_are_no_words(self) -> None:
        async def main() -> list[Spoken]:
            company = Company()
            assert await spoken(company.tts, "...") == []
            return company.services

        assert run(main()) == []

    def test_one_that_nobody_needs_is_let_go(self) -> None:
        async def main() -> tuple[list[bool], int]:
            company = Company()
            company.tts.keep = 5.0
            await spoken(company.tts)
            await asyncio.sleep(4.9)
            await spoken(company.tts)
            await asyncio.sleep(4.9)
            kept = company.services[0].stopped
            await asyncio.sleep(0.2)
            return [kept, company.services[0].stopped], len(asyncio.all_tasks())

        assert run(main()) == ([False, True], 1)

    def test_closing_stops_all_and_a_further_text_has_a_new_one_on_any_loop(self) -> None:
        company = Company()

        async def main() -> int:
            await spoken(company.tts)
            await company.tts.aclose()
            await company.tts.aclose()
            return len(asyncio.all_tasks())

        assert [run(main()), run(main())] == [1, 1]
        assert company.texts == [[TEXT], [TEXT]]
        assert all(service.stopped for service in company.services)

    def test_closing_ends_what_is_being_spoken(self) -> None:
        async def main() -> tuple[list[str], float]:
            company = Company(synthesizer=Slow())
            speaking = asyncio.ensure_future(spoken(company.tts))
            await asyncio.sleep(0.7)
            await company.tts.aclose()
            return words(await speaking), now()

        heard, at = run(main())
        assert heard == ["Good", "morning"]
        assert at == pytest.approx(0.7)


class TestBreakingOff:
    def test_it_interrupts_the_service_which_goes_on_with_the_next_text(self) -> None:
        async def main() -> tuple[Company, list[str], float]:
            company = Company(synthesizer=Slow())
            async with aclosing(company.tts.synthesize(TEXT)) as speech:  # type: ignore[type-var]
                await anext(speech)
            began = now()
            for _ in range(50):  # passes of the loop, in no time
                await asyncio.sleep(0)
            assert company.services[0].broken_off
            stopped = now() - began
            heard = words(await spoken(company.tts, "Yes, of course."))
            await company.tts.aclose()
            return company, heard, stopped

        company, heard, stopped = run(main())
        assert stopped == 0.0
        assert heard == ["Yes,", "of", "course."]
        assert company.texts == [[TEXT, "Yes, of course."]]

    def test_before_there_is_sound_it_stops_the_service(self) -> None:
        async def main() -> tuple[Company, list[str]]:
            company = Company(synthesizer=Slow())
            speaking = asyncio.ensure_future(spoken(company.tts))
            await asyncio.sleep(0.1)
            speaking.cancel()
            await asyncio.wait([speaking])
            await asyncio.sleep(0.01)
            assert company.services[0].stopped
            heard = words(await spoken(company.tts, "Yes."))
            await company.tts.aclose()
            return company, heard

        company, heard = run(main())
        assert heard == ["Yes."]
        assert company.texts == [[TEXT], ["Yes."]]

    @pytest.mark.parametrize("after", [0.0, 0.31, 0.61, 1.19, 1.21])
    def test_nothing_of_it_is_heard_in_the_next_text(self, after: float) -> None:
        async def main() -> list[str]:
            company = Company(synthesizer=Slow())
            speaking = asyncio.ensure_future(spoken(company.tts))
            await asyncio.sleep(after)
            speaking.cancel()
            await asyncio.wait([speaking])
            heard = words(await spoken(company.tts, "Yes, of course."))
            await company.tts.aclose()
            return heard

        assert run(main()) == ["Yes,", "of", "course."]


class TestFailures:
    def test_one_that_it_reports_has_no_secret_and_the_next_text_a_new_service(self) -> None:
        async def main() -> Company:
            company = Company(refuses="morning")
            with pytest.raises(ProviderError) as caught:
                await spoken(company.tts)
            error = caught.value
            assert (error.provider, error.cause) == ("pipecat", Cause.NETWORK)
            assert "Spoken reported ConnectionError" in str(error)
            assert "abc123" not in str(error)
            assert error.__cause__ is None
            assert words(await spoken(company.tts, "Yes.")) == ["Yes."]
            await company.tts.aclose()
            assert len(asyncio.all_tasks()) == 1
            return company

        assert run(main()).texts == [[TEXT], ["Yes."]]

    def test_one_that_says_nothing_has_failed(self) -> None:
        class Mute(Spoken):
            async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
                for frame in ():
                    yield frame

        async def main() -> float:
            tts = PipecatTTS(lambda: Mute(doubles.Synthesizer()))
            with pytest.raises(ProviderError):
                await spoken(tts)
            await tts.aclose()
            return now()

        assert run(main()) <= 5.0


class TestTheFactory:
    def test_a_service_itself_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"a new service each time, not Spoken.*Write PipecatTTS\(lambda"):
            PipecatTTS(Spoken(doubles.Synthesizer()))  # type: ignore[arg-type]

    @pytest.mark.parametrize("factory", [str, lambda: None])
    def test_what_it_makes_must_be_a_synthesizer(self, factory: Callable[[], Any]) -> None:
        async def main() -> None:
            with pytest.raises(TypeError, match="must make a TTSService of Pipecat's, not"):
                await spoken(PipecatTTS(factory))

        run(main())

    @pytest.mark.parametrize("keep", [-1, 4000, float("nan")])
    def test_a_time_that_makes_no_sense_is_refused(self, keep: float) -> None:
        with pytest.raises(ValueError, match="keep must be seconds"):
            PipecatTTS(Spoken, keep=keep)
