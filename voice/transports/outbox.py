"""What waits to be sent to one page: bounded, in order, least important dropped first. Sans-I/O.

A slow page costs nobody else anything: nothing here waits. Other callers' voices and the panel are dropped first (the
panel is told anew when there is room); only when even the agent's voice does not fit is the connection given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from voice.transports import wire

MAX_AGENT = 500
"""Frames of the agent's voice that may wait (10 s; a room runs some 60 ms ahead of the ear)."""
MAX_PEERS = 10
"""Frames of other callers' voices that may wait; older ones are of no use to a talk."""
MAX_PANEL = 262_144
"""Characters of panel messages that may wait."""
MAX_CONTROL = 256
"""Other messages that may wait."""


@dataclass(frozen=True, slots=True)
class _Sound:
    """A frame of an agent's stream that ends at sample `end` or, with `peer`, of another caller's voice."""

    message: bytes
    stream: int
    end: int
    peer: bool = False


@dataclass(slots=True)
class Outbox:
    """The messages to one page. `overflowed` says that it cannot be served; `lost_panel` that it must be told anew."""

    on_sent: Callable[[int, int], None]
    """Told the stream and the end position of every frame of the agent's voice that leaves."""
    congested: bool = False
    """While True, other callers' voices and the panel are not taken."""
    lost_panel: bool = False
    overflowed: bool = False
    _urgent: deque[str] = field(default_factory=deque)
    _queue: deque[_Sound | str] = field(default_factory=deque)
    _panel: deque[str] = field(default_factory=deque)
    _agent_frames: int = 0
    _peer_frames: int = 0
    _panel_size: int = 0

    def __bool__(self) -> bool:
        return bool(self._urgent or self._queue or self._panel)

    def agent(self, stream: int, position: int, pcm: bytes) -> None:
        """Queue a frame of the agent's voice. Raises ValueError for what the wire cannot carry."""
        message = wire.audio(wire.Kind.AGENT, stream, position, pcm)
        if self._agent_frames >= MAX_AGENT:
            self.overflowed = True
            return
        self._agent_frames += 1
        self._queue.append(_Sound(message, stream, position + len(pcm) // 2))

    def peer(self, number: int, sequence: int, pcm: bytes) -> None:
        """Queue a frame of another caller's voice; the oldest waiting one makes room."""
        if self.congested:
            return
        if self._peer_frames >= MAX_PEERS:
            self._queue.remove(next(s for s in self._queue if isinstance(s, _Sound) and s.peer))
            self._peer_frames -= 1
        self._peer_frames += 1
        self._queue.append(_Sound(wire.audio(wire.Kind.PEER, number, sequence, pcm), number, sequence, peer=True))

    def in_order(self, message: str) -> None:
        """Queue a control message behind the sound that was queued before it."""
        self._queue.append(message)
        self.overflowed |= len(self._queue) > MAX_AGENT + MAX_PEERS + MAX_CONTROL

    def urgent(self, message: str) -> None:
        """Queue a control message before everything else."""
        self._urgent.append(message)
        self.overflowed |= len(self._urgent) > MAX_CONTROL

    def panel(self, message: str) -> None:
        """Queue something for the eye, behind everything for the ear."""
        if self.congested or (self._panel and self._panel_size + len(message) > MAX_PANEL):
            self._panel.clear()
            self._panel_size = 0
            self.lost_panel = True
        if self.lost_panel:
            return
        self._panel_size += len(message)
        self._panel.append(message)

    def drop_stream(self, stream: int) -> None:
        """Forget what waits of an agent's stream: the caller wants silence."""
        kept = [s for s in self._queue if not isinstance(s, _Sound) or s.peer or s.stream != stream]
        self._agent_frames -= len(self._queue) - len(kept)
        self._queue = deque(kept)

    def drop_all_but_urgent(self) -> None:
        """Only the last words remain."""
        self._queue.clear()
        self._panel.clear()
        self._agent_frames = self._peer_frames = self._panel_size = 0

    def take(self) -> str | bytes | None:
        """The next message to send, or None."""
        if self._urgent:
            return self._urgent.popleft()
        if self._queue:
            return self._let_go(self._queue.popleft())
        if self._panel:
            message = self._panel.popleft()
            self._panel_size -= len(message)
            return message
        return None

    def _let_go(self, item: _Sound | str) -> str | bytes:
        if isinstance(item, str):
            return item
        if item.peer:
            self._peer_frames -= 1
        else:
            self._agent_frames -= 1
            self.on_sent(item.stream, item.end)
        return item.message
