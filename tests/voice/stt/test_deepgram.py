"""Deepgram's nova through the real SDK, on a server that misbehaves: no word is lost, nothing hangs, no key is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_listen import TIMED_OUT, FakeListen
from tests.fakes.faults import Fault
from tests.fakes.hearing import HiddenWords
from tests.sockets import run
from tests.voice.doubles import quiet, spoken
from tests.voice.stt.providers import hidden, plain
from voice.provider_error import Cause, ProviderError
from voice.stt import deepgram_line, deepgram_speeches
from voice.stt.deepgram import Deepgram, NovaStream
from voice.stt.recognizer import Final, Hearing, Hints, Partial

SAID = "one two three four five six seven eight"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited before another try is tested where it is made (`test_backoff.py`)."""
    monkeypatch.setattr(deepgram_line, "AGAIN", replace(deepgram_line.AGAIN, first=0.01, longest=0.02))


@asynccontextmanager
async def opened(
    listen: FakeListen | None = None, hints: Hints | None = None, **options: Any
) -> AsyncIterator[tuple[FakeDeepgram, FakeListen, NovaStream]]:
    listen = listen or FakeListen(HiddenWords)
    async with FakeDeepgram(listen) as fake:
        options = {"api_key": fake.key, "base_url": fake.url, **options}
        stream = Deepgram(**options).stream(hints or Hints())
        try:
            yield fake, listen, stream
        finally:
            await stream.aclose()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until it is so; the test's limit of time ends what never is."""
    while not condition():
        await asyncio.sleep(0.001)


def say(stream: NovaStream, text: str = SAID) -> None:
    stream.begin()
    stream.push(hidden(text))
    stream.end()


async def heard(stream: NovaStream) -> list[Hearing]:
    hearings: list[Hearing] = []
    async for hearing in stream:
        hearings.append(hearing)
        if isinstance(hearing, Final):
            break
    return hearings


async def text(stream: NovaStream) -> str:
    return plain((await heard(stream))[-1].text)  # type: ignore[union-attr]


async def failed(stream: NovaStream) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await heard(stream)
    assert [hearing async for hearing in stream] == []
    return raised.value


def test_what_the_service_is_asked_for() -> None:
    async def main() -> dict[str, list[str]]:
        hints = Hints("#JSGF V1.0; grammar g; public <s> = yes;", ("Rome", "two  words", "Rome"))
        options: dict[str, Any] = {
            "model": "nova-3",
            "language": "en-GB",
            "endpointing": None,
            "keyterms": ("sottovoce",),
        }
        async with opened(hints=hints, **options) as (fake, _, stream):
            say(stream)
            await heard(stream)
            return dict(fake.seen[0][1])

    assert run(main()) == {
        "model": ["nova-3"],
        "language": ["en-GB"],
        "encoding": ["linear16"],
        "sample_rate": ["16000"],
        "channels": ["1"],
        "interim_results": ["true"],
        "punctuate": ["true"],
        "smart_format": ["false"],
        "endpointing": ["false"],
        "keyterm": ["sottovoce", "Rome", "two words"],
    }


def test_it_is_connected_before_anybody_speaks_and_stays_so() -> None:
    async def main() -> tuple[int, int, int]:
        async with opened() as (fake, listen, stream):
            await until(lambda: listen.opened == 1)
            before = fake.connections
            for _ in range(3):
                say(stream)
                assert await text(stream) == SAID
            return before, listen.opened, listen.count("Finalize")

    assert run(main()) == (1, 1, 3)


def test_an_idle_line_is_kept_and_one_that_is_closed_is_opened_when_there_is_speech() -> None:
    async def main() -> tuple[int, int, str, int]:
        async with opened() as (fake, listen, stream):
            stream._keep_alive = 0.01
            stream._wake.set()
            await until(lambda: listen.count("KeepAlive") >= 5)
            kept = listen.opened
            await fake.hang_up(*TIMED_OUT)
            await until(lambda: fake.connections == 0)
            for _ in range(100):
                await asyncio.sleep(0)
            reopened = listen.opened
            say(stream)
            return kept, reopened, await text(stream), listen.opened

    assert run(main()) == (1, 1, SAID, 2)


@pytest.mark.parametrize("messages", [0, 1, 5, 13])
def test_a_line_cut_in_mid_speech_costs_no_word(messages: int) -> None:
    """Cut at the beginning, before and after a segment is settled, and after the next cut."""

    async def main() -> tuple[list[Hearing], int, int]:
        async with opened(FakeListen(HiddenWords, segment=1.0)) as (_, listen, stream):
            listen.faults.order(Fault(cut_after=messages), Fault(cut_after=messages + 2))
            stream.begin()
            for frame in [*spoken(SAID), *quiet(0.3)]:
                stream.push(frame)
            stream.end()
            return await heard(stream), listen.opened, sum(listen.sound)

    hearings, lines, sent = run(main())
    assert plain(hearings[-1].text) == SAID  # type: ignore[union-attr]
    assert sum(isinstance(each, Final) for each in hearings) == 1
    assert lines >= 2
    if messages == 13:
        assert sent < 2.2 * len(hidden(SAID)), "what was settled is not sent again"


def test_a_line_closed_with_a_code_is_a_line_cut() -> None:
    async def main() -> str:
        async with opened() as (_, listen, stream):
            listen.faults.order(Fault(cut_after=2, close=1011))
            say(stream)
            return await text(stream)

    assert run(main()) == SAID


def test_lines_that_are_always_cut_are_given_up() -> None:
    async def main() -> tuple[ProviderError, int]:
        async with opened() as (_, listen, stream):
            listen.faults.always(Fault(cut_after=1))
            say(stream)
            return await failed(stream), listen.opened

    error, lines = run(main())
    assert error.cause is Cause.NETWORK
    assert error.transient
    assert lines == deepgram_line.AGAIN.tries


def test_a_slow_service_is_waited_for() -> None:
    async def main() -> str:
        async with opened(FakeListen(HiddenWords, interim=10.0)) as (_, listen, stream):
            listen.faults.always(Fault(delay=0.05))
            say(stream)
            return await text(stream)

    assert run(main()) == SAID


def test_a_silent_service_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.stt.deepgram_speeches.ANSWER", 0.05)

    async def main() -> ProviderError:
        async with opened() as (_, listen, stream):
            listen.faults.always(Fault(silent=True))
            say(stream)
            return await failed(stream)

    assert run(main()).cause is Cause.TIMEOUT


def test_a_line_on_which_nothing_is_said_of_much_sound_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has vanished: the sound goes on into nothing, and nobody has ended the speech."""
    monkeypatch.setattr(deepgram_speeches, "MUTE", 0.3)

    async def main() -> tuple[str, int]:
        async with opened() as (_, listen, stream):
            listen.faults.order(Fault(silent=True))
            stream.begin()
            stream.push(hidden(SAID))
            async for hearing in stream:
                if isinstance(hearing, Partial) and plain(hearing.text).startswith("one two"):
                    break
            stream.end()
            return await text(stream), listen.opened

    said, lines = run(main())
    assert (said, lines) == (SAID, 2)


def test_a_line_is_not_dead_for_sound_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A microphone that is muted in mid-speech."""
    monkeypatch.setattr(deepgram_speeches, "MUTE", 0.05)

    async def main() -> tuple[str, int]:
        async with opened() as (_, listen, stream):
            rings = 0
            overdue = stream._overdue

            def ring() -> None:
                nonlocal rings
                rings += 1
                overdue()

            stream._alarm._ring = ring
            stream.begin()
            stream.push(hidden(SAID))
            await until(lambda: rings > 3)
            stream.end()
            return await text(stream), listen.opened

    assert run(main()) == (SAID, 1)


def test_a_service_that_does_not_answer_finalize_gives_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.stt.deepgram_speeches.NO_ANSWER", 0.05)
    monkeypatch.setattr("voice.stt.deepgram_speeches.ANSWER", 0.05)

    async def main() -> tuple[list[str], int]:
        async with opened() as (_, listen, stream):
            listen.ignored = 2
            texts = []
            for said in (SAID, "nine ten", "eleven twelve"):
                say(stream, said)
                texts.append(await text(stream))
            return texts, listen.opened

    texts, _ = run(main())
    assert texts == [SAID, "nine ten", "eleven twelve"]


def test_garbage_costs_a_line_and_garbage_always_the_stream() -> None:
    async def main() -> tuple[str, ProviderError]:
        async with opened() as (_, listen, stream):
            listen.faults.order(Fault(garbage=True))
            say(stream)
            first = await text(stream)
        async with opened() as (_, listen, stream):
            listen.faults.always(Fault(garbage=True))
            say(stream)
            return first, await failed(stream)

    first, error = run(main())
    assert first == SAID
    assert error.cause is Cause.ANSWER


@pytest.mark.parametrize(
    "message",
    [
        {"type": "Results"},
        {"type": "Results", "channel": {"alternatives": []}},
        {"type": "Results", "channel": {"alternatives": [{"transcript": 3}]}, "start": 0.0, "duration": 1.0},
        {"type": "Results", "channel": {"alternatives": [{"transcript": "a", "words": 3}]}, "start": "x"},
        {"type": "Error", "variant": "SchemaError", "description": "what?"},
        {"kind": "none"},
        [1, 2],
        "text",
        b"\0",
    ],
)
def test_messages_that_make_no_sense_are_errors(message: Any) -> None:
    from deepgram.core.unchecked_base_model import construct_type
    from deepgram.listen.v1.socket_client import V1SocketClientResponse

    async def main() -> None:
        async with opened() as (_, _listen, stream):
            read = construct_type(type_=V1SocketClientResponse, object_=message)  # type: ignore[arg-type]
            with pytest.raises((ProviderError, ValueError, TypeError)):
                stream.read(read)
            assert stream.read({"type": "NeverHeardOf"}) == []

    run(main())


def test_a_refused_key_says_so_at_once() -> None:
    async def main() -> ProviderError:
        async with opened(api_key="wrong") as (_, _listen, stream):
            return await failed(stream)

    error = run(main())
    assert error.cause is Cause.KEY
    assert "DEEPGRAM_API_KEY" in str(error)
    assert not error.transient


def test_a_query_that_is_refused_says_so() -> None:
    async def main() -> ProviderError:
        async with opened(model="nova-9") as (_, _listen, stream):
            return await failed(stream)

    error = run(main())
    assert (error.cause, error.status) == (Cause.REQUEST, 400)


def test_a_rate_limit_tells_how_long_it_lasts() -> None:
    async def main() -> tuple[ProviderError, str]:
        async with opened() as (_, listen, stream):
            listen.faults.always(Fault(status=429, retry_after=30))
            say(stream)
            error = await failed(stream)
        async with opened() as (_, listen, stream):
            listen.faults.order(Fault(status=429, retry_after=0.01))
            say(stream)
            return error, await text(stream)

    error, after = run(main())
    assert (error.cause, error.retry_after) == (Cause.RATE, 30.0)
    assert after == SAID


def test_nobody_there_is_an_error_only_when_somebody_speaks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sottovoce.deepgram")

    async def main() -> ProviderError:
        stream = Deepgram(api_key="k", base_url="http://127.0.0.1:9").stream(Hints())
        reading = asyncio.ensure_future(failed(stream))
        await until(lambda: "an idle line is gone" in caplog.text)
        assert not reading.done()
        say(stream)
        return await reading

    assert run(main()).cause is Cause.NETWORK


def test_each_time_somebody_speaks_there_are_as_many_tries(caplog: pytest.LogCaptureFixture) -> None:
    """However often the line could not be opened before, when that was for something too short to be sent."""
    caplog.set_level(logging.DEBUG, "sottovoce.deepgram")

    async def main() -> None:
        stream = Deepgram(api_key="k", base_url="http://127.0.0.1:9").stream(Hints())
        await until(lambda: "an idle line is gone" in caplog.text)
        for _ in range(deepgram_line.AGAIN.tries + 1):
            caplog.clear()
            stream.begin()
            await until(lambda: "opened again in" in caplog.text)
            stream.end()
            await until(lambda: "an idle line is gone" in caplog.text)
        assert not stream._results.over
        await stream.aclose()

    run(main())


def test_no_key_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)

    async def main() -> ProviderError:
        return await failed(Deepgram().stream(Hints()))

    assert "set DEEPGRAM_API_KEY" in str(run(main()))


def test_key_terms_change_in_mid_call() -> None:
    async def main() -> tuple[list[Any], int]:
        async with opened(hints=Hints(phrases=("tea",))) as (_, listen, stream):
            say(stream)
            await heard(stream)
            stream.expect(Hints(phrases=("coffee",)))
            say(stream)
            await heard(stream)
            say(stream)
            await heard(stream)
            return [each for each in listen.controls if each["type"] == "Configure"], listen.opened

    changes, lines = run(main())
    assert [change["keyterms"] for change in changes] == [["coffee"]]
    assert lines == 1


def test_partials_are_what_is_settled_and_what_is_guessed() -> None:
    async def main() -> list[Hearing]:
        async with opened(FakeListen(HiddenWords, segment=1.0)) as (_, _listen, stream):
            say(stream)
            return await heard(stream)

    *partials, final = run(main())
    texts = [plain(each.text) for each in partials if isinstance(each, Partial)]
    assert all(SAID.startswith(each) for each in texts)
    assert texts == sorted(texts, key=len)
    assert len(set(texts)) >= 6
    assert isinstance(final, Final)
    assert final.confidence == pytest.approx(0.97)


def test_the_key_is_in_no_log_no_error_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[str]:
        caplog.set_level(logging.DEBUG)
        async with opened() as (fake, listen, stream):
            listen.faults.order(Fault(cut_after=1), Fault(status=503), Fault(garbage=True))
            say(stream)
            await heard(stream)
            key, shown = fake.key, [repr(stream._service)]
        async with opened() as (fake, listen, stream):
            listen.faults.always(Fault(status=403))
            error = await failed(stream)
            shown += [str(error), repr(error), repr(error.__dict__), repr(error.__cause__), repr(error.__context__)]
        assert caplog.records
        shown += [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
        assert not any(key in each for each in shown)
        return shown

    run(main())


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"model": "no/slash"}, "model"),
        ({"language": "english!"}, "language"),
        ({"endpointing": 5}, "endpointing"),
        ({"endpointing": True}, "endpointing"),
        ({"keep_alive": 20}, "keep_alive"),
        ({"keyterms": "rome"}, "keyterms"),
        ({"base_url": "nowhere"}, "base_url"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Deepgram(**options)


def test_key_terms_are_as_many_as_the_service_takes() -> None:
    many = [f"term number {i}" for i in range(500)]
    terms = Deepgram(keyterms=("first",)).keyterms(Hints(phrases=many))
    assert terms[:2] == ("first", "term number 0")
    assert len(terms) == deepgram_line.MAX_KEYTERMS
    assert Deepgram(model="nova-2").keyterms(Hints(phrases=many)) == ()


def test_closing_leaves_nothing_behind() -> None:
    def senders() -> int:
        return sum(task.get_name() == "deepgram sends" for task in asyncio.all_tasks())

    async def main() -> None:
        async with opened() as (fake, listen, stream):
            await until(lambda: listen.opened == 1 and senders() == 1)
            stream.begin()
            stream.push(hidden(SAID))
            await stream.aclose()
            await until(lambda: fake.connections == 0)
            assert senders() == 0
            assert stream._task.done()
            stream.begin()
            stream.end()
            stream.end()

    run(main())
