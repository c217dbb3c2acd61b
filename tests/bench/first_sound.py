"""Our own time from the end of a turn to the first frame of the answer: `python -m tests.bench.first_sound`.

A caller in a real room (legs, ears, floor, conversation, agent, playout), with providers that need no time at all: what
is left is ours. `Final` is the recogniser's last word on a turn, `frame` the first one of the answer that goes out to
the leg. Then the same by way of Anthropic's and Deepgram's real SDKs, against servers of our own on this machine, and,
as a measure of what those need by themselves, the two SDKs alone, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from orchestration import Agent, Runtime, Speech
from orchestration.models import Anthropic
from orchestration.models.model import Delta, Message, Model, Role, TextDelta, ToolSpec
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_speak import FakeSpeak
from tests.orchestration.test_conversation import Talks
from tests.voice.doubles import FakeLeg, Recognizer, Vad, quiet, spoken
from voice.endpointing import GivenEnd
from voice.leg import Frame
from voice.stt.recognizer import Final
from voice.tts.deepgram import Deepgram
from voice.tts.synthesizer import SpeechChunk, Synthesizer

TURNS = 25
WARM = 5
"""Turns before those that are counted."""
PAUSE = 0.6
"""Seconds between turns: what has not run for a while is slower, and calls are like that."""
ANSWER = "Yes, of course."


class Instant:
    """A model, and a voice, that need no time."""

    name = "instant"
    preemptive = False

    def __init__(self) -> None:
        self._sound = b"".join(spoken("yes"))

    async def prepare(self) -> None: ...

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        yield TextDelta(ANSWER)

    async def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        yield SpeechChunk(self._sound)

    @classmethod
    def check(cls) -> Any: ...


class Leg(FakeLeg):
    """Notes when the first frame of each stream came."""

    def __init__(self) -> None:
        super().__init__("ann")
        self.came = asyncio.Event()
        self.at = 0.0

    def send(self, pcm: bytes, *, stream: int, position: int) -> None:
        if not self.came.is_set():
            self.at = perf_counter()
            self.came.set()
        super().send(pcm, stream=stream, position=position)


async def turns(model: Model, tts: Synthesizer) -> list[float]:
    """Seconds from Final to frame."""
    stt = Recognizer()
    stt.endpoints = True
    speech = Speech(stt=stt, tts=tts, vad=Vad(), endpointer=GivenEnd())
    agent = Agent("host", model=model)
    took = []
    async with Runtime(orchestration=Talks(agent), speech=speech, state=None) as runtime:
        session = await runtime.enter("bench")
        leg = Leg()
        serving = asyncio.create_task(session.serve(leg))
        await asyncio.sleep(0.1)
        for number in range(WARM + TURNS):
            for pcm in [*spoken("boats"), *quiet(0.14)]:
                leg.put(Frame(pcm))
                await asyncio.sleep(0.02)
            leg.came.clear()
            begun = perf_counter()
            stt.streams[-1]._results.put_nowait(Final("do you know"))
            stt.streams[-1].ended = stt.streams[-1].begun
            await leg.came.wait()
            if number >= WARM:
                took.append(leg.at - begun)
            await asyncio.sleep(PAUSE)
        leg.end(hung_up=True)
        await serving
    return took


async def alone(model: Model, tts: Synthesizer) -> list[float]:
    """Seconds that the two need one after the other, first word and first sound."""
    took = []
    for number in range(WARM + TURNS):
        begun = perf_counter()
        deltas = model.stream([Message(Role.USER, "do you know")])
        text = ""
        async for delta in deltas:
            text += delta.text if isinstance(delta, TextDelta) else ""
        chunks = tts.synthesize(text)
        await anext(chunks)
        if number >= WARM:
            took.append(perf_counter() - begun)
        await chunks.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(PAUSE)
    return took


def row(name: str, took: Sequence[float]) -> None:
    print(f"{name:44}  p50 {1e3 * median(took):6.2f} ms   p95 {1e3 * quantiles(took, n=20)[-1]:6.2f} ms")


async def main() -> None:
    """Print the table."""
    instant = Instant()
    ours = await turns(instant, instant)
    row("providers that need no time", ours)
    async with FakeAnthropic([ANSWER]) as claude, FakeDeepgram(FakeSpeak()) as deepgram:
        model = Anthropic(api_key="k", base_url=claude.url)
        model.preemptive = False  # type: ignore[attr-defined]
        voice = Deepgram(api_key=deepgram.key, base_url=deepgram.url)
        await model.prepare()
        await voice.prepare()
        bare = await alone(model, voice)
        whole = await turns(model, voice)
        await voice.aclose()
        await model.aclose()
    row("the real SDKs, servers on this machine", whole)
    row("the two SDKs alone, one after the other", bare)
    print(f"ours beside them: {1e3 * (median(whole) - median(bare)):.2f} ms ({median(whole) / median(bare):.2f} times)")


if __name__ == "__main__":
    asyncio.run(main())
