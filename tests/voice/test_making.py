"""Making an utterance: sentences go to the synthesizer as they come, and what fails is said."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from voice import clock
from voice.leg import FRAME_SAMPLES, RATE
from voice.making import AHEAD, PAUSED, SETTLED, STALLED, Made, Making, Synthesize
from voice.playout import Playout
from voice.provider_error import Cause, ProviderError
from voice.tts.synthesizer import WordMark
from voice.utterance import SpokenUtterance


class Workshop:
    """A making whose synthesizer takes `delay` seconds and gives a second of sound for each sentence."""

    def __init__(self, source: Any, *, delay: float = 0.0, synthesize: Synthesize | None = None) -> None:
        self.asked: list[tuple[float, str]] = []
        self.delay = delay
        self.utterance = SpokenUtterance("u", source, Playout("u", itertools.count(1).__next__))
        self.playout = self.utterance.playout
        self.closed = 0
        self.making = Making(self.utterance, synthesize or self.synthesize, self.made)

    def made(self, samples: int) -> None:
        self.playout.make(samples, 0.0)

    async def synthesize(self, text: str) -> AsyncIterator[Made]:
        self.asked.append((round(asyncio.get_running_loop().time(), 3), text))
        try:
            await asyncio.sleep(self.delay)
            yield Made(RATE, (WordMark(0, len(text), 0.0),), bytes(2 * RATE))
        finally:
            self.closed += 1

    @property
    def sentences(self) -> list[str]:
        return [text for _, text in self.asked]


async def pieces(*script: Any) -> AsyncIterator[Any]:
    for piece in script:
        if isinstance(piece, Exception):
            raise piece
        if isinstance(piece, float):
            await asyncio.sleep(piece)
        else:
            yield piece


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    clock.run(scene())


def test_a_whole_text_goes_sentence_by_sentence() -> None:
    async def scene() -> None:
        shop = Workshop("One. Two! ... Three")
        await shop.making.run()
        assert shop.sentences == ["One.", "Two!", "Three"]
        assert not shop.utterance.failed
        assert shop.playout.made == 3 * RATE
        assert shop.playout.marks.heard(3 * RATE) == len("One. Two! ... Three")
        assert shop.closed == 3

    play(scene)


def test_a_streamed_text_goes_as_it_comes() -> None:
    async def scene() -> None:
        shop = Workshop(pieces("On ", "it.", 1.0, " I will", " look", 2.0, " into it. Bye"))
        await shop.making.run()
        assert shop.asked == [
            (SETTLED, "On it."),
            (1.0 + PAUSED, "I will look"),
            (3.0, "into it."),
            (3.0, "Bye"),
        ]
        assert shop.utterance.text == "On it. I will look into it. Bye"

    play(scene)


def test_the_text_goes_on_while_a_sentence_is_made() -> None:
    async def scene() -> None:
        shop = Workshop(pieces("One. Two.", 0.5, " Three."), delay=1.0)
        await shop.making.run()
        assert [at for at, _ in shop.asked] == [0.0, 1.0 + 0.0, 2.0]

    play(scene)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (("Well, I", ValueError("model on fire")), "its text broke off: ValueError: model on fire"),
        (("Well, I", 7), "a text consists of str, not int"),
        (("Well, I", KeyError()), "its text broke off: KeyError"),
    ],
)
def test_a_text_that_breaks_off(script: tuple[Any, ...], why: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        shop = Workshop(pieces(*script))
        await shop.making.run()
        assert shop.utterance.failed
        assert shop.sentences == ["Well, I"]
        assert why in caplog.text
        assert "utterance u cannot be made" in caplog.text

    play(scene)


def test_what_the_log_knows_of_a_provider_is_not_said_again(caplog: pytest.LogCaptureFixture) -> None:
    lost = ProviderError("acme", Cause.KEY)
    lost.logged = True

    async def scene() -> None:
        shop = Workshop(pieces("Well, I", lost))
        await shop.making.run()
        assert shop.utterance.failed
        assert caplog.text == ""

    with caplog.at_level("INFO"):
        play(scene)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_synthesizer_that_breaks(streamed: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(text: str) -> AsyncIterator[Made]:
        if text == "Two.":
            raise OSError("voice on fire")
        yield Made(RATE, (), bytes(2 * RATE))

    async def scene() -> None:
        shop = Workshop(pieces("One. Two. Three.") if streamed else "One. Two. Three.", synthesize=broken)
        await shop.making.run()
        assert shop.utterance.failed
        assert shop.playout.made == RATE
        assert "OSError: voice on fire" in caplog.text
        assert len(asyncio.all_tasks()) == 1

    play(scene)


def test_a_synthesizer_that_stalls(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        shop = Workshop("One.", delay=100.0)
        await shop.making.run()
        assert shop.utterance.failed
        assert asyncio.get_running_loop().time() == STALLED
        assert "no audio for 5 s" in caplog.text
        assert shop.closed == 1

    play(scene)


def test_a_synthesizer_that_makes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def dumb(text: str) -> AsyncIterator[Made]:
        for made in ():
            yield made

    async def scene() -> None:
        shop = Workshop("One.", synthesize=dumb)
        await shop.making.run()
        assert shop.utterance.failed
        assert "made no audio of 'One.'" in caplog.text

    play(scene)


def test_a_sentence_is_filled_up_to_whole_frames() -> None:
    async def odd(text: str) -> AsyncIterator[Made]:
        yield Made(1, (), b"ab")

    async def scene() -> None:
        shop = Workshop("One. Two.", synthesize=odd)
        await shop.making.run()
        assert shop.playout.made == 2 * FRAME_SAMPLES
        assert bytes(shop.utterance.pcm) == (b"ab" + bytes(2 * FRAME_SAMPLES - 2)) * 2

    play(scene)


def test_it_does_not_run_far_ahead_of_the_ear() -> None:
    async def scene() -> None:
        shop = Workshop(" ".join(["One."] * 30))
        work = asyncio.create_task(shop.making.run())
        await asyncio.sleep(1)
        made = shop.playout.made
        assert made <= (AHEAD + 1.1) * RATE
        shop.making.demand.set()
        await asyncio.sleep(1)
        assert shop.playout.made == made
        shop.playout.open_ear("anna", 0.0, False, 1.0)
        shop.playout.play(1.0)
        shop.playout.expire(1.02)
        for now in range(2, 40):
            shop.playout.expire(float(now))
            shop.making.demand.set()
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        assert shop.playout.made > made
        work.cancel()

    play(scene)


def test_given_up_it_closes_text_and_synthesizer() -> None:
    closed = []

    async def text() -> AsyncIterator[str]:
        try:
            yield "One. "
            await asyncio.sleep(100)
        finally:
            closed.append("text")

    async def scene() -> None:
        shop = Workshop(text(), delay=3.0)
        work = asyncio.create_task(shop.making.run())
        await asyncio.sleep(1)
        work.cancel()
        await asyncio.wait([work])
        assert work.cancelled()
        assert closed == ["text"]
        assert shop.closed == 1
        assert not shop.utterance.failed
        assert len(asyncio.all_tasks()) == 1

    play(scene)


def test_a_text_that_is_no_generator() -> None:
    class Plain:
        def __init__(self) -> None:
            self.left = ["One. ", "Two."]

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    async def scene() -> None:
        shop = Workshop(Plain())
        await shop.making.run()
        assert shop.sentences == ["One.", "Two."]

    play(scene)
