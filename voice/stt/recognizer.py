"""The seam for speech recognisers: audio in, partial and final transcripts out, endpointing hints where it has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from voice.check import Check


@dataclass(frozen=True, slots=True)
class Partial:
    """What has been understood so far. `complete`: it is a whole sentence of the grammar, so the turn may end early."""

    text: str
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Final:
    """What was said from `begin` to `end`; empty text: no words.

    `confidence` 0 to 1; under 0.5 it was guessed outside the grammar. `rejected`: there were words, but none the
    recogniser would stand by (text is then its best guess).
    """

    text: str
    confidence: float = 1.0
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class EagerEnd:
    """A recogniser that knows turns believes this one is about over; a `Resumed` or a `Final` follows."""

    text: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The turn announced by `EagerEnd` goes on after all."""


Hearing = Partial | Final | EagerEnd | Resumed


@dataclass(frozen=True, slots=True)
class Hints:
    """What the caller is likely to say now: JSGF public rules' bodies for a grammar, or plain phrases as key terms.

    `grammar` is a whole JSGF grammar ("#JSGF V1.0; grammar g; public <s> = ...;"), or "" when there is none.
    `phrases` are bare words and names for recognisers that take key terms.
    """

    grammar: str = ""
    phrases: Sequence[str] = ()


class RecognizerStream(Protocol):
    """One caller's recogniser. `begin`, `push` and `end` never block; results come from iterating it, in order."""

    def begin(self) -> None:
        """Speech begins: the next `push` is its first audio (with some lead-in)."""
        ...

    def push(self, pcm: bytes) -> None:
        """More audio of the current speech (16 kHz, 16-bit mono, any length)."""
        ...

    def end(self) -> None:
        """The speech is over: a `Final` follows (exactly one for each `begin`)."""
        ...

    def expect(self, hints: Hints) -> None:
        """Change what is expected from the next `begin` on."""
        ...

    def __aiter__(self) -> AsyncIterator[Hearing]: ...

    async def aclose(self) -> None:
        """Stop and free it; pending results are dropped."""
        ...


class SpeechRecognizer(Protocol):
    """A provider: loads its models once a process, opens a stream a caller."""

    name: str

    @property
    def endpoints(self) -> bool:
        """It ends turns by itself (Final comes without `end`)."""
        ...

    @property
    def fits_grammar(self) -> bool:
        """It fits all it hears into the grammar of its hints, so that its partials only guess until they are whole."""
        ...

    async def prepare(self) -> None:
        """Load what is slow to load, off the loop. Calling it twice does nothing."""
        ...

    def stream(self, hints: Hints) -> RecognizerStream: ...

    @classmethod
    def check(cls) -> Check:
        """Whether it can work here, and if not, what is missing and how to get it. Imports no vendor."""
        ...
