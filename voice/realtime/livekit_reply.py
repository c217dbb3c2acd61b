"""One answer of a LiveKit realtime model, from its streams into the events of the seam; and how far it was heard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voice.leg import RATE
from voice.livekit_sound import Sound
from voice.realtime.session import FunctionCalled, ReplyAudio, ReplyEnded, ReplyStarted, ReplyText, SessionEvent

if TYPE_CHECKING:
    from livekit.agents import llm as plugins

NO_OBJECT = "error: the arguments are no JSON object; call it again with one"
"""What a model is told of a call that cannot be understood."""


@dataclass(slots=True)
class Said:
    """One message of an answer: its words, and how much sound of it there is."""

    id: str
    text: str = ""
    samples: int = 0

    @property
    def size(self) -> int:
        """Characters, blanks apart: these differ between what was said and what is told to be heard."""
        return len("".join(self.text.split()))


class Reply:
    """`tell` is given its events. `line`: the injected line that it is."""

    def __init__(
        self, generation: plugins.GenerationCreatedEvent, line: str | None, tell: Callable[[SessionEvent], None]
    ) -> None:
        self.line = line
        self.said: list[Said] = []
        self.results: dict[str, tuple[str, str | None]] = {}
        """What it calls: the functions' names, and what they came to."""
        self.called = False
        """It calls no more."""
        self.over = False
        """Nothing more of what it says is told."""
        self.cut = False
        """It was ended before it was all told."""
        self._generation = generation
        self._tell = tell
        self._begun = False

    @property
    def answered(self) -> bool:
        """All that it called has come to something."""
        return self.called and all(result is not None for _, result in self.results.values())

    async def speak(self) -> None:
        """Tell what it says, to the end."""
        async for message in self._generation.message_stream:
            said = Said(message.message_id)
            self.said.append(said)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._words(said, message))
                both.create_task(self._sound(said, message))
        self.end(cut=False)

    async def call(self) -> None:
        """Tell what it calls, to the end."""
        async for call in self._generation.function_stream:
            arguments = _arguments(call.arguments)
            self.results[call.call_id] = (call.name, NO_OBJECT if arguments is None else None)
            if arguments is not None:
                self._tell(FunctionCalled(call.call_id, call.name, arguments))
        self.called = True

    def end(self, *, cut: bool) -> None:
        """It is over, or (`cut`) nobody wants the rest. Ending it twice does nothing."""
        if not self.over:
            self.over, self.cut = True, cut
            if self._begun:
                self._tell(ReplyEnded(cut))

    def heard(self, text: str) -> tuple[Said, int, str] | None:
        """The message in which `text`, all that was heard, ends: how many milliseconds of its sound that were, if words
        share it in proportion to their length, and its words. None: all of it was heard, or there was nothing.

        Of one that was cut the model may have made more than we were told: then all of that is not the whole."""
        count = len("".join(text.split()))
        for said in self.said:
            if count < said.size:
                share = count / said.size
                return said, round(1000 * share * said.samples / RATE), _beginning(said.text, count)
            count -= said.size
        if self.cut and self.said:
            last = self.said[-1]
            return last, round(1000 * last.samples / RATE), last.text.rstrip()
        return None

    async def _words(self, said: Said, message: plugins.MessageGeneration) -> None:
        async for text in message.text_stream:
            if text and not self.over:
                said.text += text
                self._begin()
                self._tell(ReplyText(str(text)))

    async def _sound(self, said: Said, message: plugins.MessageGeneration) -> None:
        sound = Sound()
        async for frame in message.audio_stream:
            self._speak(said, sound.take(frame))
        self._speak(said, sound.rest())

    def _speak(self, said: Said, pcm: bytes) -> None:
        if pcm and not self.over:
            said.samples += len(pcm) // 2
            self._begin()
            self._tell(ReplyAudio(pcm))

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._tell(ReplyStarted(self.line))


def _beginning(text: str, count: int) -> str:
    """The first `count` characters of it, not counting blanks."""
    for at, character in enumerate(text):
        if count <= 0:
            return text[:at].rstrip()
        count -= not character.isspace()
    return text


def _arguments(given: str) -> dict[str, Any] | None:
    """What is in the JSON of a call; None: it is no object."""
    try:
        arguments = json.loads(given or "{}")
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None
