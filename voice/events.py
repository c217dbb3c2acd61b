"""What happens in a voice room, as values: every fact the floor, the desk and the page are told.

Events carry no time; whoever hands one on says when it happened, in seconds of the event loop's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Turn:
    """A caller's finished turn: what they said between taking the floor and giving it up.

    `started` and `ended` are loop seconds; `ended` is the end of the speech, not of the silence that proved it.
    `confidence` runs from 0 to 1; a recogniser that had to guess outside its grammar says less than 0.5.
    """

    id: str
    caller: str
    text: str
    started: float
    ended: float
    confidence: float = 1.0


class Deafness(StrEnum):
    """Why a caller who is in the room does not hear."""

    RINGING = "ringing"
    HELD = "on_hold"
    RECONNECTING = "reconnecting"


@dataclass(frozen=True, slots=True)
class Joined:
    """A caller is in the room (or back in it) and hears."""

    caller: str


@dataclass(frozen=True, slots=True)
class Left:
    """A caller has gone for good: hung up, or stayed away too long."""

    caller: str


@dataclass(frozen=True, slots=True)
class Deafened:
    """A caller is still in the room but does not hear; `Joined` says that they hear again."""

    caller: str
    why: Deafness


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """A caller began to speak: voice activity that lasted long enough not to be a click."""

    caller: str


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """A caller fell silent; the turn goes on until `TurnEnded` or `TurnDropped`."""

    caller: str


@dataclass(frozen=True, slots=True)
class WordsHeard:
    """A partial transcript of what the caller is saying. Rejected words of a closed grammar are words too."""

    caller: str
    text: str


@dataclass(frozen=True, slots=True)
class LevelMoved:
    """The loudness of the caller's voice moved: a sign of life that steady noise does not give."""

    caller: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A caller's turn is over and wants a reply."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class TurnForeseen:
    """A caller's turn is most likely over, but not yet for sure: what it takes to answer it may be begun.

    `TurnEnded` (with the same id, perhaps in other words), `TurnDropped` or `TurnResumed` follows, or another of these
    with more words.
    """

    turn: Turn


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The turn that was foreseen to end goes on after all."""

    caller: str


class Dropped(StrEnum):
    """Why a caller's speech made no turn."""

    NO_WORDS = "no_words"
    BACKCHANNEL = "backchannel"
    UNHEARD = "unheard"
    """Nobody can tell: no recogniser worked."""


@dataclass(frozen=True, slots=True)
class TurnDropped:
    """A caller's speech is over and wants no reply: it held no words, or only a backchannel ("mm-hm")."""

    caller: str
    why: Dropped
    text: str = ""


DIGITS = frozenset("0123456789*#ABCD")
"""The keys of a telephone (ITU-T Q.23)."""


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """A caller pressed a key of the telephone (one of DIGITS)."""

    caller: str
    digit: str


@dataclass(frozen=True, slots=True)
class SpeakingPlanned:
    """We are going to say something: it waits for its sound, or its turn. Ends in `SpeakingEnded`, heard or not."""

    utterance: str


@dataclass(frozen=True, slots=True)
class SpeakingStarted:
    """The first sample of an utterance of ours reached an ear."""

    utterance: str


@dataclass(frozen=True, slots=True)
class SpeakingScheduled:
    """An utterance of ours will be audible until `until` (loop seconds), as far as is known now."""

    utterance: str
    until: float


@dataclass(frozen=True, slots=True)
class SpeakingPaused:
    """An utterance fell silent for now: a caller spoke, or more text is awaited. `SpeakingStarted` resumes it."""

    utterance: str


@dataclass(frozen=True, slots=True)
class SpeakingHeard:
    """The utterance has been heard up to character `chars` of its text (word ends only)."""

    utterance: str
    chars: int


@dataclass(frozen=True, slots=True)
class SpeakingEnded:
    """An utterance is over at the ear, played out or cut; `question`: it was played out and ended in a question."""

    utterance: str
    question: bool = False


@dataclass(frozen=True, slots=True)
class ReplySettled:
    """The reply to a turn is finished (spoken out, cut, failed, or there was nothing to say)."""

    turn: str


Event = (
    Joined
    | Left
    | Deafened
    | SpeechStarted
    | SpeechStopped
    | WordsHeard
    | LevelMoved
    | TurnForeseen
    | TurnResumed
    | TurnEnded
    | TurnDropped
    | DigitPressed
    | SpeakingPlanned
    | SpeakingStarted
    | SpeakingScheduled
    | SpeakingPaused
    | SpeakingHeard
    | SpeakingEnded
    | ReplySettled
)
