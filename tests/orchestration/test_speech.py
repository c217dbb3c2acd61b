"""The engines that hear and speak: what is given is used, the rest is chosen, and scripts tell what may be said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from delivery import WaitForIdle
from orchestration import Agent, Runtime, Speech
from orchestration.models.scripted import Intent, Scripted
from orchestration.room import Room
from orchestration.speech import hints
from tests.orchestration.models.double import Double
from tests.voice.doubles import FakeLeg, Recognizer, Synthesizer, Vad
from voice.clock import run


def room(model: Any = None) -> Room:
    return Room("lobby", WaitForIdle(), talker=Agent("host", model=model) if model else None)


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


def test_a_script_tells_what_callers_may_say() -> None:
    script = Scripted([Intent(["look into {topic}"])], slots={"topic": ["boats"]})
    assert hints(room(script)).grammar == script.grammar()
    assert hints(room(Scripted([Intent(["look into {anything}"])]))).grammar == ""
    assert hints(room(Double([[]]))).grammar == ""
    assert hints(room()).grammar == ""
