"""Pipecat's recognisers: what becomes of their transcripts, their silences and their failures."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from tests.voice.stt.providers import hidden
from voice import pipecat
from voice.clock import now, run
from voice.provider_error import Cause, ProviderError
from voice.stt.pipecat import PipecatStream, PipecatSTT
from voice.stt.recognizer import EagerEnd, Final, Hearing, Hints, Partial, Resumed

if not PipecatSTT.check().usable:
    pytest.skip(PipecatSTT.check().fix, allow_module_level=True)
pipecat.load("pipecat")

from pipecat.frames import frames  # noqa: E402
from pipecat.services.stt_service import STTService  # noqa: E402

from tests.voice.pipecat_services import Failing, Segmented, Streaming  # noqa: E402


async def hearings(stream: PipecatStream) -> list[tuple[float, Hearing]]:
    """What comes up to the next Final, with the times."""
    found = []
    async for hearing in stream:
        found.append((now(), hearing))
        if isinstance(hearing, Final):
            break
    return found


def said(make: Callable[[], STTService], text: str = "hello there", **options: Any) -> list[tuple[float, Hearing]]:
    async def main() -> list[tuple[float, Hearing]]:
        stream = PipecatSTT(make, **options).stream(Hints())
        stream.begin()
        stream.push(hidden(text) if text else bytes(6400))
        stream.end()
        found = await hearings(stream)
        await stream.aclose()
        return found

    return run(main())


class Scripted(Streaming):
    """Sends these frames when the voice stops, each so many seconds later."""

    script: tuple[tuple[float, frames.Frame], ...] = ()

    async def process_frame(self, frame: frames.Frame, direction: Any) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, frames.VADUserStoppedSpeakingFrame):
            self.create_task(self._play())

    async def _play(self) -> None:
        for seconds, frame in self.script:
            await asyncio.sleep(seconds)
            await self.push_frame(frame)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[frames.Frame | None, None]:
        for frame in ():
            yield frame


def scripted(*script: tuple[float, frames.Frame], latency: float = 1.0) -> Callable[[], STTService]:
    def make() -> STTService:
        service = Scripted(finalizes=False, latency=latency)
        service.script = script
        return service

    return make


def transcript(text: str, finalized: bool = False) -> frames.TranscriptionFrame:
    return frames.TranscriptionFrame(text, "", "", finalized=finalized)


def interim(text: str) -> frames.InterimTranscriptionFrame:
    return frames.InterimTranscriptionFrame(text, "", "")


class TestWhenASpeechIsOver:
    def test_at_once_when_the_service_says_so(self) -> None:
        assert said(Streaming)[-1] == (0.0, Final("hello there"))
        assert said(Segmented)[-1] == (0.0, Final("hello there"))

    def test_else_some_time_after_its_last_transcript(self) -> None:
        found = said(scripted((0.5, interim("hello")), (0.2, transcript("hello ")), (0.2, transcript("there"))))
        assert [hearing for _, hearing in found] == [
            *(Partial("hello"), Partial("hello"), Partial("hello there"), Final("hello there")),
        ]
        assert found[-1][0] == pytest.approx(1.0, abs=0.02), "not after its latency"

    def test_and_sooner_when_nothing_is_open(self) -> None:
        found = said(scripted((0.2, transcript("hello"))))
        assert found[-1] == (pytest.approx(0.5, abs=0.02), Final("hello"))

    def test_or_when_even_a_slow_one_would_have_answered(self) -> None:
        assert said(scripted(latency=0.7), "") == [(pytest.approx(0.7, abs=0.02), Final(""))]
        assert said(scripted(latency=0.7), "", patience=2.0) == [(pytest.approx(2.0, abs=0.02), Final(""))]

    def test_what_was_never_more_than_interim_is_a_guess(self) -> None:
        found = said(scripted((0.1, interim("hello"))))
        assert found[-1] == (pytest.approx(1.0, abs=0.02), Final("hello", 0.5))

    def test_turns_that_a_service_foresees_are_told(self) -> None:
        script = (
            (0.1, frames.EagerTranscriptionFrame("hello ", "", "")),
            (0.1, frames.EagerEndOfTurnCancelFrame()),
            (0.1, transcript("hello there", finalized=True)),
        )
        assert [each for _, each in said(scripted(*script))] == [EagerEnd("hello"), Resumed(), Final("hello there")]

    def test_one_that_ends_turns_by_itself_is_believed(self) -> None:
        class Turns(Streaming):
            async def run_stt(self, audio: bytes) -> AsyncGenerator[frames.Frame | None, None]:
                async for frame in super().run_stt(audio):
                    yield frame
                if "please" in self.words:
                    text, self.words = " ".join(self.words).strip(), [""]
                    yield transcript(text, finalized=True)

        async def main() -> list[Hearing]:
            stream = PipecatSTT(lambda: Turns(finalizes=False), endpoints=True).stream(Hints())
            found = []
            for text in ("stop please", "go on please"):
                stream.begin()
                stream.push(hidden(text))
                found.append((await hearings(stream))[-1][1])
            stream.end()  # the ear's, on its way while the service has ended the turn
            stream.push(bytes(640))
            stream.begin()
            stream.end()
            found.append((await hearings(stream))[-1][1])
            await stream.aclose()
            return found

        assert run(main()) == [Final("stop please"), Final("go on please"), Final("")]

    def test_what_comes_after_that_is_not_lost(self) -> None:
        async def main() -> list[Final]:
            stream = PipecatSTT(scripted((1.2, transcript("late"))), patience=1.0).stream(Hints())
            finals = []
            for _ in range(2):
                stream.begin()
                stream.push(bytes(640))
                await asyncio.sleep(0.5)
                stream.end()
                finals.append((await hearings(stream))[-1][1])
            await stream.aclose()
            return [final for final in finals if isinstance(final, Final)]

        assert [final.text for final in run(main())] == ["", "late"]


class TestWhatTheServiceIsGiven:
    def test_speech_then_silence_until_it_has_answered(self) -> None:
        services: list[Streaming] = []

        def make() -> Streaming:
            services.append(Streaming(finalizes=False, latency=1.05))
            return services[-1]

        assert said(make, "")[-1][0] == pytest.approx(1.05)
        assert services[0].pushed == 6400 + 10 * 3200
        heard = [name for name in services[0].frames if "Speaking" in name]
        assert heard == ["VADUserStartedSpeakingFrame", "VADUserStoppedSpeakingFrame", "UserStoppedSpeakingFrame"]

    def test_the_next_speech_only_when_the_last_has_its_final(self) -> None:
        async def main() -> list[tuple[float, Hearing]]:
            stream = PipecatSTT(lambda: Streaming(finalizes=False)).stream(Hints())
            for text in ("one", "two"):
                stream.begin()
                stream.push(hidden(text))
                stream.end()
            found = [(await hearings(stream))[-1] for _ in range(2)]
            await stream.aclose()
            return found

        assert [hearing for _, hearing in run(main())] == [Final("one"), Final("two")]

    def test_signals_and_other_tasks_are_left_alone(self) -> None:
        async def main() -> int:
            before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
            stream = PipecatSTT(Streaming).stream(Hints())
            stream.begin()
            await asyncio.sleep(0.1)
            assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
            await stream.aclose()
            await stream.aclose()
            return len(asyncio.all_tasks())

        assert run(main()) == 1

    @pytest.mark.parametrize("started", [False, True])
    def test_closing_stops_it_at_once(self, started: bool) -> None:
        service = Streaming()

        async def main() -> tuple[float, list[Hearing]]:
            stream = PipecatSTT(lambda: service).stream(Hints())
            stream.begin()
            stream.push(hidden("hello"))
            if started:
                await asyncio.sleep(0.1)
            began = now()
            await stream.aclose()
            stream.push(b"\0\0")
            return now() - began, [hearing async for hearing in stream]

        assert run(main()) == (0.0, [])
        assert service.stopped is started


class TestFailures:
    def failure(self, make: Callable[[], STTService]) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            said(make, name="vendor")
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert "abc123" not in str(caught.value)
        return caught.value

    def test_one_that_it_reports(self) -> None:
        error = self.failure(lambda: Streaming(fails=ConnectionError("key=abc123")))
        assert (error.provider, error.cause, error.transient) == ("vendor", Cause.RATE, True)
        assert "Streaming reported ConnectionError" in str(error)

    def test_one_while_it_connects(self) -> None:
        error = self.failure(Failing)
        assert (error.cause, error.transient) == (Cause.KEY, False)

    def test_one_that_hangs_while_it_connects(self) -> None:
        class Hanging(Streaming):
            async def setup(self, setup: Any) -> None:
                await asyncio.sleep(1e6)

        error = self.failure(Hanging)
        assert error.cause is Cause.TIMEOUT
        assert "Hanging never began" in str(error)

    def test_after_it_the_stream_is_over_and_no_task_left(self) -> None:
        async def main() -> tuple[list[Hearing], int]:
            stream = PipecatSTT(lambda: Streaming(fails=OSError("x"))).stream(Hints())
            stream.begin()
            stream.push(hidden("hello"))
            with pytest.raises(ProviderError):
                await hearings(stream)
            stream.push(b"\0\0")
            stream.end()
            rest = [hearing async for hearing in stream]
            await stream.aclose()
            return rest, len(asyncio.all_tasks())

        assert run(main()) == ([], 1)

    def test_half_a_sample_is_refused(self) -> None:
        async def main() -> None:
            stream = PipecatSTT(Streaming).stream(Hints())
            stream.begin()
            with pytest.raises(ValueError, match="whole 16-bit samples, not 3 bytes"):
                stream.push(b"abc")
            await stream.aclose()

        run(main())


class TestTheFactory:
    def test_a_service_itself_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"a new service each time, not Streaming.*Write PipecatSTT\(lambda"):
            PipecatSTT(Streaming())  # type: ignore[arg-type]

    def test_what_it_makes_must_be_a_recogniser(self) -> None:
        async def main() -> None:
            with pytest.raises(TypeError, match="must make an STTService of Pipecat's, not str"):
                PipecatSTT(lambda: "no").stream(Hints())  # type: ignore[arg-type, return-value]

        run(main())

    @pytest.mark.parametrize("patience", [0, -1, 31, float("nan")])
    def test_a_patience_that_makes_no_sense_is_refused(self, patience: float) -> None:
        with pytest.raises(ValueError, match="patience must be seconds"):
            PipecatSTT(Streaming, patience=patience)

    def test_nor_may_settling_take_for_ever(self) -> None:
        with pytest.raises(ValueError, match="settle must be seconds between 0 and 10"):
            PipecatSTT(Streaming, settle=11)
        found = said(scripted((0.2, transcript("hello"))), settle=0.1)
        assert found[-1] == (pytest.approx(0.3, abs=0.02), Final("hello"))

    def test_nothing_of_pipecat_is_loaded_before_it_is_needed(self) -> None:
        code = (
            "import sys; from voice.stt.pipecat import PipecatSTT; from voice.tts.pipecat import PipecatTTS\n"
            "PipecatSTT(str), PipecatTTS(str), PipecatSTT.check(), PipecatTTS.check()\n"
            "print({name.partition('.')[0] for name in sys.modules} & {'pipecat', 'numpy', 'loguru'})"
        )
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
