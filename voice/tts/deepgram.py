"""Deepgram's Aura voices over its WebSocket: each text on a warm connection, its first sound as soon as it is there.

A text is one Speak (or several, where it is long) and one Flush; closing the iterator sends Clear, and the connection
speaks again once that has been answered. Aura does not say when its words begin: they are reckoned from their length.
https://developers.deepgram.com/reference/text-to-speech/speak-streaming
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from voice import deepgram
from voice.check import Check
from voice.leg import RATE
from voice.provider_error import Cause, ProviderError
from voice.tts.booth import short_enough
from voice.tts.deepgram_line import Line, StaleLineError
from voice.tts.deepgram_lines import Lines
from voice.tts.synthesizer import SpeechChunk
from voice.tts.words import Words

log = logging.getLogger("sottovoce.deepgram")

MODEL = "aura-2-thalia-en"
RATES = (8000, 16000, 24000, 32000, 48000)
"""Hz that the API offers for linear16."""
SPEEDS = (0.7, 1.5)
FIRST = 4.0
"""Seconds in which a text's first audio must come: less than those after which `making` gives a voice up, so that the
error can name its cause."""
BETWEEN = 4.0
"""Seconds in which its next audio must come."""
_MODEL = re.compile(r"[\w.:-]{1,100}", re.ASCII)


class Deepgram:
    """A voice of Deepgram's. Any number of texts at once, on at most `connections` connections; further ones wait.

    `model`: a voice of Aura or Aura-2, as "aura-2-thalia-en". `sample_rate`: what is asked for, in Hz; 16000 is what
    the house uses, anything else is resampled. `speed`: times the usual one, 0.7 to 1.5; None leaves it to Deepgram.
    `opt_out`: keep the texts out of Deepgram's model improvement programme, which costs more. `api_key` and
    `base_url`: None takes DEEPGRAM_API_KEY and DEEPGRAM_BASE_URL. Raises ValueError naming what makes no sense.
    """

    name = "deepgram"
    remote = True

    def __init__(
        self,
        model: str = MODEL,
        *,
        sample_rate: int = RATE,
        speed: float | None = None,
        opt_out: bool = False,
        connections: int = 32,
        api_key: str | None = None,
        base_url: str | None = None,
    ) -> None:
        if not _MODEL.fullmatch(model):
            raise ValueError(f"model must be the name of a voice like {MODEL!r}, not {model[:40]!r}")
        if model.startswith("flux"):
            raise ValueError(f"model: {model} is a Flux voice, which has an API of its own; take one like {MODEL!r}")
        if sample_rate not in RATES:
            raise ValueError(f"sample_rate must be one of {', '.join(map(str, RATES))} Hz, not {sample_rate!r}")
        if speed is not None and not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise ValueError(f"speed must be between {SPEEDS[0]} and {SPEEDS[1]}, not {speed!r}")
        if connections < 1:
            raise ValueError(f"connections must be at least 1, not {connections!r}")
        self.model, self.sample_rate, self.speed = model, sample_rate, speed
        self.connections = connections
        self._account = deepgram.Account(api_key, base_url)
        self._options: dict[str, Any] = {"model": model, "encoding": "linear16", "sample_rate": str(sample_rate)}
        if speed is not None:
            self._options["speed"] = speed
        if opt_out:
            self._options["mip_opt_out"] = True
        self._lines: dict[asyncio.AbstractEventLoop, Lines] = {}
        self._imported = False

    def __repr__(self) -> str:
        return f"Deepgram(model={self.model!r}, connections={self.connections}, account={self._account!r})"

    async def prepare(self) -> None:
        """Import the SDK and open a first connection.

        Raises ProviderError for what more tries would not mend (no SDK, no key, a refusal); else it is told in the log:
        a server that cannot be reached now may be when there is something to say.
        """
        await self._import()
        try:
            await self._here().warm()
        except ProviderError as error:
            if not error.transient:
                raise
            log.warning("no connection could be opened ahead: %s", error)

    def synthesize(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speak a text of up to 5,000 characters. Iterating raises ProviderError; closing the iterator stops the work.

        Raises ValueError for a longer one. One without words makes no request.
        """
        return self._speak(short_enough(text))

    async def aclose(self) -> None:
        """Close this loop's connections; texts that are being spoken come to their end first."""
        lines = self._lines.pop(asyncio.get_running_loop(), None)
        if lines:
            await lines.aclose()

    @classmethod
    def check(cls) -> Check:
        """Whether the SDK is installed and a key is set."""
        return deepgram.check(cls.name, "Deepgram Aura")

    async def _speak(self, text: str) -> AsyncGenerator[SpeechChunk]:
        if not len(Words(text)):
            return
        await self._import()
        lines, resampler = self._here(), self._resampler()
        async with lines.places:
            while True:
                line = await lines.take()
                try:
                    await line.say(text)
                    pcm = await line.hear(FIRST)
                    if pcm is None:
                        raise ProviderError(self.name, Cause.ANSWER, "it made no audio of a text with words")
                    while pcm is not None:
                        yield SpeechChunk(resampler.process(pcm) if resampler else pcm)
                        pcm = await line.hear(BETWEEN)
                    return
                except StaleLineError:
                    continue
                finally:
                    await lines.give(line)

    async def _import(self) -> None:
        if not self._imported:
            await self._account.prepare(self.name)
            if self.sample_rate != RATE:
                await asyncio.to_thread(_load_resampler)
            self._imported = True

    def _here(self) -> Lines:
        """The running loop's lines. Those of loops that are gone went with them."""
        loop = asyncio.get_running_loop()
        if loop not in self._lines:
            self._lines = {other: lines for other, lines in self._lines.items() if not other.is_closed()}
            self._lines[loop] = Lines(self._connect, self.connections)
        return self._lines[loop]

    async def _connect(self) -> Line:
        line = Line(self.name, asyncio.get_running_loop().time())
        await line.open(self._account.client(self.name), self._options)
        return line

    def _resampler(self) -> Any:
        if self.sample_rate == RATE:
            return None
        from voice.audio import Resampler

        return Resampler(self.sample_rate, RATE)


def _load_resampler() -> None:
    """Import numpy, so that the first text need not."""
    from voice import audio  # noqa: F401
