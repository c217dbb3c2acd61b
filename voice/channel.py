"""What the rest of the house may ask of a voice: turns, say, stop, the floor, and nothing else.

A browser call, a phone call, a LiveKit room and a simulated call are told apart nowhere above this protocol.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable
from uuid import uuid4

from voice.events import Event, Turn
from voice.floor import FloorChanged, FloorView

APOLOGY = "Sorry, I could not get that done. Could you ask me again?"
"""What is said instead of a reply that fails, or does not come in time."""

UNHEARD = "Sorry, I cannot hear you well just now."
"""What a caller hears now and then whose speech no recogniser can make out."""

Text = str | AsyncIterator[str]
"""What can be said: a whole text, or its pieces as a model makes them."""

Listener = Callable[[Event | FloorChanged, float], None]
"""Called in the event loop with an event and the loop time it happened at; must not block or raise."""


def random_id(kind: str) -> str:
    """An id that is new everywhere: "turn-4f0c..."."""
    return f"{kind}-{uuid4().hex[:12]}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end. `id` is stable over reconnects and restarts; deliveries are addressed to it."""

    id: str
    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a channel can do by itself; our floor stays the authority, these only make it faster."""

    owns_turns: bool = False
    """The model decides when a turn ends (speech-to-speech models); the floor then waits for its first sound."""
    injection: frozenset[str] = frozenset()
    """How it takes a line from outside: any of `now`, `idle`, `queue` (`voice.realtime.session.Injection`)."""


@runtime_checkable
class Utterance(Protocol):
    """Something of ours that is being said. Awaiting it returns itself when it is over; an interruption never raises.

    `text` grows while a streamed text comes in. `heard_chars` counts the characters of `text` that reached the ear,
    up to the last whole word; `heard` and `remainder` are `text` split there.
    """

    id: str

    @property
    def text(self) -> str: ...
    @property
    def heard_chars(self) -> int: ...
    @property
    def heard(self) -> str: ...
    @property
    def remainder(self) -> str: ...
    @property
    def done(self) -> bool: ...
    @property
    def complete(self) -> bool:
        """All of it reached the ear, by the transport's receipt."""
        ...

    @property
    def confirmed(self) -> bool:
        """False when the transport's receipts stopped coming: what was heard is then not known beyond `heard`."""
        ...

    @property
    def interrupted_by(self) -> str | None:
        """Who or what cut it: a caller's id, `stopped`, `hang_up`, `failed`; None when it was not cut."""
        ...

    @property
    def started(self) -> float | None:
        """Loop time of the first sample at the ear; None before."""
        ...

    @property
    def ended(self) -> float | None:
        """Loop time of the last sample at the ear; None before."""
        ...

    def __await__(self) -> Generator[Any, None, Utterance]: ...


class Channel(Protocol):
    """One room's voice, for all the callers in it."""

    capabilities: Capabilities

    @property
    def floor(self) -> FloorView:
        """The floor as it stands now."""
        ...

    @property
    def callers(self) -> Mapping[str, Caller]:
        """Who is in the room, by id: those who hear and those who for the moment do not."""
        ...

    def turns(self) -> AsyncIterator[Turn]:
        """The callers' turns as they end. One reader a channel."""
        ...

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` every event and every change of the floor; call what is returned to stop it."""
        ...

    def say(
        self,
        text: Text,
        *,
        reply_to: Turn | None = None,
        to: str | None = None,
        over: bool = False,
        ahead: bool = False,
    ) -> Utterance:
        """Say `text` after what is being said now. `reply_to`: the turn that this settles when it is over.

        `over`: speak now, even over a caller, and cut what is being said. `ahead`: before what waits and has not begun;
        if what is said before it ends in a question, it ends unheard ("question"). Without `over` an utterance that
        would begin over a caller ends as interrupted, unheard. `to` names the caller whose ear counts for `heard`
        (None: all who hear). Errors while a streamed text is made end the utterance with `interrupted_by == "failed"`;
        the words before the error are spoken.
        """
        ...

    def stop(self, utterance: Utterance, reason: str = "stopped") -> None:
        """Cut `utterance` at the ear; `heard` is known when it is done. Stopping one that is done does nothing."""
        ...

    def settle(self, turn: Turn) -> None:
        """There is nothing (more) to say to `turn`: it is no longer owed a reply. Settling twice does nothing."""
        ...

    def send_panel(self, kind: str, payload: Mapping[str, Any], to: str | None = None) -> None:
        """Show something to those who can see (JSON-ready); the transport need not know what it means."""
        ...
