"""What hearing and speaking cost, engine by engine: `python -m tests.bench.speech` prints it (half a minute).

Every engine that is installed here is measured, the others are named with what would bring them. Speech is made by
flite's voices, which the recogniser has not been tuned to; audio is fed as fast as it is taken, except where the time
from the end of speech to the transcript is measured. Memory is what the process grew by.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from tests.voice.spoken import frames, said
from voice.audio import Resampler
from voice.clock import cpu_seconds, now, wall_seconds
from voice.stt.pocketsphinx import STEP, Pocketsphinx, PocketsphinxStream
from voice.stt.recognizer import Final, Hints
from voice.tts.espeak import Espeak
from voice.tts.flite import Flite
from voice.tts.synthesizer import SpeechChunk, Synthesizer
from voice.vad.silero import WINDOW, Silero
from voice.vad.webrtc import WebRtc

GRAMMAR = Hints(
    grammar="""#JSGF V1.0; grammar demo;
    public <sentence> = what time is it in <city> | compare <thing> and <thing> | look into <thing> | yes [please]
        | no [thank you] | stop | what did you find | how is it going | tell me more | cancel the research | goodbye;
    <city> = rome | paris | london;
    <thing> = tea | coffee | the weather | the train to paris | sequel light;"""
)
IN = (
    *(
        "what time is it in rome",
        "compare tea and coffee",
        "look into the weather",
        "yes please",
        "no thank you",
        "stop",
    ),
    *("what did you find", "how is it going", "tell me more", "cancel the research", "goodbye", "yes"),
)
OUT = (
    *("i would like to order a large pizza", "my dog ate the homework yesterday", "where did i put my keys", "banana"),
    *("the train leaves at seven in the morning", "can you sing a song for me", "what is the capital of france"),
)
VOICES = ("slt", "rms", "awb")
SENTENCES = (
    "Yes.",
    "I have looked into it.",
    "Tea has less caffeine than coffee, but more than you would think.",
    "The research on the weather is done: it will rain in Paris, and in Rome the sun will shine for the whole week.",
)
LONG = "The quick brown fox jumps over the lazy dog, and then it sleeps. " * 30


def row(what: str, figure: str, note: str = "") -> None:
    print(f"  {what:<52}{figure:>22}  {note}".rstrip())


def quantiles(seconds: Sequence[float], unit: float = 1e3) -> str:
    ordered = sorted(seconds)
    return f"{ordered[len(ordered) // 2] * unit:.1f} / {ordered[math.ceil(len(ordered) * 0.95) - 1] * unit:.1f} ms"


def resident() -> float:
    """Megabytes of this process in memory; NaN where the system does not tell."""
    gc.collect()
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if path.exists() else math.nan


def timed(work: Callable[[], Any]) -> float:
    began = wall_seconds()
    work()
    return wall_seconds() - began


def usable(provider: Any) -> bool:
    check = provider.check()
    if not check.usable:
        print(f"{provider.name}: {check.detail}" + (f" ({check.fix})" if check.fix else ""))
    return bool(check.usable)


def resampling() -> None:
    print("resampling, a frame of 20 ms")
    for rates in ((8_000, 16_000), (16_000, 8_000), (22_050, 16_000), (48_000, 16_000), (16_000, 48_000)):
        resampler, frame = Resampler(*rates), bytes(2 * rates[0] // 50)
        best = min(timed(lambda r=resampler, f=frame: [r.process(f) for _ in range(200)]) for _ in range(5)) / 200
        row(f"{rates[0]} to {rates[1]} Hz", f"{best * 1e6:.0f} us", f"{resampler.delay * 1e3:.1f} ms late")


async def detecting() -> None:
    sound = frames(said(OUT[0]) * 3)
    for provider in (Silero(), WebRtc()):
        if not usable(provider):
            continue
        before = resident()
        await provider.prepare()
        print(f"{provider.name} (voice activity)")
        row("memory of the model and its runtime", f"{resident() - before:.0f} MB")
        stream = provider.stream()
        best = min(timed(lambda s=stream: [s.probability(f) for f in sound]) for _ in range(3))
        each = best / len(sound)
        row("a frame of 20 ms", f"{each * 1e6:.0f} us")
        if provider.name == "silero":
            row("a window of 32 ms", f"{each * 1e6 * WINDOW / 320:.0f} us")
        before = resident()
        kept = [provider.stream() for _ in range(200)]
        row("a caller", f"{(resident() - before) / len(kept) * 1e3:.1f} KB")


async def final(stream: PocketsphinxStream) -> Final:
    async for hearing in stream:
        if isinstance(hearing, Final):
            return hearing
    raise RuntimeError("the recogniser ended without a transcript")


async def conclude(stream: PocketsphinxStream, pcm: bytes) -> tuple[Final, float]:
    """Hear `pcm`; the transcript, and the seconds from the end of the sound to it."""
    stream.begin()
    stream.push(pcm[:-STEP])
    while stream._job is not None:
        await asyncio.sleep(0.001)
    stream.push(pcm[-STEP:])
    began = wall_seconds()
    stream.end()
    return await final(stream), wall_seconds() - began


async def hearing(
    provider: Pocketsphinx, hints: Hints, sentences: Sequence[str]
) -> tuple[list[bool], list[Final], str]:
    """Who was understood word for word, the transcripts, and from the end of speech to them."""
    right, finals, waits = [], [], []
    for voice in VOICES:
        stream = provider.stream(hints)
        for sentence in sentences:
            result, wait = await conclude(stream, said(sentence, voice))
            right.append(result.text == sentence)
            finals.append(result)
            waits.append(wait)
        await stream.aclose()
    return right, finals, quantiles(waits)


async def real_time_factor(provider: Pocketsphinx, hints: Hints, sentences: Sequence[str]) -> float:
    """Processor seconds a second of sound."""
    stream = provider.stream(hints)
    taken = heard = 0.0
    for sentence in sentences:
        sound = said(sentence)
        began = cpu_seconds()
        await conclude(stream, sound)
        taken += cpu_seconds() - began
        heard += len(sound) / 32_000
    await stream.aclose()
    return taken / heard


async def recognising() -> None:
    if not usable(Pocketsphinx):
        return
    for voice in VOICES:
        for sentence in (*IN, *OUT):
            said(sentence, voice)
    print("pocketsphinx (speech recognition)")
    before = resident()
    provider = Pocketsphinx(open_vocabulary=False)
    seconds = wall_seconds()
    await provider.prepare()
    row("a first grammar decoder", f"{wall_seconds() - seconds:.2f} s", f"{resident() - before:.0f} MB")
    streams = [provider.stream(GRAMMAR) for _ in range(8)]
    before = resident()
    for stream in streams:
        stream.begin()
        stream.push(said(IN[0]))
    for stream in streams:
        stream.end()
        await final(stream)
    row("a caller who speaks, beyond the first", f"{(resident() - before) / (len(streams) - 1):.1f} MB")
    before = resident()
    kept = [provider.stream(GRAMMAR) for _ in range(200)]
    row("a caller who is silent", f"{(resident() - before) / len(kept) * 1e3:.1f} KB")

    before, provider, seconds = resident(), Pocketsphinx(), wall_seconds()
    await provider.prepare()
    row("a decoder of the open language", f"{wall_seconds() - seconds:.2f} s", f"{resident() - before:.0f} MB")
    right, finals, waits = await hearing(provider, GRAMMAR, IN)
    certain = sum(not each.rejected for each in finals)
    row("in the grammar: word for word", f"{sum(right)} of {len(right)}", f"{certain} accepted")
    row("  real-time factor", f"{await real_time_factor(provider, GRAMMAR, IN[:4]):.3f}")
    row("  end of speech to transcript, p50 / p95", waits)
    _, finals, waits = await hearing(provider, GRAMMAR, OUT)
    row("not in the grammar: rejected", f"{sum(each.rejected for each in finals)} of {len(finals)}")
    row("  end of speech to a guess in the open language", waits)
    right, _, waits = await hearing(provider, Hints(), OUT)
    row("no grammar: word for word", f"{sum(right)} of {len(right)}")
    row("  real-time factor", f"{await real_time_factor(provider, Hints(), OUT[:3]):.3f}")
    row("  end of speech to transcript, p50 / p95", waits)
    await lag(provider)


async def lag(provider: Pocketsphinx) -> None:
    """How late timers of 5 ms fire while four callers are decoded as fast as can be."""

    async def late(work: asyncio.Future[Any]) -> list[float]:
        found, last = [], now()
        while not work.done():
            await asyncio.sleep(0.005)
            found.append(now() - last - 0.005)
            last = now()
        return found

    async def caller(sentence: str) -> None:
        stream = provider.stream(GRAMMAR)
        for _ in range(4):
            stream.begin()
            stream.push(said(sentence))
            stream.end()
            await final(stream)
        await stream.aclose()

    idle = await late(asyncio.ensure_future(asyncio.sleep(1)))
    busy = await late(asyncio.gather(*map(caller, IN[:4])))
    row("the loop's lag, idle, p50 / p95", quantiles(idle), f"worst {max(idle) * 1e3:.1f} ms")
    row("  while four are decoded at full speed", quantiles(busy), f"worst {max(busy) * 1e3:.1f} ms")


async def first(speech: AsyncIterator[SpeechChunk]) -> SpeechChunk:
    async with aclosing(speech) as open_speech:  # type: ignore[type-var]
        return await anext(open_speech)


async def speaking(provider: Synthesizer) -> None:
    if not usable(provider):
        return
    print(f"{provider.name} (speech synthesis)")
    before, seconds = resident(), wall_seconds()
    await provider.prepare()
    row("prepared", f"{wall_seconds() - seconds:.2f} s", f"{resident() - before:.0f} MB here")
    for sentence in SENTENCES:
        waits, samples, taken = [], 0, 0.0
        for _ in range(10):
            began = wall_seconds()
            waits.append(0.0)
            async for chunk in provider.synthesize(sentence):
                waits[-1] = waits[-1] or wall_seconds() - began
                samples += len(chunk.pcm) // 2
            taken += wall_seconds() - began
        note = f"real-time factor {taken / (samples / 16_000):.4f}"
        row(f"first audio, {len(sentence)} characters, p50 / p95", quantiles(waits), note)
    waits = []
    for _ in range(10):
        await first(provider.synthesize(LONG))
        began = wall_seconds()
        await first(provider.synthesize(SENTENCES[0]))
        waits.append(wall_seconds() - began)
    row("a long text closed to the next one's first audio", quantiles(waits))


async def main() -> None:
    resampling()
    await detecting()
    await recognising()
    await speaking(Flite())
    await speaking(Espeak())


if __name__ == "__main__":
    asyncio.run(main())
