"""An utterance of ours as it is being said: `voice.channel.Utterance`, and what the speaker needs to know of it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from voice.channel import Text
from voice.events import Turn
from voice.playout import Playout
from voice.sentences import Sentences

_CLOSERS = "\"'”’)] \n\t"


class SpokenUtterance:
    """Made by `Channel.say`. See `voice.channel.Utterance` for what it promises."""

    def __init__(
        self,
        id: str,
        source: Text,
        playout: Playout,
        *,
        reply_to: Turn | None = None,
        to: str | None = None,
        over: bool = False,
        ahead: bool = False,
    ) -> None:
        self.id = id
        self.source = source
        self.playout = playout
        self.reply_to = reply_to
        self.to = to
        self.over = over
        self.ahead = over or ahead
        self.exempt = over
        """The caller's present speech does not stop it."""
        self.pcm = bytearray()
        """Its audio, as far as it is made."""
        self.failed = False
        """Making it failed; what was made before is played."""
        self.voiceless = False
        """It failed before its first sound, as no provider of a voice works just now; it may at another time."""
        self.short = False
        """Its sound ended before its text: whoever makes it fell silent for a caller."""
        self.cut_by: str | None = None
        """Why it is being cut; the first reason stays."""
        self.due = asyncio.Event()
        """It may be heard now: it is the next, and nobody holds the floor against it."""
        self._text = source if isinstance(source, str) else ""
        self._over = asyncio.get_running_loop().create_future()
        self._complete = False
        self.confirmed = True
        self._ended: float | None = None

    def __repr__(self) -> str:
        state = "complete" if self.complete else (self.interrupted_by or "under way")
        return f"<utterance {self.id} {self._text[:40]!r}: {state}, {self.heard_chars} characters heard>"

    @property
    def text(self) -> str:
        return self._text

    @property
    def heard_chars(self) -> int:
        return len(self._text) if self._complete else self.playout.chars

    @property
    def heard(self) -> str:
        return self._text[: self.heard_chars]

    @property
    def remainder(self) -> str:
        return self._text[self.heard_chars :]

    @property
    def done(self) -> bool:
        return self._over.done()

    @property
    def complete(self) -> bool:
        return self._complete

    @property
    def interrupted_by(self) -> str | None:
        if not self.done or self._complete:
            return None
        return self.cut_by or ("failed" if self.failed else "stopped" if self.short else None)

    @property
    def started(self) -> float | None:
        return self.playout.started

    @property
    def ended(self) -> float | None:
        return self._ended

    def __await__(self) -> Generator[object, None, SpokenUtterance]:
        if not self._over.done():
            yield from asyncio.shield(self._over).__await__()
        return self

    # -- for the speaker

    @property
    def asks(self) -> bool:
        """It ends in a question, as far as its text is known."""
        return self._text.rstrip(_CLOSERS).endswith(("?", "？"))

    @property
    def asking(self) -> bool:
        """The question in which it ends is being heard: a "yeah" may answer it, what came before was no answer."""
        if not self.asks:
            return False
        sentences = Sentences()
        last = (sentences.push(self._text) + sentences.flush())[-1]
        return self.heard_chars >= last.start

    def add_text(self, piece: str) -> None:
        """More of a streamed text."""
        self._text += piece

    def finish(self, now: float, *, complete: bool) -> None:
        """It is over at the ear. One that nobody cut and that was not played out lacks its receipts."""
        self._complete = complete and not self.failed and not self.short
        self.confirmed = self.confirmed and (complete or self.failed or self.cut_by is not None)
        self._ended = now if self.started is not None else None
        self.pcm = bytearray()
        self._over.set_result(None)
