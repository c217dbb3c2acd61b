"""How well Smart Turn knows the end of a turn, and what it costs: `python -m tests.bench.smart_turn` prints it (20 s).

Sentences of synthetic voices, whole, and the same recordings cut at the middle of their words, each with so much
silence after its last sound as has passed when the model is asked. It was trained on people, whose voices these are
not: it is near chance for them, and the figures say nothing of how well it does with callers. What they do say is that
it answers for silence too: the later it is asked, the more it takes for over.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from statistics import median

import numpy as np

from tests.bench.speech import resident, row
from voice import smart_turn
from voice.audio import silence
from voice.clock import cpu_seconds, wall_seconds
from voice.mel import features
from voice.smart_turn import SmartTurn
from voice.tts.espeak import Espeak
from voice.tts.flite import Flite
from voice.tts.synthesizer import SpeechChunk, Synthesizer

SENTENCES = (
    "I would like to book a table for four people on Saturday evening.",
    "Could you tell me when the next train to London leaves?",
    "My order has not arrived yet and I am getting a little worried.",
    "Please compare the two databases and tell me which one is faster.",
    "What is the weather going to be like in Rome tomorrow?",
    "I moved to a new apartment last week and need to change my address.",
    "Can you find out who wrote the book about the old man and the sea?",
    "The printer in the kitchen does not work any more since this morning.",
    "Let us meet in front of the museum at a quarter past nine.",
    "How much does it cost to send a parcel of two kilos to Japan?",
    "I have forgotten my password and cannot get into my account.",
    "Tell me a story about a dragon who was afraid of the dark.",
)
QUIET = 200
"""Samples up to this are silence (-44 dBFS)."""
PAUSES = (0.1, 0.2, 0.4)
"""Seconds of silence after it."""


def voices() -> Iterator[tuple[str, Synthesizer]]:
    if Flite.check().usable:
        yield from ((f"flite {voice}", Flite(voice)) for voice in ("slt", "rms", "awb"))
    if Espeak.check().usable:
        yield from ((f"eSpeak {voice}", Espeak(voice)) for voice in ("en-us", "en-us+f2"))


async def recorded(voice: Synthesizer, text: str) -> tuple[bytes, bytes]:
    """The sentence, and the same cut where a word in its middle begins."""
    chunks: AsyncIterator[SpeechChunk] = voice.synthesize(text)
    async with aclosing(chunks):  # type: ignore[type-var]
        made = [chunk async for chunk in chunks]
    whole = b"".join(chunk.pcm for chunk in made)
    marks = [mark for chunk in made for mark in chunk.marks]
    return sounding(whole), sounding(whole[: 2 * round(16_000 * marks[len(marks) // 2].at)])


def sounding(pcm: bytes) -> bytes:
    """Without the silence at its end."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > QUIET)
    return pcm[: 2 * int(loud[-1] + 1)]


async def accuracy(name: str, voice: Synthesizer) -> None:
    recordings = [await recorded(voice, text) for text in SENTENCES]
    for pause in PAUSES:
        rights = []
        for part, over in ((0, True), (1, False)):
            answers = [smart_turn.judge(each[part] + silence(pause)) for each in recordings]
            rights.append(sum((answer >= SmartTurn().threshold) is over for answer in answers))
        count = len(recordings)
        row(f"{name}, {pause:g} s of silence", f"{rights[0]}/{count} whole", f"{rights[1]}/{count} cut")


def costs(pcm: Sequence[bytes]) -> None:
    walls, cpus = [], []
    for each in pcm:
        began, used = wall_seconds(), cpu_seconds()
        smart_turn.judge(each)
        walls.append(wall_seconds() - began)
        cpus.append(cpu_seconds() - used)
    row("a judgement: median, longest", f"{median(walls) * 1e3:.0f}, {max(walls) * 1e3:.0f} ms")
    row("of it on a core", f"{median(cpus) * 1e3:.0f} ms", f"{median(cpus) / 8:.4f} of the sound it hears")
    stream = SmartTurn().stream()
    began = wall_seconds()
    for _ in range(5000):
        stream.push(bytes(640))
    row("a frame that is pushed, on the loop", f"{(wall_seconds() - began) / 5000 * 1e6:.1f} us")


async def main() -> None:
    check = SmartTurn.check()
    if not check.usable:
        row("smart turn", "not installed", check.fix)
        return
    features(bytes(2))  # numpy is not the model's memory
    before, began = resident(), wall_seconds()
    await SmartTurn().prepare()
    row("the model, loaded", f"{resident() - before:.0f} MB, {wall_seconds() - began:.2f} s", check.detail)
    chance = random.Random(1)
    costs([chance.randbytes(2 * 16_000 * seconds) for seconds in (1, 4, 8) * 7])
    for name, voice in voices():
        await accuracy(name, voice)


if __name__ == "__main__":
    print("Smart Turn: calls right")
    asyncio.run(main())
