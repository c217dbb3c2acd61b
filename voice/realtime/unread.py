"""What a session has to tell and nobody has read yet. Its reader is behind: what it cuts is the reply that it reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from voice.realtime.session import ReplyAudio, ReplyEnded, ReplyStarted, ReplyText, SessionEvent


class Unread:
    """First in, first out. One reader."""

    def __init__(self) -> None:
        self._events: deque[SessionEvent] = deque()
        self._in_reply = False
        """The reader has read the beginning of a reply, and not its end."""

    def __len__(self) -> int:
        return len(self._events)

    def put(self, events: Iterable[SessionEvent]) -> None:
        """There is more to tell."""
        self._events.extend(events)

    def take(self) -> SessionEvent:
        """The next one, for the reader. Raises IndexError when there is none."""
        event = self._events.popleft()
        if isinstance(event, ReplyStarted | ReplyEnded):
            self._in_reply = isinstance(event, ReplyStarted)
        return event

    def cut(self) -> bool:
        """Drop the rest of the reply that is being read; True: its end has not come, and more of it may."""
        if not self._in_reply:
            return False
        kept: deque[SessionEvent] = deque()
        open_still = True
        for event in self._events:
            if not open_still:
                kept.append(event)
            elif isinstance(event, ReplyEnded):
                kept.append(ReplyEnded(cut=True))
                open_still = False
            elif not isinstance(event, ReplyAudio | ReplyText):
                kept.append(event)
        self._events = kept
        return open_still
