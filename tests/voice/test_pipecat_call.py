"""A whole call with Pipecat's services at both ends: heard, answered, interrupted, and left without a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from tests.voice.doubles import FakeLeg, Synthesizer, Vad, log_of, quiet, times_of
from voice import clock, pipecat
from voice.cascade import CascadeChannel
from voice.events import SpeakingStarted, SpeechStarted
from voice.stt.pipecat import PipecatSTT
from voice.tts.pipecat import PipecatTTS
from voice.tts.synthesizer import SpeechChunk

if not PipecatSTT.check().usable:
    pytest.skip(PipecatSTT.check().fix, allow_module_level=True)
pipecat.load("pipecat")

from pipecat.services.stt_service import STTService  # noqa: E402

from tests.voice.pipecat_services import Segmented, Spoken, Streaming  # noqa: E402


class AtThePaceOfSpeech(Synthesizer):
    """Is still at work when it is interrupted."""

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechChunk]:
        async with aclosing(super().synthesize(text)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield chunk
                await asyncio.sleep(0.25)


class Call:
    """A channel with Pipecat's services, and a caller."""

    def __init__(self, hearing: Callable[[], STTService]) -> None:
        self.voices: list[Spoken] = []
        self.stt, self.tts = PipecatSTT(hearing), PipecatTTS(self._voice)
        self.channel = CascadeChannel(stt=self.stt, tts=self.tts, vad=Vad())
        self.told: list[tuple[float, Any]] = []
        self.anna = FakeLeg("anna")

    def _voice(self) -> Spoken:
        self.voices.append(Spoken(AtThePaceOfSpeech()))
        return self.voices[-1]

    async def ask(self, text: str) -> str:
        """What Anna says, as it is understood."""
        await self.anna.say(text, 0.7)
        return (await anext(self.channel.turns())).text


def play(scene: Callable[[Call], Coroutine[Any, Any, None]], hearing: Callable[[], STTService] = Streaming) -> None:
    async def main() -> None:
        call = Call(hearing)
        async with call.channel, asyncio.TaskGroup() as group, asyncio.timeout(60):
            call.told = log_of(call.channel)
            visit = group.create_task(call.channel.serve(call.anna))
            await asyncio.sleep(0)
            await scene(call)
            visit.cancel()
        await call.tts.aclose()
        assert len(asyncio.all_tasks()) == 1
        assert all(voice.stopped for voice in call.voices)

    clock.run(main())


@pytest.mark.parametrize("hearing", [Streaming, lambda: Streaming(finalizes=False), Segmented])
def test_a_caller_is_understood_and_hears_the_answer(hearing: Callable[[], STTService]) -> None:
    async def scene(call: Call) -> None:
        for question, answer in (("what time is it", "it is ten past nine."), ("and in rome", "the same.")):
            assert await call.ask(question) == question
            reply = call.channel.say(answer)
            await call.anna.play(quiet(2.5))
            await reply
            assert reply.complete
            assert reply.heard == answer
        assert call.anna.text == "it is ten past nine. the same."

    play(scene, hearing)


def test_barging_in_stops_the_service_at_once_and_the_call_goes_on() -> None:
    async def scene(call: Call) -> None:
        reply = call.channel.say("here is a long answer that goes on for a good while and then some.")
        await call.anna.play(quiet(1.5))
        assert await call.ask("stop please") == "stop please"
        assert call.voices[0].broken_off
        assert not reply.complete
        assert reply.heard.startswith("here is a")
        (started,), (barged, *_) = times_of(call.told, SpeakingStarted), times_of(call.told, SpeechStarted)
        assert barged > started
        assert call.voices[0].stopped_at - barged < 0.3
        after = call.channel.say("all right.")
        await call.anna.play(quiet(1.5))
        await after
        assert after.heard == "all right."
        assert call.anna.text.endswith("all right.")

    play(scene)


def test_a_voice_that_fails_costs_a_sentence_not_the_call() -> None:
    async def scene(call: Call) -> None:
        make = call._voice
        call.tts._factory = lambda: Spoken(Synthesizer(), refuses="secret")
        failed = call.channel.say("the secret is out.")
        await call.anna.play(quiet(2))
        await failed
        assert failed.heard == ""
        call.tts._factory = make
        assert await call.ask("are you there") == "are you there"
        reply = call.channel.say("i am.")
        await call.anna.play(quiet(1.5))
        await reply
        assert reply.heard == "i am."

    play(scene)
