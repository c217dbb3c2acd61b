"""The engines that hear and speak: what is given is used, the rest is chosen, and scripts tell what may be said."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any
from unittest.mock import AsyncMock

import pytest

from delivery import WaitForIdle
from orchestration import Agent, Runtime, Speech
from orchestration.models.anthropic import Anthropic
from orchestration.models.grammar import merged
from orchestration.models.livekit import LiveKitLLM
from orchestration.models.prepared import Prepared
from orchestration.models.scripted import Intent, Scripted
from orchestration.room import Room
from orchestration.speech import EAGER, hints
from tests.voice.doubles import FakeLeg, Recognizer, Synthesizer, Vad
from tests.voice.spoken import said
from tests.voice.test_judging import Model
from voice.clock import run
from voice.endpointing import GivenEnd, SoFar
from voice.stt.deepgram import Deepgram as Nova
from voice.stt.deepgram_flux import DeepgramFlux
from voice.stt.fallback import FallbackRecognizer
from voice.stt.livekit import LiveKitSTT
from voice.stt.pipecat import PipecatSTT
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Final, Hints
from voice.tts.deepgram import Deepgram as Aura
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.livekit import LiveKitTTS
from voice.tts.pipecat import PipecatTTS


def room(*models: Any) -> Room:
    made = Room("lobby", WaitForIdle())
    made.attach(*(Agent(f"agent-{number}", model=model) for number, model in enumerate(models)))
    return made


def test_what_is_given_is_prepared_and_used() -> None:
    prepared: list[str] = []

    def noting(provider: Any, name: str) -> Any:
        async def prepare() -> None:
            await asyncio.sleep(1)
            prepared.append(name)

        provider.prepare = prepare
        return provider

    async def main() -> None:
        stt = Recognizer()
        speech = Speech(noting(stt, "stt"), noting(Synthesizer(), "tts"), noting(Vad(), "vad"))
        await speech.prepare()
        assert prepared == ["stt", "tts", "vad"]
        async with speech.channel(room()) as one, speech.channel(room()) as other:
            assert one is not other
        assert speech.stt is stt

    run(main())


def test_what_is_not_given_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"stt": Recognizer(), "tts": Synthesizer(), "vad": Vad()}
    for part, provider in chosen.items():
        monkeypatch.setattr(f"voice.{part}.default", lambda provider=provider: provider)
    speech = Speech()
    run(speech.prepare())
    assert {"stt": speech.stt, "tts": speech.tts, "vad": speech.vad} == chosen


def test_a_provider_that_cannot_be_loaded_says_so_itself() -> None:
    class Broken(Synthesizer):
        async def prepare(self) -> None:
            raise RuntimeError("flite: no voice was found; install flite")

    with pytest.raises(RuntimeError, match="flite: no voice was found; install flite"):
        run(Speech(Recognizer(), Broken(), Vad()).prepare())


def test_a_list_is_taken_one_after_the_other() -> None:
    first, second = Recognizer(), Recognizer()
    speech = Speech([first, second], [Synthesizer()], Vad())
    run(speech.prepare())
    assert isinstance(speech.stt, FallbackRecognizer)
    assert isinstance(speech.tts, FallbackSynthesizer)
    assert list(speech.stt.standby.providers) == [first, second]


def test_one_that_a_network_may_fail_is_asked_again() -> None:
    class Ears(Recognizer):
        remote = True

    class Voice(Synthesizer):
        remote = True

    speech = Speech(ears := Ears(), voice := Voice(), Vad())
    run(speech.prepare())
    assert isinstance(speech.stt, FallbackRecognizer)
    assert isinstance(speech.tts, FallbackSynthesizer)
    assert (speech.stt.name, list(speech.stt.standby.providers)) == (ears.name, [ears])
    assert speech.tts.name == voice.name
    before = speech.stt, speech.tts
    run(speech.prepare())
    assert (speech.stt, speech.tts) == before


@pytest.mark.parametrize(
    "cloud",
    [Nova, DeepgramFlux, Aura, Anthropic, LiveKitSTT, LiveKitTTS, LiveKitLLM, PipecatSTT, PipecatTTS],
)
def test_clouds_say_that_they_are(cloud: Any) -> None:
    assert cloud.remote is True


def test_turns_end_as_the_recogniser_in_use_has_it() -> None:
    stt = Recognizer()
    speech = Speech(stt, Synthesizer(), Vad())
    run(speech.prepare())
    assert speech.endpointer is not None
    assert speech.endpointer.wait(SoFar("look into")) == 0.6
    assert speech.endpointer.foresee(SoFar("look into")) == EAGER
    stt.endpoints = True
    assert speech.endpointer.wait(SoFar("look into")) == GivenEnd().longest


def test_an_endpointer_that_is_given_is_used_and_a_turn_model_is_loaded() -> None:
    model = Model(0.9)
    model.prepare = noted = AsyncMock()  # type: ignore[method-assign]
    speech = Speech(Recognizer(), Synthesizer(), Vad(), endpointer=model)
    run(speech.prepare())
    assert speech.endpointer is model
    noted.assert_awaited_once()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stt": []}, "stt: the list is empty; give one provider"),
        ({"tts": ()}, "tts: the list is empty; give one provider"),
        ({"realtime": "deepgram"}, "realtime: 'deepgram' is no model that speaks; give one, like DeepgramAgent"),
        ({"endpointer": 0.6}, r"endpointer: 0.6 is none; give one, like FixedSilence\(silence=0.8\)"),
    ],
)
def test_what_makes_no_sense_is_named(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Speech(**wrong)


def test_a_channel_needs_engines_that_are_loaded() -> None:
    with pytest.raises(RuntimeError, match=r"Speech.prepare\(\) must be awaited"):
        Speech().channel(room())


def test_a_runtime_prepares_them_once_and_its_rooms_share_them() -> None:
    stt = Recognizer()

    async def main() -> None:
        runtime = Runtime(state=None, speech=Speech(stt, Synthesizer(), Vad()))
        async with runtime:
            for name in ("lobby", "attic"):
                session = await runtime.enter(name)
                leg = FakeLeg("ann")
                serving = asyncio.create_task(session.serve(leg))
                await asyncio.sleep(1)
                leg.end(hung_up=True)
                assert await serving
        assert len(stt.streams) == 2

    run(main())


BOATS = Scripted([Intent(["look into {topic} [please]"])], slots={"topic": ["boats", "ferries"]})
TRAINS = Scripted([Intent(["what about {topic}", "look into {topic} again"])], slots={"topic": ["night trains"]})
ANYTHING = Scripted([Intent(["look into {anything}"])])


def test_a_script_tells_what_callers_may_say() -> None:
    assert hints(room(BOATS)).grammar == BOATS.grammar()
    assert hints(room(ANYTHING)).grammar == ""
    assert hints(room()).grammar == ""


def test_what_any_agent_of_the_room_understands_may_be_said() -> None:
    assert hints(room(BOATS, TRAINS)).grammar == merged([BOATS.grammar(), TRAINS.grammar()])
    assert hints(room(BOATS, ANYTHING, BOATS)).grammar == BOATS.grammar()


def test_beside_an_agent_that_takes_any_words_the_recogniser_listens_for_any() -> None:
    assert hints(room(BOATS, Prepared(["Yes."]), TRAINS)) == Hints()


@pytest.mark.speech
@pytest.mark.parametrize(
    "sentence", ["look into ferries please", "what about night trains", "look into night trains again"]
)
def test_the_embedded_recogniser_hears_what_either_of_two_scripts_understands(sentence: str) -> None:
    if not Pocketsphinx.check().usable:
        pytest.skip(f"pocketsphinx is not installed: {Pocketsphinx.check().fix}")

    async def main() -> Final:
        provider = Pocketsphinx(open_vocabulary=False)
        await provider.prepare()
        async with aclosing(provider.stream(hints(room(BOATS, TRAINS)))) as stream:
            stream.begin()
            stream.push(said(sentence))
            stream.end()
            async for hearing in stream:
                if isinstance(hearing, Final):
                    return hearing
        raise AssertionError("the stream ended without a Final")

    final = run(main())
    assert (final.text, final.rejected) == (sentence, False)
