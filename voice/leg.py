"""One caller's way into a room: frames in, frames out, receipts back. Every transport implements this.

Audio is 16-bit little-endian mono PCM at 16,000 Hz; a frame is 20 ms (320 samples, 640 bytes). A transport that
speaks another rate resamples at its own edge.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from voice.channel import Caller
from voice.events import Deafness

RATE = 16_000
"""Samples a second inside the house (Hz)."""
FRAME_SAMPLES = 320
"""Samples in a frame: 20 ms."""
FRAME_BYTES = 2 * FRAME_SAMPLES
FRAME_SECONDS = FRAME_SAMPLES / RATE


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms of a caller's voice (FRAME_BYTES bytes)."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Played:
    """The caller's ear has had `samples` samples of stream `stream`; `flushed`: and will get no more of what was sent.

    `flushed` answers a `clear`: it gives the exact position at which the ear fell silent.
    """

    stream: int
    samples: int
    flushed: bool = False


@dataclass(frozen=True, slots=True)
class Pressed:
    """The caller pressed a key of the telephone."""

    digit: str


@dataclass(frozen=True, slots=True)
class Hearing:
    """The caller hears (`deaf` None) or does not: on hold, ringing."""

    deaf: Deafness | None


LegEvent = Frame | Played | Pressed | Hearing


class Leg(Protocol):
    """A live connection of one caller. `incoming` ends when it is gone; `hung_up` then says whether for good.

    Nothing here blocks or raises for a slow or dead far end: what cannot be sent is dropped, and the missing receipt
    tells.
    """

    caller: Caller
    receipts: bool
    """Whether `Played` events come; without them playout is reckoned by the clock."""
    jitter: float
    """Seconds the far end holds back before it plays (jitter buffer), for reckoning when the ear hears a frame."""

    @property
    def hung_up(self) -> bool:
        """The caller left on purpose (False: the connection broke, they may come back)."""
        ...

    def incoming(self) -> AsyncIterator[LegEvent]:
        """Everything the caller's side sends, in order. One reader."""
        ...

    def send(self, pcm: bytes, *, stream: int, position: int) -> None:
        """Play a frame of the agent's voice: samples from `position` on of audio stream `stream`.

        A stream is one unbroken piece of playout; an utterance that is paused and goes on does so in a new stream.
        """
        ...

    def finish(self, stream: int, samples: int) -> None:
        """Nothing follows in `stream` after `samples` samples; a `Played` with that count is wanted when it is out."""
        ...

    def clear(self, stream: int) -> None:
        """Fall silent now: drop what has not been played of `stream`; answered by a `Played` with `flushed`."""
        ...

    def send_peer(self, pcm: bytes, caller: str) -> None:
        """Play a frame of another caller's voice (mixed under the agent's, never cleared)."""
        ...

    def send_panel(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Show something, where there is a screen."""
        ...
