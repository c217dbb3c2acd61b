"""The cascade: callers on live legs, heard through voice detection and recognition, answered through synthesis.

One channel a room, any number of callers: each hears the agent and the others. What breaks at one caller's end, or in
one provider, is said in the log and costs the others nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from voice.channel import APOLOGY
from voice.ear import Ear
from voice.ear_signals import EarTimes
from voice.endpointing import Endpointer, FixedSilence
from voice.floor import FloorTimes
from voice.legs import LegExchange
from voice.listening import Listening
from voice.making import Made, Synthesize, close
from voice.stt.recognizer import Hints, SpeechRecognizer
from voice.tts.synthesizer import Synthesizer
from voice.vad.detector import VoiceDetector


class CascadeChannel(LegExchange):
    """A room's voice over live legs: `async with channel:`, and within it `await channel.serve(leg)` for each caller.

    The providers must be prepared; they are shared with other rooms and not closed here.
    """

    def __init__(
        self,
        *,
        stt: SpeechRecognizer,
        tts: Synthesizer,
        vad: VoiceDetector,
        endpointer: Endpointer | None = None,
        times: FloorTimes | None = None,
        ear_times: EarTimes | None = None,
        hints: Hints | None = None,
        apology: str = APOLOGY,
        preemptive: bool = True,
    ) -> None:
        """`preemptive`: turns that are most likely over are told of (`TurnForeseen`), so that answers can be begun."""
        super().__init__(times=times, apology=apology)
        self._preemptive = preemptive
        self._stt, self._tts, self._vad = stt, tts, vad
        self._endpointer = endpointer or FixedSilence()
        self._ear_times = ear_times or EarTimes()
        self._hints = hints or Hints()

    def expect(self, hints: Hints) -> None:
        """Change what callers are likely to say, from their next speech on."""
        self._hints = hints
        for visit in self._visits.values():
            visit.listening.expect(hints)

    def _hearing(self, caller: str) -> tuple[Ear, Listening]:
        ear = Ear(caller, lambda: self._new_id("turn"), self._endpointer, self._ear_times, foresees=self._preemptive)
        return ear, Listening(ear, self._stt, self._vad, self._hints, self.tell)

    # -- synthesis

    def _synthesizer(self) -> Synthesize:
        return self._synthesize

    async def _synthesize(self, text: str) -> AsyncIterator[Made]:
        """The synthesizer's audio in whole samples."""
        rest = b""
        chunks = self._tts.synthesize(text)
        try:
            async for chunk in chunks:
                pcm = rest + chunk.pcm
                whole = len(pcm) // 2 * 2
                rest = pcm[whole:]
                yield Made(whole // 2, chunk.marks, pcm[:whole])
        finally:
            await close(chunks)
