"""PocketSphinx on real (synthetic) speech, in this process and in a process of its own.

What every recogniser keeps is in `test_recognizer.py`; this is what only this one promises.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from tests.voice.spoken import VOICES, frames, said
from voice.audio import silence
from voice.clock import now, run
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Final, Hearing, Hints, Partial, RecognizerStream, SpeechRecognizer
from voice.stt.sphinx import native

pytestmark = pytest.mark.speech

GRAMMAR = Hints(
    grammar="""#JSGF V1.0; grammar test;
    public <sentence> = compare <thing> and <thing> | what did you find | yes [please] | no | stop
                      | what time is it in <city>;
    <thing> = tea | coffee | the weather;
    <city> = rome | london;"""
)
OTHER = Hints(grammar="#JSGF V1.0; grammar other; public <s> = banana | good morning;")
IN = ("compare tea and coffee", "what did you find", "yes please", "what time is it in rome")
OUT = ("i would like to order a large pizza", "the train leaves at seven in the morning")


@pytest.fixture(scope="module", params=["in this process", "in a child process"])
def recognizer(request: pytest.FixtureRequest) -> Iterator[SpeechRecognizer]:
    check = Pocketsphinx.check()
    if not check.usable:
        pytest.skip(f"{check.detail}: {check.fix}")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "in a child process":
            patch.setattr(native, "library", lambda: None)
        elif native.library() is None:
            pytest.skip("this platform's build of pocketsphinx does not export the C library's functions")
        provider = Pocketsphinx()
        run(provider.prepare())
        yield provider


@asynccontextmanager
async def opened(recognizer: SpeechRecognizer, hints: Hints = GRAMMAR) -> AsyncIterator[RecognizerStream]:
    stream = recognizer.stream(hints)
    try:
        yield stream
    finally:
        await stream.aclose()


async def speak(stream: RecognizerStream, pcm: bytes) -> None:
    """Say it at the pace of real time (of the loop's clock)."""
    stream.begin()
    for frame in frames(pcm):
        stream.push(frame)
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


async def transcript(stream: RecognizerStream, pcm: bytes) -> Final:
    await speak(stream, pcm)
    final = (await heard(stream))[-1]
    assert isinstance(final, Final)
    return final


@pytest.mark.parametrize("voice", VOICES)
def test_what_is_in_the_grammar_is_understood_word_for_word(recognizer: SpeechRecognizer, voice: str) -> None:
    async def main() -> list[Final]:
        async with opened(recognizer) as stream:
            return [await transcript(stream, said(sentence, voice)) for sentence in IN]

    finals = run(main())
    assert [final.text for final in finals] == list(IN)
    assert all(final.confidence >= 0.5 and not final.rejected for final in finals)


@pytest.mark.parametrize("voice", VOICES)
def test_what_is_not_in_the_grammar_is_rejected_and_guessed(recognizer: SpeechRecognizer, voice: str) -> None:
    async def main() -> list[Final]:
        async with opened(recognizer) as stream:
            return [await transcript(stream, said(sentence, voice)) for sentence in OUT]

    for sentence, final in zip(OUT, run(main()), strict=True):
        assert final.rejected
        assert final.confidence < 0.5
        assert len(set(final.text.split()) & set(sentence.split())) >= len(sentence.split()) / 2


def test_without_a_grammar_it_guesses(recognizer: SpeechRecognizer) -> None:
    async def main() -> list[Hearing]:
        async with opened(recognizer, Hints()) as stream:
            await speak(stream, said(OUT[1], "rms"))
            return await heard(stream)

    *partials, final = run(main())
    assert isinstance(final, Final)
    understood = set(final.text.split()) & set(OUT[1].split())
    assert len(understood) >= 0.7 * len(set(OUT[1].split())), final.text
    assert final.confidence < 0.5
    assert not final.rejected
    assert partials
    assert not any(partial.complete for partial in partials if isinstance(partial, Partial))


@pytest.mark.parametrize("kind", ["silence", "noise", "nothing", "one sample"])
def test_where_there_are_no_words_there_is_no_text(recognizer: SpeechRecognizer, kind: str) -> None:
    hiss = np.random.default_rng(1).normal(0, 30, 16_000).astype("<i2").tobytes()
    pcm = {"silence": silence(1), "noise": hiss, "nothing": b"", "one sample": b"\0\0"}[kind]

    async def main() -> Final:
        async with opened(recognizer) as stream:
            stream.begin()
            stream.push(pcm)
            stream.end()
            final = (await heard(stream))[-1]
            assert isinstance(final, Final)
            return final

    final = run(main())
    assert final.text == ""
    assert not final.rejected


def test_partials_grow_while_speech_goes_on_and_say_when_a_sentence_is_whole(recognizer: SpeechRecognizer) -> None:
    sentence = "compare tea and coffee"

    async def main() -> tuple[list[tuple[float, Partial]], float]:
        partials = []
        async with opened(recognizer) as stream:

            async def listen() -> None:
                async for hearing in stream:
                    if isinstance(hearing, Final):
                        return
                    assert isinstance(hearing, Partial)
                    partials.append((now(), hearing))

            async with asyncio.TaskGroup() as group:
                group.create_task(listen())
                await speak(stream, said(sentence))
                ended = now()
        return partials, ended

    partials, ended = run(main())
    assert len(partials) >= 3
    assert partials[-1][1] == Partial(sentence, complete=True)
    assert partials[-1][0] <= ended - 0.2, "the sentence was whole before the silence after it was over"
    wholes = {"compare tea and tea", "compare tea and coffee", "compare coffee and tea", "compare coffee and coffee"}
    for _, partial in partials:
        assert not partial.complete or partial.text in wholes
    steps = [at for at, _ in partials]
    assert all(at * 10 == pytest.approx(round(at * 10), abs=0.3) for at in steps), "one every 100 ms at most"


def test_two_callers_at_once_do_not_mix(recognizer: SpeechRecognizer) -> None:
    async def caller(voice: str, sentences: tuple[str, ...], hints: Hints) -> list[str]:
        async with opened(recognizer, hints) as stream:
            return [(await transcript(stream, said(sentence, voice))).text for sentence in sentences]

    async def main() -> list[list[str]]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(caller("slt", IN, GRAMMAR)),
                group.create_task(caller("rms", IN[::-1], GRAMMAR)),
                group.create_task(caller("slt", ("good morning", "banana"), OTHER)),
            ]
        return [task.result() for task in tasks]

    assert run(main()) == [list(IN), list(IN[::-1]), ["good morning", "banana"]]


def test_closing_in_the_middle_ends_it_and_frees_its_place(recognizer: SpeechRecognizer) -> None:
    narrow = Pocketsphinx(speaking=1)

    async def main() -> tuple[list[Hearing], str]:
        first = narrow.stream(GRAMMAR)
        first.begin()
        pcm = said("compare tea and coffee")
        first.push(pcm[: len(pcm) // 4 * 2])
        async with opened(narrow) as second:
            second.begin()
            second.push(said("yes please"))
            second.end()
            await first.aclose()
            final = (await heard(second))[-1]
            assert isinstance(final, Final)
        first.push(pcm)
        first.end()
        return [hearing async for hearing in first], final.text

    assert run(main()) == ([], "yes please")


def test_the_loop_goes_on_while_speech_is_decoded(recognizer: SpeechRecognizer) -> None:
    """Ticks of 5 ms, idle and while four callers are decoded as fast as can be on however few cores.

    About 0.8 of them come; of a decoder that holds the interpreter (the package's own binding in a thread) 0.02.
    """

    async def ticks(work: asyncio.Future[Any]) -> float:
        """The share of the ticks that came."""
        began, count = now(), 0
        while not work.done():
            await asyncio.sleep(0.005)
            count += 1
        return count * 0.005 / (now() - began)

    async def caller(sentence: str) -> None:
        async with opened(recognizer) as stream:
            stream.begin()
            stream.push(said(sentence))
            stream.end()
            await heard(stream)

    async def main() -> tuple[float, float]:
        idle = await ticks(asyncio.ensure_future(asyncio.sleep(0.3)))
        busy = await ticks(asyncio.gather(*map(caller, (*IN[:3], OUT[0]))))
        return idle, busy

    for sentence in (*IN[:3], OUT[0]):
        said(sentence)
    idle, busy = asyncio.run(main())
    assert busy >= 0.2 * idle
