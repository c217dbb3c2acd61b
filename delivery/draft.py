"""A Draft: what is spoken next, made before its time has come, so that at the edge it only has to be handed over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from delivery.ledger import Move, Status
from delivery.message import Piece, compose
from delivery.pending import Next, Pending, Spoken
from delivery.signals import Record, Speak


@dataclass(frozen=True, slots=True)
class Draft:
    """`items` as one message, which asks for the floor first if `asks`; `priority`: the highest of them."""

    items: list[Pending]
    asks: bool
    speak: Speak
    record: Record
    priority: int

    def spoken(self, now: float) -> Spoken:
        """The message, from now on at the ear."""
        return Spoken(self.speak.message, self.priority, now, self.asks)


@dataclass(slots=True)
class Drafts:
    """Makes the messages of a room, each once. `opening` asks for the floor, `resuming` is said before what goes on."""

    opening: str
    resuming: str
    _draft: Draft | None = None
    _ids: Iterator[int] = field(default_factory=count)

    def has(self, items: list[Pending]) -> bool:
        """Whether the message that these are is made already; what is ready does not change any more."""
        return self._draft is not None and self._draft.items == items and self._draft.asks == _asks(items)

    def write(self, items: list[Pending]) -> Draft:
        """Make it, unless it is there; all of `items` are ready."""
        if self._draft is None or not self.has(items):
            head, asks = items[0], _asks(items)
            message = compose(
                f"m{next(self._ids)}",
                [Piece(i.id, i.text, i.heard) for i in items],
                separator=head.strategy.separator,
                opening=self.opening if asks else "",
                resuming=self.resuming,
                to=head.delivery.to,
                over=head.talks_over,
            )
            moves = tuple(Move(i.id, Status.SPEAKING, heard_chars=i.heard) for i in items)
            priority = max(i.delivery.priority for i in items)
            self._draft = Draft(items, asks, Speak(message), Record(moves), priority)
        return self._draft

    def take(self, items: list[Pending]) -> Draft:
        """It is spoken now; what is left of it will be another message."""
        draft, self._draft = self.write(items), None
        return draft


def _asks(items: list[Pending]) -> bool:
    """They come although the floor is not open, or without a silence before."""
    return items[0].next in (Next.ASKED, Next.LATE)
