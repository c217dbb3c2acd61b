"""What the floor says: its states and their reasons, how long each wait lasts, and what it asks for. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voice.events import Turn


class FloorState(StrEnum):
    """Who has the floor; the first that holds, in this order."""

    EMPTY = "empty"
    USER_HOLDS = "user_holds"
    AGENT_AUDIBLE = "agent_audible"
    AGENT_OWES = "agent_owes"
    OPEN = "open"


class Blocker(StrEnum):
    """Why the floor is not open."""

    NOBODY = "nobody"
    RINGING = "ringing"
    ON_HOLD = "on_hold"
    RECONNECTING = "reconnecting"
    CALLER_SPEAKING = "caller_speaking"
    CALLER_PAUSED = "caller_paused"
    DIGITS = "digits"
    QUESTION = "question_pending"
    AGENT_SPEAKING = "agent_speaking"
    REPLY = "reply_owed"
    SPEECH = "speech_planned"
    """We are going to say something that is no reply, or to go on with it."""


@dataclass(frozen=True, slots=True)
class FloorTimes:
    """How long each wait may last, in seconds."""

    question: float = 1.5
    """After a question of ours the floor stays the caller's; 1.5 s covers 96.5 % of mutual silences in 673 calls."""
    digits: float = 3.0
    """After a telephone key the next may follow."""
    reconnect: float = 10.0
    """A caller whose connection broke is waited for."""
    stuck: float = 6.0
    """Voice activity with no new words and a flat level is noise after this."""
    turn: float = 5.0
    """Silence after which a turn that nobody ended no longer holds the floor (the longest pauses: 2.94 s at p99)."""
    unconfirmed: float = 2.0
    """Past its scheduled end, an utterance without a receipt no longer counts as audible."""
    reply: float = 15.0
    """A reply that has not come by then is given up."""
    own_reply: float = 5.0
    """A model that owns its turns and is silent for so long after a caller's speech has nothing to say to it."""


@dataclass(frozen=True, slots=True)
class FloorView:
    """The floor at one moment. `blocker` names why it is not open (None: it is); `caller` who holds it, if one does.

    `since` is when this state began. `quiet_since` is when everything but a pending question fell silent (None: it has
    not): a wait for silence counts from there, and is over only when the state is open too.
    """

    state: FloorState
    blocker: Blocker | None
    since: float
    quiet_since: float | None = None
    caller: str | None = None

    @property
    def open(self) -> bool:
        """Nobody speaks and nothing is owed."""
        return self.state is FloorState.OPEN


@dataclass(frozen=True, slots=True)
class FloorChanged:
    """The state or its reason changed, at `view.since`."""

    view: FloorView


@dataclass(frozen=True, slots=True)
class ReplyOverdue:
    """The reply to this turn was given up; somebody should apologise to the caller, and settle the turn then."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class PlayoutUnconfirmed:
    """No receipt came for this utterance; what was heard of it is not known."""

    utterance: str


@dataclass(frozen=True, slots=True)
class CallerGone:
    """A caller whose connection broke did not come back in time."""

    caller: str


FloorAction = FloorChanged | ReplyOverdue | PlayoutUnconfirmed | CallerGone
