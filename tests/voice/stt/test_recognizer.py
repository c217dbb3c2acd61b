"""Every recogniser keeps the contract of `voice/stt/recognizer.py`; which ones there are: `providers.py`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.voice.spoken import frames
from tests.voice.stt.providers import Entry, params, plain
from voice.audio import silence
from voice.stt.recognizer import EagerEnd, Final, Hearing, Hints, Partial, RecognizerStream, Resumed

HINTS = Hints(
    grammar="""#JSGF V1.0; grammar test;
    public <sentence> = compare <thing> and <thing> | what did you find | yes [please] | no | stop
                      | what time is it in <city>;
    <thing> = tea | coffee | the weather;
    <city> = rome | london;""",
    phrases=("rome", "london"),
)
OTHER = Hints(grammar="#JSGF V1.0; grammar other; public <s> = banana | good morning;", phrases=("banana",))
SAID = ("compare tea and coffee", "what did you find", "yes please", "what time is it in rome")


@pytest.fixture(params=params())
def entry(request: pytest.FixtureRequest) -> Entry:
    given: Entry = request.param
    return given


async def speak(entry: Entry, stream: RecognizerStream, text: str) -> None:
    stream.begin()
    for frame in frames(entry.say(text)):
        stream.push(frame)
        if entry.paced:
            await asyncio.sleep(0.02)
    stream.end()


async def heard(stream: RecognizerStream) -> list[Hearing]:
    """What comes up to the next Final, and that."""
    hearings: list[Hearing] = []
    async for hearing in stream:
        hearings.append(hearing)
        if isinstance(hearing, Final):
            break
    return hearings


async def final(stream: RecognizerStream) -> Final:
    last = (await heard(stream))[-1]
    assert isinstance(last, Final)
    return last


def test_it_says_what_it_is(entry: Entry) -> None:
    async def main() -> None:
        async with entry.opened() as recognizer:
            assert recognizer.name
            assert isinstance(recognizer.endpoints, bool)
            assert isinstance(recognizer.fits_grammar, bool)
            assert recognizer.check().name
            await recognizer.prepare()

    entry.run(main())


def test_each_begin_has_one_final_in_order_however_fast_they_come(entry: Entry) -> None:
    async def main() -> tuple[list[str], list[Hearing]]:
        async with entry.opened() as recognizer:
            stream = recognizer.stream(HINTS)
            for sentence in SAID:
                stream.begin()
                stream.push(entry.say(sentence))
                stream.end()
            texts = [plain((await final(stream)).text) for _ in SAID]
            await stream.aclose()
            return texts, [hearing async for hearing in stream]

    assert entry.run(main()) == (list(SAID), [])


def test_partials_come_before_the_final_and_a_confidence_with_it(entry: Entry) -> None:
    async def main() -> list[Hearing]:
        async with entry.opened() as recognizer:
            stream = recognizer.stream(HINTS)
            await speak(entry, stream, SAID[0])
            hearings = await heard(stream)
            await stream.aclose()
            return hearings

    *partials, last = entry.run(main())
    assert isinstance(last, Final)
    assert plain(last.text) == SAID[0]
    assert 0.5 <= last.confidence <= 1.0
    assert not last.rejected
    assert all(isinstance(each, Partial | EagerEnd | Resumed) for each in partials)
    if entry.live:
        assert any(isinstance(each, Partial) and each.text for each in partials)


@pytest.mark.parametrize("kind", ["silence", "nothing", "one sample"])
def test_where_there_are_no_words_there_is_no_text(entry: Entry, kind: str) -> None:
    pcm = {"silence": silence(1), "nothing": b"", "one sample": b"\0\0"}[kind]

    async def main() -> tuple[Final, Final]:
        async with entry.opened() as recognizer:
            stream = recognizer.stream(HINTS)
            stream.begin()
            stream.push(pcm)
            stream.end()
            nothing = await final(stream)
            await speak(entry, stream, SAID[2])
            after = await final(stream)
            await stream.aclose()
            return nothing, after

    nothing, after = entry.run(main())
    assert (nothing.text, nothing.rejected) == ("", False)
    assert plain(after.text) == SAID[2]


def test_two_callers_at_once_do_not_mix(entry: Entry) -> None:
    async def caller(recognizer: Any, sentences: tuple[str, ...]) -> list[str]:
        stream = recognizer.stream(HINTS)
        texts = []
        for sentence in sentences:
            await speak(entry, stream, sentence)
            texts.append(plain((await final(stream)).text))
        await stream.aclose()
        return texts

    async def main() -> list[list[str]]:
        async with entry.opened() as recognizer, asyncio.TaskGroup() as group:
            tasks = [group.create_task(caller(recognizer, said)) for said in (SAID[:2], SAID[1::-1])]
        return [task.result() for task in tasks]

    assert entry.run(main()) == [list(SAID[:2]), list(SAID[1::-1])]


def test_what_is_expected_changes_with_the_next_begin(entry: Entry) -> None:
    async def main() -> list[str]:
        async with entry.opened() as recognizer:
            stream = recognizer.stream(HINTS)
            stream.begin()
            stream.expect(OTHER)
            stream.push(entry.say(SAID[2]))
            stream.end()
            texts = [plain((await final(stream)).text)]
            await speak(entry, stream, "good morning")
            texts.append(plain((await final(stream)).text))
            await stream.aclose()
            return texts

    assert entry.run(main()) == [SAID[2], "good morning"]


def test_a_closed_stream_wakes_who_waits_for_it_and_takes_no_more(entry: Entry) -> None:
    async def main() -> tuple[list[Hearing], list[Hearing]]:
        async with entry.opened() as recognizer:
            stream = recognizer.stream(HINTS)
            stream.begin()
            stream.push(entry.say(SAID[0])[:6400])
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(heard(stream))
                await asyncio.sleep(0)
                await stream.aclose()
                await stream.aclose()
            stream.push(silence(0.1))
            stream.end()
            return reader.result(), [hearing async for hearing in stream]

    assert entry.run(main()) == ([], [])


@pytest.mark.parametrize("call", ["push", "end"])
def test_calls_out_of_order_are_refused(entry: Entry, call: str) -> None:
    async def main() -> None:
        async with entry.opened() as recognizer:
            stream = recognizer.stream(HINTS)
            with pytest.raises(RuntimeError, match="before begin"):
                stream.push(silence(0.1)) if call == "push" else stream.end()
            stream.begin()
            with pytest.raises(RuntimeError, match="twice"):
                stream.begin()
            with pytest.raises(ValueError, match="samples"):
                stream.push(b"\0")
            await stream.aclose()

    entry.run(main())
