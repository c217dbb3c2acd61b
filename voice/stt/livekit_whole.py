"""LiveKit's recognisers that do not stream: each speech is sent when it is over, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from voice import livekit
from voice.leg import RATE
from voice.stt.recognizer import Final, Hearing, Hints
from voice.stt.results import Results

if TYPE_CHECKING:
    from voice.stt.livekit import LiveKitSTT


class WholeStream:
    """One caller's recogniser. An ear waits 2 s for a transcript (`EarTimes.final`): give a slow service more."""

    def __init__(self, provider: LiveKitSTT) -> None:
        self._provider = provider
        self._results = Results()
        self._speech: bytearray | None = None
        """What the caller is saying."""
        self._whole: asyncio.Queue[bytes] = asyncio.Queue()
        name = f"having {provider.name} recognise"
        self._worker = asyncio.get_running_loop().create_task(self._work(), name=name)

    def begin(self) -> None:
        """See `RecognizerStream.begin`. Raises RuntimeError before the `end` of the last one."""
        if self._results.over:
            return
        if self._speech is not None:
            raise RuntimeError("begin() was called twice without end()")
        self._speech = bytearray()

    def push(self, pcm: bytes) -> None:
        """See `RecognizerStream.push`. Raises RuntimeError before `begin`, ValueError for half a sample."""
        if len(pcm) % 2:
            raise ValueError(f"pcm must be whole 16-bit samples, not {len(pcm)} bytes")
        if self._results.over:
            return
        if self._speech is None:
            raise RuntimeError("push() was called before begin()")
        self._speech += pcm

    def end(self) -> None:
        """See `RecognizerStream.end`. Raises RuntimeError before `begin`."""
        if self._results.over:
            return
        if self._speech is None:
            raise RuntimeError("end() was called before begin()")
        self._whole.put_nowait(bytes(self._speech))
        self._speech = None

    def expect(self, hints: Hints) -> None:
        """A plugin serves all callers, so it is told of no caller's words."""

    def __aiter__(self) -> AsyncIterator[Hearing]:
        return self._results

    async def aclose(self) -> None:
        """See `RecognizerStream.aclose`."""
        self._results.end()
        self._worker.cancel()
        await asyncio.wait([self._worker])

    async def _work(self) -> None:
        """One speech after the other."""
        try:
            while True:
                self._results.put(await self._recognize(await self._whole.get()))
        except Exception as error:
            self._results.end(livekit.failure(self._provider.name, error))

    async def _recognize(self, pcm: bytes) -> Final:
        from livekit.rtc import AudioFrame

        if not pcm:
            return Final("")
        provider = self._provider
        frame = AudioFrame(pcm, RATE, 1, len(pcm) // 2)
        async with asyncio.timeout(provider.timeout):
            event = await provider.home.wait(provider.plugin.recognize(frame, **provider.options()))
        best = event.alternatives[0] if event.alternatives else None
        return Final(best.text.strip(), best.confidence or 1.0) if best else Final("")
