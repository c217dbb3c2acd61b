"""Speech: the engines that hear and speak for a runtime. Chosen once, loaded once a process, shared by all rooms."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from orchestration.models.grammar import merged
from orchestration.room import Room
from voice.endpointing import AsRecognized, Endpointer, FixedSilence, TurnModel
from voice.stt.recognizer import Hints, SpeechRecognizer
from voice.tts.synthesizer import Synthesizer
from voice.vad.detector import VoiceDetector

if TYPE_CHECKING:
    from voice.legs import LegExchange
    from voice.realtime.session import RealtimeModel


@runtime_checkable
class Closed(Protocol):
    """A model that understands a closed set of sentences can say so: the recogniser then listens for just those."""

    def grammar(self) -> str:
        """A whole JSGF grammar; "": it has none to add to the others'."""
        ...


log = logging.getLogger("sottovoce.runtime")

EAGER = 0.3
"""Seconds of silence after which a model is asked ahead (`python -m tests.bench.preemptive`: 0.3 to 0.5 s gained for
1.2 to 1.4 requests a turn)."""


@dataclass
class Speech:
    """What is None is chosen: the best provider that works on this machine (`sottovoce doctor` shows which).

    `stt` and `tts` may be lists, best first: where one fails, or keeps failing, the next takes over in the middle of
    the call, and gives way when the first is well again. One that is reached by a network (`Deepgram()`) is asked again
    when it fails. In both cases the attribute is a fallback over what was given, once it is prepared.

    `endpointer` decides when a turn is over (None: the recogniser if it does that, otherwise silence); a turn model,
    like `voice.smart_turn.SmartTurn()`, is asked at each pause. `preemptive`: models are asked ahead when a turn is
    most likely over.

    `realtime`: a model that hears, thinks and speaks by itself talks with the callers, with the prompts and tools of
    the room's agents; their own models work in the background and answer what is written. `tts`, if it is given, says
    what that model cannot; recogniser and endpointer are not needed.
    """

    stt: SpeechRecognizer | Sequence[SpeechRecognizer] | None = None
    tts: Synthesizer | Sequence[Synthesizer] | None = None
    vad: VoiceDetector | None = None
    endpointer: Endpointer | None = None
    preemptive: bool = True
    realtime: RealtimeModel | None = None

    def __post_init__(self) -> None:
        """Raises TypeError for an endpointer or a realtime model that is none, ValueError for an empty list."""
        if self.endpointer is not None and not callable(getattr(self.endpointer, "wait", None)):
            raise TypeError(f"endpointer: {self.endpointer!r:.60} is none; give one, like FixedSilence(silence=0.8)")
        if self.realtime is not None and not callable(getattr(self.realtime, "open", None)):
            raise TypeError(f"realtime: {self.realtime!r:.60} is no model that speaks; give one, like DeepgramAgent()")
        for field in ("stt", "tts"):
            given = getattr(self, field)
            if isinstance(given, Sequence) and not given:
                raise ValueError(
                    f"{field}: the list is empty; give one provider or more, or None for the best there is"
                )

    async def prepare(self) -> None:
        """Choose and load. Raises RuntimeError naming what is missing and how to get it."""
        from voice import stt, tts, vad

        if self.realtime is not None:
            await self._prepare_realtime(self.realtime)
            return
        self.stt = recognizer = self._recognizer(stt.default() if self.stt is None else self.stt)
        self.tts = synthesizer = self._synthesizer(tts.default() if self.tts is None else self.tts)
        self.vad = detector = vad.default() if self.vad is None else self.vad
        if self.endpointer is None:
            self.endpointer = AsRecognized(recognizer, silence=FixedSilence(eager=EAGER))
        # One after the other: numpy does not survive being imported by two threads at once.
        await recognizer.prepare()
        await synthesizer.prepare()
        await detector.prepare()
        if isinstance(self.endpointer, TurnModel):
            await self.endpointer.prepare()

    async def _prepare_realtime(self, model: RealtimeModel) -> None:
        from voice import vad

        self.tts = None if self.tts is None else self._synthesizer(self.tts)
        self.vad = detector = vad.default() if self.vad is None else self.vad
        await model.prepare()
        await detector.prepare()
        if self.tts is not None:
            await self.tts.prepare()

    async def aclose(self) -> None:
        """Close connections that are kept open; they are opened again when they are needed."""
        for provider in (self.stt, self.tts, self.realtime):
            if callable(close := getattr(provider, "aclose", None)):
                try:
                    await close()
                except Exception as error:
                    log.warning("%s cannot be closed: %s", getattr(provider, "name", provider), error)

    def channel(self, room: Room) -> AbstractAsyncContextManager[LegExchange]:
        """A channel for one room; use it as `async with`."""
        stt, tts = self.stt, self.tts
        if self.realtime is not None:
            from voice.realtime.channel import RealtimeChannel

            if self.vad is None or isinstance(tts, Sequence):
                raise RuntimeError("Speech.prepare() must be awaited before a channel is made")
            return RealtimeChannel(model=self.realtime, vad=self.vad, tts=tts)
        from voice.cascade import CascadeChannel

        if isinstance(stt, Sequence | None) or isinstance(tts, Sequence | None) or self.vad is None:
            raise RuntimeError("Speech.prepare() must be awaited before a channel is made")
        return CascadeChannel(
            stt=stt,
            tts=tts,
            vad=self.vad,
            endpointer=self.endpointer,
            hints=hints(room),
            preemptive=self.preemptive,
        )

    @staticmethod
    def _recognizer(given: SpeechRecognizer | Sequence[SpeechRecognizer]) -> SpeechRecognizer:
        if not isinstance(given, Sequence):
            if not _remote(given):
                return given
            given = [given]
        from voice.stt.fallback import FallbackRecognizer

        return FallbackRecognizer(given)

    @staticmethod
    def _synthesizer(given: Synthesizer | Sequence[Synthesizer]) -> Synthesizer:
        if not isinstance(given, Sequence):
            if not _remote(given):
                return given
            given = [given]
        from voice.tts.fallback import FallbackSynthesizer

        return FallbackSynthesizer(given)


def _remote(provider: object) -> bool:
    """Whether it is reached by a network: what fails there may work when it is asked again."""
    return getattr(provider, "remote", False) is True


def hints(room: Room) -> Hints:
    """What callers of the room are likely to say: what any of its agents understands, as any of them may have the talk.

    Where one takes any words the recogniser is to listen for any. Raises ValueError for a grammar that is none.
    """
    models = [agent.model for agent in room.agents.values()]
    closed = [model for model in models if isinstance(model, Closed)]
    if len(closed) < len(models):
        return Hints()
    return Hints(grammar=merged([model.grammar() for model in closed]))
