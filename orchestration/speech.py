"""Speech: the engines that hear and speak for a runtime. Chosen once, loaded once a process, shared by all rooms."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from orchestration.models.grammar import merged
from orchestration.room import Room
from voice.stt.recognizer import Hints, SpeechRecognizer
from voice.tts.synthesizer import Synthesizer
from voice.vad.detector import VoiceDetector

if TYPE_CHECKING:
    from voice.cascade import CascadeChannel


@runtime_checkable
class Closed(Protocol):
    """A model that understands a closed set of sentences can say so: the recogniser then listens for just those."""

    def grammar(self) -> str:
        """A whole JSGF grammar; "": it has none to add to the others'."""
        ...


@dataclass
class Speech:
    """What is None is chosen: the best provider that works on this machine (`sottovoce doctor` shows which)."""

    stt: SpeechRecognizer | None = None
    tts: Synthesizer | None = None
    vad: VoiceDetector | None = None

    async def prepare(self) -> None:
        """Choose and load. Raises RuntimeError naming what is missing and how to get it."""
        from voice import stt, tts, vad

        self.stt = self.stt or stt.default()
        self.tts = self.tts or tts.default()
        self.vad = self.vad or vad.default()
        # One after the other: numpy does not survive being imported by two threads at once.
        for provider in (self.stt, self.tts, self.vad):
            await provider.prepare()

    def channel(self, room: Room) -> AbstractAsyncContextManager[CascadeChannel]:
        """A channel for one room; use it as `async with`."""
        from voice.cascade import CascadeChannel

        if self.stt is None or self.tts is None or self.vad is None:
            raise RuntimeError("Speech.prepare() must be awaited before a channel is made")
        return CascadeChannel(stt=self.stt, tts=self.tts, vad=self.vad, hints=hints(room))


def hints(room: Room) -> Hints:
    """What callers of the room are likely to say: what any of its agents understands, as any of them may have the talk.

    Where one takes any words the recogniser is to listen for any. Raises ValueError for a grammar that is none.
    """
    models = [agent.model for agent in room.agents.values()]
    closed = [model for model in models if isinstance(model, Closed)]
    if len(closed) < len(models):
        return Hints()
    return Hints(grammar=merged([model.grammar() for model in closed]))
