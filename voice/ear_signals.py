"""What an ear is told and what it answers, as values, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

from voice.events import (
    LevelMoved,
    SpeechStarted,
    SpeechStopped,
    TurnDropped,
    TurnEnded,
    TurnForeseen,
    TurnResumed,
    WordsHeard,
)
from voice.stt.recognizer import Hearing


@dataclass(frozen=True, slots=True)
class VoiceOn:
    """Voice activity began. May be a click or a cough."""


@dataclass(frozen=True, slots=True)
class VoiceOff:
    """Voice activity ended. May be the gap between two syllables."""


@dataclass(frozen=True, slots=True)
class VoiceMoved:
    """The loudness of the voice moved."""


@dataclass(frozen=True, slots=True)
class RecognizerLost:
    """The recogniser broke: nothing that was asked of it will be answered. `Listen` may be obeyed by a new one."""


@dataclass(frozen=True, slots=True)
class Hushed:
    """The caller is gone or does not hear: what they were saying is not waited for."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A turn model finds it so likely (0 to 1) that the turn is over, if the caller is still as silent."""

    over: float


EarInput = VoiceOn | VoiceOff | VoiceMoved | Hearing | Judged | RecognizerLost | Hushed


@dataclass(frozen=True, slots=True)
class Listen:
    """Begin the recogniser, with the audio since the time `since` and some lead-in."""

    since: float


@dataclass(frozen=True, slots=True)
class Conclude:
    """End the recogniser: a `Final` is wanted."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The recogniser did not answer in time: another is wanted, of which nothing has been asked."""


EarAction = (
    SpeechStarted
    | SpeechStopped
    | WordsHeard
    | LevelMoved
    | TurnForeseen
    | TurnResumed
    | TurnEnded
    | TurnDropped
    | Listen
    | Conclude
    | Restart
)


@dataclass(frozen=True, slots=True)
class EarTimes:
    """How long the ear waits, in seconds."""

    onset: float = 0.08
    """Voice that lasts so long is speech; a click or a key has 20-60 ms."""
    bridge: float = 0.1
    """Silence shorter than this does not part voice: the closure of a plosive is shorter."""
    final: float = 2.0
    """How long the recogniser may take for its final transcript; then its last partial must do."""
    murmur: float = 0.6
    """A rejected transcript of a shorter voice is a noise or a murmur, unless it may be an answer."""
    stuck: float = 6.0
    """Voice without new words and of unmoved loudness is noise after this; the floor says so too (`FloorTimes`)."""
    longest: float = 120.0
    """A turn is ended after this, so that a television cannot fill the recogniser without end."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"EarTimes.{name} must be seconds > 0, not {getattr(self, name)!r}")
