"""Whole calls with LiveKit's plugins for ears, voice and mind, under a real runtime, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("livekit.agents", reason="pip install 'sottovoce[livekit]'")

from livekit.agents import APIConnectionError, APIStatusError

from orchestration import Agent, Runtime, Swarm
from orchestration.models import FallbackModel, LiveKitLLM, Role
from tests.orchestration.models.double import Double, Part, calls
from tests.scenarios.phone import Phone
from tests.voice.doubles import Synthesizer, Vad
from tests.voice.livekit_plugins import Ear, Mind, Voice, left
from voice.cascade import CascadeChannel
from voice.channel import APOLOGY
from voice.clock import run
from voice.endpointing import AsRecognized
from voice.events import SpeakingEnded, SpeechStarted, TurnEnded
from voice.stt.fallback import FallbackRecognizer
from voice.stt.livekit import LiveKitSTT
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.livekit import LiveKitTTS

LONG = "one two three four five six seven eight nine ten eleven twelve and so it goes on and on."


class Call:
    """A caller, and the plugins at the other end."""

    def __init__(self, phone: Phone, ear: Ear, voice: Voice, mind: Mind) -> None:
        self.phone, self.ear, self.voice, self.mind = phone, ear, voice, mind

    def turns(self) -> list[str]:
        return [what.turn.text for _, what in self.phone.told if isinstance(what, TurnEnded)]

    def asked(self) -> list[Any]:
        """The last request's messages."""
        return list(self.mind.inner.asked[-1].messages)


def call(
    script: Callable[[Call], Awaitable[None]],
    *replies: list[Part],
    tools: Any = (),
    ear: Ear | None = None,
    endpoints: bool = False,
) -> None:
    """Play a call; afterwards nothing of the plugins' is left."""

    async def main() -> None:
        ears, voice, mind = ear or Ear(silence=0.3), Voice(Synthesizer()), Mind(Double(replies))
        stt, tts, model = LiveKitSTT(ears, endpoints=endpoints), LiveKitTTS(voice), LiveKitLLM(mind)
        for provider in (stt, tts, model):
            await provider.prepare()
        host = Agent("host", model=model, prompt="Be kind.", tools=tools)
        runtime = Runtime(
            orchestration=Swarm([host], entry="host"),
            state=None,
            channels=lambda _: CascadeChannel(
                stt=stt, tts=tts, vad=Vad(), endpointer=AsRecognized(stt), preemptive=endpoints
            ),
        )
        async with runtime:
            phone = Phone(runtime)
            await phone.call()
            await script(Call(phone, ears, voice, mind))
            await phone.end(hung_up=True)
        for plugin in (stt, tts, model):
            await plugin.aclose()
        assert voice.running == mind.running == 0
        assert not any(stream.running for stream in ears.streams)
        assert await left() == []

    run(main())


def test_a_caller_speaks_and_the_agent_answers() -> None:
    async def script(call: Call) -> None:
        _, ended = await call.phone.say("hello there")
        heard = await call.phone.hears("Good morning.")
        assert call.turns() == ["hello there"]
        assert [(each.role, each.text) for each in call.asked()] == [(Role.USER, "hello there")]
        assert heard - ended < 1.0
        await call.phone.say("and you")
        await call.phone.hears("I am well.")
        assert [each.text for each in call.asked()] == ["hello there", "Good morning.", "and you"]
        assert len(call.ear.streams) == 1

    call(script, ["Good ", "morning."], ["I am ", "well."])


def test_a_caller_who_cuts_in_stops_the_voice_and_the_mind() -> None:
    async def script(call: Call) -> None:
        await call.phone.say("hello there")
        await call.phone.hears("three")
        assert call.mind.running == 1
        begun, _ = await call.phone.say("stop that please")
        assert call.mind.running == call.voice.running == 0
        await call.phone.hears("As you like.")
        noticed = next(at for at, what in call.phone.told if isinstance(what, SpeechStarted) and at > begun)
        silent = next(at for at, what in call.phone.told if isinstance(what, SpeakingEnded) and at > begun)
        assert noticed - begun < 0.3
        assert silent - begun < 1.0
        cut = call.asked()[1].text
        assert cut.startswith("one two three")
        assert "twelve" not in cut

    call(script, [*(f"{word} " for word in LONG.split()), 30.0, "never."], ["As you like."])


def test_a_tool_is_called_and_its_result_is_told() -> None:
    async def clock(city: str) -> str:
        """What time it is in a city."""
        return f"noon in {city}"

    async def script(call: Call) -> None:
        await call.phone.say("what time is it")
        await call.phone.hears("It is noon.")
        [*_, wanted, result] = call.asked()
        assert wanted.tool_calls == (calls("clock", "c1", city="Rome"),)
        assert (result.role, result.text, result.call) == (Role.TOOL, "noon in Rome", "c1")
        [tool] = call.mind.asked[0][1]
        assert tool.info.raw_schema["description"] == "What time it is in a city."

    call(script, [calls("clock", "c1", city="Rome")], ["It is noon."], tools=[clock])


def test_a_mind_that_refuses_costs_the_reply_and_not_the_call() -> None:
    async def script(call: Call) -> None:
        await call.phone.say("hello there")
        await call.phone.hears(APOLOGY.split(".")[0].split()[-1] + ".")
        await call.phone.say("once more")
        await call.phone.hears("Good morning.")

    call(script, [APIStatusError("too long", status_code=400)], ["Good morning."])


def test_a_mind_that_fails_for_a_moment_is_asked_again() -> None:
    async def script(call: Call) -> None:
        await call.phone.say("hello there")
        await call.phone.hears("Good morning.")
        assert call.phone.heard_at("Sorry") is None
        assert call.turns() == ["hello there"]

    call(script, [APIConnectionError()], ["Good morning."])


def test_ears_that_fail_cost_the_words_and_not_the_call() -> None:
    async def script(call: Call) -> None:
        await call.phone.say("hello oops there")
        await call.phone.listen(3.0)
        call.ear.fail = None
        await call.phone.say("once more")
        await call.phone.hears("Good morning.")
        assert len(call.ear.streams) >= 2

    call(script, ["Good morning."], ear=Ear(silence=0.3, fail=("oops", APIConnectionError())))


def test_what_fails_gives_way_to_what_stands_by() -> None:
    """One plugin behind another, for each of the three; each first one fails in the middle of its work."""

    async def main() -> None:
        broken = Mind(Double([[APIConnectionError()]]))
        ears = [Ear(silence=0.3, fail=("there", APIStatusError("busy", status_code=503))), Ear(silence=0.3)]
        voices = [Voice(Synthesizer(fail="morning")), Voice(Synthesizer())]
        minds = [broken, Mind(Double([["Good morning to you."]]))]
        stt = FallbackRecognizer([LiveKitSTT(ear) for ear in ears])
        tts = FallbackSynthesizer([LiveKitTTS(voice) for voice in voices])
        model = FallbackModel([LiveKitLLM(mind) for mind in minds])
        for provider in (stt, tts, model):
            await provider.prepare()
        host = Agent("host", model=model, prompt="Be kind.")
        runtime = Runtime(
            orchestration=Swarm([host], entry="host"),
            state=None,
            channels=lambda _: CascadeChannel(stt=stt, tts=tts, vad=Vad()),
        )
        async with runtime:
            phone = Phone(runtime)
            await phone.call()
            await phone.say("hello there my friend")
            await phone.hears("Good morning to you.")
            turns = [what.turn.text for _, what in phone.told if isinstance(what, TurnEnded)]
            assert turns == ["hello there my friend"], "no word was lost"
            await phone.end(hung_up=True)
        for plugin in (stt, tts, model):
            await plugin.aclose()
        assert await left() == []

    run(main())


def test_a_mind_is_asked_ahead_when_an_ear_foresees_the_end() -> None:
    async def script(call: Call) -> None:
        await call.phone.say("hello there")
        await call.phone.listen(0.25)
        assert call.mind.asked, "before the turn is over"
        assert not call.turns()
        await call.phone.hears("Good morning.")
        assert call.turns() == ["hello there"]
        assert len(call.mind.asked) == 1

    call(script, ["Good ", "morning."], ear=Ear(silence=0.4, eager=0.2), endpoints=True)
