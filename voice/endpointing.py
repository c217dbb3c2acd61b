"""Endpointing: how much silence ends a caller's turn. Apart from voice activity, which only says when it is silent.

An endpointer answers at once, from what has been understood so far. One that has to think (a turn model) answers with
its longest silence, and ends the turn sooner by reporting an `EagerEnd` with what the recogniser heard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

SOUND = 0.6
"""Seconds up to which a voice without words is taken for a noise: a door, a cough, a cup."""


@dataclass(frozen=True, slots=True)
class SoFar:
    """A turn as far as it has been understood, at a moment of silence.

    `complete`: the text is a whole sentence, as far as the recogniser can tell. `backchannel`: it is only a sign of
    listening ("mm-hm") that wants no answer. `voiced`: seconds from its beginning to the last of its voice.
    """

    text: str
    complete: bool = False
    backchannel: bool = False
    voiced: float = math.inf


class Endpointer(Protocol):
    """Decides when silence means that the caller has finished."""

    def wait(self, turn: SoFar) -> float:
        """Seconds of silence after which `turn` is over."""
        ...


@dataclass(frozen=True, slots=True)
class FixedSilence:
    """The same silences always, in seconds.

    `silence` for anything, `complete` after a whole sentence (a grammar's partial already equals its final 0.12 s
    before the speech ends), `backchannel` after a mere "mm-hm", so that the agent goes on almost at once. Half of the
    pauses inside a turn are longer than 0.38 s, a tenth longer than 1.13 s (673 telephone calls): `silence` does not
    cover them all, and need not, since what follows is a turn too. `wordless` after a short sound without words so far:
    most likely a noise, for which nobody should have to wait; if not, the recogniser's last word on it will tell.
    """

    silence: float = 0.6
    complete: float = 0.25
    backchannel: float = 0.15
    wordless: float = 0.35

    def __post_init__(self) -> None:
        for name in ("silence", "complete", "backchannel", "wordless"):
            value = getattr(self, name)
            if not 0 < value <= 10:
                raise ValueError(f"FixedSilence.{name} must be seconds between 0 and 10, not {value!r}")

    def wait(self, turn: SoFar) -> float:
        """Seconds of silence after which `turn` is over."""
        if turn.backchannel:
            return self.backchannel
        if turn.voiced <= SOUND and not turn.text.strip():
            return min(self.wordless, self.silence)
        return self.complete if turn.complete else self.silence
