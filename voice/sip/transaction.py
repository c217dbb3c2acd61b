"""What goes into one SIP transaction and what comes out of it, for all four kinds (RFC 3261 section 17)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from voice.sip.message import Message, Request, Response


class State(Enum):
    """Where it stands. TRYING is what RFC 3261 calls Calling for an INVITE that we send; ACCEPTED is of RFC 6026."""

    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


@dataclass(frozen=True, slots=True)
class Received:
    """The other end sent this, and it is of this transaction."""

    message: Message


@dataclass(frozen=True, slots=True)
class Respond:
    """This is our answer."""

    response: Response


@dataclass(frozen=True, slots=True)
class Failed:
    """What we sent cannot have arrived: nobody listens there, or the connection broke."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """We want no answer to our INVITE any more."""


@dataclass(frozen=True, slots=True)
class Send:
    """To the other end."""

    message: Message


@dataclass(frozen=True, slots=True)
class Pass:
    """To the layer above."""

    message: Message


@dataclass(frozen=True, slots=True)
class Begin:
    """A request of its own that belongs to this one: the CANCEL of an INVITE."""

    request: Request


@dataclass(frozen=True, slots=True)
class Done:
    """It is over, and can be forgotten.

    "timeout": there was no final response in time, theirs or ours; "unacknowledged": our refusal met with no ACK;
    "unsent": the request could not be sent.
    """

    why: Literal["finished", "timeout", "unacknowledged", "unsent"]
