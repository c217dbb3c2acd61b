"""Whole calls in virtual time while providers fail, in every way and at every moment: what the caller notices of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from delivery import Status
from orchestration import Agent, Runtime, Supervisor
from orchestration.models.fallback import FIRST, STALL, FallbackModel
from orchestration.models.model import Delta, Message, Role, TextDelta, ToolCall, ToolSpec
from orchestration.workers import FunctionWorker
from tests.voice.doubles import FakeLeg, Recognizer, RecognizerStream, Synthesizer, Vad, quiet
from voice import clock
from voice.backoff import Backoff
from voice.cascade import CascadeChannel
from voice.channel import APOLOGY, UNHEARD
from voice.provider_error import Cause, ProviderError
from voice.stt.fallback import FallbackRecognizer
from voice.stt.recognizer import Final, Hearing, Hints
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.synthesizer import SpeechChunk

SOON = 15.0
"""Seconds in which a caller who has stopped speaking hears something."""
HANG = 1e6
ANSWER = "it is noon and everybody sleeps well."
DOWN = ProviderError("acme", Cause.SERVER, status=500)
WAYS = ("raises", "lost", "a bug", "hangs", "ends")
MODES = [(way, moment) for moment in ("before", "within") for way in WAYS]


def fail(way: str) -> Exception | None:
    """What a provider raises that fails in this way; None: it just ends."""
    return {"raises": DOWN, "lost": ConnectionResetError("gone"), "a bug": TypeError("a bug")}.get(way)


class Model:
    """Answers "it is noon"; where a turn says "trouble" it fails, `way` and `moment`, as long as it has `troubles`."""

    def __init__(self, name: str = "model", way: str = "", moment: str = "") -> None:
        self.name, self.way, self.moment = name, way, moment
        self.troubles = 1_000

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        asked = next(m.text for m in reversed(messages) if m.role is Role.USER)
        trouble = self.way and self.troubles and "trouble" in asked
        first, rest = ANSWER.split(" ", 3)[:3], ANSWER.split(" ", 3)[3]
        if not trouble or self.moment == "within":
            yield TextDelta(" ".join(first) + " ")
        if trouble:
            self.troubles -= 1
            if error := fail(self.way):
                raise error
            if self.way == "hangs":
                await asyncio.sleep(HANG)
            return
        yield TextDelta(rest)


class Voice(Synthesizer):
    """A voice that fails in its way while it is `down`; `moment` "within": after half a second of each text."""

    def __init__(self, name: str = "voice", way: str = "", moment: str = "") -> None:
        super().__init__()
        self.name, self.way, self.moment, self.down = name, way, moment, bool(way)

    async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        made = 0
        async for chunk in super().synthesize(text):
            if self.down and (self.moment == "before" or made):
                if error := fail(self.way):
                    raise error
                if self.way == "hangs":
                    await asyncio.sleep(HANG)
                return
            made += 1
            yield chunk


class Hearer(Recognizer):
    """A recogniser that fails in its way while it is `down`: at the beginning of a speech, or after its first word."""

    fits_grammar = False

    def __init__(self, name: str = "hearer", way: str = "", moment: str = "") -> None:
        super().__init__()
        self.name, self.way, self.moment, self.down = name, way, moment, bool(way)

    def stream(self, hints: Hints) -> RecognizerStream:
        self.streams.append(_HearerStream(self, hints))
        return self.streams[-1]


class _HearerStream(RecognizerStream):
    recognizer: Hearer

    def push(self, pcm: bytes) -> None:
        super().push(pcm)
        provider = self.recognizer
        if provider.down and (provider.moment == "before" or self.words) and provider.way != "hangs":
            self._results.put_nowait(fail(provider.way) or EOFError())

    def _answer(self, hearing: Hearing) -> None:
        if not (self.recognizer.down and self.recognizer.way == "hangs" and isinstance(hearing, Final)):
            super()._answer(hearing)

    async def _iterate(self) -> AsyncIterator[Hearing]:
        try:
            async for hearing in super()._iterate():
                yield hearing
        except EOFError:
            return


class Call:
    """Anna's call, and Bert's in another room of the same runtime."""

    def __init__(self, runtime: Runtime, group: asyncio.TaskGroup) -> None:
        self.runtime = runtime
        self.legs = {name: FakeLeg(name) for name in ("anna", "bert")}
        self.calls = {name: group.create_task(runtime.join(name, leg)) for name, leg in self.legs.items()}

    @property
    def anna(self) -> FakeLeg:
        return self.legs["anna"]

    async def ask(self, text: str, seconds: float = SOON + 5, who: str = "anna") -> str:
        """Say it; what is heard within so many seconds after that."""
        leg = self.legs[who]
        await leg.say(text, 0.0)
        since = clock.now()
        await leg.play(quiet(2.0))
        await asyncio.sleep(seconds - 2.0)
        heard = [(at, word) for at, word in leg.heard() if at >= since]
        assert not heard or heard[0][0] <= since + SOON
        return " ".join(word for _, word in heard)

    async def check(self) -> None:
        """The calls are up, and nothing is the matter any more."""
        assert not any(call.done() for call in self.calls.values())


def play(
    scene: Callable[[Call], Awaitable[None]],
    *,
    model: Any = None,
    stt: Any = None,
    tts: Any = None,
) -> None:
    def channels(_: object) -> CascadeChannel:
        return CascadeChannel(stt=hears, tts=speaks, vad=Vad())

    async def job(input: str, context: object) -> str:
        return "nothing"

    hears, speaks = stt or Recognizer(), tts or Synthesizer()

    async def main() -> None:
        team = Supervisor(Agent("host", model=model or Model()), [FunctionWorker("idle", job, "Idle")])
        runtime = Runtime(orchestration=team, state=None, channels=channels)
        async with runtime, asyncio.TaskGroup() as group:
            call = Call(runtime, group)
            await asyncio.sleep(0.1)
            await scene(call)
            await call.check()
            for leg in call.legs.values():
                leg.end(hung_up=True)
        assert len(asyncio.all_tasks()) == 1

    clock.run(main())


async def neighbour(call: Call) -> None:
    """Nothing of it is noticed in the other room."""
    assert await call.ask("what time is it", 8.0, "bert") == ANSWER


# -- the model


@pytest.mark.parametrize(("way", "moment"), MODES)
def test_a_model_that_fails_is_apologised_for_once(way: str, moment: str) -> None:
    model = Model("acme", way, moment)

    async def scene(call: Call) -> None:
        for _ in range(2):
            async with asyncio.TaskGroup() as group:
                group.create_task(neighbour(call))
                heard = await call.ask("trouble please")
            if (way, moment) == ("ends", "within"):
                assert heard == "it is noon", "an answer that just ends cannot be told from a short one"
            else:
                assert heard.count(APOLOGY) == 1
                assert heard.removesuffix(APOLOGY).strip() == ("it is noon" if moment == "within" else "")
            await asyncio.sleep(10)
        assert await call.ask("what time is it", 8.0) == ANSWER

    play(scene, model=FallbackModel([model], backoff=Backoff(tries=2), first_token=FIRST, stall=STALL, failures=100))


@pytest.mark.parametrize("way", WAYS)
def test_before_a_word_another_model_answers_instead(way: str) -> None:
    async def scene(call: Call) -> None:
        for _ in range(2):
            assert await call.ask("trouble please") == ANSWER
        await neighbour(call)

    play(scene, model=FallbackModel([Model("acme", way, "before"), Model("spare")]))


@pytest.mark.parametrize("way", WAYS)
def test_when_all_models_fail_it_is_said_in_time(way: str) -> None:
    async def scene(call: Call) -> None:
        for _ in range(2):
            assert await call.ask("trouble please") == APOLOGY

    play(scene, model=FallbackModel([Model("acme", way, "before"), Model("spare", way, "before")]))


def test_a_tool_is_called_once_though_the_model_fails_after_it() -> None:
    """Not even once, here: a tool is run when the answer that calls it is there."""
    asked: list[str] = []

    class Calling(Model):
        async def stream(self, messages: Sequence[Message], **how: Any) -> AsyncGenerator[Delta, None]:
            asked.append(self.name)
            yield ToolCall("c1", "delegate_workers", {"task": "boats"})
            raise DOWN

    async def scene(call: Call) -> None:
        assert await call.ask("look into boats") == APOLOGY
        await asyncio.sleep(60)
        assert call.anna.text == APOLOGY
        assert asked == ["acme"]

    play(scene, model=FallbackModel([Calling("acme"), Calling("spare")]))


# -- the recogniser


@pytest.mark.parametrize(("way", "moment"), MODES)
def test_a_recogniser_that_fails_is_replaced_and_no_word_is_lost(way: str, moment: str) -> None:
    bad, good = Hearer("acme", way, moment), Hearer("spare")

    async def scene(call: Call) -> None:
        for _ in range(2):
            assert await call.ask("what time is it", 8.0) == ANSWER
        await neighbour(call)
        words = [event for stream in good.streams for event in stream.words]
        assert words[-4:] == ["what", "time", "is", "it"]

    play(scene, stt=FallbackRecognizer([bad, good]))


@pytest.mark.parametrize(("way", "moment"), MODES)
def test_who_is_not_understood_by_any_is_told_so_and_understood_again_later(way: str, moment: str) -> None:
    one, two = Hearer("acme", way, moment), Hearer("spare", way, moment)

    async def scene(call: Call) -> None:
        for _ in range(3):
            heard = await call.ask("what time is it")
            assert heard in (UNHEARD, ANSWER, APOLOGY, ""), "partials may have been enough"
        await asyncio.sleep(200)
        if moment == "before" and way != "hangs":
            assert call.anna.text in (f"{UNHEARD} {UNHEARD}", f"{UNHEARD} {UNHEARD} {UNHEARD}"), "once in 20 s"
        one.down = two.down = False
        await call.ask("hello there")
        await asyncio.sleep(130)
        assert await call.ask("what time is it", 8.0) == ANSWER
        await neighbour(call)

    play(scene, stt=FallbackRecognizer([one, two]))


# -- the voice


@pytest.mark.parametrize(("way", "moment"), MODES)
def test_a_voice_that_fails_is_replaced_and_every_word_is_heard(way: str, moment: str) -> None:
    async def scene(call: Call) -> None:
        for who in ("anna", "anna", "bert"):
            heard = await call.ask("what time is it", 10.0, who)
            assert APOLOGY not in heard
            assert list(dict.fromkeys(heard.split())) == ANSWER.split()

    play(scene, tts=FallbackSynthesizer([Voice("acme", way, moment), Voice("spare")]))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "ends"])  # that may be the text's fault
@pytest.mark.parametrize("outage", [5.0, 60.0, 1800.0])
def test_what_is_owed_while_there_is_no_voice_is_told_once_when_there_is(way: str, outage: float) -> None:
    one, two = Voice("acme", way, "before"), Voice("spare", way, "before")

    async def scene(call: Call) -> None:
        receipt = await call.runtime.deliver("anna", "boats float.")
        await asyncio.sleep(outage)
        assert len(await call.runtime.deliveries("anna")) == 1
        assert call.anna.text == ""
        one.down = two.down = False
        await asyncio.sleep(200)
        assert (await receipt).status is Status.HEARD
        assert call.anna.text.count("boats float.") == 1
        assert await call.ask("what time is it", 8.0) == ANSWER

    play(scene, tts=FallbackSynthesizer([one, two]))


def test_an_hour_without_anything_in_many_rooms_is_a_few_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    voice = Voice("acme", "raises", "before")

    async def scene(call: Call) -> None:
        for name in ("anna", "bert"):
            await call.runtime.deliver(name, "boats float.")
        await asyncio.sleep(3600)
        assert 1 <= len(caplog.records) <= 12

    play(scene, tts=FallbackSynthesizer([voice]))
