"""The seam for speech-to-speech models: a caller's sound in, turns, spoken replies and function calls out.

Such a model hears, thinks and speaks by itself. It is told who it is and what it may call; what it says, and when, is
its own affair, except for a line that is injected. Our floor stays the authority on who may speak to the caller when.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from voice.channel import Capabilities
from voice.check import Check


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the model may call; `schema` is JSON Schema of its arguments (an object)."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Instructions:
    """Who the model is: its prompt, and what it may call."""

    prompt: str = ""
    functions: Sequence[Function] = ()


class Injection(StrEnum):
    """What becomes of an injected line while somebody speaks."""

    NOW = "now"
    """It is spoken at once; what the model is saying is cut."""
    IDLE = "idle"
    """It is spoken if nobody speaks; otherwise it is refused (`Refused`)."""
    QUEUE = "queue"
    """It is spoken after what is being said."""


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The model hears the caller speak: whatever of its sound has not been played is stale."""


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """What the model understood of the caller; `final`: the turn is over, and the model sets to work on its reply."""

    text: str
    final: bool = True


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """The model begins to speak; `line`: the id that `inject` returned, if this is an injected line."""

    line: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """The next sound of what it says (16 kHz, 16-bit mono PCM, whole samples, any length)."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The next words of what it says; they may come before or after their sound."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """All sound of what it was saying has been sent (or it was cut short by the caller, `cut`)."""

    cut: bool = False


@dataclass(frozen=True, slots=True)
class FunctionCalled:
    """The model wants a function run, and waits for `Session.answer`."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The injected line `line` was refused: somebody was speaking. It is still owed."""

    line: str


SessionEvent = (
    CallerStarted | CallerSaid | ReplyStarted | ReplyAudio | ReplyText | ReplyEnded | FunctionCalled | Refused
)


class RealtimeSession(Protocol):
    """One talk with the model. Nothing but iterating and `aclose` waits; what cannot be sent ends the iteration.

    Iterating raises ProviderError when the session is lost; what was said in it is then lost to the model, too.
    """

    def push(self, pcm: bytes) -> None:
        """More of the caller's sound (16 kHz, 16-bit mono), silence too, at the pace of speech."""
        ...

    def instruct(self, instructions: Instructions) -> None:
        """Who it is from its next reply on."""
        ...

    def inject(self, text: str, how: Injection) -> str:
        """Have it say this, word for word. Returns an id for `ReplyStarted` or `Refused`."""
        ...

    def answer(self, call: str, result: str) -> None:
        """What a function came to (call: `FunctionCalled.id`)."""
        ...

    def cut(self, heard: str | None = None) -> None:
        """The caller stopped what it was saying; `heard`: as far as known. Models that cannot be told ignore it."""
        ...

    def __aiter__(self) -> AsyncIterator[SessionEvent]: ...

    async def aclose(self) -> None:
        """End the talk. Calling it twice does nothing."""
        ...


class RealtimeModel(Protocol):
    """A provider of sessions, shared by all rooms."""

    name: str
    capabilities: Capabilities

    async def prepare(self) -> None:
        """Load what is slow to load, off the loop. Calling it twice does nothing."""
        ...

    async def open(self, instructions: Instructions) -> RealtimeSession:
        """Begin a talk. Raises ProviderError."""
        ...

    @classmethod
    def check(cls) -> Check:
        """Whether it can work here, and if not, what is missing and how to get it. Imports no vendor."""
        ...
