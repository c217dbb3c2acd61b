"""Hearing: what a model understood of a caller, as a recogniser of the caller's ear.

The model ends the turns. A voice of which it says nothing is a noise: the ear gives it up soon. One that it has noticed
is waited for longer, as its words come only when the turn is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from voice.check import Check
from voice.endpointing import SOUND, SoFar
from voice.stt.recognizer import Final, Hearing, Hints, Partial

GUESSED = 0.3
"""Confidence of words that the model never said were the whole."""
EARLIER = 1.0
"""Seconds by which the model may notice a voice before the ear begins a turn."""


class ModelHearing:
    """The recogniser of one caller's ear. The sound goes to the model by another way (`Microphone`)."""

    endpoints = True
    fits_grammar = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.latest: ModelHearingStream | None = None
        self._noticed_at = float("-inf")
        self._loop = asyncio.get_running_loop()

    def notice(self) -> None:
        """The model hears this caller speak."""
        self._noticed_at = self._loop.time()

    @property
    def noticed(self) -> bool:
        """The model has heard this caller speak in the present turn; it may have noticed that before the ear did."""
        return self.latest is not None and self._noticed_at >= self.latest.begun - EARLIER

    async def prepare(self) -> None:
        """There is nothing to load."""

    def stream(self, hints: Hints) -> ModelHearingStream:
        """The one before is over."""
        self.latest = ModelHearingStream()
        return self.latest

    @classmethod
    def check(cls) -> Check:
        """It needs nothing."""
        return Check("model", True, "")


class ModelHearingStream:
    """See `voice.stt.recognizer.RecognizerStream`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[Hearing] = asyncio.Queue()
        self.listening = False
        """The ear waits for what the model understands."""
        self.begun = float("-inf")
        self.given = ""
        """What was taken for the whole before the model said so."""
        self._text = ""

    def understand(self, text: str, *, final: bool) -> None:
        """The model understood this; `final`: that is all."""
        self._text = "" if final else text
        if final:
            self.listening = False
        self._results.put_nowait(Final(text) if final else Partial(text))

    def begin(self) -> None:
        self.listening, self.begun = True, self._loop.time()
        self._text = self.given = ""

    def push(self, pcm: bytes) -> None:
        pass

    def end(self) -> None:
        self.listening = False
        self.given, self._text = self._text, ""
        self._results.put_nowait(Final(self.given, GUESSED))

    def expect(self, hints: Hints) -> None:
        pass

    def __aiter__(self) -> AsyncIterator[Hearing]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Hearing]:
        while True:
            yield await self._results.get()

    async def aclose(self) -> None:
        self.listening = False


@dataclass(frozen=True, slots=True)
class ModelEnd:
    """The model ends the turns; silence does only where the model is not expected to: `noticed` says so.

    `longest` must be shorter than the time after which a pause holds the floor no more (`FloorTimes.turn`). `sound` is
    for a voice that the model has not noticed: it may do so late, so a short one is given up sooner than a long one.
    """

    noticed: Callable[[], bool]
    longest: float = 4.0
    sound: float = 0.5
    unnoticed: float = 1.5
    backchannel: float = 0.15

    def wait(self, turn: SoFar) -> float:
        """Seconds of silence after which `turn` is over, if the model has not ended it."""
        if turn.backchannel:
            return self.backchannel
        if turn.text.strip() or self.noticed():
            return self.longest
        return self.sound if turn.voiced <= SOUND else self.unnoticed

    def foresee(self, turn: SoFar) -> float | None:
        """Never: the model answers when it wants to."""
        return None
