"""Endpointing: how much silence ends a caller's turn. Apart from voice activity, which only says when it is silent.

An endpointer answers at once, from what is known so far. One that has to think is a turn model, too: it is asked when
the caller has fallen silent, and what it comes to is known the next time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

SOUND = 0.6
"""Seconds up to which a voice without words is taken for a noise: a door, a cough, a cup."""


@dataclass(frozen=True, slots=True)
class SoFar:
    """A turn as far as it has been understood, at a moment of silence.

    `complete`: the text is a whole sentence, as far as the recogniser can tell. `backchannel`: it is only a sign of
    listening ("mm-hm") that wants no answer. `voiced`: seconds from its beginning to the last of its voice. `eager`:
    the recogniser believes that it is about over. `over`: how likely (0 to 1) a turn model finds that it is over; None:
    none was asked, or it still thinks. `given`: this caller's recogniser ends turns by itself; None: it is as its
    provider says.
    """

    text: str
    complete: bool = False
    backchannel: bool = False
    voiced: float = math.inf
    eager: bool = False
    over: float | None = None
    given: bool | None = None


class Endpointer(Protocol):
    """Decides when silence means that the caller has finished."""

    def wait(self, turn: SoFar) -> float:
        """Seconds of silence after which `turn` is over."""
        ...

    def foresee(self, turn: SoFar) -> float | None:
        """Seconds of silence after which an answer may be begun ahead, before it is sure that `turn` is over.

        None: not before that. Each answer that is begun and dropped is paid for.
        """
        ...


class TurnModelStream(Protocol):
    """One caller's. `push` and `reset` are cheap."""

    def push(self, pcm: bytes) -> None:
        """A frame of the present turn (16 kHz, 16-bit mono), pauses too."""
        ...

    def reset(self) -> None:
        """The turn is over, or was nothing: forget its sound."""
        ...

    async def over(self) -> float:
        """How likely it is (0 to 1) that the turn is over, by its sound so far. Thinks off the loop."""
        ...


@runtime_checkable
class TurnModel(Protocol):
    """An endpointer that has to think about the sound of a turn: loads its model once a process, a stream a caller."""

    name: str

    async def prepare(self) -> None:
        """Load what is slow to load, off the loop. Calling it twice does nothing."""
        ...

    def stream(self) -> TurnModelStream: ...


@dataclass(frozen=True, slots=True)
class FixedSilence:
    """The same silences always, in seconds.

    `silence` for anything, `complete` after a whole sentence (a grammar's partial already equals its final 0.12 s
    before the speech ends), `backchannel` after a mere "mm-hm", so that the agent goes on almost at once. Half of the
    pauses inside a turn are longer than 0.38 s, a tenth longer than 1.13 s (673 telephone calls): `silence` does not
    cover them all, and need not, since what follows is a turn too. `wordless` after a short sound without words so far:
    most likely a noise, for which nobody should have to wait; if not, the recogniser's last word on it will tell.

    An answer may be begun ahead as soon as a whole sentence is followed by silence, or the recogniser believes the turn
    over; `eager`: and after so much silence in any case (None: not; over half of the pauses inside turns are longer
    than 0.38 s, and each is then paid for).
    """

    silence: float = 0.6
    complete: float = 0.25
    backchannel: float = 0.15
    wordless: float = 0.35
    eager: float | None = None

    def __post_init__(self) -> None:
        for name in ("silence", "complete", "backchannel", "wordless", "eager"):
            value = getattr(self, name)
            if not (name == "eager" and value is None) and not 0 < value <= 10:
                raise ValueError(f"FixedSilence.{name} must be seconds between 0 and 10, not {value!r}")

    def wait(self, turn: SoFar) -> float:
        """Seconds of silence after which `turn` is over."""
        if turn.backchannel:
            return self.backchannel
        if turn.voiced <= SOUND and not turn.text.strip():
            return min(self.wordless, self.silence)
        return self.complete if turn.complete else self.silence

    def foresee(self, turn: SoFar) -> float | None:
        """At once after what seems whole, otherwise after `eager`."""
        if turn.backchannel:
            return None
        return 0.0 if turn.complete or turn.eager else self.eager


@dataclass(frozen=True, slots=True)
class GivenEnd:
    """The recogniser ends the turns by itself (Deepgram's Flux, any other whose `endpoints` is true).

    Silence ends one only when the recogniser did not for `longest` seconds: it is lost, or slow, or there were no
    words; `wordless` is for a short sound without words. `backchannel` after a mere "mm-hm", as in `FixedSilence`.
    """

    longest: float = 5.0
    backchannel: float = 0.15
    wordless: float = 0.6

    def __post_init__(self) -> None:
        for name in ("longest", "backchannel", "wordless"):
            value = getattr(self, name)
            if not 0 < value <= 30:
                raise ValueError(f"GivenEnd.{name} must be seconds between 0 and 30, not {value!r}")

    def wait(self, turn: SoFar) -> float:
        """Seconds of silence after which `turn` is over, if the recogniser has not ended it."""
        if turn.backchannel:
            return self.backchannel
        if turn.voiced <= SOUND and not turn.text.strip():
            return min(self.wordless, self.longest)
        return self.longest

    def foresee(self, turn: SoFar) -> float | None:
        """At once when the recogniser believes that the turn is about over."""
        return 0.0 if turn.eager and not turn.backchannel else None


class EndsTurns(Protocol):
    """A recogniser, as far as turns are concerned."""

    @property
    def endpoints(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class AsRecognized:
    """`given` while the recogniser in use ends turns by itself, otherwise `silence`: those in a row may differ, and one
    caller may have another than the next."""

    recognizer: EndsTurns
    given: Endpointer = GivenEnd()
    silence: Endpointer = FixedSilence()

    def wait(self, turn: SoFar) -> float:
        """Seconds of silence after which `turn` is over."""
        return self._now(turn).wait(turn)

    def foresee(self, turn: SoFar) -> float | None:
        """Seconds of silence after which an answer may be begun ahead."""
        return self._now(turn).foresee(turn)

    def _now(self, turn: SoFar) -> Endpointer:
        by_itself = self.recognizer.endpoints if turn.given is None else turn.given
        return self.given if by_itself else self.silence
