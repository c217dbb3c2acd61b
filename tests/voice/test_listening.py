"""Listening: frames in, turns out, with a recogniser that may break at every call."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from tests.voice.doubles import Recognizer, RecognizerStream, Vad, quiet, sleep_until, spoken
from voice import clock
from voice.ear import Ear
from voice.endpointing import AsRecognized, FixedSilence, GivenEnd
from voice.events import Dropped, Event, SpeechStarted, SpeechStopped, TurnDropped, TurnEnded, WordsHeard
from voice.leg import FRAME_SECONDS
from voice.listening import BACKOFF, EAGER, GAP, LONGEST, Listening
from voice.stt.fallback import FallbackRecognizer
from voice.stt.recognizer import Hints


class Booth:
    """Anna's listening, and what it tells."""

    def __init__(self, stt: Recognizer, vad: Vad, hints: Hints) -> None:
        self.events: list[tuple[float, Event]] = []
        ids = itertools.count(1)
        self.ear = Ear("anna", lambda: f"t{next(ids)}")
        self.stt = stt
        self.listening = Listening(self.ear, stt, vad, hints, self.tell)

    def tell(self, event: Event) -> None:
        self.events.append((round(asyncio.get_running_loop().time(), 6), event))

    async def hear(self, frames: list[bytes]) -> None:
        at = asyncio.get_running_loop().time()
        for pcm in frames:
            self.listening.hear(pcm)
            at += FRAME_SECONDS
            await sleep_until(at)

    async def say(self, text: str, silence: float = 0.7) -> None:
        await self.hear([*spoken(text), *quiet(silence)])

    def times(self, kind: type) -> list[float]:
        return [at for at, event in self.events if isinstance(event, kind)]

    @property
    def turns(self) -> list[str]:
        return [event.turn.text for _, event in self.events if isinstance(event, TurnEnded)]

    @property
    def stream(self) -> RecognizerStream:
        return self.stt.streams[-1]


def play(
    scene: Callable[[Booth], Coroutine[Any, Any, None]],
    stt: Recognizer | None = None,
    vad: Vad | None = None,
    hints: Hints | None = None,
) -> None:
    async def main() -> None:
        booth = Booth(stt or Recognizer(), vad or Vad(), hints or Hints())
        async with asyncio.TaskGroup() as group:
            life = group.create_task(booth.listening.run())
            await asyncio.sleep(0)
            await scene(booth)
            booth.listening.close()
            life.cancel()
        assert all(stream.closed for stream in booth.stt.streams)
        assert len(asyncio.all_tasks()) == 1

    clock.run(main())


def test_a_turn() -> None:
    async def scene(booth: Booth) -> None:
        await booth.say("compare them")
        assert booth.turns == ["compare them"]
        assert booth.times(SpeechStarted) == [0.08]
        assert len(booth.times(WordsHeard)) == 2
        assert (booth.stream.begun, booth.stream.ended) == (1, 1)

    play(scene)


def test_silence_costs_the_recogniser_nothing() -> None:
    async def scene(booth: Booth) -> None:
        await booth.hear(quiet(10))
        assert booth.stream.begun == 0
        assert booth.events == []

    play(scene)


def test_each_frame_of_a_turn_is_recognised_once_also_over_a_pause() -> None:
    async def scene(booth: Booth) -> None:
        frames = [*spoken("one two"), *quiet(0.4), *spoken("three")]
        await booth.hear(frames)
        assert booth.stream.frames == frames
        await booth.hear(quiet(0.7))
        assert booth.turns == ["one two three"]

    play(scene)


def test_a_turn_right_after_another_does_not_hear_its_end_again() -> None:
    stt = Recognizer()
    stt.complete.add("one two")

    async def scene(booth: Booth) -> None:
        await booth.hear([*spoken("one two"), *quiet(0.3), *spoken("three"), *quiet(0.7)])
        assert booth.turns == ["one two", "three"]
        assert booth.stream.frames[0] == quiet(0.02)[0]

    play(scene, stt)


def test_frames_that_stop_end_the_voice() -> None:
    async def scene(booth: Booth) -> None:
        await booth.hear(spoken("compare them"))
        await asyncio.sleep(3)
        assert booth.times(SpeechStopped) == [pytest.approx(0.58 + GAP + 0.1)]
        assert booth.turns == ["compare them"]

    play(scene)


def test_who_is_hushed_is_forgotten_and_heard_again_later() -> None:
    async def scene(booth: Booth) -> None:
        await booth.hear(spoken("compare them"))
        booth.listening.hush()
        assert len(booth.times(TurnDropped)) == 1
        await asyncio.sleep(3)
        assert len(booth.events) == len([*booth.times(SpeechStarted), *booth.times(WordsHeard)]) + 2
        await booth.say("and these")
        assert booth.turns == ["and these"]

    play(scene)


def test_partials_are_believed_as_far_as_the_stream_in_use_can_be() -> None:
    class Own(RecognizerStream):
        """It has another recogniser behind it than a new stream would have, and may change."""

        fits_grammar = False

    class Several(Recognizer):
        def stream(self, hints: Hints) -> RecognizerStream:
            stream = Own(self, hints)
            self.streams.append(stream)
            return stream

    async def scene(booth: Booth) -> None:
        trusting = [booth.ear.trusting]
        await booth.hear(spoken("some"))
        booth.stream.fits_grammar = True  # type: ignore[attr-defined]
        trusting.append(booth.ear.trusting)
        await booth.say("tea")
        trusting.append(booth.ear.trusting)
        booth.stream.fail()
        await asyncio.sleep(1)
        trusting.append(booth.ear.trusting)
        assert trusting == [True, True, False, True]  # from the next words on; then there is another stream

    play(scene, Several(), hints=Hints(grammar="#JSGF V1.0; grammar g; public <s> = tea;"))


def test_a_caller_s_turns_are_ended_as_their_own_recogniser_in_use_needs_it() -> None:
    """The one that is preferred ends turns by itself, and failed this caller; the other does not."""

    first, second = Recognizer(), Recognizer()
    first.endpoints = True
    first.fits_grammar = second.fits_grammar = False
    stt = FallbackRecognizer([first, second])

    async def main() -> None:
        booth = Booth(stt, Vad(), Hints())  # type: ignore[arg-type]
        booth.ear.endpointer = AsRecognized(stt, GivenEnd(longest=5.0), FixedSilence(silence=0.6))
        life = asyncio.ensure_future(booth.listening.run())
        await asyncio.sleep(0)
        await booth.hear(spoken("compare"))
        first.streams[-1].fail()
        await booth.say("them", silence=1.0)
        assert stt.endpoints
        assert booth.turns == ["compare them"]
        life.cancel()
        await asyncio.wait([life])

    clock.run(main())


def test_what_is_expected_changes_how_far_partials_are_believed() -> None:
    async def scene(booth: Booth) -> None:
        assert not booth.ear.trusting
        booth.listening.expect(Hints(phrases=("tea",)))
        assert booth.ear.trusting
        assert booth.stream.hints.phrases == ("tea",)

    play(scene, hints=Hints(grammar="#JSGF V1.0; grammar g; public <s> = tea;"))


@pytest.mark.parametrize("call", ["begin", "push", "end", "expect"])
def test_a_recogniser_may_break_at_every_call(call: str, caplog: pytest.LogCaptureFixture) -> None:
    def explode(*args: Any) -> None:
        raise OSError(f"{call} on fire")

    async def scene(booth: Booth) -> None:
        setattr(booth.stream, call, explode)
        if call == "expect":
            booth.listening.expect(Hints(phrases=("tea",)))
            await asyncio.sleep(0.1)
        await booth.say("compare them", 4.0)
        await booth.say("and these")
        assert booth.turns[-1] == "and these"
        assert len(booth.turns) == 2
        assert len(booth.stt.streams) == 2
        assert f"{call} on fire" in caplog.text
        if call == "expect":
            assert booth.stream.hints.phrases == ("tea",)

    play(scene)


def test_a_recogniser_that_never_closes_costs_no_other_speech() -> None:
    class Hanging(RecognizerStream):
        async def aclose(self) -> None:
            self.closed = True
            await asyncio.Event().wait()

    class Stt(Recognizer):
        def stream(self, hints: Hints) -> RecognizerStream:
            self.streams.append(Hanging(self, hints))
            return self.streams[-1]

    async def scene(booth: Booth) -> None:
        await booth.say("compare them")
        booth.stream.fail()
        await booth.hear(quiet(6))
        await booth.say("and these")
        assert booth.turns == ["compare them", "and these"]

    play(scene, Stt())


def test_a_recogniser_that_cannot_be_closed(caplog: pytest.LogCaptureFixture) -> None:
    class Clinging(RecognizerStream):
        async def aclose(self) -> None:
            self.closed = True
            raise OSError("will not close")

    class Provider(Recognizer):
        def stream(self, hints: Hints) -> RecognizerStream:
            self.streams.append(Clinging(self, hints))
            return self.streams[-1]

    async def scene(booth: Booth) -> None:
        booth.stream.fail()
        await asyncio.sleep(0.1)
        await booth.say("compare them")
        assert booth.turns == ["compare them"]
        assert "will not close" in caplog.text

    play(scene, Provider())


class Shut(Recognizer):
    """Opens no stream while it is `shut`; notes when it was asked for one."""

    def __init__(self) -> None:
        super().__init__()
        self.shut = True
        self.tried: list[float] = []

    def stream(self, hints: Hints) -> RecognizerStream:
        self.tried.append(asyncio.get_running_loop().time())
        if self.shut:
            raise OSError("no more seats")
        return super().stream(hints)


def test_a_provider_that_cannot_open_is_tried_as_long_as_the_call_lasts(caplog: pytest.LogCaptureFixture) -> None:
    provider = Shut()

    async def scene(booth: Booth) -> None:
        await asyncio.sleep(3600)
        assert provider.tried[:4] == [0.0, 0.0, BACKOFF, BACKOFF + 3 * BACKOFF]
        waits = [b - a for a, b in pairwise(provider.tried)]
        assert waits == sorted(waits)
        assert max(waits) == waits[-1] == LONGEST
        assert [r.levelname for r in caplog.records] == ["WARNING", "ERROR"]
        assert "no more seats" in caplog.text
        provider.shut = False
        await asyncio.sleep(LONGEST)
        await booth.say("can you hear me")
        assert booth.turns == ["can you hear me"]

    play(scene, provider)


def test_who_speaks_is_reason_to_try_before_it_is_time_but_not_at_every_word() -> None:
    provider = Shut()

    async def scene(booth: Booth) -> None:
        await asyncio.sleep(300)
        before = len(provider.tried)
        for _ in range(10):
            await booth.say("can you", 0.4)
        assert 2 <= len(provider.tried) - before <= 10 / EAGER + 1
        await booth.hear(quiet(5))
        provider.shut = False
        await booth.say("hear me now please", 5.0)
        assert booth.turns == ["hear me now please"]

    play(scene, provider)


def test_who_speaks_to_no_recogniser_is_said_to_be_unheard() -> None:
    def dropped(booth: Booth) -> list[Dropped]:
        return [event.why for _, event in booth.events if isinstance(event, TurnDropped)]

    async def scene(booth: Booth) -> None:
        await booth.say("can you hear me", 5.0)
        assert dropped(booth) == [Dropped.UNHEARD]
        await booth.say("hm", 5.0)
        assert dropped(booth)[1:] == [Dropped.NO_WORDS]
        await booth.hear(spoken("and who is on hold"))
        booth.listening.hush()
        assert dropped(booth)[2:] == [Dropped.NO_WORDS]

    play(scene, Shut())


def test_a_recogniser_that_gives_no_answer_is_none() -> None:
    async def scene(booth: Booth) -> None:
        await booth.say("can you hear me", 5.0)
        assert booth.turns == ["can you hear me"]
        booth.stream.push = lambda pcm: None  # type: ignore[method-assign]
        await booth.say("can you hear me", 5.0)
        assert [event.why for _, event in booth.events if isinstance(event, TurnDropped)] == [Dropped.UNHEARD]

    play(scene, Recognizer(mute=True))


def test_a_recogniser_that_works_between_failures_is_always_opened_again() -> None:
    async def scene(booth: Booth) -> None:
        for _ in range(8):
            await booth.say("compare them")
            booth.stream.fail()
            await asyncio.sleep(0.1)
        assert len(booth.turns) == 8

    play(scene)


def test_one_that_is_lost_in_a_pause_is_followed_by_one_that_waits_for_speech() -> None:
    async def scene(booth: Booth) -> None:
        await booth.say("one", silence=0.3)
        booth.stream.fail()
        await booth.hear(quiet(1.0))
        assert booth.turns == ["one"]
        assert (booth.stream.begun, booth.stream.frames) == (0, [])
        await booth.say("two three")
        assert booth.turns == ["one", "two three"]
        assert len(booth.stt.streams) == 2

    play(scene)


def test_a_recogniser_that_ends_turns_by_itself() -> None:
    class Endpointing(RecognizerStream):
        def push(self, pcm: bytes) -> None:
            if self.begun > self.ended:
                super().push(pcm)
            if self.words[-1:] == ["over"] and self.begun > self.ended:
                self.end()

    class Provider(Recognizer):
        def stream(self, hints: Hints) -> RecognizerStream:
            self.streams.append(Endpointing(self, hints))
            return self.streams[-1]

    async def scene(booth: Booth) -> None:
        await booth.say("compare them over and these too")
        assert booth.turns == ["compare them over", "and these too"]
        assert booth.times(TurnEnded)[0] < 0.92

    play(scene, Provider())
