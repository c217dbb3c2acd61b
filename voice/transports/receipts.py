"""Whether what a page says it has played can be true. Sans-I/O: told what left, asked about each receipt."""

from __future__ import annotations

from dataclasses import dataclass, field

from voice.leg import Played
from voice.transports.wire import Receipt, WireError

MAX_STREAMS = 64
"""Streams remembered; a page is at most a few behind."""


@dataclass(slots=True)
class _Stream:
    sent: int = 0
    played: int = 0
    flushing: bool = False
    flushed: bool = False


@dataclass(slots=True)
class Receipts:
    """The page's receipts, held against what it was sent. Positions are samples at 16 kHz."""

    _streams: dict[int, _Stream] = field(default_factory=dict)

    def sent(self, stream: int, end: int) -> None:
        """A frame of `stream` that ends at sample `end` has left."""
        known = self._stream(stream)
        known.sent = max(known.sent, end)

    def cleared(self, stream: int) -> None:
        """The page was told to drop what it has of `stream`."""
        self._stream(stream).flushing = True

    def silenced(self, stream: int) -> bool:
        """Whether `stream` was cleared: nothing more of it may be sent."""
        known = self._streams.get(stream)
        return known is not None and known.flushing

    def check(self, receipt: Receipt) -> Played:
        """The receipt as a fact. Raises WireError when it cannot be one."""
        known = self._streams.get(receipt.stream)
        if known is None:
            raise WireError("unknown_stream", f"nothing of stream {receipt.stream} was sent")
        if receipt.samples > known.sent:
            raise WireError(
                "played_beyond", f"{receipt.samples} samples cannot have been played: {known.sent} were sent"
            )
        if receipt.samples < known.played:
            raise WireError("out_of_order", f"{known.played} samples were played before; now {receipt.samples}")
        if known.flushed:
            raise WireError("out_of_order", f"stream {receipt.stream} fell silent at {known.played} samples")
        if receipt.flushed and not known.flushing:
            raise WireError("not_cleared", f"stream {receipt.stream} was not told to fall silent")
        known.played, known.flushed = receipt.samples, receipt.flushed
        return Played(receipt.stream, receipt.samples, receipt.flushed)

    def _stream(self, stream: int) -> _Stream:
        known = self._streams.get(stream)
        if known is None:
            while len(self._streams) >= MAX_STREAMS:
                del self._streams[next(iter(self._streams))]
            known = self._streams[stream] = _Stream()
        return known
