"""A Message: what is spoken in one breath, and which of its characters belong to which delivery."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_BLANK = re.compile(r"\s*")
_REST_OF_WORD = re.compile(r"[^\w\s]*\s*")


@dataclass(frozen=True, slots=True)
class Part:
    """Characters `start` to `end` of the message are characters `offset` onward of the delivery's wording.

    `before` is how much of the wording was heard before this message.
    """

    delivery: str
    start: int
    end: int
    offset: int
    before: int = 0

    def heard(self, chars: int) -> int:
        """How much of the delivery's wording was heard when `chars` characters of the message were."""
        return self.before if chars <= self.start else self.offset + min(chars, self.end) - self.start


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to say. `over`: also while the caller speaks. `to`: whose ear counts (None: everyone's who hears)."""

    id: str
    text: str
    parts: tuple[Part, ...]
    to: str | None = None
    over: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A delivery's wording, of which `heard` characters were heard before."""

    delivery: str
    wording: str
    heard: int = 0


def compose(
    id: str,
    pieces: Sequence[Piece],
    *,
    separator: str = " ",
    opening: str = "",
    resuming: str = "",
    to: str | None = None,
    over: bool = False,
) -> Message:
    """Put what was not yet heard of `pieces` into one message.

    `opening` is said first of all, `resuming` before a piece that goes on.
    """
    text = opening
    parts: list[Part] = []
    for piece in pieces:
        offset = rest(piece.wording, piece.heard)
        if parts:
            text += separator
        if piece.heard:
            text += resuming
        start = len(text)
        text += piece.wording[offset:]
        parts.append(Part(piece.delivery, start, len(text), offset, piece.heard))
    return Message(id, text, tuple(parts), to, over)


def rest(wording: str, heard: int) -> int:
    """Where `wording` goes on once `heard` characters were heard: white space, and what clings to the last word heard
    (a full stop, a bracket), are not spoken on their own."""
    found = (_REST_OF_WORD if heard else _BLANK).match(wording, heard)
    return found.end() if found else heard
