"""Deepgram's synthesizer through the real SDK, on a server that speaks its wire format, well and badly."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fakes.deepgram import KEY, FakeDeepgram
from tests.fakes.deepgram_speak import FakeSpeak, dumb
from tests.fakes.faults import Fault
from tests.sockets import run
from tests.voice.doubles import word_of
from voice.leg import FRAME_BYTES
from voice.provider_error import Cause, ProviderError
from voice.tts import deepgram, deepgram_line
from voice.tts.deepgram import Deepgram
from voice.tts.deepgram_line import LONGEST_MESSAGE, pieces

pytest.importorskip("deepgram")


@asynccontextmanager
async def speaking(speak: FakeSpeak, **options: Any) -> AsyncIterator[Deepgram]:
    """A provider on the server."""
    async with FakeDeepgram(speak) as fake:
        provider = Deepgram(**{"api_key": fake.key, "base_url": fake.url, **options})
        try:
            yield provider
        finally:
            await provider.aclose()


async def audio(provider: Deepgram, text: str) -> bytes:
    return b"".join([chunk.pcm async for chunk in provider.synthesize(text)])


async def heard(provider: Deepgram, text: str) -> str:
    """The words in the sound."""
    return words(await audio(provider, text))


def words(pcm: bytes) -> str:
    whole = range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)
    found = (word_of(pcm[at : at + FRAME_BYTES]) for at in whole)
    return " ".join(word for word, last in found if last)


async def interrupted(provider: Deepgram, text: str, after: int = 1) -> str:
    """The words in the sound until it is given up, after so many chunks."""
    pcm = b""
    async with aclosing(provider.synthesize(text)) as speech:  # type: ignore[type-var]
        async for chunk in speech:
            pcm += chunk.pcm
            after -= 1
            if after == 0:
                break
    return words(pcm)


async def failing(provider: Deepgram, text: str = "Good morning.") -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await audio(provider, text)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert KEY not in repr(caught.value) + str(caught.value)
    return caught.value


class TestSpeaking:
    def test_what_is_heard_is_what_was_said(self) -> None:
        async def main() -> None:
            async with speaking(FakeSpeak()) as provider:
                assert await heard(provider, "Good morning, how are you?") == "Good morning, how are you?"

        run(main())

    def test_every_chunk_is_whole_samples(self) -> None:
        async def main() -> None:
            async with speaking(FakeSpeak()) as provider:
                sizes = [len(chunk.pcm) async for chunk in provider.synthesize("one two")]
                assert len(sizes) > 20
                assert all(size and size % 2 == 0 for size in sizes)
                assert sum(sizes) == 2 * 15 * FRAME_BYTES

        run(main())

    def test_other_rates_are_resampled(self) -> None:
        async def main() -> None:
            async with speaking(FakeSpeak(), sample_rate=24_000) as provider:
                assert len(await audio(provider, "one two three")) == pytest.approx(3 * 15 * FRAME_BYTES, rel=0.02)

        run(main())

    def test_a_long_text_goes_in_messages_that_are_short_enough(self) -> None:
        text = " ".join(f"word{number}" for number in range(560))
        assert LONGEST_MESSAGE * 2 < len(text) < 5000

        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak) as provider:
                assert await heard(provider, text) == text
                assert speak.texts == [text]

        run(main())

    @given(st.text(alphabet="ab ", max_size=3 * LONGEST_MESSAGE))
    @example("a" * 5000)
    @settings(max_examples=30)
    def test_pieces_are_the_text(self, text: str) -> None:
        found = pieces(text)
        assert "".join(found) == text
        assert all(len(piece) <= LONGEST_MESSAGE for piece in found)

    def test_where_there_are_no_words_there_is_no_request(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak) as provider:
                for text in ("", " ", "...", "?!", "–"):
                    assert await audio(provider, text) == b""
                assert speak.opened == 0

        run(main())

    def test_options_are_asked_for(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            async with FakeDeepgram(speak) as fake:
                provider = Deepgram("aura-2-zeus-en", speed=1.2, opt_out=True, api_key=fake.key, base_url=fake.url)
                await provider.prepare()
                await provider.aclose()
                assert fake.seen == [
                    (
                        "/v1/speak",
                        {
                            "model": ["aura-2-zeus-en"],
                            "encoding": ["linear16"],
                            "sample_rate": ["16000"],
                            "speed": ["1.2"],
                            "mip_opt_out": ["true"],
                        },
                    )
                ]

        run(main())


class TestConnections:
    def test_one_is_open_before_it_is_needed_and_one_ahead(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak) as provider:
                await provider.prepare()
                await provider.prepare()
                assert speak.opened == 1
                for _ in range(5):
                    await audio(provider, "one")
                assert speak.opened == 2

        run(main())

    def test_a_hundred_texts_share_a_few(self) -> None:
        async def main() -> None:
            speak = FakeSpeak(flushes=1000)
            async with speaking(speak, connections=8) as provider:
                texts = [f"this is number{number}" for number in range(100)]
                assert await asyncio.gather(*(heard(provider, text) for text in texts)) == texts
                assert 1 < speak.most <= 8

        run(main())

    def test_its_limit_of_texts_a_minute_is_kept(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak, connections=2) as provider:
                for number in range(65):
                    assert await heard(provider, f"number{number}") == f"number{number}"
                assert speak.opened >= 4
                assert speak.most <= 3, "one may still be saying goodbye"

        run(main())
        assert "warns" not in caplog.text

    def test_a_stricter_limit_costs_another_connection(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            async with speaking(FakeSpeak(flushes=3)) as provider:
                for number in range(10):
                    assert await heard(provider, f"number{number}") == f"number{number}"

        run(main())
        assert "EXCESSIVE_FLUSH" in caplog.text

    def test_where_nothing_is_allowed_it_says_so(self) -> None:
        async def main() -> None:
            async with speaking(FakeSpeak(flushes=0)) as provider:
                assert (await failing(provider)).cause is Cause.RATE

        run(main())

    def test_one_that_broke_while_idle_is_replaced(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak) as provider:
                await audio(provider, "one")
                await speak.cut_all()
                assert await heard(provider, "two three") == "two three"

        run(main())

    def test_one_that_is_found_broken_only_when_it_is_used_is_replaced(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak) as provider:
                await audio(provider, "one")
                speak.dying = 2
                assert await heard(provider, "two three") == "two three"
                assert speak.dying == 0

        run(main())

    def test_closing_leaves_nothing_and_it_speaks_again(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak) as provider:
                await provider.aclose()
                before = asyncio.all_tasks()
                for _ in range(2):
                    assert await heard(provider, "one two") == "one two"
                    await provider.aclose()
                    await provider.aclose()
                    while speak.peers:
                        await asyncio.sleep(0)
                    assert not {task for task in asyncio.all_tasks() - before if task.get_name().startswith("deepgram")}

        run(main())

    def test_a_text_comes_to_its_end_though_it_is_closed_meanwhile(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak) as provider:
                pcm = b""
                async for chunk in provider.synthesize("one two three"):
                    if not pcm:
                        await provider.aclose()
                    pcm += chunk.pcm
                assert words(pcm) == "one two three"
                while speak.peers:
                    await asyncio.sleep(0)

        run(main())

    def test_it_speaks_on_another_loop_when_the_first_is_gone(self) -> None:
        with elsewhere(FakeSpeak()) as url:
            provider = Deepgram(api_key=KEY, base_url=url)
            for _ in range(3):
                assert run(heard(provider, "one two")) == "one two"
            run(provider.aclose())


@contextmanager
def elsewhere(speak: FakeSpeak) -> Iterator[str]:
    """The server on a loop of its own."""
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def main() -> None:
        async with FakeDeepgram(speak) as fake:
            found["url"], found["loop"], found["over"] = fake.url, asyncio.get_running_loop(), asyncio.Event()
            ready.set()
            await found["over"].wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield found["url"]
    finally:
        found["loop"].call_soon_threadsafe(found["over"].set)
        thread.join(10)


class TestBargeIn:
    @pytest.mark.parametrize("late", [False, True], ids=["", "its end is told though it was cleared"])
    def test_nothing_of_the_old_text_is_in_the_next(self, late: bool) -> None:
        async def main() -> None:
            speak = FakeSpeak(late=late)
            async with speaking(speak, connections=1) as provider:
                for number in range(6):
                    old = " ".join(f"old{number}{letter}" for letter in "abcdefghij")
                    assert old.startswith(await interrupted(provider, old, 20))
                    assert await heard(provider, "this is new") == "this is new"
                assert speak.opened == 1
                assert speak.clears == 6

        run(main())

    @settings(max_examples=12, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(1, 6), st.integers(0, 40)), min_size=1, max_size=12),
        st.integers(1, 3),
        st.booleans(),
    )
    def test_however_often_it_is_interrupted(self, plan: list[tuple[int, int]], connections: int, late: bool) -> None:
        async def one(provider: Deepgram, number: int, length: int, after: int) -> None:
            text = " ".join(f"text{number}word{index}" for index in range(length))
            got = await interrupted(provider, text, after) if after else await heard(provider, text)
            assert text.startswith(got) if after else text == got

        async def main() -> None:
            async with speaking(FakeSpeak(flushes=100, late=late), connections=connections) as provider:
                for number, (length, after) in enumerate(plan):
                    await one(provider, number, length, after)
                await asyncio.gather(*(one(provider, number, *each) for number, each in enumerate(plan)))

        run(main())

    def test_one_that_does_not_answer_a_clear_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deepgram_line, "CLEARED", 0.02)

        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak, connections=1) as provider:
                speak.deaf = True
                await interrupted(provider, "old " * 50)
                assert await heard(provider, "this is new") == "this is new"
                assert speak.opened == 2

        run(main())

    def test_being_cancelled_before_the_first_sound(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def slow(text: str) -> AsyncIterator[bytes]:
                begun.set()
                await go_on.wait()
                async for piece in hidden(text):
                    yield piece

            hidden, speak.voice = speak.voice, slow
            async with speaking(speak, connections=1) as provider:
                speech = asyncio.ensure_future(audio(provider, "old words"))
                await begun.wait()
                speech.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await speech
                go_on.set()
                assert await heard(provider, "new words") == "new words"
                assert speak.opened == 1

        run(main())


class TestFailures:
    def test_a_wrong_key(self) -> None:
        async def main() -> None:
            async with speaking(FakeSpeak(), api_key="wrong") as provider:
                error = await failing(provider)
                assert (error.cause, error.status) == (Cause.KEY, 401)
                assert "DEEPGRAM_API_KEY" in error.fix
                with pytest.raises(ProviderError, match="key refused"):
                    await provider.prepare()

        run(main())

    def test_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
        with pytest.raises(ProviderError, match="set DEEPGRAM_API_KEY"):
            run(Deepgram().prepare())

    def test_a_rate_limit_says_how_long_to_wait(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            speak.faults.always(Fault(status=429, retry_after=7))
            async with speaking(speak) as provider:
                error = await failing(provider)
                assert (error.cause, error.status, error.retry_after) == (Cause.RATE, 429, 7)

        run(main())

    def test_a_server_that_is_not_there(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            async with FakeDeepgram(FakeSpeak()) as fake:
                url = fake.url
            provider = Deepgram(api_key=KEY, base_url=url)
            await provider.prepare()
            assert (await failing(provider)).cause is Cause.NETWORK
            await provider.aclose()

        run(main())
        assert "no connection could be opened ahead" in caplog.text

    @pytest.mark.parametrize(("close", "status"), [(None, None), (1011, 1011)], ids=["cut", "closed"])
    def test_one_that_breaks_off_in_mid_sentence(self, close: int | None, status: int | None) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            speak.faults.order(Fault(cut_after=20, close=close))
            async with speaking(speak) as provider:
                speech = provider.synthesize("one two three four five")
                got = [(await anext(speech)).pcm for _ in range(19)]  # the first message is no sound
                with pytest.raises(ProviderError) as caught:
                    await anext(speech)
                assert (caught.value.cause, caught.value.status) == (Cause.NETWORK, status)
                assert words(b"".join(got)) == "one"
                assert await heard(provider, "six seven") == "six seven"

        run(main())

    def test_silence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deepgram, "FIRST", 0.02)
        monkeypatch.setattr(deepgram_line, "CLEARED", 1000.0)  # it would not be waited for

        async def main() -> None:
            speak = FakeSpeak()
            speak.faults.order(Fault(silent=True))
            async with speaking(speak, connections=1) as provider:
                await provider.prepare()
                assert (await failing(provider)).cause is Cause.TIMEOUT
                monkeypatch.setattr(deepgram, "FIRST", 10.0)
                assert await heard(provider, "one two") == "one two"

        run(main())

    def test_silence_in_mid_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deepgram, "BETWEEN", 0.02)

        async def main() -> None:
            speak = FakeSpeak()

            async def stalls(text: str) -> AsyncIterator[bytes]:
                yield bytes(FRAME_BYTES)
                await asyncio.Event().wait()

            speak.voice = stalls
            async with speaking(speak) as provider:
                assert (await failing(provider)).cause is Cause.TIMEOUT

        run(main())

    def test_garbage(self) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            speak.faults.order(Fault(garbage=True))
            async with speaking(speak) as provider:
                await provider.prepare()
                assert (await failing(provider)).cause is Cause.ANSWER
                assert await heard(provider, "one two") == "one two"

        run(main())

    def test_no_sound_for_a_text(self) -> None:
        async def main() -> None:
            speak = FakeSpeak(dumb)
            async with speaking(speak, connections=1) as provider:
                error = await failing(provider)
                assert error.cause is Cause.ANSWER
                assert "no audio" in str(error)
                await failing(provider)
                assert speak.opened == 1, "the connection is still good"

        run(main())


class TestSecrets:
    def test_the_key_is_in_no_log_and_no_repr(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            speak = FakeSpeak()
            async with speaking(speak) as provider:
                assert KEY not in repr(provider)
                await interrupted(provider, "one two three")
                speak.faults.always(Fault(status=401))
                await speak.cut_all()
                await failing(provider)

        with caplog.at_level(logging.DEBUG):
            run(main())
        assert "one two three" in caplog.text, "the log of websockets was on"
        assert KEY not in "".join(r.getMessage() for r in caplog.records if r.name != "websockets.server")


class TestSettings:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"model": ""}, "model must be"),
            ({"model": "aura 2"}, "model must be"),
            ({"model": "flux-haley-en"}, "Flux voice"),
            ({"sample_rate": 44_100}, "sample_rate must be one of 8000"),
            ({"speed": 2.0}, "speed must be between"),
            ({"connections": 0}, "connections must be"),
            ({"base_url": "nowhere"}, "base_url"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            Deepgram(**options)

    def test_it_checks_for_its_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
        assert not Deepgram.check().usable
        monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)
        assert Deepgram.check().usable
        assert KEY not in str(Deepgram.check())
