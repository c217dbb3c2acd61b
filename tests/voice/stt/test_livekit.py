"""LiveKit's recognisers: what is special about them; the contract they keep is in `test_recognizer.py`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("livekit.agents", reason="pip install 'sottovoce[livekit]'")

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from tests.voice import doubles
from tests.voice.livekit_plugins import Ear, everything, left
from voice.audio import silence
from voice.clock import now, run
from voice.provider_error import Cause, ProviderError
from voice.stt.livekit import LiveKitSTT
from voice.stt.recognizer import EagerEnd, Final, Hearing, Hints, Partial, RecognizerStream, Resumed


@asynccontextmanager
async def opened(ear: Ear, **options: Any) -> AsyncIterator[RecognizerStream]:
    """A stream; nothing of it is left afterwards."""
    provider = LiveKitSTT(ear, **options)
    stream = provider.stream(Hints())
    try:
        yield stream
    finally:
        await stream.aclose()
        await provider.aclose()
        assert await left() == []
        assert not any(each.running for each in ear.streams)


async def push(stream: RecognizerStream, frames: list[bytes]) -> None:
    for frame in frames:
        stream.push(frame)
        await asyncio.sleep(0.02)


async def speak(stream: RecognizerStream, text: str, after: float = 0.0) -> None:
    stream.begin()
    await push(stream, [*doubles.spoken(text), *doubles.quiet(after)])
    stream.end()


async def final(stream: RecognizerStream) -> Final:
    async for hearing in stream:
        if isinstance(hearing, Final):
            return hearing
    raise AssertionError("it ended")


async def final_after(stream: RecognizerStream, text: str, after: float = 0.0) -> tuple[Final, float]:
    """What it understood, and how long after the end."""
    await speak(stream, text, after)
    ended = now()
    return await final(stream), now() - ended


class TestWhenTheLastWordIsSaid:
    @pytest.mark.parametrize(
        ("ear", "after", "wait"),
        [
            pytest.param({"flushes": True}, 0.0, 0.0, id="it answers the flush"),
            pytest.param({"flushes": True, "lag": 0.2}, 0.0, 0.2, id="it answers the flush later"),
            pytest.param({"silence": 0.2}, 0.5, 0.0, id="all was said before"),
            pytest.param({"silence": 0.3}, 0.1, 0.1, id="it gets the silence it needs, at the pace of real time"),
            pytest.param({"silence": 9.0}, 0.0, 1.5, id="it never says it"),
            pytest.param({"silence": 9.0, "interim": False}, 0.0, 1.5, id="it never says anything"),
        ],
    )
    def test_after_the_first_speech(self, ear: dict[str, Any], after: float, wait: float) -> None:
        async def main() -> tuple[Final, float]:
            async with opened(Ear(**ear)) as stream:
                return await final_after(stream, "yes please", after)

        said, waited = run(main())
        assert said.text == ("yes please" if ear.get("interim", True) else "")
        assert waited == pytest.approx(wait, abs=0.02)

    def test_noise_costs_little_once_it_has_spoken(self) -> None:
        async def noise() -> tuple[Final, float]:
            async with opened(Ear(flushes=True)) as stream:
                await final_after(stream, "yes")
                stream.begin()
                await push(stream, doubles.quiet(0.4))
                stream.end()
                ended = now()
                return await final(stream), now() - ended

        said, waited = run(noise())
        assert said == Final("")
        assert waited == pytest.approx(0.3, abs=0.02)

    @pytest.mark.parametrize("interim", [True, False])
    def test_what_comes_too_late_is_not_taken_for_the_next_speech(self, interim: bool) -> None:
        ear = Ear(flushes=True, interim=interim, lag=1.8)

        async def main() -> list[str]:
            async with opened(ear) as stream:
                texts = [(await final_after(stream, "yes"))[0].text]
                ear.lag = 0.0
                texts.append((await final_after(stream, "compare tea and coffee"))[0].text)
                return texts

        assert run(main()) == ["", "compare tea and coffee"]


def test_the_plugin_hears_what_was_said_and_is_asked_once() -> None:
    ear = Ear(flushes=True)

    async def main() -> list[Hearing]:
        async with opened(ear, language="en", timeout=3.0) as stream:
            await speak(stream, "compare tea", 0.2)
            heard = [await anext(aiter(stream)) for _ in range(4)]
            assert len(ear.streams) == 1
            return heard

    assert run(main()) == [
        Partial("compare"),
        Partial("compare tea"),
        Partial("compare tea"),
        Final("compare tea", 0.9),
    ]
    [(language, options)] = ear.asked
    assert (language, options.max_retry, options.timeout) == ("en", 0, 3.0)
    assert ear.streams[0].heard == pytest.approx(0.8)
    assert ear.closed == 1


def test_an_eager_end_is_taken_back_when_the_caller_goes_on() -> None:
    async def main() -> list[Hearing]:
        async with opened(Ear(eager=0.1, silence=0.4)) as stream:
            stream.begin()
            await push(stream, [*doubles.spoken("yes"), *doubles.quiet(0.2), *doubles.spoken("please")])
            await push(stream, doubles.quiet(0.5))
            stream.end()
            return [await anext(aiter(stream)) for _ in range(7)]

    assert run(main()) == [
        Partial("yes"),
        EagerEnd("yes"),
        Resumed(),
        Partial("yes please"),
        EagerEnd("yes please"),
        Partial("yes please"),
        Final("yes please", 0.9),
    ]


class TestOneThatEndsTurns:
    def test_its_end_of_speech_is_a_final(self) -> None:
        async def main() -> tuple[list[Final], list[float]]:
            async with opened(Ear(), endpoints=True) as stream:
                finals, times = [], []
                for text in ("yes", "no"):
                    stream.begin()
                    await push(stream, [*doubles.spoken(text), *doubles.quiet(0.18)])
                    said = now()
                    await push(stream, doubles.quiet(0.2))
                    finals.append(await final(stream))
                    times.append(now() - said)
                stream.push(silence(0.1))
                stream.end()
                return finals, times

        finals, times = run(main())
        assert [each.text for each in finals] == ["yes", "no"]
        assert times == pytest.approx([0.2, 0.2], abs=0.02)

    def test_one_that_does_not_stream_cannot(self) -> None:
        with pytest.raises(ValueError, match="endpoints: livekit:test ear does not stream"):
            LiveKitSTT(Ear(streaming=False), endpoints=True)


FAILURES = [
    (APIStatusError("bad token-123", status_code=401, body={"key": "token-123"}), Cause.KEY),
    (APIStatusError("slow down token-123", status_code=429), Cause.RATE),
    (APIStatusError("oh token-123", status_code=503), Cause.OVERLOAD),
    (APIStatusError("oh token-123", status_code=500), Cause.SERVER),
    (APIStatusError("closed token-123", status_code=1011), Cause.NETWORK),
    (APIStatusError("closed token-123"), Cause.SERVER),
    (APIConnectionError("no token-123"), Cause.NETWORK),
    (APITimeoutError("late token-123"), Cause.TIMEOUT),
    (APIError("what token-123", retryable=False), Cause.REQUEST),
    (APIError("what token-123"), Cause.SERVER),
    (OSError("token-123"), Cause.NETWORK),
    (ValueError("token-123"), Cause.ANSWER),
]


class TestFailures:
    @pytest.mark.parametrize("streaming", [True, False])
    @pytest.mark.parametrize(("error", "cause"), FAILURES)
    def test_they_name_the_provider_and_the_cause(self, error: Exception, cause: Cause, streaming: bool) -> None:
        async def main() -> None:
            async with opened(Ear(streaming=streaming, fail=("tea", error))) as stream:
                await speak(stream, "compare tea and coffee")
                with pytest.raises(ProviderError, match="livekit:test ear") as caught:
                    await everything(stream)
                assert caught.value.cause is cause
                assert "token-123" not in repr(caught.value)
                assert caught.value.__cause__ is caught.value.__context__ is None
                assert await everything(stream) == []
                stream.begin()  # whoever has not noticed yet does no harm
                stream.push(silence(0.1))
                stream.end()

        run(main())

    def test_one_that_hangs_up_in_a_speech_has_failed(self) -> None:
        async def main() -> None:
            async with opened(Ear(hang_up="tea")) as stream:
                await speak(stream, "compare tea and coffee")
                with pytest.raises(ProviderError, match="connection lost; it ended by itself"):
                    await everything(stream)

        run(main())

    def test_one_that_hangs_up_on_the_silent_is_called_again(self) -> None:
        ear = Ear()

        async def main() -> list[str]:
            async with opened(ear) as stream:
                texts = [(await final_after(stream, "yes", 0.3))[0].text]
                ear.streams[0]._input_ch.close()
                await asyncio.sleep(5)
                assert len(ear.streams) == 1
                texts.append((await final_after(stream, "no", 0.3))[0].text)
                return texts

        assert run(main()) == ["yes", "no"]
        assert len(ear.streams) == 2

    def test_one_that_cannot_be_reached_says_so_at_once(self) -> None:
        class Dead(Ear):
            def stream(self, **_: Any) -> Any:
                raise APIConnectionError

        async def main() -> None:
            async with opened(Dead()) as stream:
                with pytest.raises(ProviderError, match="connection lost"):
                    await everything(stream)

        run(main())

    def test_one_that_never_answers_is_given_up_after_a_long_speech(self) -> None:
        async def main() -> float:
            async with opened(Ear(mute=True)) as stream:
                assert (await final_after(stream, "yes"))[0] == Final("")  # it may have been noise
                await speak(stream, "compare tea and coffee and the weather in rome")
                ended = now()
                with pytest.raises(ProviderError, match="no answer in time; it says nothing of what it is given"):
                    await everything(stream)
                return now() - ended

        assert run(main()) == pytest.approx(1.5, abs=0.02)

    def test_one_that_falls_mute_is_given_up_after_a_few(self) -> None:
        ear = Ear()

        async def main() -> list[Final]:
            async with opened(ear) as stream:
                await final_after(stream, "yes", 0.3)
                ear.mute = True
                sentence = "compare tea and coffee and the weather in rome"
                finals = [(await final_after(stream, sentence))[0] for _ in range(2)]
                await speak(stream, sentence)
                with pytest.raises(ProviderError, match="no answer in time"):
                    await everything(stream)
                return finals

        assert run(main()) == [Final(""), Final("")]

    def test_one_that_does_not_stream_has_its_time(self) -> None:
        async def main() -> float:
            async with opened(Ear(streaming=False, mute=True), timeout=3.0) as stream:
                await speak(stream, "yes")
                ended = now()
                with pytest.raises(ProviderError, match="no answer in time"):
                    await everything(stream)
                return now() - ended

        assert run(main()) == pytest.approx(3.0, abs=0.02)


@pytest.mark.parametrize("streaming", [True, False])
def test_closing_it_in_the_middle_leaves_nothing(streaming: bool) -> None:
    async def main() -> None:
        for frames in (0, 1, 20):
            async with opened(Ear(streaming=streaming, lag=0.3)) as stream:
                stream.begin()
                await push(stream, doubles.spoken("yes please")[:frames])

    run(main())


def test_it_says_what_is_no_plugin() -> None:
    with pytest.raises(TypeError, match=r"stt: give an object .* not the class Ear"):
        LiveKitSTT(Ear)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"stt: give an object .* not str"):
        LiveKitSTT("deepgram")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout must be seconds > 0, not 0"):
        LiveKitSTT(Ear(), timeout=0)


def test_it_tells_what_it_is() -> None:
    ear = Ear()
    provider = LiveKitSTT(ear)
    assert (provider.name, provider.endpoints, provider.fits_grammar) == ("livekit:test ear", False, False)
    assert LiveKitSTT.check().usable
    run(provider.prepare())
    assert ear.warmed == 1


def test_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit.agents", None)
    check = LiveKitSTT.check()
    assert not check.usable
    assert check.fix == "pip install 'sottovoce[livekit]'"
