"""From a text to its first sound by Deepgram's voice: `python -m tests.bench.first_audio_tts` prints what we add.

On one warm connection to a fake server without latency, in turns with the SDK's bare socket on the same server: Speak,
Flush, the first sound. What is printed are medians in milliseconds, and how many times the bare one ours takes.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from deepgram.speak.v1.types import SpeakV1Text

from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_speak import FakeSpeak
from voice import deepgram
from voice.clock import wall_seconds
from voice.leg import FRAME_BYTES
from voice.tts import deepgram_line
from voice.tts.deepgram import MODEL, Deepgram

TEXT = "I have looked into it."
TURNS = 400


async def a_second(text: str) -> AsyncIterator[bytes]:
    """A second of sound, as a server has it ready."""
    for _ in range(10):
        yield bytes(5 * FRAME_BYTES)


async def compared(turns: int = TURNS) -> tuple[float, float]:
    """Median milliseconds to the first sound: ours, the bare socket's."""
    limit, deepgram_line.FLUSHES = deepgram_line.FLUSHES, 10 * turns
    speak = FakeSpeak(a_second, flushes=10 * turns)
    try:
        async with FakeDeepgram(speak) as fake:
            provider = Deepgram(connections=1, api_key=fake.key, base_url=fake.url)
            await provider.prepare()
            client = deepgram.Account(fake.key, fake.url).client("bare")
            options: dict[str, Any] = {"model": MODEL, "encoding": "linear16", "sample_rate": "16000"}
            async with client.speak.v1.connect(**options) as socket:
                ways: tuple[Callable[[], Coroutine[Any, Any, float]], ...] = (
                    lambda: ours(provider),
                    lambda: bare(socket),
                )
                took: list[list[float]] = [[], []]
                for turn in range(turns):
                    for way in (0, 1) if turn % 2 else (1, 0):
                        took[way].append(1000 * await ways[way]())
            await provider.aclose()
    finally:
        deepgram_line.FLUSHES = limit
    return statistics.median(took[0]), statistics.median(took[1])


async def ours(provider: Deepgram) -> float:
    """Seconds to the first chunk."""
    began = wall_seconds()
    async with aclosing(provider.synthesize(TEXT)) as speech:  # type: ignore[type-var]
        await anext(speech)
        took = wall_seconds() - began
        async for _ in speech:
            pass
    return took


async def bare(socket: Any) -> float:
    """Seconds to the first binary message."""
    began = wall_seconds()
    await socket.send_text(SpeakV1Text(text=TEXT))
    await socket.send_flush()
    while not isinstance(await socket.recv(), bytes):
        pass
    took = wall_seconds() - began
    while getattr(await socket.recv(), "type", None) != "Flushed":
        pass
    return took


async def main() -> None:
    """Print it."""
    await compared(50)
    mine, theirs = await compared()
    print(f"first sound, {TURNS} texts on one warm connection, medians")
    print(f"  bare SDK socket {theirs:.2f} ms, ours {mine:.2f} ms: {mine - theirs:+.2f} ms, {mine / theirs:.2f} times")


if __name__ == "__main__":
    asyncio.run(main())
