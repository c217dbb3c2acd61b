"""FallbackRecognizer: whoever fails, however and whenever, every word is understood once, as long as one works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.voice.doubles import Recognizer, RecognizerStream, spoken
from voice import clock
from voice.backoff import Backoff
from voice.provider_error import Cause, ProviderError
from voice.standby import QUIET
from voice.stt.fallback import FINAL, KEPT, FallbackRecognizer
from voice.stt.recognizer import Final, Hearing, Hints, Partial

ONCE = Backoff(tries=1)
DOWN = ProviderError("one", Cause.SERVER, status=500)


class Stream(RecognizerStream):
    """One that can also come to an end without a word. Once it was mute, it is for good: it leaves out no final."""

    finals = 0

    def _answer(self, hearing: Hearing) -> None:
        self.finals += isinstance(hearing, Final)
        if not isinstance(hearing, Final) or self.finals == self.ended:
            super()._answer(hearing)

    async def _iterate(self) -> AsyncIterator[Hearing]:
        try:
            async for hearing in super()._iterate():
                yield hearing
        except EOFError:
            return


class Named(Recognizer):
    """A recogniser that can be told to fail. `fails`: what the next calls of `stream` raise."""

    fits_grammar = False

    def __init__(self, name: str, **how: Any) -> None:
        super().__init__(**how)
        self.name = name
        self.fails: list[Exception] = []
        self.always: Exception | None = None
        self.prepared = 0
        self.unfit: Exception | None = None

    async def prepare(self) -> None:
        self.prepared += 1
        if self.unfit:
            raise self.unfit

    def stream(self, hints: Hints) -> RecognizerStream:
        if self.always or self.fails:
            raise self.always or self.fails.pop(0)
        self.streams.append(Stream(self, hints))
        return self.streams[-1]


class Line:
    """One caller's stream, and what is heard of it."""

    def __init__(self, provider: FallbackRecognizer, hints: Hints | None = None) -> None:
        self.stream = provider.stream(hints or Hints())
        self.heard: list[Hearing] = []
        self.error: Exception | None = None
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            async for hearing in self.stream:
                self.heard.append(hearing)
        except Exception as error:
            self.error = error

    async def say(self, text: str, *, end: bool = True, after: float = 0.1) -> None:
        self.stream.begin()
        await self.go_on(text)
        if end:
            self.stream.end()
        await asyncio.sleep(after)

    async def go_on(self, text: str) -> None:
        for pcm in spoken(text):
            self.stream.push(pcm)
            await asyncio.sleep(0.02)

    @property
    def finals(self) -> list[str]:
        return [hearing.text for hearing in self.heard if isinstance(hearing, Final)]

    async def close(self) -> None:
        await self.stream.aclose()
        self._reader.cancel()
        await asyncio.wait([self._reader])


Scene = Callable[[Line], Coroutine[Any, Any, None]]


def play(scene: Scene, *providers: Recognizer, **how: Any) -> None:
    async def main() -> None:
        line = Line(FallbackRecognizer(providers, **how))
        await asyncio.sleep(0)
        await scene(line)
        await line.close()
        await line.stream.aclose()
        assert len(asyncio.all_tasks()) == 1
        assert all(stream.closed for provider in providers for stream in provider.streams)

    clock.run(main())


def two() -> tuple[Named, Named]:
    return Named("one"), Named("two")


def test_the_first_is_used_as_long_as_it_works() -> None:
    one, two_ = two()

    async def scene(line: Line) -> None:
        await line.say("compare them")
        await line.say("and these")
        assert line.finals == ["compare them", "and these"]
        assert [h.text for h in line.heard if isinstance(h, Partial)] == ["compare", "compare them", "and", "and these"]
        assert (len(one.streams), len(two_.streams)) == (1, 0)

    play(scene, one, two_)


@pytest.mark.parametrize("how", ["raises", "ends", "push", "end", "begin", "expect"])
@pytest.mark.parametrize("at", [0.01, 0.3, 0.61])
def test_what_was_said_is_replayed_into_the_next(how: str, at: float, caplog: pytest.LogCaptureFixture) -> None:
    one, two_ = two()

    def explode(*args: Any) -> None:
        raise OSError(f"{how} on fire")

    async def scene(line: Line) -> None:
        stream = one.streams[0]
        if how in ("push", "end", "begin", "expect"):
            asyncio.get_running_loop().call_later(at, setattr, stream, how, explode)
            asyncio.get_running_loop().call_later(at + 0.01, line.stream.expect, Hints(phrases=("tea",)))
        elif how == "raises":
            asyncio.get_running_loop().call_later(at, stream.fail)
        else:
            asyncio.get_running_loop().call_later(at, stream._results.put_nowait, EOFError())
        await asyncio.sleep(0.005)
        await line.say("compare them all")
        await line.say("and these")
        assert line.finals == ["compare them all", "and these"]
        assert two_.streams
        assert "recogniser one failed" in caplog.text
        assert "two is asked instead" in caplog.text

    play(scene, one, two_)


def test_hints_go_to_whoever_is_next() -> None:
    one, two_ = two()

    async def scene(line: Line) -> None:
        line.stream.expect(Hints(phrases=("tea",)))
        assert one.streams[0].hints.phrases == ("tea",)
        one.streams[0].fail()
        await line.say("tea")
        assert two_.streams[0].hints.phrases == ("tea",)

    play(scene, one, two_)


def test_a_speech_that_is_asked_for_and_another_that_goes_on_are_both_replayed() -> None:
    one, two_ = two()
    one.mute = True

    async def scene(line: Line) -> None:
        await line.say("compare them", after=0.2)
        await line.say("and these", end=False)
        one.streams[0].fail()
        await line.go_on("too")
        line.stream.end()
        await asyncio.sleep(0.1)
        assert line.finals == ["compare them", "and these too"]

    play(scene, one, two_)


def test_one_that_is_silent_is_left_before_the_ear_gives_up() -> None:
    one, two_ = two()
    one.mute = True

    async def scene(line: Line) -> None:
        await line.say("compare them", after=FINAL - 0.02)
        assert line.finals == []
        await asyncio.sleep(0.04)
        assert line.finals == ["compare them"]
        await line.say("and these")
        assert line.finals == ["compare them", "and these"]
        assert len(one.streams) == 1, "it is not taken up again before its breaker closes"

    play(scene, one, two_, failures=1)


def test_a_single_one_that_is_silent_has_failed_when_the_ear_closes_it() -> None:
    only = Named("only", mute=True)

    async def main() -> None:
        provider = FallbackRecognizer([only], failures=2)
        for seconds in (2.0, 2.0):
            line = Line(provider)
            await line.say("compare them", after=seconds)
            await line.close()
        line = Line(provider)
        await line.say("compare them")
        assert isinstance(line.error, ProviderError)
        assert "left alone" in str(line.error)
        await line.close()

    clock.run(main())


def test_who_hangs_up_says_nothing_against_a_provider() -> None:
    only = Named("only", mute=True)

    async def main() -> None:
        provider = FallbackRecognizer([only], failures=1)
        for _ in range(5):
            line = Line(provider)
            await line.say("compare them", after=0.1)
            await line.close()
        assert len(only.streams) == 5

    clock.run(main())


def test_a_better_one_is_taken_up_at_the_next_speech_never_within_one() -> None:
    one, two_ = two()

    async def scene(line: Line) -> None:
        one.streams[0].fail()
        await line.say("compare them", end=False)
        await asyncio.sleep(60)
        await line.go_on("all")
        line.stream.end()
        await asyncio.sleep(0.1)
        assert len(one.streams) == 1
        await line.say("and these")
        assert len(one.streams) == 2
        assert line.finals == ["compare them all", "and these"]
        assert two_.streams[0].closed

    play(scene, one, two_, failures=1)


def test_all_fail_and_the_error_names_all(caplog: pytest.LogCaptureFixture) -> None:
    one, two_ = two()
    one.always, two_.always = DOWN, ProviderError("two", Cause.KEY, "no key", fix="set KEY")

    async def scene(line: Line) -> None:
        await line.say("compare them")
        assert isinstance(line.error, ProviderError)
        assert line.error.cause is Cause.SERVER
        assert "one: server error (500)" in str(line.error)
        assert "two: key refused: no key" in str(line.error)

    play(scene, one, two_, backoff=ONCE)


def test_a_single_one_is_tried_again_and_no_word_is_lost() -> None:
    only = Named("only")

    async def scene(line: Line) -> None:
        await line.say("compare", end=False)
        only.fails = [DOWN]
        only.streams[0].fail()
        await line.go_on("them all please")
        line.stream.end()
        await asyncio.sleep(0.1)
        assert line.finals == ["compare them all please"]
        assert len(only.streams) == 2

    play(scene, only)


def test_one_that_breaks_while_nothing_is_said_is_opened_again_when_something_is() -> None:
    one, two_ = two()

    async def scene(line: Line) -> None:
        one.streams[0].fail()
        await asyncio.sleep(1)
        assert line.error is None
        await line.say("compare them")
        assert line.finals == ["compare them"]
        assert (len(one.streams), len(two_.streams)) == (2, 0)

    play(scene, one, two_)


def test_sound_is_kept_for_two_minutes_and_no_longer() -> None:
    one, two_ = two()

    async def scene(line: Line) -> None:
        line.stream.begin()
        second = b"".join(spoken("word", 50))
        for _ in range(300):
            line.stream.push(second)
        assert line.stream._speeches[0].size <= KEPT * 32_000  # type: ignore[attr-defined]
        one.streams[0].fail()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        line.stream.end()
        await asyncio.sleep(0.1)
        assert len(two_.streams[0].frames) == 120
        await line.say("next")
        assert not line.stream._speeches  # type: ignore[attr-defined]

    play(scene, one, two_)


def test_an_error_of_ones_own_shows_in_the_log_and_is_fallen_over(caplog: pytest.LogCaptureFixture) -> None:
    one, two_ = two()
    one.always = TypeError("no such argument")

    async def scene(line: Line) -> None:
        await line.say("compare them")
        assert line.finals == ["compare them"]
        assert "no such argument" in caplog.text

    play(scene, one, two_)


def test_one_that_cannot_be_made_ready_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    one, two_ = two()
    one.unfit = ProviderError("one", Cause.MISSING, fix="pip install one")

    async def main() -> None:
        provider = FallbackRecognizer([one, two_])
        await provider.prepare()
        assert "recogniser one cannot be made ready" in caplog.text
        line = Line(provider)
        await line.say("compare them")
        assert line.finals == ["compare them"]
        assert one.streams == []
        await line.close()
        two_.unfit = OSError("no disk")
        with pytest.raises(ProviderError, match="one: not installed; two: OSError"):
            await provider.prepare()
        one.unfit = two_.unfit = None
        await provider.prepare()
        line = Line(provider)
        assert len(one.streams) == 1
        await line.close()

    clock.run(main())


def test_an_hour_without_them_in_a_hundred_rooms_is_a_few_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one, two_ = two()

    async def room(provider: FallbackRecognizer, number: int) -> None:
        await asyncio.sleep(number * 0.37)
        for _ in range(60):
            line = Line(provider)
            line.stream.begin()
            line.stream.end()
            await asyncio.sleep(60)
            await line.close()

    async def main() -> None:
        provider = FallbackRecognizer([one, two_])
        one.always = two_.always = DOWN
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(room(provider, number))
        assert 2 <= len(caplog.records) <= 2 * (3600 / QUIET) / 5
        one.always = two_.always = None
        await asyncio.sleep(130)
        caplog.clear()
        line = Line(provider)
        await line.say("hello")
        await line.close()
        assert [r.getMessage().split(",")[0] for r in caplog.records] == ["recogniser one works again"]

    clock.run(main())


def test_which_one_it_is_like_depends_on_which_one_is_used() -> None:
    one, two_ = two()
    one.fits_grammar, two_.endpoints = True, True

    async def scene(line: Line) -> None:
        provider = line.stream._provider  # type: ignore[attr-defined]
        assert (provider.fits_grammar, provider.endpoints) == (True, False)
        assert (line.stream.fits_grammar, line.stream.endpoints) == (True, False)  # type: ignore[attr-defined]
        one.streams[0].fail()
        await line.say("compare them")
        assert (provider.fits_grammar, provider.endpoints) == (False, True)
        assert (line.stream.fits_grammar, line.stream.endpoints) == (False, True)  # type: ignore[attr-defined]

    assert (FallbackRecognizer([one]).fits_grammar, FallbackRecognizer([two_]).endpoints) == (True, True)
    play(scene, one, two_, failures=1)


@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        ({"providers": []}, ValueError, "recogniser: give 1 to 10"),
        ({"providers": "deepgram"}, TypeError, "recogniser: give a list"),
        ({"providers": ["deepgram"]}, TypeError, "has no stream"),
        ({"providers": [Recognizer]}, TypeError, "give an instance"),
        ({"final": 0}, ValueError, "final must be"),
        ({"failures": 0}, ValueError, "failures must be"),
    ],
)
def test_bad_options_are_named(given: dict[str, Any], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        FallbackRecognizer(**{"providers": [Named("one")], **given})


class Ending(Named):
    """One that ends a speech by itself at the word "over"."""

    endpoints = True

    def stream(self, hints: Hints) -> RecognizerStream:
        stream = super().stream(hints)
        push = stream.push

        def listen(pcm: bytes) -> None:
            push(pcm)
            if stream.words[-1:] == ["over"]:
                stream.end()

        stream.push = listen  # type: ignore[method-assign]
        return stream


@pytest.mark.parametrize("first", [True, False])
def test_one_that_ends_speeches_by_itself_and_one_that_does_not(first: bool) -> None:
    ending, other = Ending("ending"), Named("other")
    one, two_ = (ending, other) if first else (other, ending)

    async def scene(line: Line) -> None:
        await line.say("compare them over", end=False)
        if one is ending:
            await line.go_on("nobody listens")
        line.stream.end()
        await line.say("and", end=False)
        one.streams[0].fail()
        await line.go_on("these over")
        line.stream.end()
        await asyncio.sleep(0.1)
        await line.say("too over")
        assert line.finals == ["compare them over", "and these over", "too over"]
        assert len(two_.streams) == 1

    play(scene, one, two_, failures=1)


Trouble = tuple[float, int, str]
WAYS = ("raises", "ends", "mute", "shut", "well")
TEXTS = ("compare them all", "stop", "and these too")


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(0, 4), st.integers(0, 1), st.sampled_from(["raises", "mute", "shut", "well"])), max_size=6
    ),
    st.lists(
        st.tuples(st.sampled_from(["compare them all", "stop", "and these too"]), st.floats(0.02, 1.5)), max_size=4
    ),
)
def test_every_begin_has_one_final_and_every_word_is_there(
    troubles: list[Trouble], speeches: list[tuple[str, float]]
) -> None:
    first, second, sure = Named("one"), Named("two"), Named("sure")

    def do(number: int, what: str) -> None:
        provider = (first, second)[number]
        provider.mute, provider.always = what == "mute", DOWN if what == "shut" else None
        if what in ("raises", "ends"):
            for stream in provider.streams:
                stream._results.put_nowait(EOFError() if what == "ends" else OSError("it broke"))

    async def scene(line: Line) -> None:
        for at, number, what in troubles:
            asyncio.get_running_loop().call_later(at, do, number, what)
        for text, pause in speeches:
            await line.say(text, after=pause)
        await asyncio.sleep(5)
        assert line.finals == [text for text, _ in speeches]
        assert line.error is None

    play(scene, first, second, sure)
